import Coordination
import Lottery
import OrderedCollections
import Wire

/// The coordinator's process, while it runs, and what its sockets hold.
struct CoordinatorHost: Sendable {
    /// Nil while it is down.
    var value: Coordinator?
    /// Rises with each start and each end.
    var life = 0
    var clock: ProcessClock?
    var isPaused = false
    var pausedAt: Int64 = 0
    /// For how long its loop has not read, though it should have.
    var heldUp: Int64 = 0
    /// When its loop takes the next turn; turns entered for other times are void.
    var turnsAt: Int64?
    var wakeUpAt: Instant?
    var inbox: [(route: RouteID, frames: [[UInt8]])] = []
    var blobInbox: [(route: RouteID, frames: [[UInt8]])] = []
    /// Connections that workers with a key have spoken on.
    var senders: Set<RouteID> = []
    /// The allow-list has changed.
    var rereadsKeys = false
    /// Outlives the process: the person's wish to submit.
    var submissions = 0
    /// Likewise.
    var orders: [SimulatedOrder] = []
    /// What is taken on piece by piece, one after the other.
    var arrivals: [Arrival] = []
    var growth = SimulatedGrowth()

    // The blob thread.
    var blobRoutes: [WorkerID: RouteID] = [:]
    var pulls: OrderedDictionary<Digest, Pull> = [:]
    /// The same blob from another worker.
    var waitingPulls: [BlobPull] = []
    var blobEvents: [Coordinator.Event] = []

    struct Pull: Sendable {
        var download: SimulatedDownload
        var pull: BlobPull
        var isGone = false
    }
}

/// The shell around the coordinator value.
extension Cluster {
    enum Interruption: Error {
        case death
        case violation(Violation)
    }

    mutating func startCoordinator() throws(Violation) {
        guard coordinator.value == nil else { return }
        try checker.restarted(on: store)
        coordinator.life += 1
        let clock = ProcessClock(startedAt: now, random: &random)
        store.sweepCheckpoints()
        var snapshot = store.snapshot
        if bug == .forgetsAttempts {
            for index in snapshot.tasks.indices { snapshot.tasks[index].attempts = 0 }
        }
        if bug == .forgetsPauses {
            for index in snapshot.sweeps.indices { snapshot.sweeps[index].isPaused = false }
        }
        if bug == .forgetsStop { snapshot.drain = nil }
        if bug == .forgetsQuarantines { snapshot.quarantines = [:] }
        coordinator.clock = clock
        coordinator.value = Coordinator(
            restoring: snapshot, generation: Generation(nonce: random.next()), settings: settings,
            at: clock.instant(at: now))
        coordinator.value!.checkInvariants()
        coordinator.rereadsKeys = true
        goOnWithSweeps()
        // What restoring decided goes out with the first event.
        coordinator.wakeUpAt = clock.instant(at: now)
        trace.note(now, "coordinator starts with \(store.records.count) tasks")
        callCoordinator()
    }

    /// It comes back after a while, as under a supervisor.
    mutating func killCoordinator() {
        guard coordinator.value != nil else { return }
        trace.note(now, "coordinator dies")
        var (submissions, orders) = (coordinator.submissions, coordinator.orders)
        // Who waits for the answer to submissions that have begun may be gone with the connection.
        if !store.incomplete.isEmpty, sweeps.allSatisfy({ store.sweeps[$0.id] != nil }),
            scenario?.isSubmittedOnce == true || random.chance(0.5)
        {
            submissions = 0
        }
        coordinator = CoordinatorHost(life: coordinator.life + 1)
        (coordinator.submissions, coordinator.orders) = (submissions, orders)
        let longest: Int64 = areFaultsOver ? 1_000 : random.element(of: [100, 10_000, 90_000])
        timetable.enter(.coordinatorStarts, at: now + 1 + random.below(longest))
    }

    mutating func resumeCoordinator() {
        guard coordinator.isPaused else { return }
        coordinator.isPaused = false
        coordinator.heldUp += now - coordinator.pausedAt
        callCoordinator()
    }

    /// Sees to it that the loop takes a turn soon.
    mutating func callCoordinator() { scheduleCoordinator(at: now + random.below(Int64(3))) }

