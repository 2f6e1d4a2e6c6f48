import Lottery
import OrderedCollections

/// What attempts come to.
extension Coordinator {
    /// The first complete result of any attempt wins, late or not. It becomes a claim, and counts once its blobs are
    /// durable.
    mutating func onResult(_ report: ResultReport, from route: RouteID, _ outcome: inout Outcome) {
        hear(report.worker, from: route, &outcome)
        let key = report.id.task
        guard let task = tasks[key] else {
            incidents.resultsDiscarded += 1
            return acknowledge(report.id, .discarded, to: route, &outcome)
        }
        if case .done(let kept) = task.settled {
            if kept.isResult(of: report.id) { return acknowledge(report.id, .accepted, to: route, &outcome) }
            compare(report.result, id: report.id, worker: report.worker, &outcome)
            incidents.resultsDiscarded += 1
            return acknowledge(report.id, .discarded, to: route, &outcome)
        }
        if case .failed(let failure) = task.settled, failure.name == .cancelled {
            incidents.resultsDiscarded += 1
            return acknowledge(report.id, .discarded, to: route, &outcome)
        }
        if let index = task.claims.firstIndex(where: { $0.id == report.id && $0.worker == report.worker }) {
            // Sent again because the ack takes long, perhaps on a new connection.
            tasks[key]!.claims[index].route = route
            tasks[key]!.claims[index].heardAt = latest
            return
        }
        let isRunning = task.running?.id == report.id
        if !isComplete(report.result, for: key), !isRunning || task.running!.isReadopted {
            // It was made for an older request that asked for fewer checkpoints; a fresh attempt will leave them all.
            if isRunning { endAttempt(key, .released, &outcome) }
            incidents.resultsDiscarded += 1
            return acknowledge(report.id, .discarded, to: route, &outcome)
        }
        // Over the limit nothing is answered: the worker keeps its result and sends it again.
        guard task.claims.count < Limits.claimsPerTask else { return }
        claim(report, isOpen: isRunning, route: route, &outcome)
    }

    private mutating func claim(_ report: ResultReport, isOpen: Bool, route: RouteID, _ outcome: inout Outcome) {
        let key = report.id.task
        let sizes = Dictionary(
            report.result.outputs.map { ($0.digest, $0.byteCount) }, uniquingKeysWith: { first, _ in first })
        let digests = OrderedSet(report.result.outputs.map(\.digest))
        let claim = Claim(
            id: report.id, worker: report.worker, result: report.result, missing: digests, route: route,
            heardAt: latest,
            isOpen: isOpen)
        if isOpen { release(key) }
        noteResult(of: report.worker, &outcome)
        update(key) {
            if isOpen { $0.running = nil }
            $0.claims.append(claim)
        }
        guard !digests.isEmpty else { return complete(key, with: claim, &outcome) }
        let reference = claim.reference
        claims[report.worker, default: []].insert(reference)
        for digest in digests {
            pulls[digest, default: []].append(reference)
            outcome.pulls.append(BlobPull(worker: report.worker, digest: digest, byteCount: sizes[digest]!))
        }
        if sessions[report.worker] == nil { expect(latest.advanced(byMilliseconds: settings.sessionMilliseconds)) }
    }

    /// Whether every output that a known task waits for is there.
    private func isComplete(_ result: WorkResult, for key: TaskKey) -> Bool {
        let names = Set(result.outputs.map(\.name))
        return tasks.dependents(of: key).allSatisfy { dependent in
            tasks.inputs(of: dependent).allSatisfy { input in
                guard case .output(key, let name) = input.source else { return true }
                return names.contains(name)
            }
        }
    }

    /// What results that are being delivered consist of: their blobs are stored before they are done.
    public var digestsInDelivery: Set<Digest> {
        var digests: Set<Digest> = []
        for reference in claims.values.flatMap(\.self) {
            for claim in tasks[reference.task]?.claims ?? [] { digests.formUnion(claim.result.outputs.map(\.digest)) }
        }
        return digests
    }

