import Foundation
import Lottery
import Sweeps

/// What a sweep's trainings came to, as a bundle keeps it: enough to plan its spec again and to make every table and
/// the leaderboard anew.
struct BundleResults: Codable {
    /// Of this form.
    var format = BundleResults.currentFormat
    /// The program that made the bundle.
    var version = Version.text
    var sweep: String
    /// Digest of the decoded data set, by name.
    var datasets: [String: String]
    /// By task key.
    var tasks: [String: Task]

    static let currentFormat = 6

    struct Task: Codable {
        /// `done`, or the name under which it failed. Tasks that are pending are left out.
        var state: String
        var reason: String?
        var summary: LevelSummary?
        var seconds: Double?
        var origin: ResultOrigin?
    }

    init(plan: Plan, results: [TaskKey: TaskRecord]) {
        sweep = plan.sweep.name
        datasets = [:]
        for point in plan.sweep.points where datasets[point.settings.dataset] == nil {
            datasets[point.settings.dataset] =
                plan.tasks[plan.run(point: point.index, replicate: 0).dense].task.dataset.hex
        }
        tasks = [:]
        // A replay is an errand of the store, which the spec alone does not ask for.
        for task in plan.tasks {
            if case .replay = task.role { continue }
            switch results[task.key] {
            case .done(let summary, let seconds, let origin):
                tasks[task.key.digest.hex] = Task(state: "done", summary: summary, seconds: seconds, origin: origin)
            case .failed(let name, let reason): tasks[task.key.digest.hex] = Task(state: name, reason: reason)
            case .pending, nil: break
            }
        }
    }

    var records: [TaskKey: TaskRecord] {
        var records: [TaskKey: TaskRecord] = [:]
        for (hex, task) in tasks {
            guard let digest = Digest(hex: hex) else { continue }
            if let summary = task.summary {
                records[TaskKey(digest)] = .done(summary, seconds: task.seconds ?? 0, origin: task.origin)
            } else {
                records[TaskKey(digest)] = .failed(name: task.state, reason: task.reason ?? "")
            }
        }
        return records
    }
}