    private mutating func scheduleCoordinator(at time: Int64) {
        guard coordinator.value != nil, !coordinator.isPaused, time < coordinator.turnsAt ?? .max else { return }
        coordinator.turnsAt = time
        timetable.enter(.coordinatorTurns(life: coordinator.life, at: time), at: time)
    }

    mutating func receive(_ frames: [[UInt8]], from route: RouteID) {
        guard coordinator.value != nil else { return }
        coordinator.inbox.append((route: route, frames: frames))
        callCoordinator()
    }

    /// One turn of the loop: handle every frame, commit, send.
    mutating func turnCoordinator() throws(Violation) {
        coordinator.turnsAt = nil
        guard coordinator.value != nil, !coordinator.isPaused else { return }
        do throws(Interruption) {
            var batch = Coordinator.Outcome()
            if coordinator.heldUp > settings.loopStallMilliseconds {
                apply(.loopStalled(milliseconds: coordinator.heldUp), &batch)
            }
            coordinator.heldUp = 0
            expelRevoked(&batch)
            let inbox = coordinator.inbox
            coordinator.inbox = []
            for (route, frames) in inbox {
                if revoked.contains(WorkerHost.index(of: route)), bug != .keepsExpelled {
                    refuse(route, &batch)
                    continue
                }
                coordinator.senders.insert(route)
                // What cannot be read is dropped, as the service does.
                guard case .worker(let message)? = try? Wire.decodeRequest(frames) else { continue }
                if case .result(let report) = message { checker.resultCame(report.id) }
                apply(.worker(route, marred(message)), &batch)
            }
            try turnBlobServer()
            let events = coordinator.blobEvents
            coordinator.blobEvents = []
            for event in events { apply(event, &batch) }
            try flush(&batch)
            try takeOnArrivals(&batch)
            while coordinator.arrivals.isEmpty, let order = coordinator.orders.first {
                apply(order.event(for: store), &batch)
                try flush(&batch)
                coordinator.orders.removeFirst()
            }
            if bug != .neverWakes, let wakeUpAt = coordinator.wakeUpAt, wakeUpAt <= instant { apply(.wake, &batch) }
            try flush(&batch)
            tendGrowth()
            if isDrained {
                apply(.drainEnded, &batch)
                try flush(&batch)
                throw .death
            }
        } catch {
            switch error {
            case .death: return killCoordinator()
            case .violation(let violation): throw violation
            }
        }
        coordinator.value!.checkInvariants()
        try checker.counted(coordinator.value!.status.counts, in: store)
        let downloads = coordinator.pulls.values.compactMap(\.download.wakeUpAt)
        let wakeUpAt = bug == .neverWakes ? nil : coordinator.wakeUpAt
        for wakeUpAt in [wakeUpAt, downloads.min()].compactMap({ $0 }) {
            // Never at once again: a deadline that is passed was just looked at.
            scheduleCoordinator(at: max(now + 1, coordinator.clock!.time(of: wakeUpAt, from: now)))
        }
        if !(coordinator.blobEvents.isEmpty && coordinator.arrivals.isEmpty) { callCoordinator() }
    }

    /// Workers whose key was revoked are told, and lose what they hold.
    private mutating func expelRevoked(_ batch: inout Coordinator.Outcome) {
        guard coordinator.rereadsKeys else { return }
        coordinator.rereadsKeys = false
        for index in revoked { checker.expelled.insert(workers[index].id) }
        // A session may be of a process that is gone, whose successor has another connection.
        coordinator.senders = coordinator.senders.filter { coordinator.value!.hasSession($0) }
        guard bug != .keepsExpelled else { return }
        for route in coordinator.senders.sorted() where revoked.contains(WorkerHost.index(of: route)) {
            refuse(route, &batch)
        }
    }

    private mutating func refuse(_ route: RouteID, _ batch: inout Coordinator.Outcome) {
        let host = WorkerHost.index(of: route)
        send(
            { .toWorker(host, route, $0) }, Wire.encodeRefusal(reason: "its key is not authorised any more"),
            machine: host, name: "REFUSED to worker-\(host)")
        apply(.expelled(route), &batch)
    }

    /// Whether it was told to end, and nothing runs any more.
    private var isDrained: Bool {
        let counts = coordinator.value!.counts
        return coordinator.value!.drain != nil && counts.running + counts.delivering == 0
    }

