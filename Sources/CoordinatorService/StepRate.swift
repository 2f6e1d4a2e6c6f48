import Coordination
import Lottery

/// How fast training steps come, from what running attempts report and finished tasks cost, and how far tasks under way are.
package struct StepRate {
    static let windowMilliseconds: Int64 = 30_000
    static let sampleMilliseconds: Int64 = 500

    private struct Report {
        var attempt: Attempt
        /// It was seen before its first step, and no attempt was before it: so all that it has done was trained now.
        let isFromStart: Bool
        /// The first step it reported: a resumed or rewound training does not begin at 0, and what came before was not
        /// trained now.
        var first: Int?
        var last: Int

        var trained: Int { first.map { last - $0 } ?? 0 }
    }

    /// An attempt that is given out, and the step that it has reached.
    package struct Line {
        var task: TaskKey
        var attempt: Attempt
        var step: Int
        /// It was given out before the coordinator's start, and its worker has not said since how far it is.
        var isAwaited: Bool

        package init(task: TaskKey, attempt: Attempt, step: Int, isAwaited: Bool = false) {
            (self.task, self.attempt, self.step, self.isAwaited) = (task, attempt, step, isAwaited)
        }
    }

    package init() {}

    /// Steps trained since the coordinator's start, each counted once.
    private var trained = 0
    /// Of tasks that run or whose result is on its way.
    private var reports: [TaskKey: Report] = [:]
    private var samples: [(at: Instant, trained: Int)] = []

    /// The step that each task under way has reached, as tasks count; 0 for one that has reported none.
    package var positions: [TaskKey: Int] { reports.mapValues(\.last) }

    package mutating func note(_ running: [Line], at now: Instant) {
        for line in running {
            let isFromStart = line.attempt.number == 1 && line.step == 0 && !line.isAwaited
            var report = Report(attempt: line.attempt, isFromStart: isFromStart, first: nil, last: 0)
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
    /// - Parameter steps: from its first to its last; empty where no plan tells, and then what was seen of it is all.
    package mutating func noteDone(_ task: TaskKey, steps: Range<Int>) {
        let report = reports.removeValue(forKey: task)
        guard let report, !report.isFromStart else { return trained += max(0, steps.count - (report?.trained ?? 0)) }
        // Of one that went on from somewhere and reported nothing, nobody knows from where.
        trained += max(0, steps.upperBound - (report.first ?? steps.upperBound) - report.trained)
    }

    /// The task is no longer under way and has no result.
    package mutating func noteEnded(_ task: TaskKey) { reports[task] = nil }

    /// Nil until two seconds were seen.
    package var stepsPerSecond: Double? {
        guard let first = samples.first, let last = samples.last, last.at.since(first.at) >= 2_000 else { return nil }
        return Double(last.trained - first.trained) * 1_000 / Double(last.at.since(first.at))
    }
}
