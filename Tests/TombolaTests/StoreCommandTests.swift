import Coordination
import Foundation
import Glibc
import Lottery
import Store
import Testing

@Suite struct StoreCommandTests {
    @Test("usage, verify, backup and compact say what a store holds, whether it is sound, and keep it so")
    func upkeep() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let first = try await Program.run(["run", spec, "--json", "--store", "store"], in: folder)
            #expect(first.status == 0, "\(first.errors)")

            let usage = try await Program.run(["store", "usage", "--store", "store", "--json"], in: folder)
            let report = try #require(try JSONSerialization.jsonObject(with: Data(usage.output.utf8)) as? [String: Any])
            let rows = try #require(report["artifacts"] as? [[String: Any]])
            let counts = Dictionary(uniqueKeysWithValues: rows.map { ($0["purpose"] as! String, $0["count"] as! Int) })
            #expect(counts == ["input": 1, "trained": 16, "checkpoint": 2, "metrics": 16])

            let sound = try await Program.run(["store", "verify", "--store", "store"], in: folder)
            #expect(
                sound.status == 0 && sound.output.contains("is sound; 35 artifacts"), "\(sound.output)\(sound.errors)")
            let backup = try await Program.run(["store", "backup", "copy", "--store", "store"], in: folder)
            #expect(backup.status == 0, "\(backup.errors)")
            let again = try await Program.run(["store", "backup", "copy", "--store", "store"], in: folder)
            #expect(again.status == 2 && again.errors.contains("there already"), "\(again.errors)")
            let within = try await Program.run(["store", "backup", "store/copy", "--store", "store"], in: folder)
            #expect(within.status == 2 && within.errors.contains("in the store itself"), "\(within.errors)")
            let compacted = try await Program.run(["store", "compact", "--store", "store", "--json"], in: folder)
            #expect(compacted.status == 0 && compacted.output.contains("\"removed\" : 0"), "\(compacted.errors)")

            let files = FileManager.default.enumerator(atPath: folder.appending(path: "store/artifacts").path())
            let names = try #require(files).compactMap { $0 as? String }.filter { $0.count > 64 }.sorted()
            try FileManager.default.removeItem(at: folder.appending(path: "store/artifacts/\(names[0])"))
            let broken = try await Program.run(["store", "verify", "--quick", "--store", "store"], in: folder)
            #expect(broken.status == 1 && broken.output.contains("is missing"), "\(broken.output)")
            let board = try await Program.run(["run", spec, "--json", "--store", "copy"], in: folder)
            #expect(board.output == first.output, "\(board.errors)")

            // Which of the two is damaged must be said of the right one.
            let database = try FileHandle(forUpdating: folder.appending(path: "copy/tombola.sqlite"))
            try database.seek(toOffset: 10 * 4_096)
            try database.write(contentsOf: Data(repeating: 0xFF, count: 4_096))
            try database.close()
            let spoilt = try await Program.run(["store", "backup", "other", "--store", "copy"], in: folder)
            #expect(spoilt.status == 1 && spoilt.errors.contains("the store copy is damaged"), "\(spoilt.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "other").path()))
        }
    }

    @Test("usage, verify, backup and compact work beside a coordinator that trains, and disturb nothing")
    func beside() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 2_000), in: folder)
            let undisturbed = try await Program.run(["run", spec, "--json", "--store", "undisturbed"], in: folder)
            let cluster = try await Cluster(in: folder, store: "store", workers: 1)
            defer { cluster.kill() }
            try await cluster.submit(spec)
            try await until("something is done and something runs") { cluster.attempts?.done.count ?? 0 >= 2 }
            for arguments in [["usage"], ["verify"], ["compact"], ["backup", "copy"]] {
                let said = try await Program.run(["store"] + arguments + ["--store", "store"], in: folder)
                #expect(said.status == 0, "\(arguments): \(said.output)\(said.errors)")
            }
            #expect(try #require(cluster.attempts).done.count < 16, "the sweep ended before it could be disturbed")
            try await until("the sweep ends", within: 120) { cluster.attempts?.done.count == 16 }
            #expect(try await cluster.leaderboard() == undisturbed.output)
            try await cluster.end()
            let sound = try await Program.run(["store", "verify", "--store", "copy"], in: folder)
            #expect(sound.status == 0, "\(sound.output)\(sound.errors)")
            #expect((2..<16).contains(try Attempts(store: folder.appending(path: "copy")).done.count))
        }
    }

    @Test("Two results of one task that differ are said by status, explain, verify and doctor, and outlive a restart")
    func contradiction() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let ran = try await Program.run(["run", spec, "--store", "store"], in: folder)
            #expect(ran.status == 0, "\(ran.errors)")
            /// What the coordinator decides when a worker brings a second result.
            func contradict() throws -> (task: TaskKey, digest: Digest) {
                let store = try Store.open(directory: folder.appending(path: "store").path(), mode: .coordinator)
                let key = try store.snapshot().tasks[0].work.key
                let kept = try #require(try store.task(key)).outputs
                let digest = Digest.of("other".utf8)
                let other = kept.map { $0.name == .final ? TaskOutput(name: .final, digest: digest, byteCount: 5) : $0 }
                try #require(other != kept)
                try store.commit([.nondeterminism(key, kept: kept, other: other, worker: WorkerID("node-7"))])
                return (key, digest)
            }
            let (task, digest) = try contradict()
            let words = "two results that differ: a bug in tombola, or broken hardware"
            func tombola(_ words: String...) async throws -> (status: Int32, output: String, errors: String) {
                try await Program.run(words + ["--store", "store"], in: folder)
            }
            #expect(try await tombola("status").output.contains("task \(task) gave \(words)"))
            let explained = try await tombola("explain", task.hex)
            #expect(explained.output.contains("node-7 gave another result"), "\(explained.output)")
            #expect(explained.output.contains(", there \(digest)"), "\(explained.output)")
            let verified = try await tombola("store", "verify", "--quick")
            #expect(verified.status == 1 && verified.output.contains("task \(task) gave another result on node-7"))
            let doctor = try await tombola("doctor")
            #expect(doctor.status == 1 && doctor.output.contains("task \(task) gave two results"), "\(doctor.output)")

            let serve = try Program(["serve", "--store", "store", "--bind", "tcp://127.0.0.1:*"], in: folder)
            defer { if serve.isRunning { serve.send(SIGKILL) } }
            let endpoint = folder.appending(path: "store/endpoint").path()
            try await until("the coordinator listens") { FileManager.default.fileExists(atPath: endpoint) }
            let address = try String(contentsOfFile: endpoint, encoding: .utf8).trimmingCharacters(in: .newlines)
            let remote = try await Program.run(["status", "--connect", address], in: folder)
            #expect(remote.output.contains("task \(task) gave \(words)"), "\(remote.output)\(remote.errors)")
            serve.send(SIGTERM)
            try await serve.end()
        }
    }

    @Test(
        "Checkpoints that no level waits for go but for their weights; tickets stay the same, and a sweep that grows makes anew what it needs"
    )
    func retention() async throws {
        try await withFolder { folder in
            func tombola(_ words: String..., status: Int32 = 0) async throws -> String {
                let run = try await Program.run(words, in: folder)
                #expect(run.status == status, "\(words): \(run.errors)\(run.output)")
                return run.output
            }
            func number(_ key: String, _ text: String) throws -> Int {
                let report = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
                return try #require(report[key] as? Int, "\(text)")
            }
            func spec(_ levels: Int, _ name: String) throws -> String {
                try TestSweep.write(
                    TestSweep.tiny().replacing("levels: 2", with: "levels: \(levels)"), name, in: folder)
            }
            let first = try spec(2, "two.yaml")
            _ = try await tombola("run", first, "--store", "store")
            let tickets = try rewound(in: folder)
            #expect(tickets.count == 4)
            var exported: [Data] = []
            for ticket in tickets {
                _ = try await tombola("ticket", "export", ticket, "--out", "before", "--store", "store")
                exported.append(try Data(contentsOf: folder.appending(path: "before")))
            }
            let compact = ["store", "compact", "--intermediates", "--store", "store", "--json"]
            func compacted(_ more: String...) async throws -> String {
                let run = try await Program.run(compact + more, in: folder)
                #expect(run.status == 0, "\(run.errors)")
                return run.output
            }
            let said = try await tombola("store", "compact", "--intermediates", "--dry-run", "--store", "store")
            #expect(said.contains("2 checkpoints that no level waits for would go"), "\(said)")
            let dry = try await compacted("--dry-run")
            #expect(try number("intermediates", dry) == 2)
            #expect(try await compacted("--dry-run") == dry)
            let done = try await compacted()
            // Of Adam's three numbers a weight one stays.
            #expect(try number("intermediate_bytes", done) == number("intermediate_bytes", dry))
            #expect(try number("intermediate_bytes", done) > 2 * 8 * 12 * 784)
            #expect(try number("intermediates", await compacted()) == 0)
            #expect(try await tombola("store", "verify", "--store", "store").contains("is sound; 35 artifacts"))
            for (ticket, bytes) in zip(tickets, exported) {
                _ = try await tombola("ticket", "export", ticket, "--out", "after", "--store", "store")
                #expect(try Data(contentsOf: folder.appending(path: "after")) == bytes)
            }
            // The second time, of the replay that made the checkpoint anew the checkpoint is gone.
            for levels in [3, 4] {
                let longer = try spec(levels, "longer.yaml")
                _ = try await tombola("extend", longer, "--store", "store")
                let grown = try await tombola("run", longer, "--store", "store", "--json")
                #expect(try await tombola("run", longer, "--store", "fresh-\(levels)", "--json") == grown)
                #expect(try number("intermediates", await compacted()) == 2)
                _ = try await tombola("store", "verify", "--store", "store")
            }
            // What is kept of a sweep may be said beforehand.
            _ = try await tombola("run", first, "--store", "tidy", "--retain", "tickets")
            let tidy = try await tombola(
                "store", "compact", "--intermediates", "--dry-run", "--json", "--store", "tidy")
            #expect(try number("intermediates", tidy) == 0)
            _ = try await tombola("store", "verify", "--store", "tidy")
            let boards = [
                try await tombola("leaderboard", "--json", "--store", "tidy"),
                try await tombola("run", first, "--json", "--store", "tidy"),
            ]
            #expect(boards[0] == boards[1])
            #expect(
                try await tombola("ticket", "export", tickets[0], "--out", "tidy-ticket", "--store", "tidy").isEmpty
                    == false)
            #expect(try Data(contentsOf: folder.appending(path: "tidy-ticket")) == exported[0])
        }
    }

    /// Keys of the levels and controls that were rewound to a checkpoint.
    private func rewound(in folder: URL) throws -> [String] {
        let store = try Store.open(directory: folder.appending(path: "store").path(), mode: .reader)
        defer { #expect(throws: Never.self) { try store.close() } }
        return try store.snapshot().tasks.filter { task in task.work.inputs.contains { $0.name == "rewind" } }
            .map(\.work.key.hex)
    }
}
