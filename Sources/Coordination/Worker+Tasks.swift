import Lottery
import OrderedCollections

/// Assignments: their inputs, their slots, what becomes of them.
extension Worker {
    mutating func onTask(_ assignment: Assignment, _ outcome: inout Outcome) {
        lastSequence = max(lastSequence, assignment.sequence)
        guard drainDeadline == nil else { return }
        let key = assignment.id.task
        // Any attempt's result will do: what is finished is offered again rather than computed again.
        let finished = outbox.keys.filter { $0.task == key }
        guard finished.isEmpty else {
            if connection == .joined { for id in finished { deliver(id, &outcome) } }
            return
        }
        if let held = heldAssignment(of: key) {
            // A duplicate, or late: numbers only rise.
            guard assignment.id.attempt > held.id.attempt else { return }
            // The older attempt was ended on purpose, perhaps because its child hangs, so the child must not go on
            // under the new number. (One that is only lost comes back by HELLO.)
            revoke(held.id, &outcome)
        }
        guard holding.count < Limits.attemptsPerMessage else { return }
        let digests = OrderedSet(assignment.inputs.map(\.digest))
        waiting[key] = Waiting(assignment: assignment, missing: digests)
        for digest in digests {
            if fetches[digest] == nil { outcome.actions.append(.fetch(digest)) }
            fetches[digest, default: []].append(key)
        }
    }

    private func heldAssignment(of key: TaskKey) -> Assignment? {
        if let waiting = waiting[key] { return waiting.assignment }
        for case .running(let assignment, _) in slots where assignment.id.task == key { return assignment }
        return nil
    }

    mutating func onInputReady(_ digest: Digest) {
        for key in fetches.removeValue(forKey: digest) ?? [] { waiting[key]!.missing.remove(digest) }
    }

    mutating func onInputFailed(_ digest: Digest, _ reason: String, _ outcome: inout Outcome) {
        for key in fetches[digest] ?? [] {
            waiting[key]!.assignment.inputs.removeAll { $0.name == WorkInput.checkpoint && $0.digest == digest }
            let assignment = waiting[key]!.assignment
            // Without a checkpoint it starts from the beginning.
            guard let input = assignment.inputs.first(where: { $0.digest == digest }) else {
                waiting[key]!.missing.remove(digest)
                continue
            }
            stopWaiting(key, failed: digest, &outcome)
            report(
                assignment,
                "its input “\(input.name)” could not be had: \(reason); `tombola store verify` says what the store lacks",
                isFinal: false, &outcome)
        }
        fetches[digest] = nil
    }

    /// Takes a waiting task out, and drops fetches that nobody else wants.
    private mutating func stopWaiting(_ key: TaskKey, failed: Digest? = nil, _ outcome: inout Outcome) {
        for digest in waiting.removeValue(forKey: key)?.missing ?? [] where digest != failed {
            fetches[digest]!.remove(key)
            if fetches[digest]!.isEmpty {
                fetches[digest] = nil
                outcome.actions.append(.dropFetch(digest))
            }
        }
    }

    /// Starts what has its inputs, oldest first. Two attempts of one task never run side by side: they share a folder.
    mutating func startWaiting(_ outcome: inout Outcome) {
        guard !hasExited else { return }
        var free = slots.indices.filter { slots[$0].task == nil }
        guard !free.isEmpty else { return }
        let occupied = Set(slots.compactMap(\.task))
        for (key, candidate) in waiting where candidate.missing.isEmpty && !occupied.contains(key) {
            guard !free.isEmpty else { return }
            let slot = free.removeFirst()
            waiting[key] = nil
            slots[slot] = .running(candidate.assignment, step: 0)
            unsentSince[candidate.assignment.id] = latest
            outcome.actions.append(.start(slot: slot, candidate.assignment))
        }
    }

    mutating func onBegan(_ slot: Int, _ step: Int, _ isResumed: Bool) {
        guard case .running(let assignment, _) = slots[slot] else { return }
        if isResumed { unsentSince[assignment.id] = nil }
        onProgress(slot, step)
    }

    mutating func onProgress(_ slot: Int, _ step: Int) {
        // A child that says nonsense must not make a beat that cannot be encoded.
        let step = min(max(step, 0), Limits.step)
        if case .running(let assignment, _) = slots[slot] { slots[slot] = .running(assignment, step: step) }
    }

    mutating func onFinished(_ slot: Int, _ result: WorkResult, _ outcome: inout Outcome) {
        defer { free(slot) }
        if let id = slots[slot].assignment?.id { dropUpload(of: id, &outcome) }
        switch slots[slot] {
        case .free: preconditionFailure("slot \(slot) finished without a task")
        case .ending(let assignment, _, isRevoked: true, _):
            outcome.actions.append(.dropOutputs(assignment.id, result.outputs))
        case .ending(let assignment, _, isRevoked: false, _), .running(let assignment, _):
            if let objection = Worker.objection(to: result) {
                outcome.actions.append(.dropOutputs(assignment.id, result.outputs))
                return report(assignment, objection, isFinal: true, &outcome)
            }
            var result = result
            result.outputs.sort { $0.name < $1.name }
            put(ResultReport(worker: identity.worker, id: assignment.id, result: result))
            if connection == .joined { deliver(assignment.id, &outcome) }
        }
    }

