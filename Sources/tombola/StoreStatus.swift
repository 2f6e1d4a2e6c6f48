import Coordination
import CoordinatorService
import Lottery
import Store
import Sweeps

/// How far a store's sweeps are, by what is on disk. Keys are those of a coordinator's status.
struct StoreStatus: Encodable {
    var store: StoreID
    var sweeps: [SweepStatus]

    struct SweepStatus: Encodable {
        var name: String
        var points: Int
        var runs = ServiceStatus.Tally()
        var levels = ServiceStatus.Tally()
        var stepsTotal = 0
        var stepsDone = 0
        var best: LeaderboardRow?
        var failures: [Failure] = []
    }

    struct Failure: Encodable {
        var task: TaskKey
        var reason: String
    }

    init(_ stored: StoredSweeps) throws {
        store = stored.store.id
        sweeps = try stored.records(named: nil).map { record in
            let plan = try stored.plan(of: record)
            return SweepStatus(plan, stored, best: try stored.leaderboard(of: plan).rows.first)
        }
    }
}

extension StoreStatus.SweepStatus {
    private static let failuresShown = 5

    fileprivate init(_ plan: Plan, _ stored: StoredSweeps, best: LeaderboardRow?) {
        self.init(name: plan.sweep.name, points: plan.sweep.points.count, best: best)
        var done: Set<Int> = []
        var failed: Set<Int> = []
        levels.total = plan.tasks.count
        for (index, task) in plan.tasks.enumerated() {
            stepsTotal += task.cost
            switch stored.record(of: task.key)?.state {
            case .done:
                done.insert(index)
                stepsDone += task.cost
            case .failed(let reason):
                failed.insert(index)
                if failures.count < Self.failuresShown { failures.append(.init(task: task.key, reason: reason)) }
            case .pending, nil: break
            }
        }
        levels.done = done.count
        levels.failed = failed.count
        for point in plan.sweep.points.indices {
            for replicate in 0..<plan.sweep.replicates {
                let run = plan.run(point: point, replicate: replicate)
                let tasks = [run.dense] + run.levels + run.branches.joined()
                runs.total += 1
                if !failed.isDisjoint(with: tasks) {
                    runs.failed += 1
                } else if done.isSuperset(of: tasks) {
                    runs.done += 1
                }
            }
        }
    }
}
