import Foundation
import Testing

@Suite struct UsageTests {
    @Test("Help and version go to standard output with status 0")
    func help() async throws {
        try await withFolder { folder in
            let help = try await Program.run(["--help"], in: folder)
            #expect(help.status == 0)
            #expect(help.output.contains("leaderboard"))
            #expect(help.errors.isEmpty)
            let version = try await Program.run(["--version"], in: folder)
            #expect(version.status == 0)
            #expect(version.output.split(separator: ".").count == 3)
        }
    }

    @Test(
        "A command line that cannot be understood ends with status 2 and says why",
        arguments: [
            (["frobnicate"], "frobnicate"), (["plan"], "spec"), (["run", "x.yaml", "--workers", "many"], "many"),
            (["leaderboard", "--json", "--csv"], "--csv"), (["run", "x.yaml", "--workers", "0"], "--workers"),
            (["status", "--store", "a", "--connect", "tcp://127.0.0.1:1"], "--connect"),
            (["worker", "--log-level", "loud"], "loud"),
            (["bench", "train", "--width", "inf"], "--width"), (["bench", "train", "--model", "mlp", "--depth=-1"], "--depth"),
            (["bench", "train", "--model", "mlp", "--width", "0"], "--width"), (["bench", "train", "--batch", "0"], "--batch"),
            (["atlas", "--rows", "lr", "--connect", "tcp://127.0.0.1:1", "--store", "a"], "--connect"),
        ])
    func usage(arguments: [String], word: String) async throws {
        try await withFolder { folder in
            let result = try await Program.run(arguments, in: folder)
            #expect(result.status == 2)
            #expect(result.output.isEmpty)
            #expect(result.errors.contains(word), "\(result.errors)")
        }
    }

    @Test("The cost of a large sweep is measured, of a small one here")
    func benchSweep() async throws {
        try await withFolder { folder in
            let result = try await Program.run(["bench", "sweep", "--runs", "20", "--replicates", "2", "--json"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let figures = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
            #expect(figures["runs"] as? Int == 20 && figures["tasks"] as? Int == 40)
            #expect(try #require(figures["seconds_of_longest_wait"] as? Double) > 0)
            let left = try FileManager.default.contentsOfDirectory(atPath: folder.path())
            #expect(!left.contains { $0.hasPrefix("tombola-bench") }, "\(left)")
        }
    }

    @Test("An instruction set that does not run here is refused, not replaced in silence")
    func instructionSet() async throws {
        try await withFolder { folder in
            let result = try await Program.run(["data", "list"], in: folder, environment: ["TOMBOLA_ISA": "mmx"])
            #expect(result.status == 2)
            #expect(result.errors.contains("mmx") && result.errors.contains("portable"), "\(result.errors)")
            // What the refusal names is taken, AMX included.
            let names = result.errors.split(separator: "runs only ").last?.split(whereSeparator: { ", \n".contains($0) })
            for name in names ?? [] {
                let result = try await Program.run(
                    ["data", "list"], in: folder, environment: ["TOMBOLA_ISA": String(name)])
                #expect(result.status == 0, "\(name): \(result.errors)")
            }
        }
    }
}
