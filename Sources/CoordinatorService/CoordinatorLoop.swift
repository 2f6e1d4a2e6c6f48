import Artifacts
import Coordination
import Foundation
import Keys
import Logging
import Lottery
import Store
import Sweeps
import Wire
import ZeroMQ

/// What the coordinator's thread owns: the value that decides, the control socket, and what is known of sweeps.
///
/// Each turn: poll, receive every ready frame, let the value decide, commit all its changes in one transaction, send. A
/// crash between any two of these loses messages only, which leases and resends repair; a commit that fails sends
/// nothing and ends the process.
final class CoordinatorLoop {
    /// Bounds one turn's transaction; what is left over is ready for the next.
    static let messagesPerTurn = 4_096
    /// A spec; workers' frames are smaller.
    static let maximumFrameBytes = 4 * 1024 * 1024
    /// How long `shutdown` and the last replies may take to leave.
    static let goodbyeMilliseconds = 1_000

    let configuration: CoordinatorServiceConfiguration
    let store: Store
    let shared: SharedState
    let signals: StopSignals?
    let logger: Logger
    let desk: Desk
    let blobs: BlobServer
    let gate: Gate
    let hangup: NoticeSignal?
    private let authentication: AuthenticationHandler?
    let endpoint: String
    private let context: ZMQContext

    var coordinator: Coordinator
    var control: Socket?
    private var door: Door
    private var room: Room
    /// What this turn has decided and not done yet.
    var batch = Coordinator.Outcome()
    var wakeUpAt: Instant?
    var ending: Result<CoordinatorExit, CoordinatorServiceError>?
    /// What changes have named since a survey for a compaction began; nil without one.
    var committedSinceSurvey: Set<Digest>?
    /// The wish to stop is an earlier process's, and this one leaves it to the next.
    var isKeptStop = false
    /// When a stop ends, whoever is still here.
    var stopDeadline: Instant?
    /// When sockets were last read.
    var readAt: Instant
    var malformed = RateLimit()
    var refused = RateLimit()
    /// The keys by which workers' messages came, by route, to tell those whose key is revoked.
    var senders: [RouteID: CurvePublicKey] = [:]
    var submissions = Submissions()
    /// Plans came from the desk in this turn.
    var hasPlanned = false
    var growth: GrowthWishes
    var arrivals = Arrivals()
    var reporting = Reporting()
    var farewell = Farewell()

    init(
        _ configuration: CoordinatorServiceConfiguration, store: Store, control address: BindAddress,
        blob blobAddress: BindAddress?, gate: Gate, shared: SharedState, signals: StopSignals?, hangup: NoticeSignal?
    ) throws(CoordinatorServiceError) {
        self.configuration = configuration
        growth = GrowthWishes(retryMilliseconds: configuration.retryMilliseconds)
        self.store = store
        self.shared = shared
        self.signals = signals
        self.hangup = hangup
        self.gate = gate
        logger = configuration.logger
        do {
            context = try ZMQContext()
            // Before any socket listens: it decides about the first connection, too.
            authentication = try gate.makeHandler(context)
        } catch { throw .socket(error.description) }
        let socket = try CoordinatorLoop.listen(at: address, gate, context)
        endpoint = socket.endpoint
        door = Door(endpoint, at: CoordinatorLoop.now)
        room = Room(minimum: configuration.minimumFreeBytes, at: CoordinatorLoop.now) { [artifacts = store.artifacts] in
            // A disk that cannot be asked will say so when it is written to.
            try? (artifacts.freeByteCount(), artifacts.diskByteCount())
        }
        let blobs = blobAddress ?? address.blob(besideBound: BindAddress.port(ofBound: socket.endpoint))
        do {
            self.blobs = try BlobServer(
                endpoint: blobs.text, artifacts: store.artifacts, checkpoints: store.checkpoints!, gate: gate,
                context: context)
        } catch {
            throw CoordinatorServiceError(error, listeningAt: blobs, isDerived: blobAddress == nil)
        }
        control = consume socket.socket
        var settings = configuration.settings
        settings.blobEndpointPort = BindAddress.port(ofBound: self.blobs.endpoint)
        do {
            readAt = CoordinatorLoop.now
            var checkpoints: Set<Digest> = []
            let circumstances = try store.circumstances()
            reporting.contradictedTasks = try store.contradictedTasks()
            coordinator = try Coordinator(
                restoring: store.id, sweeps: store.standings(), quarantines: circumstances.quarantines,
                drain: circumstances.drain,
                generation: Generation(nonce: UInt64.random(in: .min ... .max)), settings: settings, at: readAt
            ) { restore throws(StoreError) in
                try store.forEachTask { task in
                    var task = task
                    if let checkpoint = task.checkpoint {
                        // A backup has none; one that is not here must not stand above what is trained anew.
                        if store.checkpoints!.contains(checkpoint.digest) {
                            checkpoints.insert(checkpoint.digest)
                        } else {
                            task.checkpoint = nil
                        }
                    }
                    restore(task)
                }
            }
            try CoordinatorLoop.sweep(store.checkpoints!, keeping: checkpoints)
            let reader = try Store.open(directory: store.directory, mode: .reader)
            do { desk = try Desk(reader: reader, artifacts: store.artifacts, configuration: configuration) } catch {
                throw CoordinatorServiceError.socket(error.description)
            }
            for record in try store.sweeps() { desk.post(.restore(record)) }
            FreedMemory.handBack()
        } catch let error as StoreError {
            throw .store(error)
        } catch let error as ArtifactError {
            throw .blobs(error.description)
        } catch {
            throw .socket(String(describing: error))
        }
        try EndpointFile.write(endpoint, in: store.directory)
    }

