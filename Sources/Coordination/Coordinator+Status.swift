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
                isReachable: session.route != nil,
                quarantinedMilliseconds: resting[session.worker].map { max(0, $0.since(latest)) })
        }
        return CoordinatorStatus(
            counts: counts, workers: workers.sorted { $0.worker < $1.worker },
            running: running.sorted { ($0.worker, $0.task) < ($1.worker, $1.task) }, incidents: incidents,
            sweeps: sweeps.values.map { .init(standing: $0.standing, running: $0.running) }, isDraining: isDraining,
            isShortOfRoom: isShortOfRoom)
    }

    /// What a task has come to, or nil for an unknown one.
    public func state(of key: TaskKey) -> Snapshot.State? {
        switch tasks[key]?.settled {
        case .done(let result, _, _): .done(result)
        case .failed(let failure): .failed(failure)
        case nil: tasks[key] == nil ? nil : .pending
        }
    }
}
