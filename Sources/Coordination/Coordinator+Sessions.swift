import Lottery
import OrderedCollections

/// Workers and whether they live.
extension Coordinator {
    /// A higher counter of the same process supersedes its session's connection; another process of the same name ends
    /// the old one at once, keeping what its outbox announces. What the worker still runs is adopted unless another
    /// holds it by now.
    mutating func onHello(_ hello: Hello, from route: RouteID, _ outcome: inout Outcome) {
        guard !isStopping else { return send(.shutdown, to: route, &outcome) }
        let worker = hello.worker
        let announced = Set(hello.running.map(\.id) + hello.finished)
        if let session = sessions[worker] {
            if session.incarnation == hello.incarnation {
                // A late frame of a connection that was given up since.
                guard hello.counter > session.counter else { return }
                outcome.notices.append(.workerReturned(worker, host: hello.host))
            } else {
                if let place = replaced[worker]?.firstIndex(where: { $0.incarnation == hello.incarnation }) {
                    guard !session.isProvenAlive else {
                        return refuse(
                            worker,
                            "another worker process calls itself “\(worker)” (on \(session.host), process \(session.processID)); "
                                + "give each worker a directory or name of its own", route, &outcome)
                    }
                    // Perhaps a late frame of a process that is gone. One that lives says it again.
                    guard let heard = replaced[worker]![place].counter, hello.counter > heard else {
                        replaced[worker]![place].counter = max(hello.counter, replaced[worker]![place].counter ?? 0)
                        return
                    }
                }
                replace(session, announced: announced, &outcome)
                outcome.notices.append(.workerReturned(worker, host: hello.host))
            }
        } else {
            guard sessions.count < Limits.workers else {
                return refuse(worker, "the coordinator has its \(Limits.workers) workers already", route, &outcome)
            }
            dropClaims(of: worker, .lost, keeping: announced, &outcome)
            outcome.notices.append(.workerJoined(worker, host: hello.host, slots: hello.slots))
        }
        bind(hello, to: route, &outcome)
        send(
            .welcome(
                Welcome(
                    store: store, generation: generation, blobEndpointPort: settings.blobEndpointPort,
                    beatMilliseconds: settings.beatMilliseconds, sessionMilliseconds: settings.sessionMilliseconds)),
            to: route, &outcome)
        adopt(hello, announced: announced, &outcome)
        rankFree(worker)
    }

    private mutating func refuse(_ worker: WorkerID, _ reason: String, _ route: RouteID, _ outcome: inout Outcome) {
        outcome.notices.append(.workerRefused(worker, reason: reason))
        send(.refused(reason: reason), to: route, &outcome)
    }

    /// Ends a process's session in favour of a newer process of the same name.
    private mutating func replace(_ session: Session, announced: Set<AttemptID>, _ outcome: inout Outcome) {
        replaced[session.worker, default: []].removeAll { $0.incarnation == session.incarnation }
        replaced[session.worker]!.append(ReplacedProcess(incarnation: session.incarnation))
        // More than a few processes of one name at a time is beyond any mistake.
        if replaced[session.worker]!.count > 8 { replaced[session.worker]!.removeFirst() }
        for key in session.assigned.sorted() {
            // The end of one may have been that of others.
            guard let running = tasks[key]!.running, !announced.contains(running.id) else { continue }
            endAttempt(key, .lost, &outcome)
        }
        dropClaims(of: session.worker, .lost, keeping: announced, &outcome)
        dropUploads(of: session.worker, &outcome)
    }

    private mutating func bind(_ hello: Hello, to route: RouteID, _ outcome: inout Outcome) {
        let slots = min(max(hello.slots, 0), Limits.slotsPerWorker)
        // A route that another name used before is this worker's now: one connection has one worker.
        if let other = routes[route], other != hello.worker {
            sessions[other]!.route = nil
            rankFree(other)
        }
        if let old = sessions[hello.worker], let oldRoute = old.route { routes[oldRoute] = nil }
        var session =
            sessions[hello.worker]
            ?? Session(
                worker: hello.worker, incarnation: hello.incarnation, counter: hello.counter, slots: slots,
                host: hello.host,
                processID: hello.processID, route: route, lastHeard: latest)
        if session.incarnation != hello.incarnation {
            session.beats = 0
            session.lastSequence = 0
            session.failedTasks = []
            session.givenBack = []
            session.stalled = []
        }
        // A process that is new may be sound.
        if let quarantine = quarantines[hello.worker], quarantine.incarnation != hello.incarnation {
            forgetQuarantine(of: hello.worker, &outcome)
        }
        session.incarnation = hello.incarnation
        session.counter = hello.counter
        session.slots = slots
        session.host = hello.host
        session.processID = hello.processID
        session.memoryBytes = hello.memoryBytes
        session.numerics = hello.numerics
        holdings.note(hello.datasets, of: hello.worker)
        session.route = route
        session.lastHeard = latest
        sessions[hello.worker] = session
        routes[route] = hello.worker
        expect(latest.advanced(byMilliseconds: settings.sessionMilliseconds))
    }