    /// What a crash left between a commit and the deletion of what it made useless.
    private static func sweep(_ checkpoints: ArtifactFolder, keeping kept: Set<Digest>) throws(ArtifactError) {
        for digest in try checkpoints.digests() where !kept.contains(digest) { try checkpoints.remove(digest) }
    }

    static var now: Instant { Instant(milliseconds: MonotonicClock.milliseconds) }

    func run() -> Result<CoordinatorExit, CoordinatorServiceError> {
        logger.info("coordinator of store \(store.id) listens at \(endpoint), for blobs at \(blobs.endpoint)")
        if let count = gate.keyCount { logger.info("it lets in authorised keys only, of which there are \(count)") }
        do {
            // Nobody was silent while what a million tasks left was read. What restoring decided goes out with this.
            let restored = CoordinatorLoop.now
            apply(.loopStalled(milliseconds: restored.since(readAt)))
            readAt = restored
            tendRoom()
            apply(.wake)
            resumeStop()
            try flush()
            try resumeSubmissions()
            while ending == nil { try turn() }
            publish(currentStatus(at: CoordinatorLoop.now))
        } catch {
            end(.failure(error))
        }
        EndpointFile.remove(from: store.directory)
        refuseArrival()
        shared.close()
        control.take()?.close(lingerMilliseconds: CoordinatorLoop.goodbyeMilliseconds)
        blobs.stop()
        authentication?.stop()
        // The desk may be amid a data set, which nobody waits for any more: it ends by itself.
        desk.post(.stop)
        context.close()
        return ending!
    }

    func end(_ result: Result<CoordinatorExit, CoordinatorServiceError>) {
        if ending == nil { ending = result }
    }

