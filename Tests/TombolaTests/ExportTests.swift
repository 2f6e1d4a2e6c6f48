import Foundation
import Testing

@Suite struct ExportTests {
    /// Rows of a table without quoted fields, by column.
    private func rows(_ csv: String) -> [[String: String]] {
        let lines = csv.components(separatedBy: "\r\n").filter { !$0.isEmpty }.map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        return lines.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(lines[0], $0)) }
    }

    @Test("Tables have a row for each run, training and evaluation, and the numbers of the leaderboard")
    func tables() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let ran = try await Program.run(["run", spec, "--json", "--store", "store"], in: folder)
            #expect(ran.status == 0, "\(ran.errors)")
            func export(_ arguments: String...) async throws -> (status: Int32, output: String, errors: String) {
                try await Program.run(["export", "--store", "store"] + arguments, in: folder)
            }

            #expect(mkfifo(folder.appending(path: "pipe").path, 0o600) == 0)
            let refused = try await export("--out", "pipe")
            #expect(refused.status == 2 && refused.errors.contains("pipe is no file"), "\(refused.errors)")
            #expect(try await export("--out", "-").output == export().output)
            // A folder under /dev that holds files.
            let shared = "/dev/shm/\(folder.lastPathComponent).csv"
            defer { unlink(shared) }
            #expect(try await export("--out", shared).status == 0)
            #expect(try await String(contentsOfFile: shared, encoding: .utf8) == export().output)

            let runs = rows(try await export("--table", "runs").output)
            #expect(runs.count == 4 && runs.allSatisfy { $0["trainings_done"] == "5" && $0["pruning.levels"] == "2" })
            for run in runs {
                #expect(run["pruning.rank_at"] == "end" && run["pruning.rounds"] == "1", "\(run)")
                #expect(run["branches"] == "random-reinit" && run["replicates"] == "2" && run["seed"] == "0", "\(run)")
                #expect(run["winning_at"] == "" && run["stop_when.margin"] == "", "\(run)")
                #expect(Double(run["seconds"] ?? "").map { $0 > 0 } == true, "\(run)")
            }
            let said = try await export("--table", "runs", "--columns").output
            for name in runs[0].keys { #expect(said.contains("\n\(name) ") || said.hasPrefix("\(name) "), "\(name)") }
            // As `lscpu` says it; empty where the processor has no name.
            let processor = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
            let model = processor.firstMatch(of: /(?m)^model name\s*: (.*)$/).map { String($0.output.1) } ?? ""
            let levels = rows(try await export("--table", "levels").output)
            #expect(levels.count == 4 * 5 && Set(levels.map { $0["task"]! }).count == 16)
            // Before the first step and every 20 of 60; two rewound chains of two levels begin at 20.
            let evaluations = rows(try await export().output)
            #expect(evaluations.count == 76)
            for level in levels {
                let last = evaluations.first { evaluation in
                    ["task", "rewind", "replicate"].allSatisfy { evaluation[$0] == level[$0] }
                        && evaluation["is_final"] == "true"
                }
                #expect(last?["test_accuracy"] == level["final_test_accuracy"] && last?["step"] == "60")
                let machine = ProcessInfo.processInfo.hostName.prefix { $0 != "." }
                #expect(level["program"] == "0.2.0" && level["machine"] == String(machine), "\(level)")
                #expect(["portable", "avx2", "avx512"].contains(level["processor"]))
                #expect(level["processor_model"] == model, "\(level)")
            }
            let board = try #require(try JSONSerialization.jsonObject(with: Data(ran.output.utf8)) as? [[String: Any]])
            for row in board {
                let rewind = "\((row["point"] as! [String: Any])["rewind"]!)"
                let dense = levels.filter { $0["rewind"] == rewind && $0["branch"] == "dense" }
                let mean = dense.compactMap { Double($0["final_test_accuracy"] ?? "") }.reduce(0, +) / 2
                let said = try #require((row["dense"] as? [String: Any])?["mean"] as? Double)
                #expect(abs(said - mean) < 1e-12)
            }

            let written = try await export("tiny", "--json", "--out", "evaluations.json")
            #expect(written.status == 0 && written.output == "evaluations.json\n", "\(written.errors)")
            let file = try Data(contentsOf: folder.appending(path: "evaluations.json"))
            let objects = try #require(try JSONSerialization.jsonObject(with: file) as? [[String: Any]])
            #expect(objects.count == evaluations.count && objects[0]["train_loss"] is NSNull)
            #expect(try await export("--columns").output.contains("train_loss"))
            #expect(try await export("another").status == 2)
            #expect(try await export("another", "--columns").status == 2)
            #expect(try await export("--out", "nowhere/file.csv").status == 1)
        }
    }

    @Test("What columns mean needs no store, and makes none")
    func columnsAlone() async throws {
        try await withFolder { folder in
            for table in ["runs", "levels", "evaluations", "connectivity"] {
                let said = try await Program.run(["export", "--table", table, "--columns", "--csv"], in: folder)
                let columns = rows(said.output.replacing(/".*?"/, with: "quoted")).map { $0["column"] }
                #expect(said.status == 0 && columns.contains("AXIS") && columns.contains("replicate"), "\(said.errors)")
            }
            let text = try await Program.run(["export", "--table", "levels", "--columns"], in: folder)
            #expect(
                text.output.contains("\nflops ")
                    && text.output.contains("without evaluations and the ranking of weights"))
            #expect(try await Program.run(["export", "tiny", "--columns"], in: folder).status != 0)
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "tombola-store").path()))
        }
    }
}