    private mutating func adopt(_ hello: Hello, announced: Set<AttemptID>, _ outcome: inout Outcome) {
        let worker = hello.worker
        for held in hello.running {
            guard let task = tasks[held.id.task], !sessions[worker]!.givenBack.contains(held.id) else { continue }
            if let running = task.running {
                // If the task was given to another meanwhile, the holder keeps it; the first beat revokes the returner.
                guard running.id == held.id, running.worker == worker else { continue }
                if running.isOrphan { adoptOrphan(held.id.task) }
                note(step: held.step, of: held.id.task)
            } else if wouldReadopt(held.id) {
                readopt(held, by: worker, &outcome)
            }
        }
        // Finished ones stay until their results come, which is next.
        for key in (orphans[worker] ?? []).sorted() {
            if announced.contains(tasks[key]!.running!.id) {
                adoptOrphan(key)
            } else {
                endAttempt(key, .released, &outcome)
            }
        }
        for key in sessions[worker]!.assigned.sorted() {
            // What cannot be sent any more takes along what waits for it.
            guard let running = tasks[key]!.running, !announced.contains(running.id) else { continue }
            sendTask(key, isRepeat: true, &outcome)
        }
    }

    private mutating func adoptOrphan(_ key: TaskKey) {
        let worker = tasks[key]!.running!.worker
        orphans[worker]!.remove(key)
        if orphans[worker]!.isEmpty { orphans[worker] = nil }
        tasks[key]!.running!.isOrphan = false
        tasks[key]!.running!.startedAt = latest
        tasks[key]!.running!.steppedAt = latest
        sessions[worker]!.assigned.insert(key)
        expect(latest.advanced(byMilliseconds: settings.stallMilliseconds))
    }

    /// Notes how far a running attempt is. Its first step ends the longer time that it has to begin.
    private mutating func note(step: Int, of key: TaskKey) {
        tasks[key]!.running!.step = step
        tasks[key]!.running!.steppedAt = latest
        expect(latest.advanced(byMilliseconds: settings.stallMilliseconds))
    }

    /// Whether an attempt that a worker says it runs would be taken back though it is not the one that runs.
    public func wouldReadopt(_ id: AttemptID) -> Bool {
        tasks[id.task]?.phase == .ready && id.attempt.number <= Limits.attemptsReadopted
    }

    /// The attempt was given up for lost, nobody has the task, and here its worker is back with it: its training is not
    /// wasted.
    private mutating func readopt(_ held: RunningAttempt, by worker: WorkerID, _ outcome: inout Outcome) {
        let key = held.id.task
        let now = latest
        update(key) {
            $0.attempts = max($0.attempts, held.id.attempt.number)
            $0.running = Running(
                id: held.id, worker: worker, sequence: 0, sentAt: now, startedAt: now, step: held.step, steppedAt: now,
                isReadopted: true)
            $0.lastHolder = worker
        }
        sessions[worker]!.assigned.insert(key)
        expect(latest.advanced(byMilliseconds: settings.stallMilliseconds))
        outcome.changes.append(.attemptStarted(held.id, worker: worker))
    }

