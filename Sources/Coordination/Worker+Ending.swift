import Lottery
import OrderedCollections

/// How a worker ends.
extension Worker {
    /// Children write their resume files and stop; nothing new is started; checkpoints and results have until the
    /// deadline to be acknowledged.
    mutating func drain(until deadline: Instant, _ outcome: inout Outcome) {
        if let earlier = drainDeadline { return drainDeadline = min(earlier, deadline) }
        drainDeadline = deadline
        for digest in fetches.keys { outcome.actions.append(.dropFetch(digest)) }
        fetches = [:]
        for candidate in waiting.values { giveBack(candidate.assignment.id, &outcome) }
        waiting = [:]
        for index in slots.indices {
            if case .running(let assignment, let step) = slots[index] {
                slots[index] = .ending(assignment, step: step, isRevoked: false)
                outcome.actions.append(.stop(slot: index))
            }
        }
        // It says that there are no slots to fill any more.
        if connection == .joined { beat(&outcome) }
    }

    /// When a worker with a deadline begins to drain.
    var drainsAt: Instant? { deadline?.advanced(byMilliseconds: -settings.marginMilliseconds) }

    mutating func drainIfDue(_ outcome: inout Outcome) {
        guard drainDeadline == nil, let deadline, let drainsAt, drainsAt <= latest else { return }
        outcome.notices.append(.drains(withinMilliseconds: max(0, deadline.since(latest))))
        drain(until: deadline, &outcome)
    }

    /// Ends at once. Children that still run are killed.
    mutating func exit(_ reason: ExitReason, _ outcome: inout Outcome) {
        for index in slots.indices where slots[index].task != nil { outcome.actions.append(.kill(slot: index)) }
        outcome.actions.append(.exit(reason))
        hasExited = true
    }

    mutating func noticeIdleness() {
        let isIdle =
            slots.allSatisfy { $0.task == nil } && waiting.isEmpty && outbox.isEmpty && uploads.isEmpty
            && unsaidFailures.isEmpty
        idleSince = isIdle ? idleSince ?? latest : nil
    }

    mutating func exitIfDone(_ outcome: inout Outcome) {
        guard !hasExited else { return }
        if let drainDeadline {
            if idleSince != nil || latest >= drainDeadline { leave(.stopped, &outcome) }
        } else if let idleSince, let limit = settings.idleExitMilliseconds, latest.since(idleSince) >= limit {
            // Who waited in vain for a coordinator has not come to the end of its work.
            leave(generation == nil ? .unanswered : .idle, &outcome)
        }
    }

    private mutating func leave(_ reason: ExitReason, _ outcome: inout Outcome) {
        if connection == .joined { outcome.messages.append(.goodbye(identity.worker)) }
        exit(reason, &outcome)
    }

    /// Stops the process, with the state in the message, if the worker contradicts itself. For tests and simulations.
    public func checkInvariants() {
        precondition(slots.count == identity.slots, "\(slots.count) slots")
        let occupied = slots.compactMap { slot in
            if case .running(let assignment, _) = slot { assignment.id.task } else { nil }
        }
        precondition(Set(occupied).count == occupied.count, "a task runs twice: \(slots)")
        for (key, task) in waiting {
            precondition(!occupied.contains(key), "\(key) runs and waits")
            precondition(key == task.assignment.id.task, "waiting task filed wrongly: \(task)")
            for digest in task.missing {
                precondition(fetches[digest]?.contains(key) == true, "nobody fetches \(digest)")
            }
        }
        for (digest, keys) in fetches {
            precondition(!keys.isEmpty, "\(digest) is fetched for nobody")
            for key in keys {
                precondition(waiting[key]?.missing.contains(digest) == true, "\(key) does not want \(digest)")
            }
        }
        for (id, upload) in uploads {
            precondition(upload.takes >= 0, "\(upload.takes) checkpoints of \(id) are being taken")
            precondition(
                upload.takes > 0 || upload.kept != nil || upload.endsAttempt, "an upload of nothing: \(id), \(upload)")
        }
        precondition(hasExited || connection == .none || !deadlines().isEmpty, "nothing will wake this worker: \(self)")
    }
}
