import Coordination
import Lottery

/// Training steps behind us and how fast they come, from what running attempts report and finished tasks cost.
struct StepRate {
    static let windowMilliseconds: Int64 = 30_000
    static let sampleMilliseconds: Int64 = 500

    private struct Report {
        var attempt: Attempt
        var cost: Int
        /// The first step it reported: a resumed or rewound training does not begin at 0, and what came before was not
        /// trained now.
        var first: Int?
        var last: Int

        var trained: Int { first.map { last - $0 } ?? 0 }
    }

    /// Steps trained since the coordinator's start, each counted once.
    private var trained = 0
    private var reports: [TaskKey: Report] = [:]
    private var samples: [(at: Instant, trained: Int)] = []

    /// Steps that each running task has done, as far as they were seen.
    var progress: [TaskKey: Int] { reports.mapValues(\.trained) }

    mutating func note(_ running: [CoordinatorStatus.RunningLine], at now: Instant) {
        var next: [TaskKey: Report] = [:]
        for line in running {
            var report = Report(attempt: line.attempt, cost: line.cost, first: nil, last: 0)
            if let earlier = reports[line.task], earlier.attempt == line.attempt { report = earlier }
            let before = report.trained
            if line.step > 0 {
                report.first = report.first ?? line.step
                report.last = max(report.last, line.step)
            }
            trained += report.trained - before
            next[line.task] = report
        }
        reports = next
        if let last = samples.last, now.since(last.at) < StepRate.sampleMilliseconds { return }
        samples.append((now, trained))
        while samples.count > 2, now.since(samples[1].at) >= StepRate.windowMilliseconds { samples.removeFirst() }
    }

    /// A task has its result; what of it was not seen while it ran counts now.
    mutating func noteDone(_ task: TaskKey) {
        guard let report = reports.removeValue(forKey: task) else { return }
        trained += max(0, report.cost - report.trained)
    }

    /// Nil until two seconds were seen.
    var stepsPerSecond: Double? {
        guard let first = samples.first, let last = samples.last, last.at.since(first.at) >= 2_000 else { return nil }
        return Double(last.trained - first.trained) * 1_000 / Double(last.at.since(first.at))
    }
}
