import Lottery
import OrderedCollections

/// The wish that a coordinator give out nothing more and end once nothing runs. It outlives a process that died before
/// it came to that.
public struct Drain: Hashable, Sendable, Codable {
    /// Workers save what they train, hand it back and end.
    public var isAtOnce: Bool
    /// Workers end with the coordinator.
    public var endsWorkers: Bool

    public init(isAtOnce: Bool, endsWorkers: Bool = false) {
        self.isAtOnce = isAtOnce
        self.endsWorkers = endsWorkers
    }
}

/// What people order: to pause, cancel, try again.
extension Coordinator {
    mutating func onOrder(_ order: SweepOrder, of id: SweepID, _ outcome: inout Outcome) {
        guard sweeps[id] != nil else { return }
        switch order {
        case .pause: stand(id, &outcome) { $0.isPaused = true }
        case .resume: stand(id, &outcome) { $0.isPaused = false }
        case .prioritise(let priority):
            precondition(SweepStanding.priorities.contains(priority), "a priority of \(priority)")
            stand(id, &outcome) { $0.priority = priority }
        case .cancel:
            // Tried anew it is to go on, not to wait for a word that nobody remembers to be missing.
            stand(id, &outcome) { ($0.isCancelled, $0.isPaused) = (true, false) }
            cancel(keys(of: id).filter(isUnwanted), "the sweep “\(id)” was cancelled", &outcome)
        case .retry(let names):
            if names.contains(.cancelled) { stand(id, &outcome) { $0.isCancelled = false } }
            retry(keys(of: id), names, &outcome)
        }
    }

    mutating func onOrder(_ order: TaskOrder, of key: TaskKey, _ outcome: inout Outcome) {
        guard tasks[key] != nil else { return }
        switch order {
        case .cancel: cancel([key], "it was cancelled by hand", &outcome)
        case .retry(let names): retry([key], names, &outcome)
        }
    }

    /// A worker that the message does not reach is told again with its next beat, until its beats say that it takes no
    /// more.
    mutating func onDrain(_ wish: Drain, _ outcome: inout Outcome) {
        let old = drain
        let merged = Drain(
            isAtOnce: wish.isAtOnce || old?.isAtOnce ?? false,
            endsWorkers: wish.endsWorkers || old?.endsWorkers ?? false)
        guard merged != old else { return }
        drain = merged
        outcome.changes.append(.drainChanged(merged))
        guard merged.isAtOnce, old?.isAtOnce != true else { return }
        for session in sessions.values.sorted(by: { $0.worker < $1.worker }) {
            if let route = session.route { send(.drain, to: route, &outcome) }
        }
    }

    mutating func forgetDrain(_ outcome: inout Outcome) {
        guard drain != nil else { return }
        drain = nil
        outcome.changes.append(.drainChanged(nil))
    }

    /// Cancels those of `keys` that are neither done nor given up, and what waits for them.
    /// - Parameter keys: parents first.
    mutating func cancel(_ keys: [TaskKey], _ reason: String, _ outcome: inout Outcome) {
        // Children first, so that each has the reason itself and does not inherit it.
        for key in keys.reversed() where tasks[key]!.settled == nil {
            if let running = tasks[key]!.running { revoke(key, running, &outcome) }
            discardClaims(of: key, &outcome)
            fail(key, TaskFailure(.cancelled, reason), &outcome)
        }
    }

    /// Nobody wants what is being delivered, and its workers need not keep it.
    mutating func discardClaims(of key: TaskKey, _ outcome: inout Outcome) {
        for claim in tasks[key]!.claims {
            drop(claim.reference, .revoked, &outcome)
            incidents.resultsDiscarded += 1
            acknowledge(claim.id, .discarded, to: claim.route, &outcome)
        }
    }

    /// Ends the running attempt and tells its worker at once. (The next ack would, too; but its slot would do useless
    /// work until then.)
    mutating func revoke(_ key: TaskKey, _ running: Running, _ outcome: inout Outcome) {
        endAttempt(key, .revoked, &outcome)
        guard let route = sessions[running.worker]?.route else { return }
        send(.beatAck(BeatAck(store: store, generation: generation, revoked: [running.id])), to: route, &outcome)
    }

    /// Tries those of `keys` anew that were given up under one of `names`, and what had only waited for them.
    /// - Parameter keys: parents first.
    private mutating func retry(_ keys: [TaskKey], _ names: Set<FailureName>, _ outcome: inout Outcome) {
        var revived: [TaskKey] = []
        for key in keys {
            // Where a parent stays given up, so does the task.
            guard case .failed(let failure) = tasks[key]!.settled, names.contains(failure.name), !hasFailedParent(key)
            else { continue }
            revive(key, &outcome)
            revived.append(key)
        }
        for key in revived { settle(key, &outcome) }
        for key in revived { reviveDependents(of: key, &outcome) }
    }
}
