import Foundation
import Lottery
import Testing

@Suite struct BundleTests {
    private func check(
        _ path: String, in folder: URL, _ arguments: [String] = []
    ) async throws -> (status: Int32, states: [String: String]) {
        let ended = try await Program.run(["verify", path, "--json"] + arguments, in: folder)
        let findings = try #require(
            try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [[String: String]], "\(ended.errors)")
        return (ended.status, Dictionary(uniqueKeysWithValues: findings.map { ($0["subject"]!, $0["state"]!) }))
    }

    private func shell(_ command: String, in folder: URL) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", command]
        process.currentDirectoryURL = folder
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    @Test("A bundle holds everything, is the same bytes again, and verify finds what was changed in it")
    func bundle() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let ran = try await Program.run(["run", spec, "--json", "--store", "store"], in: folder)
            #expect(ran.status == 0, "\(ran.errors)")
            let made = try await Program.run(["bundle", "--store", "store"], in: folder)
            #expect(made.status == 0 && made.output.hasPrefix("tiny.tar.gz has "), "\(made.errors)")
            // Whole in the place of what was there.
            try Data(count: 1 << 20).write(to: folder.appending(path: "again.tar.gz"))
            _ = try await Program.run(["bundle", "tiny", "--out", "again.tar.gz", "--store", "store"], in: folder)
            #expect(
                try Data(contentsOf: folder.appending(path: "tiny.tar.gz"))
                    == Data(contentsOf: folder.appending(path: "again.tar.gz")))

            let sound = try await check("tiny.tar.gz", in: folder)
            #expect(sound.status == 0 && Set(sound.states.values) == ["good"], "\(sound.states)")
            #expect(sound.states.keys.count { $0.hasPrefix("tickets/") } > 0)

            // Anyone can unpack it and check its sums; the leaderboard in it is the one that was printed.
            #expect(
                try shell("tar xzf tiny.tar.gz && cd tiny && sha256sum --check --quiet SHA256SUMS", in: folder) == 0)
            let board = try String(contentsOf: folder.appending(path: "tiny/leaderboard.json"), encoding: .utf8)
            #expect(board == ran.output)

            // One image more in a result, sums mended: what is made of the results is no more what is there.
            let change = #"sed -i '0,/"test_correct" : \([0-9]*\)/s//"test_correct" : 1/' results.json"#
            let again =
                "sha256sum $(sed 's/^[^ ]*  //' SHA256SUMS) > sums && mv sums SHA256SUMS && cd .. && tar czf changed.tar.gz tiny"
            #expect(
                try shell("cd tiny && \(change) && tar czf ../unmended.tar.gz -C .. tiny && \(again)", in: folder) == 0)
            let unmended = try await check("unmended.tar.gz", in: folder)
            #expect(unmended.status == 1 && unmended.states["checksums"] == "bad")
            let changed = try await check("changed.tar.gz", in: folder)
            #expect(changed.status == 1 && changed.states["checksums"] == "good", "\(changed.states)")
            #expect(changed.states["levels.csv"] == "bad", "\(changed.states)")

            // Every result at odds with what the tickets say of themselves; a ticket that is not there.
            let all = #"cd tiny && sed -i 's/"test_correct" : [0-9]*/"test_correct" : 1/' results.json"#
            #expect(try shell("\(all) && \(again)", in: folder) == 0)
            let falsified = try await check("changed.tar.gz", in: folder)
            let tickets = falsified.states.filter { $0.key.hasPrefix("tickets/") }
            #expect(!tickets.isEmpty && Set(tickets.values) == ["bad"], "\(falsified.states)")

            // A bundle of another version has other tables.
            let form = #"cd tiny && sed -i 's/"format" : [0-9]*/"format" : 1/' results.json"#
            #expect(try shell("\(form) && tar czf ../old.tar.gz -C .. tiny", in: folder) == 0)
            let old = try await Program.run(["verify", "old.tar.gz"], in: folder)
            #expect(
                old.status == 1
                    && old.output.contains("  the bundle is of form 1, made by tombola 0.2.0; this version reads form"),
                "\(old.output)")

            #expect(
                try shell(
                    "tar xzf tiny.tar.gz && cd tiny && rm tickets/* && sed -i '/tickets/d' SHA256SUMS && cd .. "
                        + "&& tar czf changed.tar.gz tiny", in: folder) == 0)
            let incomplete = try await check("changed.tar.gz", in: folder)
            #expect(incomplete.status == 1 && incomplete.states["checksums"] == "good", "\(incomplete.states)")
            let missing = incomplete.states.filter { $0.key.hasPrefix("tickets/") }
            #expect(!missing.isEmpty && Set(missing.values) == ["bad"], "\(incomplete.states)")

            // Tickets that say or hold something else than the results, sums mended.
            let pack =
                "cd tiny && sha256sum $(sed 's/^[^ ]*  //' SHA256SUMS) > sums && mv sums SHA256SUMS && cd .. "
                + "&& tar czf changed.tar.gz tiny"
            let unpack = "rm -rf tiny && tar xzf tiny.tar.gz"
            typealias Change = (inout [String: Safetensors.Tensor], inout [String: String]) -> Void
            func filling(_ kind: String, _ byte: UInt8) -> Change {
                { tensors, _ in
                    for (name, tensor) in tensors where name.hasPrefix("\(kind).") {
                        tensors[name]!.bytes = Array(repeating: byte, count: tensor.bytes.count)
                    }
                }
            }
            let changes: [(reason: String, change: Change)] = [
                ("rewinds to weights that are all 0", filling("rewind", 0)),
                ("keeps 9,408 weights of fc1.weight", filling("mask", 1)),
                ("says density 0.01", { $1["density"] = "0.01" }), ("says surviving 1", { $1["surviving"] = "1" }),
                ("says rewind_step 77", { $1["rewind_step"] = "77" }),
                ("says test_images_seen", { $1["test_images_seen"] = nil }),
                ("says another spec", { $1["spec"] = "name: b" }),
                (
                    "is U8 [9408], not U8 [12, 784]",
                    { tensors, _ in tensors["mask.fc1.weight"]!.shape = [9_408] }
                ),
                ("cannot be evaluated: ", { tensors, _ in tensors["trained.fc1.bias"] = nil }),
                ("has no tensor “rewind.fc1.bias”", { tensors, _ in tensors["rewind.fc1.bias"] = nil }),
                (
                    "is F32 [9408], not F32 [12, 784]",
                    { tensors, _ in tensors["trained.fc1.weight"]!.shape = [9_408] }
                ),
                (
                    "has noise, which is no part",
                    { tensors, _ in tensors["noise"] = .init(name: "noise", shape: [1], [Float(1)]) }
                ),
                ("says input_mean 0, and", { $1["input_mean"] = "0" }),
                ("says input_resize 8, and its training nothing", { $1["input_resize"] = "8" }),
                (
                    "that its mask prunes",
                    { tensors, metadata in
                        let pruned = tensors["mask.fc1.weight"]!.bytes.firstIndex(of: 0)!
                        tensors["trained.fc1.weight"]!.bytes[4 * pruned + 3] = 63
                    }
                ),
                (
                    "than its mask_digest says",
                    { tensors, _ in
                        let mask = tensors["mask.fc1.weight"]!.bytes
                        tensors["mask.fc1.weight"]!.bytes.swapAt(mask.firstIndex(of: 0)!, mask.firstIndex(of: 1)!)
                    }
                ),
            ]
            for (reason, change) in changes {
                #expect(try shell(unpack, in: folder) == 0)
                let tickets = try FileManager.default.contentsOfDirectory(
                    at: folder.appending(path: "tiny/tickets"), includingPropertiesForKeys: nil)
                for ticket in tickets {
                    var (tensors, metadata) = try Safetensors.decode([UInt8](Data(contentsOf: ticket)))
                    change(&tensors, &metadata)
                    try Data(Safetensors.encode(Array(tensors.values), metadata: metadata)).write(to: ticket)
                }
                #expect(try shell(pack, in: folder) == 0)
                let found = try await Program.run(["verify", "changed.tar.gz"], in: folder)
                #expect(found.status == 1 && found.output.contains(reason), "\(reason): \(found.output)")
            }
            // Other weights than the seed draws, in a ticket that goes back to step 0.
            #expect(try shell(unpack, in: folder) == 0)
            for ticket in try FileManager.default.contentsOfDirectory(
                at: folder.appending(path: "tiny/tickets"), includingPropertiesForKeys: nil)
            {
                var (tensors, metadata) = try Safetensors.decode([UInt8](Data(contentsOf: ticket)))
                let survivor = tensors["mask.fc1.weight"]!.bytes.firstIndex(of: 1)!
                tensors["rewind.fc1.weight"]!.bytes[4 * survivor] ^= 1
                try Data(Safetensors.encode(Array(tensors.values), metadata: metadata)).write(to: ticket)
            }
            #expect(try shell(pack, in: folder) == 0)
            let redrawn = try await Program.run(["verify", "changed.tar.gz"], in: folder)
            #expect(
                redrawn.status == 1
                    && redrawn.output.contains("rewinds to other weights than those that its seed draws"),
                "\(redrawn.output)")

            // What is no file, and what is there twice.
            let links =
                "ln -s /etc/passwd tiny/link && ln tiny/runs.csv tiny/other && tar czf changed.tar.gz tiny tiny/spec.yaml"
            #expect(try shell("\(unpack) && \(links)", in: folder) == 0)
            let linked = try await Program.run(["verify", "changed.tar.gz"], in: folder)
            for reason in ["link is a symbolic link", "is a hard link"] {
                #expect(linked.status == 1 && linked.output.contains(reason), "\(linked.output)")
            }
            let twice =
                "cp tiny.tar.gz t.tar.gz && gzip -df t.tar.gz && tar rf t.tar tiny/spec.yaml && gzip -c t.tar > changed.tar.gz"
            #expect(try shell("\(unpack) && \(twice)", in: folder) == 0)
            let doubled = try await Program.run(["verify", "changed.tar.gz"], in: folder)
            #expect(doubled.status == 1 && doubled.output.contains("spec.yaml is there twice"), "\(doubled.output)")

            for (damage, place) in [("head -c 300", ""), ("sed s/seconds/second/", " at tasks.")] {
                let damaging =
                    "\(damage) tiny/results.json > r && mv r tiny/results.json && tar czf changed.tar.gz tiny"
                #expect(try shell("\(unpack) && \(damaging)", in: folder) == 0)
                let damaged = try await Program.run(["verify", "changed.tar.gz"], in: folder)
                #expect(damaged.status == 1 && !damaged.output.contains("DecodingError"), "\(damaged.output)")
                if place.isEmpty {
                    #expect(
                        damaged.output.contains("results.json is damaged: take the bundle anew"), "\(damaged.output)")
                }
            }

            let whole = try Data(contentsOf: folder.appending(path: "tiny.tar.gz"))
            for (bytes, reason) in [
                (whole.dropLast(), "it is cut short"), (whole + whole, "more bytes follow the end of the archive"),
            ] {
                try bytes.write(to: folder.appending(path: "damaged.tar.gz"))
                let damaged = try await Program.run(["verify", "damaged.tar.gz"], in: folder)
                #expect(
                    damaged.status == 1 && damaged.errors.contains("damaged.tar.gz: \(reason)"), "\(damaged.errors)")
            }

            let none = try await Program.run(["verify", spec], in: folder)
            #expect(none.status != 0 && none.errors.contains(spec), "\(none.errors)")
        }
    }
}
