import Coordination
import Lottery

/// How fast training steps come, from what running attempts report and finished tasks cost, and how far tasks under way are.
package struct StepRate {
    static let windowMilliseconds: Int64 = 30_000
    static let sampleMilliseconds: Int64 = 500

    private struct Report {
        var attempt: Attempt
        /// The first step it reported: a resumed or rewound training does not begin at 0, and what came before was not
        /// trained now.
        var first: Int?
        var last: Int

        var trained: Int { first.map { last - $0 } ?? 0 }
    }

    package init() {}

    /// Steps trained since the coordinator's start, each counted once.
    private var trained = 0
    /// Of tasks that run or whose result is on its way.
    private var reports: [TaskKey: Report] = [:]
    private var samples: [(at: Instant, trained: Int)] = []

    /// The step that each task under way has reached, as tasks count; 0 for one that has reported none.
    package var positions: [TaskKey: Int] { reports.mapValues(\.last) }

    package mutating func note(_ running: [(task: TaskKey, attempt: Attempt, step: Int)], at now: Instant) {
        for line in running {
            var report = Report(attempt: line.attempt, first: nil, last: 0)
            if let earlier = reports[line.task], earlier.attempt == line.attempt { report = earlier }
            let before = report.trained
            if line.step > 0 {
                report.first = report.first ?? line.step
                report.last = max(report.last, line.step)
            }
            trained += report.trained - before
            reports[line.task] = report
        }
        if let last = samples.last, now.since(last.at) < StepRate.sampleMilliseconds { return }
        samples.append((now, trained))
        while samples.count > 2, now.since(samples[1].at) >= StepRate.windowMilliseconds { samples.removeFirst() }
    }

    /// A task has its result; what of its steps was not seen while it ran counts now. Short tasks begin and end
    /// between two beats, so most of their steps are counted here.
    /// - Parameter steps: from its first to its last.
    package mutating func noteDone(_ task: TaskKey, steps: Range<Int>) {
        let reached = reports.removeValue(forKey: task)?.last ?? 0
        trained += max(0, steps.upperBound - max(reached, steps.lowerBound))
    }

    /// The task is no longer under way and has no result.
    package mutating func noteEnded(_ task: TaskKey) { reports[task] = nil }

    /// Nil until two seconds were seen.
    package var stepsPerSecond: Double? {
        guard let first = samples.first, let last = samples.last, last.at.since(first.at) >= 2_000 else { return nil }
        return Double(last.trained - first.trained) * 1_000 / Double(last.at.since(first.at))
    }
}