    private var instant: Instant { coordinator.clock!.instant(at: now) }

    mutating func apply(_ event: Coordinator.Event, _ batch: inout Coordinator.Outcome) {
        let outcome = coordinator.value!.handle(event, at: instant)
        batch.changes += outcome.changes
        batch.messages += outcome.messages
        batch.pulls += outcome.pulls
        batch.droppedPulls += outcome.droppedPulls
        batch.staleCheckpoints += outcome.staleCheckpoints
        coordinator.wakeUpAt = outcome.wakeUpAt
    }

    /// A chance to die between two steps.
    private mutating func mayDie() throws(Interruption) {
        if !areFaultsOver, random.chance(faults.coordinatorDeath) { throw .death }
    }

    /// - Parameter mark: what is to be durable together with the changes.
    mutating func flush(_ batch: inout Coordinator.Outcome, _ mark: SubmissionMark? = nil) throws(Interruption) {
        var mark = mark
        while !(mark == nil && batch.changes.isEmpty && batch.messages.isEmpty && batch.pulls.isEmpty
            && batch.droppedPulls.isEmpty
            && batch.staleCheckpoints.isEmpty)
        {
            let current = batch
            batch = Coordinator.Outcome()
            if bug == .sendsBeforeCommit { try sendAll(current.messages, &batch) }
            try mayDie()
            try commit(current.changes, mark)
            mark = nil
            try mayDie()
            for pull in current.droppedPulls { drop(pull) }
            for digest in current.staleCheckpoints { store.removeCheckpoint(digest) }
            for pull in current.pulls { begin(pull) }
            if bug != .sendsBeforeCommit { try sendAll(current.messages, &batch) }
        }
    }

    private mutating func commit(_ changes: [Change], _ mark: SubmissionMark?) throws(Interruption) {
        var changes = changes
        if bug == .losesEndings {
            changes.removeAll { if case .attemptEnded = $0 { true } else { false } }
        }
        // A commit that fails sends nothing and ends the process.
        let before = store.records
        do { try store.commit(changes, mark) } catch {
            trace.note(now, "the commit fails")
            throw .death
        }
        store.removeUnnamed(after: changes, before)
        noteGrowth(changes)
        for change in changes { trace.note(now, "committed: \(Trace.text(of: change))") }
        do { try checker.committed(changes, to: store) } catch { throw .violation(error) }
    }

    private mutating func sendAll(
        _ messages: [Envelope], _ batch: inout Coordinator.Outcome
    ) throws(Interruption) {
        var lost: Set<RouteID> = []
        for envelope in messages where !lost.contains(envelope.to) {
            try mayDie()
            do { try checker.sent(envelope, by: store) } catch { throw .violation(error) }
            let host = WorkerHost.index(of: envelope.to)
            let isThere = workers[host].controlRoute == envelope.to && workers[host].value != nil
            // ZeroMQ often knows that nobody is there, and sometimes does not know yet.
            if !isThere, random.chance(0.7) {
                lost.insert(envelope.to)
            } else {
                let to = envelope.to
                trace.note(now, "to \(workers[host].id): \(Trace.text(of: envelope.message))")
                send(
                    { .toWorker(host, to, $0) }, Wire.encode(marred(withPayload(envelope.message))), machine: host,
                    name: "\(Trace.text(of: envelope.message)) to worker-\(host)")
            }
        }
        for route in lost.sorted() { apply(.unreachable(route), &batch) }
    }

    /// Only the store knows what slots are to do.
    private func withPayload(_ message: CoordinatorMessage) -> CoordinatorMessage {
        guard case .task(var assignment) = message, bug != .sendsNoPayload else { return message }
        assignment.payload = store.payload(of: assignment.id.task)
        return .task(assignment)
    }

    private func marred(_ message: CoordinatorMessage) -> CoordinatorMessage {
        guard bug == .forgetsCheckpoints, case .task(var assignment) = message else { return message }
        assignment.inputs.removeAll { $0.name == WorkInput.checkpoint }
        return .task(assignment)
    }

    private func marred(_ message: WorkerMessage) -> WorkerMessage {
        guard bug == .ignoresMemory, case .hello(var hello) = message else { return message }
        hello.memoryBytes = nil
        return .hello(hello)
    }

    // MARK: - Blobs