    mutating func put(_ report: ResultReport) {
        outbox[report.id] = Delivery(
            report: report, nextSendAt: latest, waitMilliseconds: settings.resendMilliseconds)
    }

    /// Why a result can never be sent, or nil.
    public static func objection(to result: WorkResult) -> String? {
        if result.outputs.count > Limits.outputsPerTask {
            return "it left \(result.outputs.count) outputs; the limit is \(Limits.outputsPerTask)"
        }
        if result.summary.count > Limits.summaryBytes {
            return "its summary of \(result.summary.count) bytes is above the limit of \(Limits.summaryBytes)"
        }
        if result.origin.utf8.count > Limits.originBytes {
            return
                "what it says of its origin, \(result.origin.utf8.count) bytes, is above the limit of \(Limits.originBytes)"
        }
        if Set(result.outputs.map(\.name)).count < result.outputs.count { return "two of its outputs have one name" }
        if let output = result.outputs.first(where: { $0.name.text.utf8.count > Limits.nameBytes }) {
            return "the name of its output “\(output.name)” is longer than \(Limits.nameBytes) bytes"
        }
        return result.outputs.first { !(0...Limits.blobBytes).contains($0.byteCount) }
            .map { "its output \($0.name) has \($0.byteCount) bytes; the limit is \(Limits.blobBytes)" }
    }

    /// A child that dies is no reason to stop, however often: the task counts its failures, and others may fare better.
    mutating func onFailed(_ slot: Int, _ reason: String, log: String, isFinal: Bool, _ outcome: inout Outcome) {
        defer { free(slot) }
        switch slots[slot] {
        case .free: preconditionFailure("slot \(slot) failed without a task: \(reason)")
        case .ending(_, _, isRevoked: true, _): reportStall(slot, log: log, &outcome)
        // It was asked to stop; what it had saved before, if anything, goes up.
        case .ending(let assignment, _, isRevoked: false, _): giveBack(assignment.id, &outcome)
        case .running(let assignment, _): report(assignment, reason, log: log, isFinal: isFinal, &outcome)
        }
    }

    private mutating func report(
        _ assignment: Assignment, _ reason: String, log: String = "", isFinal: Bool, isStalled: Bool = false,
        _ outcome: inout Outcome
    ) {
        let report = FailureReport(
            worker: identity.worker, id: assignment.id, reason: reason, log: log, isFinal: isFinal, isStalled: isStalled
        )
        if connection == .joined {
            outcome.messages.append(.failure(report))
        } else if unsaidFailures.count < Limits.attemptsPerMessage {
            unsaidFailures.append(report)
        }
    }

    /// Sends a result, and again later, ever more rarely, until it is acknowledged.
    mutating func deliver(_ id: AttemptID, _ outcome: inout Outcome) {
        let wait = outbox[id]!.waitMilliseconds
        outbox[id]!.nextSendAt = latest.advanced(byMilliseconds: wait)
        outbox[id]!.waitMilliseconds = min(2 * wait, settings.resendCapMilliseconds)
        outcome.messages.append(.result(outbox[id]!.report))
    }

    mutating func onResultAck(_ ack: ResultAck, _ outcome: inout Outcome) {
        guard let delivery = outbox.removeValue(forKey: ack.id) else { return }
        outcome.actions.append(.dropOutputs(ack.id, delivery.report.result.outputs))
    }

    /// - Parameter isStalled: whether the end of its log is to be reported.
    mutating func revoke(_ id: AttemptID, isStalled: Bool = false, _ outcome: inout Outcome) {
        if waiting[id.task]?.assignment.id == id { stopWaiting(id.task, &outcome) }
        for index in slots.indices {
            if case .running(let assignment, let step) = slots[index], assignment.id == id {
                slots[index] = .ending(assignment, step: step, isRevoked: true, isStalled: isStalled)
                outcome.actions.append(.kill(slot: index))
            }
        }
        dropUpload(of: id, &outcome)
    }

    mutating func onStopped(_ slot: Int, log: String, _ outcome: inout Outcome) {
        if case .ending(let assignment, _, isRevoked: false, _) = slots[slot] { giveBack(assignment.id, &outcome) }
        reportStall(slot, log: log, &outcome)
        free(slot)
    }

    /// What a child that hung had to say is known once it is gone.
    private mutating func reportStall(_ slot: Int, log: String, _ outcome: inout Outcome) {
        guard case .ending(let assignment, _, _, isStalled: true) = slots[slot], !log.isEmpty else { return }
        report(assignment, "its step stood still", log: log, isFinal: false, isStalled: true, &outcome)
    }

    private mutating func free(_ slot: Int) {
        if let id = slots[slot].assignment?.id { unsentSince[id] = nil }
        slots[slot] = .free
    }
}
