import Lottery
import OrderedCollections

/// Which task goes to which worker.
///
/// Of the sweep whose turn it is (`Coordinator+Sweeps.swift`) the ready task of the highest priority goes first, to a
/// worker with a free slot that can compute it and has the memory left: to the one that held it last and may have its
/// resume file; else to one that has the most of the artifacts which it reads; else to the one with the most free slots
/// (of equals the lowest id). Where that worker has the inputs of another task of the same group and priority, it gets
/// that one instead, and the first goes next: so levels follow their parents, though slots become free one at a time,
/// and no slot waits for it. A worker on which the task's child failed gets it again only if there is no other: a task
/// waits rather than fail three times on the one machine that is always free because everything fails there. Data sets
/// are not considered: each worker pulls one once and keeps it. Nothing is sent ahead of a free slot: a queued task
/// would wait behind a long training while another worker stands idle, and a training takes far longer than the round
/// trip that is saved.
extension Coordinator {
    private enum Choice {
        case worker(WorkerID)
        /// It had better wait for a worker that is busy, or rests for a short while.
        case waits
        /// No free slot will do for any task that needs as much.
        case nobody
    }

    mutating func place(_ outcome: inout Outcome) {
        guard !isStopping, !isEnding, drain == nil, !isShortOfRoom else { return }
        endRestsIfNoneWorks(&outcome)
        // Few: a worker that fails them rests, so that at most a few at a time wait for another one.
        var waiting: [TaskKey] = []
        var blocked: Set<Int> = []
        while !free.isEmpty, let key = nextReady(except: blocked) {
            switch chooseWorker(for: key) {
            case .worker(let worker): giveOut(taskToGo(to: worker, insteadOf: key), to: worker, &outcome)
            case .waits:
                groups[tasks[key]!.group].ready.remove(key)
                waiting.append(key)
            case .nobody: blocked.insert(tasks[key]!.group)
            }
        }
        for key in waiting {
            groups[tasks[key]!.group].ready.set(key, rank: ReadyRank(of: tasks[key]!))
        }
    }

    /// Whether the worker could have it if it had nothing else.
    func canTake(_ session: Session, _ needs: Work.Needs) -> Bool {
        needs.memoryBytes <= session.memoryBytes ?? .max && computes(session, needs.numerics)
    }

    /// A worker that does not say what it computes counts as one that computes all.
    private func computes(_ session: Session, _ numerics: NumericsID?) -> Bool {
        session.numerics.isEmpty || numerics.map(session.numerics.contains) ?? true
    }

    /// The most memory that a worker which computes so has; nil if none computes so, or none of them says what it has.
    func largestMemory(computing numerics: NumericsID?) -> Int? {
        sessions.values.filter { computes($0, numerics) }.compactMap(\.memoryBytes).max()
    }

    /// What a worker must have for a task.
    func needs(of task: Task) -> Work.Needs { groups[task.group].name.needs }

    /// Whether it fits beside what the worker has.
    func fits(_ worker: WorkerID, _ needs: Work.Needs) -> Bool {
        guard let session = sessions[worker], canTake(session, needs) else { return false }
        guard needs.memoryBytes > 0, let memory = session.memoryBytes else { return true }
        return session.assigned.reduce(needs.memoryBytes) { $0 + self.needs(of: tasks[$1]!).memoryBytes } <= memory
    }

    private mutating func chooseWorker(for key: TaskKey) -> Choice {
        let task = tasks[key]!
        let needs = self.needs(of: task)
        func isUsable(_ worker: WorkerID) -> Bool {
            free.rank(of: worker) != nil && !task.avoided.contains(worker) && fits(worker, needs)
        }
        if let holder = task.lastHolder, isUsable(holder) { return .worker(holder) }
        if let holder = holdings.holders(of: inputsFromParents(of: key)).first(where: isUsable) {
            return .worker(holder)
        }
        if let first = free.first(), isUsable(first) { return .worker(first) }
        let fitting = free.elements.filter { fits($0.key, needs) }
        guard let best = fitting.max(by: { $0.value < $1.value }) else { return .nobody }
        let fresh = fitting.filter { !task.avoided.contains($0.key) }
        if let other = fresh.max(by: { $0.value < $1.value }) { return .worker(other.key) }
        // All that are free have failed it. One that rests for long is nobody to wait for.
        let able = sessions.values.filter { session in
            let rest = resting[session.worker].map { $0.since(latest) } ?? 0
            return session.isReachable && rest <= settings.restMilliseconds && canTake(session, needs)
        }
        return able.allSatisfy { task.avoided.contains($0.worker) } ? .worker(best.key) : .waits
    }

    /// A task of the same group and priority whose inputs the worker has, if `key` is not such a one itself.
    private mutating func taskToGo(to worker: WorkerID, insteadOf key: TaskKey) -> TaskKey {
        let task = tasks[key]!
        guard task.lastHolder == nil, !holdings.isNear(key, worker),
            let other = holdings.first(near: worker, of: task.group), groups[task.group].ready.rank(of: other) != nil,
            tasks[other]!.priority == task.priority, tasks[other]!.lastHolder == nil,
            !tasks[other]!.avoided.contains(worker)
        else { return key }
        return other
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
        guard case .success(var inputs) = resolveInputs(of: key) else {
            // Only a restored attempt can get here: its parents' results are not in the store.
            endAttempt(key, .released, &outcome)
            return settle(key, &outcome)
        }
        holdings.note(inputsFromParents(of: key), of: running.worker)
        if let checkpoint = checkpointToHandOut(of: key) {
            inputs.append(ResolvedInput(name: WorkInput.checkpoint, digest: checkpoint.digest))
        }
        sessions[running.worker]!.lastSequence += 1
        let sequence = sessions[running.worker]!.lastSequence
        tasks[key]!.running!.sequence = sequence
        tasks[key]!.running!.sentAt = latest
        if isRepeat { incidents.resentTasks += 1 }
        send(
            .task(Assignment(id: running.id, sequence: sequence, inputs: inputs)), to: route, &outcome)
    }
}
