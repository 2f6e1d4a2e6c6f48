import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store
import Sweeps

/// How far a store's sweeps are, by what is on disk. Keys are those of a coordinator's status.
struct StoreStatus: Encodable {
    var store: StoreID
    var sweeps: [SweepStatus]
    var contradictedTasks: [TaskKey]

    struct SweepStatus: Encodable {
        var name: String
        var priority: Int
        var isPaused: Bool
        var isCancelled: Bool
        var points: Int
        var runs = ServiceStatus.Tally()
        var levels = ServiceStatus.Tally()
        var stepsTotal = 0
        var stepsDone = 0
        var best: LeaderboardRow?
        var diverged = 0
        var failures: [Failure] = []
    }

    struct Failure: Encodable {
        var task: TaskKey
        var name: FailureName
        var reason: String
    }

    init(_ stored: StoredSweeps) throws {
        store = stored.store.id
        contradictedTasks = try stored.store.contradictedTasks()
        sweeps = try stored.records(named: nil).map { record in
            let plan = try stored.plan(of: record)
            return SweepStatus(
                plan, isAsked: try stored.isAwaited(plan), stored, best: try stored.leaderboard(of: plan).rows.first)
        }
    }
}

extension StoreStatus.SweepStatus {
    private static let failuresShown = 5

    fileprivate init(_ plan: Plan, isAsked: [Bool], _ stored: StoredSweeps, best: LeaderboardRow?) {
        let standing = stored.standing(of: plan.sweep.name)
        self.init(
            name: plan.sweep.name, priority: standing?.priority ?? 0, isPaused: standing?.isPaused ?? false,
            isCancelled: standing?.isCancelled ?? false, points: plan.sweep.points.count, best: best)
        var done: Set<Int> = []
        var failed: Set<Int> = []
        var cancelled: Set<Int> = []
        levels.total = isAsked.count { $0 }
        for (index, task) in plan.tasks.enumerated() where isAsked[index] {
            stepsTotal += task.cost
            switch stored.record(of: task.key)?.state {
            case .done(let result):
                done.insert(index)
                stepsDone += task.cost
                // One that this version cannot read is told by the leaderboard.
                if LevelSummary.reading(result.summary)?.divergedAt != nil { diverged += 1 }
            case .failed(let failure):
                if failure.name == .cancelled { cancelled.insert(index) } else { failed.insert(index) }
                guard failure.isShown, failures.count < Self.failuresShown else { continue }
                failures.append(.init(task: task.key, name: failure.name, reason: failure.reason))
            case .pending, nil: break
            }
        }
        levels.done = done.count
        levels.failed = failed.count
        levels.cancelled = cancelled.count
        for point in plan.sweep.points.indices {
            for replicate in 0..<plan.sweep.replicates {
                let tasks = plan.tasks(ofRun: point * plan.sweep.replicates + replicate).filter { isAsked[$0] }
                guard !tasks.isEmpty else { continue }
                runs.total += 1
                if !failed.isDisjoint(with: tasks) {
                    runs.failed += 1
                } else if !cancelled.isDisjoint(with: tasks) {
                    runs.cancelled += 1
                } else if done.isSuperset(of: tasks) {
                    runs.done += 1
                }
            }
        }
    }
}
