import DequeModule
import Lottery
import OrderedCollections

/// Tasks and what they wait for.
extension Coordinator {
    /// New keys become tasks. A known key is a request to merge: a pending task that is not given out takes the new
    /// payload, inputs and cost and the higher priority; a failed one is tried anew; one that is running or done stays
    /// as it is, but for one that lacks an output by now which one of these reads.
    /// A sweep that was cancelled wants its tasks again.
    mutating func onTasksAdded(_ works: [Work], sweep: SweepID?, _ outcome: inout Outcome) {
        if let sweep { stand(sweep, &outcome) { $0.isCancelled = false } }
        var changed: OrderedSet<TaskKey> = []
        var revived: [TaskKey] = []
        // Parents may come after their children, and nobody's place is to go before its turn.
        var unlinked: [Work] = []
        func link(_ work: Work) {
            if tasks.hasParents(of: work) {
                tasks.setInputs(of: work.key, to: work.inputs)
            } else {
                unlinked.append(work)
            }
        }
        for work in works {
            let key = work.key
            switch tasks[key]?.phase {
            case nil:
                let task = Task(work, order: tasks.place(of: key), group: group(of: [], needing: work.needs))
                tasks[key] = task
                count(task.phase, by: 1)
                outcome.changes.append(.taskAdded(work))
                changed.append(key)
                link(work)
            case .running, .delivering:
                continue
            case .done:
                // Who reads it may come with a later part of the same submission.
                offered[key] = work
            case .failed:
                revive(key, &outcome)
                revived.append(key)
                if request(work, &outcome) { link(work) }
                changed.append(key)
            case .waiting, .ready:
                if request(work, &outcome) {
                    changed.append(key)
                    link(work)
                }
            }
        }
        if let sweep { want(works.map(\.key), by: sweep, &outcome) }
        for work in unlinked { tasks.setInputs(of: work.key, to: work.inputs) }
        for key in changed { reopenParents(of: key, &outcome) }
        for key in changed { settle(key, &outcome) }
        for key in revived { reviveDependents(of: key, &outcome) }
    }

    mutating func onSweepPlanned(_ sweep: SweepID, _ keys: [TaskKey], _ outcome: inout Outcome) {
        guard sweeps[sweep] != nil else { return }
        want(keys.filter { tasks[$0] != nil && !isDone($0) }, by: sweep, &outcome)
    }

    mutating func onSweepGrew(_ sweep: SweepID, _ works: [Work], _ outcome: inout Outcome) {
        guard let standing = sweeps[sweep]?.standing, !standing.isCancelled else { return }
        onTasksAdded(works.filter { tasks[$0.key]?.phase.hasFailed != true }, sweep: sweep, &outcome)
    }

    /// Replaces what is asked of a pending task, but for what it reads, which is the caller's. False if that is what it
    /// asks already.
    private mutating func request(_ work: Work, _ outcome: inout Outcome) -> Bool {
        let key = work.key
        let old = tasks[key]!
        var merged = work
        merged.priority = max(old.priority, work.priority)
        let asked = Work(
            key: key, inputs: tasks.inputs(of: key), cost: old.cost, priority: old.priority,
            needs: groups[old.group].name.needs, payload: Payload(stored: old.payload))
        guard merged != asked else { return false }
        // Until `settle` has looked at the new inputs it is not ready.
        let group = group(of: groups[old.group].sweeps, needing: merged.needs)
        update(key) {
            $0.cost = merged.cost
            $0.priority = merged.priority
            $0.payload = merged.payload.mark
            $0.group = group
            $0.missingParents = 1
        }
        outcome.changes.append(.taskRequested(merged))
        return true
    }

    /// Decides whether a pending task that is not given out waits, is ready, or can never run.
    mutating func settle(_ key: TaskKey, _ outcome: inout Outcome) {
        guard let task = tasks[key], task.settled == nil else { return }
        guard task.running == nil else {
            // A restored attempt: what its parents came to was seen when it was given out.
            return update(key) { $0.missingParents = 0 }
        }
        if let reason = Coordinator.objection(to: tasks.inputs(of: key), task.payload) {
            return fail(key, TaskFailure(.failed, reason), &outcome)
        }
        var missing = 0
        for parent in tasks.parents(of: key) {
            switch tasks[parent]?.settled {
            case .done: break
            case .failed(let failure): return fail(key, failure.inherited(from: parent), &outcome)
            case nil:
                guard tasks[parent] != nil else {
                    let reason = "waits for \(parent), which nobody submitted; submit the sweep again"
                    return fail(key, TaskFailure(.failed, reason), &outcome)
                }
                missing += 1
            }
        }
        if missing == 0, case .failure(let absent) = resolveInputs(of: key) {
            return fail(key, TaskFailure(.failed, absent.reason), &outcome)
        }
        update(key) { $0.missingParents = missing }
    }

    /// Why a task can never be sent, or nil.
    private static func objection(to inputs: [WorkInput], _ payload: PayloadMark) -> String? {
        if payload.byteCount > Limits.payloadBytes {
            return "its description of \(payload.byteCount) bytes is above the limit of \(Limits.payloadBytes)"
        }
        if inputs.count > Limits.inputsPerTask {
            return "its \(inputs.count) inputs are above the limit of \(Limits.inputsPerTask)"
        }
        if inputs.contains(where: { $0.name == WorkInput.checkpoint }) {
            return "its input “\(WorkInput.checkpoint)” has the name by which a saved checkpoint is handed over"
        }
        return inputs.first { $0.name.utf8.count > Limits.nameBytes }
            .map { "the name of its input “\($0.name)” is longer than \(Limits.nameBytes) bytes" }
    }