    mutating func receiveBlob(_ frames: [[UInt8]], from route: RouteID) {
        guard coordinator.value != nil else { return }
        coordinator.blobInbox.append((route: route, frames: frames))
        callCoordinator()
    }

    private mutating func begin(_ pull: BlobPull) {
        if store.has(pull.digest, as: pull.kind) || bug == .countsBeforeBlobs {
            coordinator.blobEvents.append(.blobStored(pull.digest, kind: pull.kind))
        } else if coordinator.pulls[pull.digest] != nil {
            coordinator.waitingPulls.append(pull)
        } else {
            var download = SimulatedDownload(pull.digest, byteCount: pull.byteCount)
            let requests = download.start(at: instant)
            coordinator.pulls[pull.digest] = CoordinatorHost.Pull(download: download, pull: pull)
            ask(requests, pull.worker)
        }
    }

    private mutating func drop(_ pull: BlobPull) {
        coordinator.waitingPulls.removeAll { $0 == pull }
        guard coordinator.pulls[pull.digest]?.pull == pull else { return }
        coordinator.pulls[pull.digest] = nil
        beginWaitingPulls()
    }

    private mutating func beginWaitingPulls() {
        let waiting = coordinator.waitingPulls
        coordinator.waitingPulls = []
        for pull in waiting { begin(pull) }
    }

    private mutating func ask(_ requests: [BlobMessage], _ worker: WorkerID) {
        guard let route = coordinator.blobRoutes[worker] else { return }
        for request in requests { sendBlob(request, to: route) }
    }

    private mutating func sendBlob(_ message: BlobMessage, to route: RouteID) {
        let host = WorkerHost.index(of: route)
        send(
            { .toBlobClient(host, route, $0) }, Wire.encode(message), machine: host,
            name: "a blob's frame to worker-\(host)")
    }

    private mutating func turnBlobServer() throws(Interruption) {
        let inbox = coordinator.blobInbox
        coordinator.blobInbox = []
        for (route, frames) in inbox {
            // Junk is dropped, as the service does.
            guard !revoked.contains(WorkerHost.index(of: route)), let message = try? Wire.decodeBlobMessage(frames)
            else { continue }
            switch message {
            case .hello(let worker):
                guard coordinator.blobRoutes[worker] != route else { continue }
                coordinator.blobRoutes[worker] = route
                for digest in coordinator.pulls.keys where coordinator.pulls[digest]!.pull.worker == worker {
                    ask(coordinator.pulls[digest]!.download.reconnected(at: instant), worker)
                }
            case .get(let digest, let offset, let count):
                sendBlob(
                    SimulatedDownload.answer(
                        digest, offset: offset, count: count,
                        from: store.has(digest, as: .artifact) ? store.blobs : store.checkpoints), to: route)
            case .chunk(let digest, _, _, _), .missing(let digest):
                // Only the worker that was asked may answer.
                guard let pull = coordinator.pulls[digest], coordinator.blobRoutes[pull.pull.worker] == route else {
                    continue
                }
                if case .missing = message { coordinator.pulls[digest]!.isGone = true }
                ask(coordinator.pulls[digest]!.download.receive(message, at: instant), pull.pull.worker)
                try finishPull(digest)
            }
        }
        for digest in coordinator.pulls.keys {
            guard let wakeUpAt = coordinator.pulls[digest]?.download.wakeUpAt, wakeUpAt <= instant else { continue }
            ask(coordinator.pulls[digest]!.download.wake(at: instant), coordinator.pulls[digest]!.pull.worker)
            try finishPull(digest)
        }
    }

    private mutating func finishPull(_ digest: Digest) throws(Interruption) {
        guard let pull = coordinator.pulls[digest], let ending = pull.download.ending else { return }
        coordinator.pulls[digest] = nil
        switch ending {
        case .stored(let bytes):
            do { try store.keep(bytes, under: digest, as: pull.pull.kind) } catch { throw .death }
            coordinator.blobEvents.append(.blobStored(digest, kind: pull.pull.kind))
        case .unavailable:
            let (worker, kind) = (pull.pull.worker, pull.pull.kind)
            coordinator.blobEvents.append(
                pull.isGone ? .blobGone(digest, worker, kind: kind) : .blobUnavailable(digest, worker, kind: kind))
        }
        beginWaitingPulls()
    }
}