    /// Everything the worker holds: what is assigned but absent is sent again, what is held but not assigned is
    /// revoked.
    mutating func onBeat(_ beat: Beat, from route: RouteID, _ outcome: inout Outcome) {
        guard routes[route] == beat.worker, sessions[beat.worker]!.incarnation == beat.incarnation else {
            return sayHello(to: route, &outcome)
        }
        let worker = beat.worker
        sessions[worker]!.lastHeard = latest
        sessions[worker]!.beats += 1
        sessions[worker]!.slots = min(max(beat.slots, 0), Limits.slotsPerWorker)
        let steps = Dictionary(beat.holding.map { ($0.id, $0.step) }, uniquingKeysWith: max)
        for key in sessions[worker]!.assigned.sorted() {
            guard let running = tasks[key]!.running else { continue }
            if let step = steps[running.id] {
                guard step != running.step else { continue }
                note(step: step, of: key)
            } else if running.sequence <= beat.lastSequence || latest.since(running.sentAt) >= settings.beatMilliseconds
            {
                // A TASK with a higher number that was sent just now is on its way.
                sendTask(key, isRepeat: true, &outcome)
            }
        }
        let revoked = beat.holding.map(\.id).filter { id in
            guard let running = tasks[id.task]?.running else { return true }
            return running.id != id || running.worker != worker
        }
        sessions[worker]!.stalled.formIntersection(revoked)
        let stalled = revoked.filter(sessions[worker]!.stalled.contains)
        send(
            .beatAck(BeatAck(store: store, generation: generation, revoked: revoked, stalled: stalled)), to: route,
            &outcome)
        if let drain, drain.isAtOnce, beat.slots > 0 { send(.drain, to: route, &outcome) }
        rankFree(worker)
    }

    /// Any traffic of a session is life; a frame without a session is answered SAY_HELLO.
    mutating func hear(_ worker: WorkerID, from route: RouteID, _ outcome: inout Outcome) {
        if routes[route] == worker {
            sessions[worker]!.lastHeard = latest
        } else {
            sayHello(to: route, &outcome)
        }
    }

    private mutating func sayHello(to route: RouteID, _ outcome: inout Outcome) {
        incidents.sayHellos += 1
        send(.sayHello, to: route, &outcome)
    }

    /// Goodbye of another connection than the session's is an older process's, and ends nothing.
    mutating func onGoodbye(_ worker: WorkerID, from route: RouteID, _ outcome: inout Outcome) {
        guard routes[route] == worker else { return }
        outcome.notices.append(.workerLeft(worker))
        endSession(worker, .preempted, &outcome)
    }

    /// Nobody is at the end of a connection. Its worker will make a new one, or fall silent.
    mutating func onUnreachable(_ route: RouteID) {
        guard let worker = routes.removeValue(forKey: route) else { return }
        sessions[worker]!.route = nil
        rankFree(worker)
    }

    /// What its worker holds may be given to others at once, and what it has announced does not count.
    mutating func onExpelled(_ route: RouteID, _ outcome: inout Outcome) {
        guard let worker = routes[route] else { return }
        outcome.notices.append(.workerLost(worker, reason: "its key is not authorised any more"))
        endSession(worker, .released, &outcome)
    }

    /// Whether a worker's session is at the end of the route.
    public func hasSession(_ route: RouteID) -> Bool { routes[route] != nil }

    mutating func endSession(_ worker: WorkerID, _ end: AttemptEnd, _ outcome: inout Outcome) {
        // The end of one may be that of others, which wait for it.
        for key in sessions[worker]!.assigned.sorted() where tasks[key]!.running != nil {
            endAttempt(key, end, &outcome)
        }
        if let route = sessions[worker]!.route { routes[route] = nil }
        sessions[worker] = nil
        // A process that rests may only have been silent for a while, and goes on with its rest when it comes back.
        if end != .lost || resting[worker] == nil { forgetQuarantine(of: worker, &outcome) }
        replaced[worker] = nil
        free.remove(worker)
        holdings.forget(worker)
        dropClaims(of: worker, end, keeping: [], &outcome)
        dropUploads(of: worker, &outcome)
    }

    private mutating func dropClaims(
        of worker: WorkerID, _ end: AttemptEnd, keeping: Set<AttemptID>, _ outcome: inout Outcome
    ) {
        for reference in (claims[worker] ?? []).sorted(by: { $0.id < $1.id }) where !keeping.contains(reference.id) {
            drop(reference, end, &outcome)
        }
    }

    mutating func onStopWorkers(_ outcome: inout Outcome) {
        isStopping = true
        for session in sessions.values.sorted(by: { $0.worker < $1.worker }) {
            if let route = session.route { send(.shutdown, to: route, &outcome) }
        }
    }

    mutating func rankFree(_ worker: WorkerID) {
        guard let session = sessions[worker], session.free > 0, resting[worker] == nil else {
            return free.remove(worker)
        }
        free.set(worker, rank: FreeRank(free: session.free, worker: worker))
    }

    mutating func send(_ message: CoordinatorMessage, to route: RouteID, _ outcome: inout Outcome) {
        outcome.messages.append(Envelope(to: route, message: message))
    }
}
