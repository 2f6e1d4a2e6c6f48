import Coordination
import Foundation
import Glibc
import Testing

/// Real processes, real signals: whatever is killed, the same command continues and ends at the same leaderboard.
@Suite(.serialized) struct KillTests {
    /// More rounds with TOMBOLA_SOAK.
    static let rounds = ProcessInfo.processInfo.environment["TOMBOLA_SOAK"] == nil ? 1 : 8

    @Test(
        "kill -9 of workers and of the coordinator changes no byte of the leaderboard, and nothing done is done again")
    func killed() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 1_500), in: folder)
            let undisturbed = try await Program.run(["run", spec, "--json", "--store", "undisturbed"], in: folder)
            #expect(undisturbed.status == 0, "\(undisturbed.errors)")
            for round in 0..<KillTests.rounds {
                // Processes are found by this name, and another test run may be under way on the machine.
                let store = "store-\(ProcessInfo.processInfo.processIdentifier)-\(round)"
                try await disturb(spec, store: store, in: folder, round: round)
                let disturbed = try await Program.run(["leaderboard", "--json", "--store", store], in: folder)
                #expect(disturbed.output == undisturbed.output)
            }
        }
    }

    /// Runs the sweep to its end, with a coordinator killed after some tasks and workers killed in between.
    private func disturb(_ spec: String, store: String, in folder: URL, round: Int) async throws {
        let command = ["run", spec, "--json", "--store", store, "--workers", "2"]
        let path = folder.appending(path: store)
        var earlier: [Attempts] = []
        for (index, tasks) in [0, 2, 5].enumerated() {
            let program = try Program(command, in: folder)
            defer { if program.isRunning { program.send(SIGKILL) } }
            try await until("task \(tasks) is done and others run") {
                guard program.isRunning else {
                    throw Late(description: "the sweep ended before its coordinator was killed:\n\(program.errors)")
                }
                guard let attempts = try? Attempts(store: path) else { return false }  // no store yet
                return attempts.done.count >= tasks && attempts.counts.values.contains { $0 > 0 }
            }
            if index != 1 {
                // What is done may have been done before this coordinator began, and its workers be still to come.
                try await until("a worker runs") {
                    !processes(mentioning: "worker", path.lastPathComponent).isEmpty || !program.isRunning
                }
                let worker = try #require(processes(mentioning: "worker", path.lastPathComponent).first)
                kill(worker, SIGKILL)
                try await until("the killed worker is replaced") {
                    let workers = processes(mentioning: "worker", path.lastPathComponent)
                    return workers.count == 2 && !workers.contains(worker) || !program.isRunning
                }
            }
            program.send(SIGKILL)
            try await program.end()
            try await until("workers and slots die with the coordinator") {
                processes(mentioning: path.lastPathComponent).isEmpty
            }
            earlier.append(try Attempts(store: path))
        }
        let last = try await Program.run(command, in: folder)
        #expect(last.status == 0, "round \(round): \(last.errors)")
        let end = try Attempts(store: path)
        #expect(end.done.count == end.counts.count)
        for attempts in earlier { #expect(attempts.triedAgain(by: end).isEmpty) }
    }

    @Test("A training whose worker is killed again and again goes on each time, and is never given up")
    func killedAgainAndAgain() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 100_000_000), in: folder)
            let cluster = try await Cluster(
                in: folder, store: "store", workers: 1, serving: ["--log-level", "debug"],
                working: ["--save-every", "1"])
            defer { cluster.kill() }
            try await cluster.submit(spec)
            let saves = folder.appending(path: "store-worker-0")
            try await until("the training is saved") {
                let files = FileManager.default.enumerator(atPath: saves.path())?.compactMap { $0 as? String }
                return files?.contains { $0.hasSuffix("/resume") } == true
            }
            // More often than what comes no further is tried.
            let kills = CoordinatorSettings().lossLimit + 2
            for number in 1...kills {
                try await cluster.replaceWorker(0)
                try await until("it has come further after kill \(number)", within: 60) {
                    cluster.coordinator.errors.split(separator: "can be gone on with from step").count > number
                }
            }
            let attempts = try #require(cluster.attempts)
            #expect(attempts.counts.values.contains { $0 > kills }, "\(attempts.counts)")
            let status = try await Program.run(["status", "--connect", cluster.address], in: folder)
            #expect(status.output.contains("0 done, 1 running, 0 failed of 16"), "\(status.output)")
        }
    }

    @Test("Ctrl-C ends in order, says how to go on, and the same command goes on")
    func interrupted() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 1_500), in: folder)
            let program = try Program(["run", spec], in: folder)
            let store = folder.appending(path: "tombola-store")
            try await until("a task is done") {
                guard let attempts = try? Attempts(store: store) else { return false }  // no store yet
                return !attempts.done.isEmpty
            }
            program.send(SIGINT)
            #expect(try await program.end() == 130)
            #expect(program.errors.contains("run the same command again"), "\(program.errors)")
            #expect(program.output.isEmpty)
            let before = try Attempts(store: store)
            let last = try await Program.run(["run", spec], in: folder)
            #expect(last.status == 0, "\(last.errors)")
            #expect(before.triedAgain(by: try Attempts(store: store)).isEmpty)
        }
    }
}
