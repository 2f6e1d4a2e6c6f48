import Coordination
import Lottery
import OrderedCollections

/// Who wants which tasks and how sweeps stand, gathered by the checker from what was committed.
struct Standing: Sendable {
    /// The name under which a task was given up.
    var failures: [TaskKey: FailureName] = [:]
    private var sweeps: [SweepID: SweepStanding] = [:]
    private var wants: [TaskKey: Set<SweepID>] = [:]
    private var parents: OrderedDictionary<TaskKey, Set<TaskKey>> = [:]

    init() {}

    init(of store: SimulatedStore) {
        sweeps = Dictionary(uniqueKeysWithValues: store.sweeps.elements.map { ($0.key, $0.value) })
        for (key, record) in store.records {
            wants[key] = Set(record.sweeps)
            note(.taskRequested(record.work))
            if case .failed(let failure) = record.state { failures[key] = failure.name }
        }
    }

    mutating func note(_ change: Change) {
        switch change {
        case .taskAdded(let work), .taskRequested(let work), .taskReopened(let work):
            parents[work.key] = Set(
                work.inputs.compactMap { if case .output(let parent, _) = $0.source { parent } else { nil } })
        case .sweepChanged(let sweep): sweeps[sweep.id] = sweep
        case .sweepWants(let sweep, let keys): for key in keys { wants[key, default: []].insert(sweep) }
        case .sweepDrops(let sweep, let keys): for key in keys { wants[key]?.remove(sweep) }
        case .attemptStarted, .attemptEnded, .attemptLogged, .checkpointKept, .taskDone, .taskFailed, .taskRevived,
            .outputRetired,
            .workerQuarantined, .drainChanged, .nondeterminism:
            break
        }
    }

    /// Those that want the task and were not cancelled.
    private func wanting(_ key: TaskKey) -> [SweepStanding] {
        (wants[key] ?? []).compactMap { sweeps[$0] }.filter { !$0.isCancelled }
    }

    /// Whether every sweep that wants the task is paused.
    func isHeld(_ key: TaskKey) -> Bool {
        let wanting = wanting(key)
        return !wanting.isEmpty && wanting.allSatisfy(\.isPaused)
    }

    /// How urgent a task is: the highest priority of the sweeps that want it now, and how many tasks run for the one of
    /// them for which the fewest do.
    func turn(of key: TaskKey, running: [TaskKey]) -> (priority: Int, running: Int) {
        let wanting = wanting(key).filter { !$0.isPaused }
        guard let priority = wanting.map(\.priority).max() else { return (0, 0) }
        let counts = wanting.filter { $0.priority == priority }.map { sweep in
            running.count { wants[$0]?.contains(sweep.id) == true }
        }
        return (priority, counts.min()!)
    }

    /// Tasks that could be given out.
    func ready(open: [TaskKey: AttemptID], done: Set<TaskKey>) -> [TaskKey] {
        parents.filter { key, parents in
            open[key] == nil && !done.contains(key) && failures[key] == nil && !isHeld(key)
                && parents.isSubset(of: done)
        }.map(\.key)
    }
}