    /// Two results of one task that differ are a bug or broken hardware, and are said loudly.
    mutating func compare(_ result: WorkResult, id: AttemptID, worker: WorkerID, _ outcome: inout Outcome) {
        guard let kept = tasks.outputs(of: id.task), !tasks.agrees(result, with: id.task),
            disputed.insert(id).inserted
        else { return }
        incidents.nondeterministic += 1
        outcome.changes.append(.nondeterminism(id.task, kept: kept, other: result.outputs, worker: worker))
    }

    mutating func acknowledge(
        _ id: AttemptID, _ verdict: ResultAck.Verdict, to route: RouteID, _ outcome: inout Outcome
    ) {
        send(.resultAck(ResultAck(store: store, id: id, verdict: verdict)), to: route, &outcome)
    }

    mutating func onFailure(_ report: FailureReport, from route: RouteID, _ outcome: inout Outcome) {
        hear(report.worker, from: route, &outcome)
        let key = report.id.task
        // The id fences: a failure of an attempt that is not the running one says nothing new.
        guard let running = tasks[key]?.running, running.id == report.id, running.worker == report.worker else {
            if report.isStalled, !report.log.isEmpty, tasks[key] != nil {
                outcome.changes.append(.attemptLogged(report.id, log: report.log))
            }
            return
        }
        incidents.childFailures += 1
        // What can be tried nowhere with success says nothing of the worker.
        if !report.isFinal { noteFailure(of: key, on: report.worker, &outcome) }
        endAttempt(key, .childFailed(reason: report.reason, log: report.log), &outcome)
        if report.isFinal, tasks[key]!.settled == nil { fail(key, TaskFailure(.failed, report.reason), &outcome) }
    }

    mutating func onBlobStored(_ digest: Digest, _ outcome: inout Outcome) {
        for reference in pulls.removeValue(forKey: digest) ?? [] {
            // An earlier one of these may have completed the task and forgotten its other claims.
            guard let index = tasks[reference.task]!.claims.firstIndex(where: { $0.reference == reference }) else {
                continue
            }
            tasks[reference.task]!.claims[index].missing.remove(digest)
            let claim = tasks[reference.task]!.claims[index]
            if claim.missing.isEmpty { complete(reference.task, with: claim, &outcome) }
        }
    }

    /// The worker keeps its result and will offer it again; until then the task may go to another.
    mutating func onBlobUnavailable(_ digest: Digest, _ worker: WorkerID, _ outcome: inout Outcome) {
        for reference in pulls[digest] ?? [] where reference.worker == worker { drop(reference, .lost, &outcome) }
    }

    /// The worker's folder was emptied under it. It would offer the result for ever, in answer to every TASK, so it is
    /// told to drop it, and the task is done anew.
    mutating func onBlobGone(_ digest: Digest, _ worker: WorkerID, _ outcome: inout Outcome) {
        for reference in pulls[digest] ?? [] where reference.worker == worker {
            guard let claim = tasks[reference.task]!.claims.first(where: { $0.reference == reference }) else {
                continue
            }
            incidents.resultsDiscarded += 1
            acknowledge(claim.id, .discarded, to: claim.route, &outcome)
            drop(reference, .lost, &outcome)
        }
    }

    /// Gives a claim up. If its attempt is still open, that ends now.
    mutating func drop(_ reference: ClaimReference, _ end: AttemptEnd, _ outcome: inout Outcome) {
        guard let claim = tasks[reference.task]!.claims.first(where: { $0.reference == reference }) else { return }
        forget(claim, &outcome)
        if claim.isOpen { outcome.changes.append(.attemptEnded(claim.id, end)) }
        update(reference.task) { task in
            task.claims.removeAll { $0.reference == reference }
            if claim.isOpen { task.count(end) }
        }
        failIfExhausted(reference.task, end, &outcome)
    }

