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
            (["simulate", "--seed", "3", "--seeds", "10"], "--seeds"),
            (["simulate", "--seed", "3", "--first-seed", "1"], "--first-seed"),
            (["bench", "train", "--width", "inf"], "--width"),
            (["bench", "train", "--model", "mlp", "--depth=-1"], "--depth"),
            (["bench", "train", "--model", "mlp", "--width", "0"], "--width"),
            (["bench", "train", "--batch", "0"], "--batch"),
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

    @Test("One seed of a simulation says how long it took, as many do")
    func simulateSeconds() async throws {
        try await withFolder { folder in
            for arguments in [["--seed", "3"], ["--seeds", "1"]] {
                let result = try await Program.run(["simulate", "--json"] + arguments, in: folder)
                #expect(result.status == 0, "\(result.errors)")
                let found = try #require(
                    try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
                #expect(found["seeds"] as? Int == 1)
                #expect(try #require(found["seconds"] as? Double) > 0, "\(result.output)")
            }
        }
    }

    @Test("bench tasks has every task done, durably, and leaves nothing behind")
    func benchTasks() async throws {
        try await withFolder { folder in
            let ended = try await Program.run(
                ["bench", "tasks", "--count", "2000", "--idle-workers", "3", "--json"], in: folder)
            #expect(ended.status == 0, "\(ended.errors)")
            let found = try #require(
                try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any], "\(ended.output)")
            #expect(found["count"] as? Int == 2_000 && found["idle_workers"] as? Int == 3)
            for name in ["tasks_per_second", "seconds_to_add", "seconds_to_restart", "seconds_to_sync"] {
                #expect(found[name] as? Double ?? 0 > 0, "\(name): \(ended.output)")
            }
            #expect(found["coordinator_bytes"] as? Int ?? 0 > 1 << 20)
            let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            #expect(!left.contains { $0.hasPrefix("tombola-bench") }, "\(left)")
        }
    }

    @Test("Tasks one at a time have their round trips measured")
    func roundTrips() async throws {
        try await withFolder { folder in
            let ended = try await Program.run(
                ["bench", "tasks", "--count", "200", "--workers", "1", "--prefetch", "1", "--json"], in: folder)
            #expect(ended.status == 0, "\(ended.errors)")
            let found = try #require(
                try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any], "\(ended.output)")
            let trips = try #require(found["trips"] as? [String: Any])
            #expect(trips["count"] as? Int == 199)
            let (median, most) = (trips["seconds_at_median"] as? Double, trips["seconds_at99"] as? Double)
            #expect(try #require(median) > 0 && #require(most) >= #require(median))
        }
    }

    @Test("A simulated value that stops the process leaves the seeds that show it again")
    func trap() async throws {
        try await withFolder { folder in
            let ended = try await Program.run(
                ["simulate", "--first-seed", "70", "--seeds", "4", "--trap"], in: folder)
            #expect(ended.status == 1 && ended.errors.contains("shows it again: "), "\(ended.errors)")
            #expect(ended.errors.contains(" --seed 71"), "\(ended.errors)")
        }
    }

    @Test("The cost of a large sweep is measured, of a small one here")
    func benchSweep() async throws {
        try await withFolder { folder in
            let result = try await Program.run(
                ["bench", "sweep", "--runs", "20", "--replicates", "2", "--json"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let figures = try #require(
                try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
            #expect(figures["runs"] as? Int == 20 && figures["tasks"] as? Int == 40)
            #expect(try #require(figures["seconds_of_longest_wait"] as? Double) > 0)
            let left = try FileManager.default.contentsOfDirectory(atPath: folder.path())
            #expect(!left.contains { $0.hasPrefix("tombola-bench") }, "\(left)")
        }
    }

    @Test("A sweep that does not fit into its budget is not begun; plan says what of it fits")
    func budget() async throws {
        try await withFolder { folder in
            let spec = """
                name: large
                dataset: glyphs
                model: {family: mlp, hidden: [20]}
                training: {iterations: 10000, batch: 60}
                pruning: {rate: 0.5, levels: 3}
                replicates: 4
                """
            try Data(spec.utf8).write(to: folder.appending(path: "large.yaml"))
            let planned = try await Program.run(["plan", "large.yaml", "--budget", "1000", "--json"], in: folder)
            #expect(planned.status == 0, "\(planned.errors)")
            let summary = try #require(
                try JSONSerialization.jsonObject(with: Data(planned.output.utf8)) as? [String: Any])
            let budget = try #require(summary["budget"] as? [String: Any])
            let seconds = try #require(budget["seconds"] as? Double)
            #expect(seconds > 0 && seconds < 3.6e6 && (budget["replicates"] as? [Any])?.count == 4)

            let text = try await Program.run(["plan", "large.yaml", "--budget", "1000"], in: folder)
            #expect(text.output.contains("time to go") && text.output.contains("all of it"), "\(text.output)")
            #expect(
                text.output.contains(" of core time on this machine") && text.output.contains("in 1000 core-hours"),
                "\(text.output)")
            let refused = try await Program.run(["run", "large.yaml", "--budget", "1e-9"], in: folder)
            #expect(refused.status == 2 && refused.errors.contains("more than --budget"), "\(refused.errors)")
            #expect(refused.errors.contains("not even the dense networks"), "\(refused.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "tombola-store").path()))
            // A folder that has data sets alone so far is no store yet.
            try FileManager.default.createDirectory(
                at: folder.appending(path: "tombola-store/data"), withIntermediateDirectories: true)
            let again = try await Program.run(["run", "large.yaml", "--budget", "1e-9"], in: folder)
            #expect(again.status == 2 && again.errors.contains("more than --budget"), "\(again.errors)")
            let wrong = try await Program.run(["plan", "large.yaml", "--budget", "0"], in: folder)
            #expect(wrong.status == 2 && wrong.errors.contains("--budget must be above 0"), "\(wrong.errors)")
        }
    }

    @Test("An instruction set that does not run here is refused, not replaced in silence")
    func instructionSet() async throws {
        try await withFolder { folder in
            let result = try await Program.run(["data", "list"], in: folder, environment: ["TOMBOLA_ISA": "mmx"])
            #expect(result.status == 2)
            #expect(result.errors.contains("mmx") && result.errors.contains("portable"), "\(result.errors)")
            // What the refusal names is taken, AMX included.
            let said = try #require(result.errors.ranges(of: "runs only ").first, "\(result.errors)")
            let names = result.errors[said.upperBound...].split(whereSeparator: { ", \n".contains($0) })
            try #require(!names.isEmpty, "\(result.errors)")
            for name in names {
                let result = try await Program.run(
                    ["data", "list"], in: folder, environment: ["TOMBOLA_ISA": String(name)])
                #expect(result.status == 0, "\(name): \(result.errors)")
            }
        }
    }
}