    /// The digests of those inputs that other tasks have left. (Data sets are everywhere.)
    func inputsFromParents(of key: TaskKey) -> [Digest] {
        tasks.inputs(of: key).compactMap { input in
            guard case .output(let parent, let name) = input.source else { return nil }
            return tasks.output(name, of: parent)
        }
    }

    /// An input that its parent did not leave.
    struct AbsentInput: Error {
        var reason: String
    }

    /// The content of the inputs of a task whose parents are done.
    func resolveInputs(of key: TaskKey) -> Result<[ResolvedInput], AbsentInput> {
        var inputs: [ResolvedInput] = []
        for input in tasks.inputs(of: key) {
            switch input.source {
            case .blob(let digest): inputs.append(ResolvedInput(name: input.name, digest: digest))
            case .output(let parent, let name):
                guard let digest = tasks.output(name, of: parent) else {
                    return .failure(
                        AbsentInput(
                            reason:
                                "its input “\(name)” was not kept by \(parent); submit the sweep again to have it made")
                    )
                }
                inputs.append(ResolvedInput(name: input.name, digest: digest))
            }
        }
        return .success(inputs)
    }

    /// Gives up a pending task that is not given out, and everything that waits for it. (What waits for a task that is
    /// done again may run meanwhile.)
    mutating func fail(_ key: TaskKey, _ failure: TaskFailure, _ outcome: inout Outcome) {
        precondition(tasks[key]!.running == nil, "task \(key) fails while an attempt runs")
        let origin = key
        var pending: Deque = [(key: key, failure: failure)]
        while let (key, failure) = pending.popFirst() {
            guard tasks[key]!.settled == nil else { continue }
            if key != origin {
                if let running = tasks[key]!.running { revoke(key, running, &outcome) }
                discardClaims(of: key, &outcome)
            }
            update(key) { $0.settled = .failed(failure) }
            outcome.changes.append(.taskFailed(key, failure))
            forgetCheckpoint(of: key, &outcome)
            let passedOn = failure.inherited(from: key)
            pending.append(contentsOf: tasks.dependents(of: key).map { (key: $0, failure: passedOn) })
        }
    }

    /// Makes a failed task pending again; `settle` says what it waits for.
    mutating func revive(_ key: TaskKey, _ outcome: inout Outcome) {
        update(key) {
            $0.settled = nil
            $0.childFailures = 0
            $0.losses = 0
            $0.avoided = []
            $0.missingParents = 1
        }
        outcome.changes.append(.taskRevived(key))
    }

    /// Revives the tasks that failed only because this one had, generation by generation.
    ///
    /// One that was cancelled by itself stays so.
    mutating func reviveDependents(of key: TaskKey, _ outcome: inout Outcome) {
        var pending = Deque(tasks.dependents(of: key))
        while let dependent = pending.popFirst() {
            guard case .failed(let failure) = tasks[dependent]!.settled, failure.isInherited,
                !hasFailedParent(dependent)
            else { continue }
            revive(dependent, &outcome)
            settle(dependent, &outcome)
            pending.append(contentsOf: tasks.dependents(of: dependent))
        }
    }

    func hasFailedParent(_ key: TaskKey) -> Bool {
        tasks.parents(of: key).contains { parent in
            guard let parent = tasks[parent] else { return true }
            return parent.phase.hasFailed
        }
    }

    /// The task has its result. Other claims on it are compared, a running attempt is taken back, dependents go on.
    mutating func complete(_ key: TaskKey, with claim: Claim, _ outcome: inout Outcome) {
        if let running = tasks[key]!.running { revoke(key, running, &outcome) }
        let wasFailed = tasks[key]!.phase.hasFailed
        let others = tasks[key]!.claims.filter { $0.reference != claim.reference }
        for claim in tasks[key]!.claims { forget(claim, &outcome) }
        let kept = tasks.keep(claim.result, by: claim.id)
        update(key) {
            $0.settled = .done(kept)
            $0.forgetHolders()
        }
        outcome.changes.append(.taskDone(key, attempt: claim.id, claim.result))
        if sessions[claim.worker] != nil { holdings.note(claim.result.outputs.map(\.digest), of: claim.worker) }
        forgetCheckpoint(of: key, &outcome)
        acknowledge(claim.id, .accepted, to: claim.route, &outcome)
        for other in others {
            compare(other.result, id: other.id, worker: other.worker, &outcome)
            acknowledge(other.id, .discarded, to: other.route, &outcome)
        }
        for dependent in tasks.dependents(of: key) { settle(dependent, &outcome) }
        if wasFailed { reviveDependents(of: key, &outcome) }
    }
}

extension TaskFailure {
    /// That of a task which waits for `parent`: it names the task at fault, however many generations lie between.
    func inherited(from parent: TaskKey) -> TaskFailure {
        let verb = name == .failed ? "which failed" : "which is \(name)"
        return isInherited ? self : TaskFailure(name, "\(TaskFailure.inheritance)\(parent), \(verb): \(reason)")
    }
}