    private func turn() throws(CoordinatorServiceError) {
        let polledAt = CoordinatorLoop.now
        let wait = arrivals.isEmpty ? max(0, nextDeadline.since(polledAt)) : 0
        let shouldStop: Bool
        let shouldReload: Bool
        do throws(ZMQError) {
            var poller = Poller()
            _ = poller.watch(control!)
            for bell in [blobs.events.doorbell, desk.events.doorbell, shared.commands.doorbell] {
                _ = poller.watch(readable: bell.descriptor)
            }
            let signal = signals.map { poller.watch(readable: $0.doorbell.descriptor) }
            let hangup = hangup.map { poller.watch(readable: $0.doorbell.descriptor) }
            _ = try poller.wait(milliseconds: wait)
            shouldReload = hangup.map { poller.isReady($0) } ?? false
            shouldStop = signal.map { poller.isReady($0) } ?? false
        } catch { throw .socket(error.description) }

        // What was not read while this thread was kept from it (a slow disk, a suspended machine) is not the workers'
        // silence.
        let now = CoordinatorLoop.now
        let stalled = polledAt.since(readAt) + max(0, now.since(polledAt) - wait)
        if stalled > configuration.settings.loopStallMilliseconds {
            logger.warning("the coordinator was held up for \(stalled) ms; deadlines are put off by as much")
            apply(.loopStalled(milliseconds: stalled))
        }
        readAt = now

        // Before what has come is looked at.
        if shouldReload { try reloadKeys() }
        try receiveFrames()
        for event in blobs.events.takeAll() { receive(event) }
        try flush()
        try receiveFromDesk()
        try takeOnPiece()
        for command in shared.commands.takeAll() { try receive(command) }
        if shouldStop { beginStop() }
        // Last, so that a beat that waited in a buffer is never too late.
        if let wakeUpAt, wakeUpAt <= CoordinatorLoop.now { apply(.wake) }
        try flush()
        tendGrowth()
        report()
        tendDoor()
        tendRoom()
        tendRetention()
        endIfDone()
        try flush()
        if hasPlanned {
            hasPlanned = false
            FreedMemory.handBack()
        }
    }

    private var nextDeadline: Instant {
        [wakeUpAt, stopDeadline, reporting.nextAt, growth.nextAt, submissions.nextAt, farewell.endsAt].compactMap { $0 }
            .reduce(min(door.nextLook, room.nextLook), min)
    }

    private func tendDoor() {
        switch door.tend(control!, at: CoordinatorLoop.now) {
        case .closed(let free):
            logger.error(
                """
                the coordinator has only \(free) file descriptors left and listens to nobody new until connections end; \
                raise its limit (ulimit -n), or see who connects
                """)
        case .opened: logger.notice("the coordinator listens again")
        case nil: break
        }
    }

    private func tendRoom() {
        switch room.tend(at: CoordinatorLoop.now) {
        case .short(let free, let wanted):
            logger.error(
                """
                the disk of the store \(store.directory) has only \(ByteText(free)) left: nothing more is given out until there \
                are \(ByteText(wanted)); free some, or set --min-free lower
                """)
            apply(.roomChanged(isShort: true))
        case .enough:
            logger.notice("the disk of the store \(store.directory) has room again: tasks are given out")
            apply(.roomChanged(isShort: false))
        case nil: break
        }
    }

    /// Lets the coordinator decide; `flush` does what it decided.
    func apply(_ event: Coordinator.Event) {
        let outcome = coordinator.handle(event, at: CoordinatorLoop.now)
        batch.changes += outcome.changes
        batch.messages += outcome.messages
        batch.pulls += outcome.pulls
        batch.droppedPulls += outcome.droppedPulls
        batch.staleCheckpoints += outcome.staleCheckpoints
        batch.notices += outcome.notices
        wakeUpAt = outcome.wakeUpAt
        reporting.isDue = true
    }

    /// Makes what was decided durable, in one transaction, and then lets it out.
    /// - Parameter submission: what is recorded of a sweep in the same transaction.
    func flush(_ submission: (record: SweepRecord, replaces: Bool)? = nil) throws(CoordinatorServiceError) {
        var submission = submission
        while submission != nil || !batch.isEmpty {
            let current = batch
            batch = Coordinator.Outcome()
            do throws(StoreError) {
                if let (record, replaces) = submission {
                    try store.addSweep(record, replaces: replaces, changes: current.changes)
                    submission = nil
                } else {
                    try store.commit(current.changes)
                }
            } catch { throw .store(error) }
            for change in current.changes { note(change) }
            for notice in current.notices { log(notice) }
            for pull in current.droppedPulls { blobs.post(.drop(pull)) }
            for digest in current.staleCheckpoints { blobs.post(.removeCheckpoint(digest)) }
            for pull in current.pulls { blobs.post(.pull(pull)) }
            var lost: Set<RouteID> = []
            for envelope in try withPayloads(current.messages) where !lost.contains(envelope.to) {
                if try !send(Wire.encode(envelope.message), to: envelope.to) { lost.insert(envelope.to) }
            }
            // What that leads to is decided, made durable and sent in the next round.
            for route in lost.sorted() { apply(.unreachable(route)) }
        }
    }

