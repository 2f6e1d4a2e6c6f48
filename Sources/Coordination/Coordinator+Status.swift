import Lottery
import OrderedCollections

extension Coordinator {
    /// - Complexity: O(workers + running attempts).
    public var status: CoordinatorStatus {
        let held = sessions.values.flatMap(\.assigned) + orphans.values.joined()
        let running = held.map { line($0, tasks[$0]!.running!) }
        let workers = sessions.values.map { session in
            CoordinatorStatus.WorkerLine(
                worker: session.worker, host: session.host, processID: session.processID, slots: session.slots,
                running: session.assigned.count, silentMilliseconds: latest.since(session.lastHeard),
                isReachable: session.route != nil, memoryBytes: session.memoryBytes,
                quarantinedMilliseconds: resting[session.worker].map { max(0, $0.since(latest)) })
        }
        let unmet = unmetNeeds
        return CoordinatorStatus(
            counts: counts, workers: workers.sorted { $0.worker < $1.worker },
            running: running.sorted { ($0.worker, $0.task) < ($1.worker, $1.task) }, incidents: incidents,
            sweeps: sweeps.values.map { .init(standing: $0.standing, running: $0.running) }, isDraining: drain != nil,
            isShortOfRoom: isShortOfRoom, unmet: unmet, isStuck: isStuck(unmet))
    }

    /// Empty while nobody is here: then it is workers that lack.
    private var unmetNeeds: [CoordinatorStatus.UnmetNeeds] {
        guard !sessions.isEmpty else { return [] }
        var unmet: [Work.Needs: Int] = [:]
        for index in groups.indices where !groups[index].ready.isEmpty && !isHeld(index) {
            let needs = groups[index].name.needs
            guard !sessions.values.contains(where: { canTake($0, needs) }) else { continue }
            unmet[needs, default: 0] += groups[index].ready.count
        }
        return unmet.map {
            .init(needs: $0.key, tasks: $0.value, largestMemoryBytes: largestMemory(computing: $0.key.numerics))
        }
        .sorted { ($1.tasks, $0.needs.memoryBytes) < ($0.tasks, $1.needs.memoryBytes) }
    }

    private func isStuck(_ unmet: [CoordinatorStatus.UnmetNeeds]) -> Bool {
        guard counts.running == 0, counts.delivering == 0, !unmet.isEmpty else { return false }
        let ready = groups.indices.filter { !isHeld($0) }.reduce(0) { $0 + groups[$1].ready.count }
        return unmet.reduce(0) { $0 + $1.tasks } == ready
    }

    /// The training step of each checkpoint that a pending task's next attempt would go on from, or that a running one went on
    /// from.
    public var savedSteps: [TaskKey: Int] {
        var steps: [TaskKey: Int] = [:]
        for key in checkpoints.keys { steps[key] = checkpointToHandOut(of: key)?.step }
        return steps
    }

    /// What a task has come to, or nil for an unknown one.
    public func state(of key: TaskKey) -> TaskState? {
        switch tasks[key]?.settled {
        case .done: .done
        case .failed(let failure): .failed(failure)
        case nil: tasks[key] == nil ? nil : .pending
        }
    }
}

/// What a task has come to. With what result, the store knows.
public enum TaskState: Hashable, Sendable {
    case pending
    case done
    case failed(TaskFailure)
}
