import Foundation
import Glibc
import Testing

/// Sweeps that ask for more as results come: real processes, killed between any two steps.
@Suite(.serialized) struct AdaptiveTests {
    /// Small networks that scatter, so that points stay undecided, and coarse pruning that ends chains.
    private static let spec = """
        name: adaptive
        dataset: glyphs
        data: {train: 1500, validation: 300}
        model: {family: mlp, depth: 1, width: 12}
        training: {iterations: 60, batch: 30, optimizer: adam, learning_rate: 0.01, evaluate_every: 30}
        pruning: {levels: 4}
        refine: {looks: [2, 3, 5], budget: 4}
        stop_when: {margin: 0.15, levels: 1}
        grid: {rewind: [0, 10], prune_rate: [0.3, 0.8]}
        """
    /// Under load on few cores.
    private static let seconds = 300.0

    @Test(
        "Replicates are added and chains ended as results say, and kill -9 in between changes no byte of the leaderboard"
    )
    func killed() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(Self.spec, in: folder)
            let before = try await plan(spec, "undisturbed", in: folder)
            #expect(before.atLeast < before.most && before.done == 0 && before.asked == before.atLeast)
            let undisturbed = try await Program.run(
                ["run", spec, "--json", "--store", "undisturbed"], in: folder, within: Self.seconds)
            #expect(undisturbed.status == 0, "\(undisturbed.errors)")
            let after = try await plan(spec, "undisturbed", in: folder)
            #expect(after.done == after.asked)
            #expect(after.asked > after.atLeast, "the results asked for more: \(after)")
            #expect(after.asked < after.most, "not for all: \(after)")
            let attempts = try Attempts(store: folder.appending(path: "undisturbed"))
            #expect(attempts.done.count == after.asked, "nothing else was trained")

