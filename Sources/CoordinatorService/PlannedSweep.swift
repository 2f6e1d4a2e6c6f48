import Lottery
import Sweeps

/// A plan, and what it relies on.
package struct PlannedSweep {
    package let plan: Plan
    /// Names of its data sets.
    let datasets: [Digest: String]
    private let stored: [TaskKey: KnownTask]

    /// - Parameter stored: what the store held of the plan's tasks, where it was not done.
    package init(plan: Plan, datasets: [Digest: String] = [:], stored: [TaskKey: KnownTask]) {
        self.plan = plan
        self.datasets = datasets
        self.stored = stored
    }

    /// Whether the store has a task that is not done.
    func isStored(_ key: TaskKey) -> Bool { stored[key] != nil }

    /// Whether a task that was handed over before need not be handed over again. A replay that is done is another matter:
    /// its checkpoint may have gone since, and then the plan has it done anew.
    package func isGiven(_ key: TaskKey, _ before: Set<TaskKey>) -> Bool { before.contains(key) && isStored(key) }

    /// Tasks that are to leave checkpoints of which the store knew nothing: the plan believes that they are not given
    /// out before it is taken on. Another sweep may add one of them meanwhile, or try it anew.
    package var believedPending: Set<TaskKey> {
        var keys: Set<TaskKey> = []
        for task in plan.tasks where !task.isDone {
            let steps = task.keepSteps
            if steps.isEmpty { continue }
            switch stored[task.key] {
            case .pending(let asked), .running(let asked):
                if !Set(steps).isSubset(of: asked) { keys.insert(task.key) }
            case .failed, .done, nil: keys.insert(task.key)
            }
        }
        return keys
    }
}