    /// Puts into each TASK what its slot is to do, which only the store keeps: read in one go, after the commit, so
    /// that a request of the same turn is in it.
    private func withPayloads(_ messages: [Envelope]) throws(CoordinatorServiceError) -> [Envelope] {
        let keys = messages.compactMap { if case .task(let task) = $0.message { task.id.task } else { nil } }
        if keys.isEmpty { return messages }
        let payloads: [TaskKey: [UInt8]]
        do { payloads = try store.payloads(of: keys) } catch { throw .store(error) }
        var messages = messages
        for index in messages.indices {
            guard case .task(var task) = messages[index].message else { continue }
            guard let payload = payloads[task.id.task] else {
                throw .store(
                    .damaged(directory: store.directory, reason: "it does not say what task \(task.id.task) is to do"))
            }
            task.payload = payload
            messages[index].message = .task(task)
        }
        return messages
    }

    /// False if nobody is at the end of the route.
    func send(_ frames: [[UInt8]], to route: RouteID) throws(CoordinatorServiceError) -> Bool {
        do throws(ZMQError) {
            // A full queue means that the peer does not read. What matters is sent again, and its silence will end its
            // session.
            _ = try control!.send([route.bytes] + frames)
            return true
        } catch .hostUnreachable {
            return false
        } catch {
            throw .socket(error.description)
        }
    }

    private func receiveFrames() throws(CoordinatorServiceError) {
        for _ in 0..<CoordinatorLoop.messagesPerTurn {
            let message: (frames: [[UInt8]], sender: CurvePublicKey?)?
            do { message = try control!.receiveWithSender() } catch { throw .socket(error.description) }
            guard let message else { return }
            let route = RouteID(bytes: message.frames[0])
            let request: Wire.Request
            do { request = try Wire.decodeRequest(Array(message.frames.dropFirst())) } catch {
                try receive(unreadable: error, from: route)
                continue
            }
            try receive(request, from: route, message.sender)
        }
    }

    private func receive(
        _ request: Wire.Request, from route: RouteID, _ sender: CurvePublicKey?
    ) throws(CoordinatorServiceError) {
        switch request {
        case .worker(let said):
            if let refusal = gate.refusal(of: sender, actingAs: .worker) { return try receive(refusal, from: route) }
            if let sender { remember(sender, of: route) }
            apply(.worker(route, try withoutOthersAttempts(said)))
        case .client(let request):
            if let refusal = gate.refusal(of: sender, actingAs: .client) { return try receive(refusal, from: route) }
            do { try answer(request, from: route) } catch { try receive(unreadable: error, from: route) }
        }
    }

    /// What a worker runs is given back to it where nobody else has it, even if that is not known any more. But an attempt
    /// has one worker: what the store has as another's is none of this one's, whatever it says.
    private func withoutOthersAttempts(_ said: WorkerMessage) throws(CoordinatorServiceError) -> WorkerMessage {
        guard case .hello(var hello) = said else { return said }
        let claimed = hello.running.map(\.id).filter(coordinator.wouldReadopt)
        guard !claimed.isEmpty else { return said }
        try flush()
        let holders: [AttemptID: WorkerID]
        do { holders = try store.holders(of: claimed) } catch { throw .store(error) }
        hello.running.removeAll { holders[$0.id] ?? hello.worker != hello.worker }
        return .hello(hello)
    }

    private func receive(unreadable error: WireError, from route: RouteID) throws(CoordinatorServiceError) {
        switch error {
        case .version(let theirs):
            let reason =
                "it speaks version \(theirs) of the protocol, this coordinator version \(Wire.major): install the same tombola on both"
            _ = try send(Wire.encodeRefusal(reason: reason), to: route)
        case .foreign, .malformed, .refused: break
        }
        if let count = malformed.admit(at: CoordinatorLoop.now) {
            logger.warning("a frame could not be read and was dropped (\(count) so far): \(error)")
        }
    }

