import Foundation
import Testing

/// Masks found under one recipe and trained under another, by real processes.
@Suite(.serialized) struct TransplantRunTests {
    private static let spec = TestSweep.tiny(name: "transplant", branches: "[]")
        .replacing("levels: 2", with: "levels: 1")
        .replacing("grid: {rewind: [0, 20]}", with: "grid: {mask_from.lr: [0.001, 0.01], train.lr: [0.001, 0.01]}")
    /// Under load on few cores.
    private static let seconds = 300.0

    @Test("A square of recipes comes to a matrix whose diagonal is the ordinary sweep's")
    func square() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(Self.spec, in: folder)
            let ran = try await Program.run(
                ["run", spec, "--json", "--workers", "2", "--store", "store"], in: folder, within: Self.seconds)
            #expect(ran.status == 0, "\(ran.errors)")
            let ordinary = try TestSweep.write(
                Self.spec.replacing("name: transplant", with: "name: ordinary")
                    .replacing("mask_from.lr: [0.001, 0.01], train.lr", with: "lr"), "ordinary.yaml", in: folder)
            let plan = try await Program.run(["plan", ordinary, "--json", "--store", "store"], in: folder)
            let planned = try #require(try JSONSerialization.jsonObject(with: Data(plan.output.utf8)) as? [String: Any])
            // Two recipes, two replicates, a dense network and a level each.
            #expect(planned["tasks"] as? Int == 8 && planned["tasks_done"] as? Int == 8, "\(plan.output)")

            func matrix(_ arguments: String...) async throws -> (status: Int32, output: String, errors: String) {
                try await Program.run(["leaderboard", "--matrix", "--store", "store"] + arguments, in: folder)
            }
            let text = try await matrix()
            #expect(text.status == 0, "\(text.errors)")
            let lines = text.output.split(separator: "\n")
            #expect(lines.first == "level 1, density 60.0 %" && lines.count == 5, "\(text.output)")
            for words in ["masks from", "trained with lr 0.001", "trained with lr 0.01", "(dense)"] {
                #expect(text.output.contains(words))
            }
            let json = try await matrix("--json")
            let cells = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]])
            #expect(cells.count == 4)
            let rows = try #require(try JSONSerialization.jsonObject(with: Data(ran.output.utf8)) as? [[String: Any]])
            for cell in cells {
                let (from, to) = (cell["mask_from"] as? [String: Double], cell["train"] as? [String: Double])
                let row = rows.first { row in
                    let point = row["point"] as? [String: Double]
                    return point?["mask_from.lr"] == from?["lr"] && point?["train.lr"] == to?["lr"]
                }
                let dense = (cell["dense"] as? [String: Any])?["mean"] as? Double
                #expect(dense != nil && dense == (row?["dense"] as? [String: Any])?["mean"] as? Double)
                #expect(cell["verdict"] is String)
            }
            let csv = try await matrix("--csv")
            #expect(
                csv.output.hasPrefix("sweep,mask_from.lr,train.lr,level,density,accuracy,accuracy_low"), "\(csv.output)"
            )

            let several = try await matrix("--by-density")
            #expect(several.status == 2 && several.errors.contains("give one of --by-density, --costs and --matrix"))
            _ = try await Program.run(["run", ordinary, "--store", "store"], in: folder, within: Self.seconds)
            let none = try await matrix("ordinary")
            #expect(
                none.status == 2 && none.errors.contains("has one recipe only; --matrix needs masks of another"),
                "\(none.errors)")
            let bundle = try await Program.run(
                ["bundle", "transplant", "--out", "bundle.tar.gz", "--store", "store"], in: folder)
            #expect(bundle.status == 0, "\(bundle.errors)")
            let verified = try await Program.run(["verify", "bundle.tar.gz"], in: folder)
            #expect(verified.status == 0, "\(verified.output)")
        }
    }

    @Test("Recipes and siblings that cannot be end in one sentence, and nothing is begun")
    func refused() async throws {
        try await withFolder { folder in
            let grid = "grid: {mask_from.lr: [0.001, 0.01], train.lr: [0.001, 0.01]}"
            for (line, words) in [
                ("mask_from: {depth: 3}", "\"model.depth\" in \"mask_from\" must stay fixed"),
                ("mask_from: {mask_from: {lr: 0.1}}", "goes in a circle"),
                ("instability: {levels: [0, 9]}", "no chain goes beyond level 1"),
            ] {
                let spec = try TestSweep.write(Self.spec.replacing(grid, with: line), in: folder)
                for command in ["plan", "run"] {
                    let result = try await Program.run([command, spec, "--store", "store"], in: folder)
                    #expect(result.status == 2 && result.output.isEmpty, "\(result.errors)")
                    #expect(
                        result.errors.hasPrefix("sweep.yaml:9: ") || result.errors.contains(" sweep.yaml:9: "),
                        "\(result.errors)")
                    #expect(
                        result.errors.contains(words) && result.errors.split(separator: "\n").count == 1,
                        "\(result.errors)")
                }
                #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "store").path()))
            }
        }
    }
}
