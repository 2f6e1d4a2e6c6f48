import Lottery
import OrderedCollections

/// Which task goes to which worker.
///
/// Of the sweep whose turn it is (`Coordinator+Sweeps.swift`) the ready task of the highest priority goes first, to a worker
/// with a free slot: to the one that held it last and may have its resume file; else to one that finished a parent and so has an input already; else to the one with the
/// most free slots (of equals the lowest id). A worker on which the task's child failed gets it again only if there is no
/// other: a task waits rather than fail three times on the one machine that is always free because everything fails
/// there. Data sets are not considered: each worker pulls one once and keeps it. Nothing is sent ahead of a free slot: a queued task would wait
/// behind a long training while another worker stands idle, and a training takes far longer than the round trip that is
/// saved.
extension Coordinator {
    mutating func place(_ outcome: inout Outcome) {
        guard !isStopping, !isDraining, !isShortOfRoom else { return }
        endRestsIfNoneWorks()
        // Few: a worker that fails them rests, so that at most a few at a time wait for another one.
        var waiting: [TaskKey] = []
        var reachable: Int?
        while !free.isEmpty, let key = nextReady() {
            if let worker = chooseWorker(for: tasks[key]!, &reachable) {
                giveOut(key, to: worker, &outcome)
            } else {
                groups[tasks[key]!.group].ready.remove(key)
                waiting.append(key)
            }
        }
        for key in waiting {
            groups[tasks[key]!.group].ready.set(key, rank: ReadyRank(of: tasks[key]!))
        }
    }

    /// Nil if it had better wait for a worker that is busy or rests.
    /// - Parameter reachable: how many workers there are to wait for; counted once a turn, if at all.
    private mutating func chooseWorker(for task: Task, _ reachable: inout Int?) -> WorkerID? {
        func isUsable(_ worker: WorkerID) -> Bool { free.rank(of: worker) != nil && !task.avoided.contains(worker) }
        if let holder = task.lastHolder, isUsable(holder) { return holder }
        for parent in task.parents {
            if case .done(_, _, let finisher?) = tasks[parent]?.settled, isUsable(finisher) { return finisher }
        }
        // Set the avoided ones aside for a moment to see who else is free. They are few: a task fails after a few
        // failures.
        let aside = task.avoided.filter { free.rank(of: $0) != nil }
        for worker in aside { free.remove(worker) }
        let other = free.first()
        for worker in aside { rankFree(worker) }
        if let other { return other }
        if reachable == nil { reachable = sessions.values.count(where: \.isReachable) }
        // All that are free have failed it.
        return task.avoided.count { sessions[$0]?.isReachable == true } < reachable! ? nil : free.first()
    }

    private mutating func giveOut(_ key: TaskKey, to worker: WorkerID, _ outcome: inout Outcome) {
        let id = AttemptID(task: key, attempt: Attempt(tasks[key]!.attempts + 1), generation: generation)
        let running = Running(
            id: id, worker: worker, sequence: 0, sentAt: latest, startedAt: latest, step: 0, steppedAt: latest)
        update(key) {
            $0.attempts += 1
            $0.lastHolder = worker
            $0.running = running
        }
        sessions[worker]!.assigned.insert(key)
        rankFree(worker)
        // Durable with this outcome, and so before TASK is sent.
        outcome.changes.append(.attemptStarted(id, worker: worker))
        sendTask(key, isRepeat: false, &outcome)
        expect(latest.advanced(byMilliseconds: settings.stallMilliseconds))
    }

    /// Sends TASK, for the first time or again, under the session's next sequence number.
    mutating func sendTask(_ key: TaskKey, isRepeat: Bool, _ outcome: inout Outcome) {
        let task = tasks[key]!
        let running = task.running!
        guard let route = sessions[running.worker]?.route else { return }
        guard case .success(var inputs) = resolveInputs(of: task.work) else {
            // Only a restored attempt can get here: its parents' results are not in the store.
            endAttempt(key, .released, &outcome)
            return settle(key, &outcome)
        }
        if let checkpoint = checkpointToHandOut(of: key) {
            inputs.append(ResolvedInput(name: WorkInput.checkpoint, digest: checkpoint.digest))
        }
        sessions[running.worker]!.lastSequence += 1
        let sequence = sessions[running.worker]!.lastSequence
        tasks[key]!.running!.sequence = sequence
        tasks[key]!.running!.sentAt = latest
        if isRepeat { incidents.resentTasks += 1 }
        send(
            .task(Assignment(id: running.id, sequence: sequence, inputs: inputs, payload: task.work.payload)),
            to: route, &outcome)
    }
}