    private func receive(_ event: BlobServer.Event) {
        switch event {
        case .stored(let digest, let kind): apply(.blobStored(digest, kind: kind))
        case .unavailable(let pull, let reason, let isGone):
            logger.warning("\(pull.worker) did not deliver blob \(pull.digest): \(reason)")
            apply(
                isGone
                    ? .blobGone(pull.digest, pull.worker, kind: pull.kind)
                    : .blobUnavailable(pull.digest, pull.worker, kind: pull.kind))
        case .broken(let reason): end(.failure(.blobs(reason)))
        }
    }

    private func receive(_ command: SharedState.Command) throws(CoordinatorServiceError) {
        switch command {
        case .submit(let request, let answer): beginSubmission(request, .caller(answer))
        case .add(let works, let answer):
            apply(.tasksAdded(works))
            try flush()
            submissions.tasksWereAdded = true
            answer.set(.success(()))
        case .reloadKeys: try reloadKeys()
        case .stop: beginStop()
        }
    }

    private func beginStop() {
        signals?.doorbell.silence()
        guard stopDeadline == nil else { return }
        logger.info("the coordinator stops")
        stopDeadline = CoordinatorLoop.now.advanced(byMilliseconds: configuration.stopGraceMilliseconds)
    }

    private func endIfDone() {
        let now = CoordinatorLoop.now
        farewell.note(
            isDone: configuration.exitWhenDone && submissions.areSettled(coordinator.counts, growth) && !isRetentionDue,
            at: now)
        if let stopDeadline {
            // Workers that stop with it deliver what they have and say goodbye.
            if now >= stopDeadline || coordinator.status.workers.isEmpty {
                endInOrder(.stopped)
            }
        } else if let endsAt = farewell.endsAt {
            guard now >= endsAt else { return }
            apply(.stopWorkers)
            let counts = coordinator.counts
            endInOrder(
                .done(
                    failedTasks: submissions.failedTasks(counts), cancelledTasks: submissions.cancelledTasks(counts)))
        } else if configuration.exitWhenDone, let (sweep, reason) = submissions.hopeless(growth) {
            apply(.stopWorkers)
            end(.failure(.growth(sweep: sweep, reason: reason)))
        } else if isDrained {
            if configuration.exitWhenDone || coordinator.drain?.endsWorkers == true { apply(.stopWorkers) }
            endInOrder(.drained(tasksLeft: coordinator.counts.left))
        }
    }

    /// That it end is what a wish to stop was for.
    private func endInOrder(_ exit: CoordinatorExit) {
        if !isKeptStop { apply(.drainEnded) }
        end(.success(exit))
    }

    private static func listen(
        at address: BindAddress, _ gate: Gate, _ context: ZMQContext
    ) throws(CoordinatorServiceError) -> Listener {
        do throws(ZMQError) {
            var options = SocketOptions()
            options.maximumFrameBytes = maximumFrameBytes
            options.queuedMessages = Limits.messagesQueuedPerPeer
            options.unreadMessages = Limits.messagesUnreadPerPeer
            options.security = gate.security
            let socket = try Socket(.router, options: options, context: context)
            let endpoint = try socket.bind(address.text)
            return Listener(socket: socket, endpoint: endpoint)
        } catch {
            throw CoordinatorServiceError(error, listeningAt: address, isDerived: false)
        }
    }

    private struct Listener: ~Copyable {
        var socket: Socket
        var endpoint: String
    }
}

extension Coordinator.Outcome {
    var isEmpty: Bool {
        changes.isEmpty && messages.isEmpty && pulls.isEmpty && droppedPulls.isEmpty && staleCheckpoints.isEmpty
            && notices.isEmpty
    }
}

extension CoordinatorServiceError {
    init(_ error: ZMQError, listeningAt address: BindAddress, isDerived: Bool) {
        self =
            switch error {
            case .addressInUse: .portInUse(address.text, isDerived: isDerived)
            case .addressNotAvailable: .badAddress(address.text, reason: "this machine does not have it")
            default: .badAddress(address.text, reason: error.description)
            }
    }
}
