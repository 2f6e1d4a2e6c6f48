import Foundation
import Glibc
import Testing

/// A coordinator that is gone for a while, and trainings that do not care.
@Suite(.serialized) struct ReattachTests {
    /// Seconds; as the other timings of the coordinator a twentieth of the usual, but for the full count. Workers back
    /// off for up to 15 s as ever, so that they are waited for longer than a twentieth of a minute.
    private static let downtimes = isSoak ? [0, 20, 60.0] : [0, 1, 3.0]

    private static let timings = isSoak ? [] : ["--beat", "0.2", "--session", "1.5", "--adoption", "30"]

    private static let spec = """
        name: long
        dataset: glyphs
        data: {train: 1500, validation: 300}
        model: {family: mlp, depth: 1, width: 12}
        training: {iterations: \(isSoak ? 20_000 : 500), batch: 30, optimizer: adam, learning_rate: 0.003, evaluate_every: 250}
        pruning: {rate: 0.4, levels: 2}
        replicates: 2
        grid: {rewind: [100]}
        """
    private static let tasks = 6

    @Test("While the coordinator is down workers train on; when it is back no training was begun again")
    func downtime() async throws {
        let start = ContinuousClock.now
        try await withFolder { folder in
            let spec = try TestSweep.write(ReattachTests.spec, in: folder)
            let undisturbed = try await Program.run(
                ["run", spec, "--json", "--store", "undisturbed"], in: folder, within: 600)
            #expect(undisturbed.status == 0, "\(undisturbed.errors)")
            for (number, downtime) in ReattachTests.downtimes.enumerated() {
                let cluster = try await Cluster(
                    in: folder, store: "store-\(number)", workers: 2, working: ["--log-level", "debug"],
                    timings: ReattachTests.timings)
                defer { cluster.kill() }
                try await cluster.submit(spec)
                for signal in [SIGKILL, SIGTERM] {
                    let before = cluster.attempts?.done.count ?? 0
                    try await until("one more is done and two are trained", within: 300) {
                        guard let attempts = cluster.attempts else { return false }
                        let begun = attempts.counts.values.filter { $0 > 0 }.count
                        return attempts.done.count > before
                            && begun == min(attempts.done.count + 2, ReattachTests.tasks)
                    }
                    try await cluster.replaceCoordinator(by: signal, after: .seconds(downtime))
                }
                try await until("the sweep ends after \(downtime) s without a coordinator", within: 600) {
                    cluster.attempts?.done.count == ReattachTests.tasks
                }
                // An attempt that was on disk and not yet sent when its coordinator was killed is given out once more,
                // and was never begun.
                let starts = cluster.workers.reduce(0) { $0 + $1.errors.split(separator: " starts task ").count - 1 }
                #expect(starts == ReattachTests.tasks, "\(downtime) s")
                #expect(try await cluster.leaderboard() == undisturbed.output, "\(downtime) s")
                try await cluster.end()
            }
            let list = ReattachTests.downtimes.map { "\($0)" }.joined(separator: ", ")
            report(
                "reattach", since: start,
                "coordinators killed and stopped, each gone for \(list) s; none of \(3 * ReattachTests.tasks) trainings was begun again"
            )
        }
    }
}