    /// Takes a claim out of the indexes; the task's own list is the caller's.
    mutating func forget(_ claim: Claim, _ outcome: inout Outcome) {
        let reference = claim.reference
        for digest in claim.missing {
            pulls[digest]?.remove(reference)
            if pulls[digest]?.isEmpty == true { pulls[digest] = nil }
            if pulls[digest]?.contains(where: { $0.worker == claim.worker }) != true {
                let byteCount = claim.result.outputs.first { $0.digest == digest }!.byteCount
                outcome.droppedPulls.append(BlobPull(worker: claim.worker, digest: digest, byteCount: byteCount))
            }
        }
        claims[claim.worker]?.remove(reference)
        if claims[claim.worker]?.isEmpty == true { claims[claim.worker] = nil }
    }

    /// Ends the running attempt of a task without a result.
    mutating func endAttempt(_ key: TaskKey, _ end: AttemptEnd, _ outcome: inout Outcome) {
        let running = tasks[key]!.running!
        release(key)
        outcome.changes.append(.attemptEnded(running.id, end))
        update(key) {
            $0.running = nil
            $0.count(end)
            if end.isChildFailure { $0.avoided.insert(running.worker) }
        }
        failIfExhausted(key, end, &outcome)
    }

    /// Frees the slot, or the place among the orphans, of a task's running attempt.
    private mutating func release(_ key: TaskKey) {
        let running = tasks[key]!.running!
        if running.isOrphan {
            orphans[running.worker]!.remove(key)
            if orphans[running.worker]!.isEmpty { orphans[running.worker] = nil }
        } else if sessions[running.worker] != nil {
            sessions[running.worker]!.assigned.remove(key)
            rankFree(running.worker)
        }
    }

    private mutating func failIfExhausted(_ key: TaskKey, _ end: AttemptEnd, _ outcome: inout Outcome) {
        let task = tasks[key]!
        guard task.settled == nil, task.running == nil else { return }
        switch end {
        case .childFailed(let reason, let log) where task.childFailures >= settings.childFailureLimit:
            failAsExhausted(key, ", at last with: \(reason)\(Coordinator.lastWords(of: log))", &outcome)
        case .stalled where task.childFailures >= settings.childFailureLimit:
            failAsExhausted(
                key, "; at last its step stood still for too long (`--stall` of serve and run)", &outcome)
        case .lost where task.losses >= settings.lossLimit:
            fail(
                key,
                TaskFailure(
                    .lost,
                    "was lost \(task.losses) times in a row with the worker that ran it, and came no further meanwhile"),
                &outcome)
        case .childFailed, .stalled, .lost, .revoked, .released, .preempted:
            break
        }
    }

    /// The line of a log that says most, for people who look at the reason alone; empty if there is none. Swift's runtime prints
    /// what a program died of, and then where.
    private static func lastWords(of log: String) -> String {
        let lines = log.split(separator: "\n").filter { !$0.allSatisfy(\.isWhitespace) }
        let cause = lines.last { $0.contains("Fatal error: ") } ?? lines.last { $0.hasPrefix("*** Program crashed: ") }
        guard let line = cause ?? lines.last else { return "" }
        return "; its last words: “\(line.count > lastWordsAtMost ? "…" : "")\(line.suffix(lastWordsAtMost))”"
    }

    private static let lastWordsAtMost = 200

    /// On one worker alone it may be that worker's fault; on several it is the task's.
    private mutating func failAsExhausted(_ key: TaskKey, _ last: String, _ outcome: inout Outcome) {
        let (times, workers) = (tasks[key]!.childFailures, tasks[key]!.avoided.count)
        let name: FailureName = workers > 1 ? .quarantined : .failed
        let places = workers > 1 ? " on \(workers) workers" : ""
        fail(key, TaskFailure(name, "failed \(times) times\(places)\(last)"), &outcome)
    }
}

extension Coordinator.Task {
    mutating func count(_ end: AttemptEnd) {
        if end.isChildFailure { childFailures += 1 }
        if end.isLoss { losses += 1 }
    }
}
