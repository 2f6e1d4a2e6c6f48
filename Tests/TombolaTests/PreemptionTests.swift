import Coordination
import Foundation
import Glibc
import Lottery
import Store
import Testing

/// Real trainings that change machines midway, by real processes.
@Suite(.serialized) struct PreemptionTests {
    /// One task after the other, each of some seconds.
    private static let spec = """
        name: long
        dataset: glyphs
        data: {train: 1500, validation: 300}
        model: {family: mlp, depth: 1, width: 12}
        training: {iterations: 150000, batch: 30, optimizer: adam, learning_rate: 0.003, evaluate_every: 10000}
        pruning: {rate: 0.4, levels: 1}
        grid: {rewind: [100]}
        """

    enum End: CaseIterable {
        /// kill -9, and the disk is gone.
        case killed
        /// SIGUSR1, as a batch system warns.
        case warned
        case terminated
        /// --drain-at.
        case timed
    }

    @Test("A training goes on elsewhere from where its machine was lost, to the same bytes")
    func changesMachines() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(PreemptionTests.spec, in: folder)
            let undisturbed = try await Program.run(
                ["run", spec, "--json", "--store", "undisturbed", "--workers", "1"], in: folder)
            #expect(undisturbed.status == 0, "\(undisturbed.errors)")
            let expected = try artifacts(of: folder.appending(path: "undisturbed").path())
            for end in End.allCases {
                try await withFolder { place in
                    _ = try TestSweep.write(PreemptionTests.spec, in: place)
                    try await disturb(
                        end, in: place, leaderboard: undisturbed.output, artifacts: expected)
                }
            }
        }
    }

    private func disturb(
        _ end: End, in folder: URL, leaderboard: String, artifacts expected: [TaskKey: [TaskOutput]]
    ) async throws {
        let coordinator = try Program(["serve", "--store", "store", "--bind", "tcp://127.0.0.1:*"], in: folder)
        defer { coordinator.send(SIGKILL) }
        try await until("the coordinator says where it is") { coordinator.errors.contains("coordinator at tcp://") }
        let address = try #require(
            coordinator.errors.firstMatch(of: #/coordinator at (\S+),/#).map { String($0.1) })
        let submitted = try await Program.run(["submit", "sweep.yaml", "--connect", address], in: folder)
        #expect(submitted.status == 0, "\(submitted.errors)")
        func worker(_ name: String, _ more: [String] = []) throws -> Program {
            try Program(
                [
                    "worker", "--connect", address, "--directory", name, "--slots", "1", "--save-every", "1",
                    "--log-level", "debug",
                ] + more, in: folder)
        }
        let store = folder.appending(path: "store").path()
        func checkpointStep() throws -> Int? {
            let reader = try Store.open(directory: store, mode: .reader)
            defer { #expect(throws: Never.self) { try reader.close() } }
            return try reader.snapshot().tasks.compactMap(\.checkpoint?.step).first
        }

        let first: Program
        switch end {
        case .killed:
            first = try worker("first", ["--send-after", "0"])
            try await until("a checkpoint was sent up") { try checkpointStep() != nil }
            first.send(SIGKILL)
            try await first.end()
            try FileManager.default.removeItem(at: folder.appending(path: "first"))
        case .warned, .terminated:
            first = try worker("first")
            // It has taken steps: there is something to save.
            try await until("it has saved what it trains") {
                let files = FileManager.default.enumerator(atPath: folder.appending(path: "first/attempts").path())
                return files?.contains { ($0 as? String)?.contains("resume") == true } ?? false  // no folder yet
            }
            first.send(end == .warned ? SIGUSR1 : SIGTERM)
            #expect(try await first.end() == 0, "\(first.errors)")
        case .timed:
            // On a machine that is slow just now a worker's time may be over before it has taken a step; then the next one has
            // more.
            var last: Program
            var number = 0
            repeat {
                number += 1
                last = try worker("first-\(number)", ["--drain-at", "+\(5 + (1 << (number - 1)))s", "--margin", "5"])
                #expect(try await last.end() == 0, "\(last.errors)")
            } while try checkpointStep() == nil && number < 5
            first = last
        }
        let saved = try #require(try saved(in: store), "\(end): \(first.errors)")
        let step = saved.checkpoint.step
        let tasks = try tasks(in: store)
        let (dense, ticket) = (tasks[0], tasks[1])
        #expect(ticket.cost == dense.cost - 100)
        let status = try await Program.run(["status", "--connect", address, "--json"], in: folder)
        let done = try #require(status.output.firstMatch(of: #/"steps_done" : (\d+)/#).flatMap { Int($0.1) })
        let kept = saved.task == dense.key ? step : dense.cost + step - 100
        // Who was killed is not missed yet, and counts as far as it last said.
        #expect(end == .killed ? done >= kept : done == kept, "\(end): \(status.output)")
        let second = try worker("second")
        defer { second.send(SIGKILL) }
        if end == .warned {
            var explanation = ""
            try await until("the ticket trains", within: 120) {
                explanation = try await Program.run(
                    ["explain", ticket.key.hex, "--connect", address], in: folder
                ).output
                return explanation.contains(" trains it, for ")
            }
            #expect(explanation.contains(#/at step [0-9,]+ of 150,000/#), "\(explanation)")
        }
        let watched = try await Program.run(["watch", "--connect", address], in: folder)
        #expect(watched.status == 0, "\(watched.errors)")
        #expect(second.errors.contains("from step \(step)\n"), "\(step): \(second.errors)")
        let board = try await Program.run(["leaderboard", "--connect", address, "--json"], in: folder)
        #expect(board.output == leaderboard, "\(end)")
        #expect(try artifacts(of: store) == expected, "\(end)")
        let reader = try Store.open(directory: store, mode: .reader)
        defer { #expect(throws: Never.self) { try reader.close() } }
        let seconds = try #require(try reader.result(of: saved.task)?.seconds)
        #expect(saved.seconds > 0 && seconds > saved.seconds, "\(end): the time before the checkpoint is part of it")
    }

    /// The checkpoint that a store has of a training under way, and the processor time that it says.
    private func saved(
        in store: String
    ) throws -> (task: TaskKey, checkpoint: SavedCheckpoint, seconds: Double)? {
        let reader = try Store.open(directory: store, mode: .reader)
        defer { #expect(throws: Never.self) { try reader.close() } }
        for task in try reader.snapshot().tasks {
            guard let checkpoint = task.checkpoint else { continue }
            let hex = checkpoint.digest.hex
            let file = try Data(contentsOf: URL(filePath: "\(store)/checkpoints/\(hex.prefix(2))/\(hex)"))
            let seconds = try Safetensors.decode(Array(file)).tensors["seconds"]?.doubleValues?.first
            return (task.work.key, checkpoint, try #require(seconds))
        }
        return nil
    }

    /// The tasks of a store, parents first.
    private func tasks(in store: String) throws -> [Work] {
        let reader = try Store.open(directory: store, mode: .reader)
        defer { #expect(throws: Never.self) { try reader.close() } }
        return try reader.snapshot().tasks.map(\.work)
    }

    /// The outputs of each task.
    private func artifacts(of store: String) throws -> [TaskKey: [TaskOutput]] {
        let reader = try Store.open(directory: store, mode: .reader)
        defer { #expect(throws: Never.self) { try reader.close() } }
        var outputs: [TaskKey: [TaskOutput]] = [:]
        for task in try reader.snapshot().tasks { outputs[task.work.key] = try reader.outputs(of: task.work.key) }
        return outputs
    }
}
