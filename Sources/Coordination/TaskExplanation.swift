import Lottery
import OrderedCollections

/// What a coordinator knows of one task, and why it is not done yet.
public struct TaskExplanation: Hashable, Sendable, Codable {
    public var task: TaskKey
    public var state: State
    /// Why no further attempt is made, if none is.
    public var failure: TaskFailure?
    /// Those that want it.
    public var sweeps: [SweepStanding]
    /// Attempts begun, and what counts against it since it was last tried anew.
    public var attempts: Int
    public var childFailures: Int
    public var losses: Int
    /// Workers on which its child failed, sorted.
    public var failedOn: [WorkerID]
    /// The tasks it waits for that are not done.
    public var parents: [Parent]
    /// Who has it, if somebody has.
    public var running: CoordinatorStatus.RunningLine?
    /// From where its next attempt goes on, if that is not the beginning.
    public var checkpoint: SavedCheckpoint?
    /// Why nobody has it, if it could be given out.
    public var readiness: Readiness?

    /// `waiting`: for parents; `ready`: could be given out; `delivering`: finished, its outputs on their way. The last
    /// four are a `FailureName`.
    public enum State: String, Hashable, Sendable, Codable {
        case waiting, ready, running, delivering, done, failed, quarantined, lost, cancelled

        init(_ phase: Coordinator.Phase) {
            self =
                switch phase {
                case .waiting: .waiting
                case .ready: .ready
                case .running: .running
                case .delivering: .delivering
                case .done: .done
                case .failed(.quarantined): .quarantined
                case .failed(.lost): .lost
                case .failed(.cancelled): .cancelled
                case .failed: .failed
                }
        }
    }

    public struct Parent: Hashable, Sendable, Codable {
        public var task: TaskKey
        /// Nil for one that nobody submitted.
        public var state: State?
    }

    public struct Readiness: Hashable, Sendable, Codable {
        /// All sweeps that want it are paused.
        public var isPaused: Bool
        /// The coordinator gives out nothing more.
        public var isDraining: Bool
        /// Nor does it until the store's disk has room.
        public var isShortOfRoom: Bool
        /// Ready tasks of sweeps of a higher priority.
        public var aheadByPriority: Int
        /// Ready tasks of sweeps of the same priority on which longer chains wait, or as long ones that were there
        /// first. Sweeps take turns, so that not all of them go before it.
        public var aheadByChain: Int
        /// Workers that may get tasks, free slots of theirs that would do, and free slots of those that can take it but have
        /// too little memory left beside what they train.
        public var workers: Int
        public var freeSlots: Int
        public var crampedSlots: Int
        /// Workers that get nothing for a while because different tasks have failed there.
        public var quarantinedWorkers: Int
        /// Of the workers that can take it, those on which its child has not failed: with 0 any of them will do.
        public var freshWorkers: Int
        /// What a worker must have for it, and how many of those that are here have it.
        public var needs: Work.Needs
        public var ableWorkers: Int
        /// The most memory of the workers that compute its numerics; nil if none does, or none of them says.
        public var largestMemoryBytes: Int?
    }
}

extension Coordinator {
    /// Nil for an unknown task.
    /// - Complexity: O(ready tasks + workers).
    public func explanation(of key: TaskKey) -> TaskExplanation? {
        guard let task = tasks[key] else { return nil }
        var explanation = TaskExplanation(
            task: key, state: TaskExplanation.State(task.phase),
            sweeps: groups[task.group].sweeps.map { sweeps[$0]!.standing }, attempts: task.attempts,
            childFailures: task.childFailures, losses: task.losses, failedOn: task.avoided.sorted(), parents: [])
        if case .failed(let failure) = task.settled { explanation.failure = failure }
        if !isDone(key) {
            for parent in tasks.parents(of: key) where tasks[parent] == nil || !isDone(parent) {
                explanation.parents.append(
                    TaskExplanation.Parent(
                        task: parent, state: tasks[parent].map { TaskExplanation.State($0.phase) }))
            }
        }
        explanation.checkpoint = checkpointToHandOut(of: key)
        if let running = task.running { explanation.running = line(key, running) }
        if task.phase == .ready { explanation.readiness = readiness(of: task) }
        return explanation
    }

    private func readiness(of task: Task) -> TaskExplanation.Readiness {
        let (rank, priority) = (ReadyRank(of: task), priority(of: task.group))
        var ahead = (byPriority: 0, byChain: 0)
        for index in groups.indices where !isHeld(index) {
            let other = self.priority(of: index)
            if other > priority {
                ahead.byPriority += groups[index].ready.count
            } else if other == priority {
                ahead.byChain += groups[index].ready.elements.count { rank < $0.value }
            }
        }
        let workers = sessions.values.filter { $0.isReachable && resting[$0.worker] == nil }
        let needs = self.needs(of: task)
        let able = workers.filter { canTake($0, needs) }
        return TaskExplanation.Readiness(
            isPaused: isHeld(task.group), isDraining: drain != nil || isStopping,
            isShortOfRoom: isShortOfRoom, aheadByPriority: ahead.byPriority,
            aheadByChain: ahead.byChain, workers: workers.count,
            freeSlots: able.reduce(0) { $0 + (fits($1.worker, needs) ? $1.free : 0) },
            crampedSlots: able.reduce(0) { $0 + (fits($1.worker, needs) ? 0 : $1.free) },
            quarantinedWorkers: resting.keys.count { sessions[$0] != nil },
            freshWorkers: able.count { !task.avoided.contains($0.worker) }, needs: needs, ableWorkers: able.count,
            largestMemoryBytes: largestMemory(computing: needs.numerics))
    }

    /// The highest of the sweeps that have a turn with it.
    private func priority(of group: Int) -> Int {
        let standings = groups[group].sweeps.map { sweeps[$0]!.standing }
        return standings.filter { !$0.isPaused && !$0.isCancelled }.map(\.priority).max() ?? 0
    }

    func line(_ key: TaskKey, _ running: Running) -> CoordinatorStatus.RunningLine {
        CoordinatorStatus.RunningLine(
            task: key, attempt: running.id.attempt, worker: running.worker, step: running.step,
            cost: tasks[key]!.cost, ageMilliseconds: latest.since(running.startedAt),
            stillMilliseconds: latest.since(running.steppedAt), awaitsAdoption: running.isOrphan)
    }
}
