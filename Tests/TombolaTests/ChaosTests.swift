import Foundation
import Glibc
import Testing

extension DisturbedProcesses {
    /// Real processes that are killed, stopped and started anew at random, over sweep after sweep.
    @Suite(.serialized) struct ChaosTests {
        private static let disturbances = isSoak ? 500 : 6
        private static let workers = 3
        private static let tasks = 16

        private enum Disturbance: CaseIterable {
            case killWorker, pauseWorker, killCoordinator, restartCoordinator, pauseCoordinator
        }

        @Test(
            "Whatever is killed, paused or restarted, and whenever, nothing done is lost and the leaderboard is the same"
        )
        func chaos() async throws {
            let seed = testSeed
            let start = ContinuousClock.now
            var draws = SeededDraws(seed: seed)
            try await withFolder { folder in
                let spec = try TestSweep.write(TestSweep.tiny(iterations: 600), in: folder)
                let undisturbed = try await Program.run(["run", spec, "--json", "--store", "undisturbed"], in: folder)
                #expect(undisturbed.status == 0, "\(undisturbed.errors)")
                var left = ChaosTests.disturbances
                var sweeps = 0
                var done: [Disturbance: Int] = [:]
                var first = Disturbance.allCases.shuffled(using: &draws)
                while left > 0 {
                    let cluster = try await Cluster(in: folder, store: "store-\(sweeps)", workers: ChaosTests.workers)
                    defer { cluster.kill() }
                    try await cluster.submit(spec)
                    while left > 0 {
                        let before = cluster.attempts ?? Attempts()
                        guard before.done.count < ChaosTests.tasks else { break }
                        // Each of them once, then whichever comes.
                        let disturbance = first.popLast() ?? Disturbance.allCases.randomElement(using: &draws)!
                        try await disturb(cluster, disturbance, &draws)
                        left -= 1
                        done[disturbance, default: 0] += 1
                        try await until("seed \(seed): another task is done after \(disturbance)", within: 90) {
                            guard let now = cluster.attempts else { return false }
                            return now.done.count > before.done.count || now.done.count == ChaosTests.tasks
                        }
                        let after = try #require(cluster.attempts)
                        #expect(before.done.isSubset(of: after.done), "seed \(seed), after \(disturbance)")
                        #expect(before.triedAgain(by: after).isEmpty, "seed \(seed), after \(disturbance)")
                    }
                    try await until("seed \(seed): the sweep ends", within: 120) {
                        cluster.attempts?.done.count == ChaosTests.tasks
                    }
                    #expect(try await cluster.leaderboard() == undisturbed.output, "seed \(seed), sweep \(sweeps)")
                    try await cluster.end()
                    sweeps += 1
                }
                #expect(done.count == Disturbance.allCases.count, "\(done)")
                let counts = done.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", ")
                report(
                    "chaos", since: start,
                    "seed \(seed), \(ChaosTests.disturbances) disturbances over \(sweeps) sweeps (\(counts)), same leaderboards"
                )
            }
        }

        private func disturb(_ cluster: Cluster, _ disturbance: Disturbance, _ draws: inout SeededDraws) async throws {
            let worker = Int.random(in: 0..<ChaosTests.workers, using: &draws)
            // Shorter and longer than a session may be silent.
            let pause = Duration.milliseconds(Int.random(in: 10...2_500, using: &draws))
            switch disturbance {
            case .killWorker: try await cluster.replaceWorker(worker)
            case .killCoordinator: try await cluster.replaceCoordinator(by: SIGKILL)
            case .restartCoordinator: try await cluster.replaceCoordinator(by: SIGTERM)
            case .pauseWorker, .pauseCoordinator:
                let program = disturbance == .pauseWorker ? cluster.workers[worker] : cluster.coordinator
                program.send(SIGSTOP)
                // The pause itself is what is tried.
                try await Task.sleep(for: pause)
                program.send(SIGCONT)
            }
        }
    }
}