            let rows = try #require(
                try JSONSerialization.jsonObject(with: Data(undisturbed.output.utf8)) as? [[String: Any]])
            #expect(rows.contains { $0["verdict"] as? String == "stopped" }, "\(undisturbed.output)")
            #expect(rows.contains { ($0["replicates"] as? Int ?? 0) > 2 }, "\(undisturbed.output)")
            #expect(rows.allSatisfy { $0["replicates"] as? Int == $0["replicates_asked"] as? Int })
            let added = rows.reduce(0) { $0 + ($1["replicates"] as? Int ?? 0) - 2 }
            #expect(added <= 4)

            let store = "store-\(ProcessInfo.processInfo.processIdentifier)"
            for tasks in [2, before.atLeast, before.atLeast + 9, after.asked - 8] {
                let program = try Program(["run", spec, "--json", "--store", store, "--workers", "2"], in: folder)
                defer { if program.isRunning { program.send(SIGKILL) } }
                try await until("\(tasks) tasks are done", within: Self.seconds) {
                    // No store yet.
                    guard let attempts = try? Attempts(store: folder.appending(path: store)) else { return false }
                    return attempts.done.count >= tasks || !program.isRunning
                }
                program.send(SIGKILL)
                try await program.end()
                try await until("workers and slots die with the coordinator") { processes(mentioning: store).isEmpty }
            }
            let last = try await Program.run(
                ["run", spec, "--json", "--store", store, "--workers", "2"], in: folder, within: Self.seconds)
            #expect(last.status == 0, "\(last.errors)")
            #expect(last.output == undisturbed.output)
            #expect(try Attempts(store: folder.appending(path: store)).done.count == after.asked)

            // Again, with nothing to do.
            let again = try await Program.run(["run", spec, "--json", "--store", store], in: folder)
            #expect(again.output == undisturbed.output)
            let status = try await Program.run(["status", "--store", store, "--json"], in: folder)
            let sweeps = try #require(
                try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any])["sweeps"]
            let levels = (sweeps as? [[String: Any]])?.first?["levels"] as? [String: Any]
            #expect(
                levels?["total"] as? Int == after.asked && levels?["done"] as? Int == after.asked, "\(status.output)")
        }
    }

    @Test("A sweep that is cancelled asks for nothing more, until it is submitted again")
    func cancelled() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(Self.spec, in: folder)
            let program = try Program(["run", spec, "--json"], in: folder)
            defer { if program.isRunning { program.send(SIGKILL) } }
            let store = folder.appending(path: "tombola-store")
            try await until("tasks are done", within: Self.seconds) {
                guard let attempts = try? Attempts(store: store) else { return false }  // no store yet
                return attempts.done.count >= 3
            }
            let cancel = try await Program.run(["cancel", "adaptive", "--store", "tombola-store"], in: folder)
            #expect(cancel.status == 0, "\(cancel.errors)")
            try await program.end(within: Self.seconds)
            let ended = try Attempts(store: store).done.count
            let plan = try await plan(spec, "tombola-store", in: folder)
            #expect(ended < plan.asked)
            let again = try await Program.run(["run", spec, "--json"], in: folder, within: Self.seconds)
            #expect(again.status == 0, "\(again.errors)")
            let undisturbed = try await Program.run(
                ["run", spec, "--json", "--store", "undisturbed"], in: folder, within: Self.seconds)
            #expect(again.output == undisturbed.output)
        }
    }

    @Test(
        "A cancel frees no share of a budget: the sweep takes nothing more, its run ends, and so it stays when served again"
    )
    func cancelledWithBudget() async throws {
        try await withFolder { folder in
            // Two points may have one more run between them, and one of them, which takes two of the workers, never ends.
            let text = Self.spec.replacing("levels: 4", with: "levels: 1")
                .replacing("refine: {looks: [2, 3, 5], budget: 4}", with: "refine: {looks: [2, 3], budget: 1}")
                .replacing("stop_when: {margin: 0.15, levels: 1}\n", with: "")
                .replacing("{rewind: [0, 10], prune_rate: [0.3, 0.8]}", with: "{iterations: [60, 100000000]}")
            let spec = try TestSweep.write(text, in: folder)
            let store = folder.appending(path: "store")
            let run = try Program(["run", spec, "--store", "store", "--workers", "3"], in: folder)
            defer { if run.isRunning { run.send(SIGKILL) } }
            try await until("the short point is done", within: Self.seconds) {
                guard let attempts = try? Attempts(store: store) else { return false }  // no store yet
                return attempts.done.count == 4
            }
            let cancel = try await Program.run(["cancel", "adaptive", "--store", "store"], in: folder)
            #expect(cancel.status == 0, "\(cancel.errors)")
            try await run.end(within: Self.seconds)

            func levels(_ arguments: [String]) async throws -> [String: Int] {
                let status = try await Program.run(["status", "--json"] + arguments, in: folder)
                let object = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
                let sweep = (object?["sweeps"] as? [[String: Any]])?.first
                return sweep?["levels"] as? [String: Int] ?? [:]
            }
            let serve = try Program(["serve", "--store", "store", "--bind", "tcp://127.0.0.1:*"], in: folder)
            defer { if serve.isRunning { serve.send(SIGKILL) } }
            var served: [String: Int] = [:]
            try await until("the sweep is planned again") {
                served = try await levels(["--store", "store"])
                return !served.isEmpty
            }
            #expect(served["total"] == 8 && served["done"] == 4 && served["cancelled"] == 4, "\(served)")
            serve.send(SIGTERM)
            try await serve.end()
            // Whatever its results had asked for would be there by now.
            #expect(try await levels(["--store", "store"]) == served)
            #expect(!serve.errors.contains("ask for"), "\(serve.errors)")
        }
    }

    private struct Bounds { var atLeast, most, asked, done: Int }

    private func plan(_ spec: String, _ store: String, in folder: URL) async throws -> Bounds {
        let plan = try await Program.run(["plan", spec, "--json", "--store", store], in: folder)
        #expect(plan.status == 0, "\(plan.errors)")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(plan.output.utf8)) as? [String: Any])
        let adaptive = try #require(json["adaptive"] as? [String: Any])
        func tasks(_ name: String) throws -> Int {
            try #require((adaptive[name] as? [String: Any])?["tasks"] as? Int)
        }
        return Bounds(
            atLeast: try tasks("at_least"), most: try #require(json["tasks"] as? Int), asked: try tasks("asked"),
            done: try tasks("asked_done"))
    }
}
