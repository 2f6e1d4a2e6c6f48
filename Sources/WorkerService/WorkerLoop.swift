import Artifacts
import Coordination
import Foundation
import Glibc
import Keys
import Logging
import Lottery
import Wire
import ZeroMQ

/// What the worker's thread owns: the value that decides, and everything it decides about.
final class WorkerLoop {
    /// Bounds on one turn, so that no peer can keep the loop from the others.
    static let messagesPerTurn = 1_000
    /// How long goodbye and the last results may take to leave.
    static let goodbyeMilliseconds = 1_000
    /// How often the loop looks whether a killed child is gone.
    static let reapMilliseconds: Int64 = 5
    /// How long the end of the worker waits for killed children.
    static let buryMilliseconds: Int64 = 2_000

    let service: WorkerService
    let signals: StopSignals?
    let preemption: NoticeSignal?
    let blobs: BlobClient
    let logger: Logger
    var worker: Worker
    var control: Socket?
    private var judge: ConnectionJudge
    var slots: [Slot]
    /// Children that were replaced and are not reaped yet.
    var graveyard: [SlotProcess] = []
    /// Slots whose tasks come to an empty result in this turn: see `WorkerServiceConfiguration.answersAtOnce`.
    var answered: [Int] = []
    /// The inputs of every task that was given and may still be held.
    var inputs: [AttemptID: Set<Digest>] = [:]
    var wakeUpAt: Instant?
    var ending: Result<WorkerExit, WorkerServiceError>?
    var malformed = RateLimit()

    init(_ service: WorkerService, signals: StopSignals?, preemption: NoticeSignal?) throws(WorkerServiceError) {
        let configuration = service.configuration
        self.service = service
        self.signals = signals
        self.preemption = preemption
        logger = configuration.logger
        judge = ConnectionJudge(configuration.security)
        slots = (0..<configuration.slots).map { _ in Slot() }
        do {
            let finished = try service.directory.outbox.reports(artifacts: service.directory.artifacts)
            blobs = try BlobClient(
                worker: service.worker, folder: service.directory.artifacts, outbox: service.directory.outbox,
                finished: finished,
                cacheByteCount: configuration.cacheByteCount, security: configuration.security,
                context: service.context)
            let held = try service.directory.artifacts.digests()
            let identity = Worker.Identity(
                worker: service.worker, incarnation: UInt64.random(in: .min ... .max), slots: configuration.slots,
                datasets: Array(held.prefix(Limits.datasetsPerWorker)),
                host: String(ProcessInfo.processInfo.hostName.prefix(Limits.nameBytes)), processID: getpid(),
                memoryBytes: configuration.memoryBytes, numerics: configuration.numerics)
            worker = Worker(
                identity: identity, settings: configuration.settings, outbox: finished, at: WorkerLoop.now)
        } catch {
            throw .directory("the worker's folder cannot be used: \(error)")
        }
    }

    static var now: Instant { Instant(milliseconds: MonotonicClock.milliseconds) }

    func run() throws(WorkerServiceError) -> WorkerExit {
        let slotsText = slots.count == 1 ? "1 slot" : "\(slots.count) slots"
        logger.info("worker \(service.worker) starts with \(slotsText) for \(service.endpoint.text)")
        handle(.begin)
        if let deadline = service.configuration.deadlineMilliseconds {
            handle(.deadline(WorkerLoop.now.advanced(byMilliseconds: deadline)))
        }
        do {
            while ending == nil { try turn() }
        } catch {
            end(.failure(.socket("the control socket failed: \(error)")))
        }
        if case .failure(let error) = ending { giveBack(because: error) }
        blobs.stop()
        // Whom nobody hears has nothing to wait for.
        control.take()?.close(lingerMilliseconds: worker.load.isConnected ? WorkerLoop.goodbyeMilliseconds : 0)
        bury()
        service.context.close()
        service.directory.release()
        return try ending!.get()
    }

    /// A worker that cannot go on gives back what it holds, so that others need not wait for its silence and the tasks
    /// are not counted as lost.
    private func giveBack(because error: WorkerServiceError) {
        switch error {
        case .directory, .slotCommand:
            guard control != nil, worker.load.isConnected else { return }
            // If it cannot be sent, the session ends by its silence.
            _ = try? control!.send(Wire.encode(.goodbye(service.worker)))
        case .badEndpoint, .badSlots, .badName, .refused, .notLetIn, .unanswered, .socket: break
        }
    }

    func end(_ result: Result<WorkerExit, WorkerServiceError>) {
        if ending == nil { ending = result }
    }

    private func turn() throws(ZMQError) {
        var poller = Poller()
        let stop = poller.watch(readable: service.stopBell.descriptor)
        let signal = signals.map { poller.watch(readable: $0.doorbell.descriptor) }
        let notice = preemption.map { poller.watch(readable: $0.doorbell.descriptor) }
        _ = poller.watch(readable: blobs.events.doorbell.descriptor)
        if control != nil {
            _ = poller.watch(control!)
            _ = poller.watch(handshakesOf: control!)
        }
        for slot in slots {
            guard let process = slot.process, !slot.isDying else { continue }
            _ = poller.watch(readable: process.output)
            if process.errors.descriptor >= 0 { _ = poller.watch(readable: process.errors.descriptor) }
            if let input = process.blockedInput { _ = poller.watch(writable: input) }
        }
        var wait = wakeUpAt.map { max(0, $0.since(WorkerLoop.now)) }
        if !graveyard.isEmpty || slots.contains(where: \.isDying) {
            wait = min(wait ?? .max, WorkerLoop.reapMilliseconds)
        }
        _ = try poller.wait(milliseconds: wait)

        if poller.isReady(stop) || signal.map({ poller.isReady($0) }) ?? false {
            service.stopBell.silence()
            signals?.doorbell.silence()
            logger.info("worker \(service.worker) stops")
            handle(.stop)
        }
        if notice.map({ poller.isReady($0) }) ?? false {
            preemption?.doorbell.silence()
            let margin = service.configuration.settings.marginMilliseconds
            logger.notice("SIGUSR1: the machine of worker \(service.worker) will be taken away")
            handle(.deadline(WorkerLoop.now.advanced(byMilliseconds: margin)))
        }
        try judgeHandshakes()
        try receiveFromCoordinator()
        answerAtOnce()
        for event in blobs.events.takeAll() { receive(event) }
        for index in slots.indices { attend(to: index) }
        graveyard.removeAll { $0.reap() != nil }
        // Last, so that what waited in a buffer is never too late.
        if let wakeUpAt, wakeUpAt <= WorkerLoop.now { handle(.wake) }
    }

    private func judgeHandshakes() throws(ZMQError) {
        while ending == nil, control != nil, let handshake = try control!.nextHandshake() {
            guard let refusal = judge.judge(handshake) else { continue }
            end(.failure(.notLetIn(refusal, service.endpoint.text)))
        }
    }

    private func answerAtOnce() {
        while !answered.isEmpty {
            let slots = answered
            answered = []
            for slot in slots { handle(.finished(slot: slot, WorkResult(outputs: [], summary: [], seconds: 0))) }
        }
    }

    private func receiveFromCoordinator() throws(ZMQError) {
        for _ in 0..<WorkerLoop.messagesPerTurn {
            guard ending == nil, control != nil, let frames = try control!.receive() else { return }
            do {
                let message = try Wire.decodeCoordinatorMessage(frames)
                if case .task(let assignment) = message { inputs[assignment.id] = Set(assignment.inputs.map(\.digest)) }
                handle(.message(message))
            } catch {
                switch error {
                case .refused(let reason): end(.failure(.refused(reason)))
                case .version(let theirs):
                    end(
                        .failure(
                            .refused(
                                "it speaks version \(theirs) of the protocol, this worker \(Wire.major); install the same tombola"
                            )))
                case .foreign, .malformed:
                    if let count = malformed.admit(at: WorkerLoop.now) {
                        logger.warning("a frame from the coordinator could not be read (\(count) so far): \(error)")
                    }
                }
            }
        }
    }

    private func receive(_ event: BlobClient.Event) {
        switch event {
        case .ready(let digest): handle(.inputReady(digest))
        case .unavailable(let digest, let reason): handle(.inputFailed(digest, reason: reason))
        case .adopted(let slot, let result): finish(slot, with: result)
        case .taken(let attempt, let checkpoint): handle(.checkpointTaken(attempt, checkpoint))
        case .unadoptable(let slot, let reason): fail(slot, reason: reason)
        case .broken(let reason): end(.failure(.directory(reason)))
        }
    }

    /// Lets the worker value decide about `event`, and does what it says.
    func handle(_ event: Worker.Event) {
        guard ending == nil else { return }
        let outcome = worker.handle(event, at: WorkerLoop.now, random: Double.random(in: 0..<1))
        var exit: Worker.ExitReason?
        for action in outcome.actions {
            if case .exit(let reason) = action { exit = reason } else { carryOut(action) }
        }
        for message in outcome.messages { send(message) }
        for notice in outcome.notices { log(notice) }
        wakeUpAt = outcome.wakeUpAt
        switch exit {
        case nil: break
        case .shutdown: end(.success(.shutdown))
        case .idle: end(.success(.idle))
        case .unanswered:
            let seconds = (service.configuration.settings.idleExitMilliseconds ?? 0) / 1_000
            end(.failure(.unanswered(service.endpoint.text, seconds: seconds)))
        case .stopped: end(.success(.stopped))
        case .refused(let reason): end(.failure(.refused(reason)))
        }
    }

    private func log(_ notice: Worker.Notice) {
        switch notice {
        case .coordinatorGone(let retryMilliseconds):
            logger.warning(
                "no coordinator answers at \(service.endpoint.text); what runs goes on, and it is tried again at least every \(retryMilliseconds / 1_000) s"
            )
        case .coordinatorBack(let milliseconds):
            logger.notice(
                "the coordinator at \(service.endpoint.text) is back after \((milliseconds + 999) / 1_000) s")
        case .drains(let milliseconds):
            logger.notice(
                "the deadline is near: worker \(service.worker) saves its trainings, hands them back and ends within \(milliseconds / 1_000) s"
            )
        }
    }

    private func send(_ message: WorkerMessage) {
        // What was revoked before it began is in no beat any more.
        if case .beat(let beat) = message { keepInputs(of: Set(beat.holding.map(\.id))) }
        guard control != nil else { return }
        // A full queue means that the coordinator does not read; what matters is sent again.
        do { _ = try control!.send(Wire.encode(message)) } catch {
            end(.failure(.socket("the control socket failed: \(error)")))
        }
    }

    private func keepInputs(of held: Set<AttemptID>) {
        guard inputs.contains(where: { !held.contains($0.key) }) else { return }
        inputs = inputs.filter { held.contains($0.key) }
        blobs.post(.inputsInUse(inputs.values.reduce(into: []) { $0.formUnion($1) }))
    }

    /// The task has ended; what it read may give way in the cache.
    func releaseInputs(of attempt: AttemptID) { keepInputs(of: Set(inputs.keys).subtracting([attempt])) }

    private func carryOut(_ action: Worker.Action) {
        switch action {
        case .openSocket: openSocket()
        case .welcomed(let welcome):
            logger.info("worker \(service.worker) works for store \(welcome.store)")
            blobs.post(.connect(endpoint: service.endpoint.with(port: welcome.blobEndpointPort)))
        case .fetch(let digest): blobs.post(.fetch(digest))
        case .dropFetch(let digest): blobs.post(.dropFetch(digest))
        case .start(let slot, _) where service.configuration.answersAtOnce:
            answered.append(slot)
            service.configuration.onAnswer?()
        case .start(let slot, let assignment): start(assignment, in: slot)
        case .kill(let slot): kill(slot)
        case .stop(let slot): stop(slot)
        case .takeCheckpoint(_, let attempt, let step):
            blobs.post(.takeCheckpoint(attempt, step: step, resumeFile: service.directory.resumeFile(of: attempt.task)))
        case .dropCheckpoint(let digest): blobs.post(.dropCheckpoint(digest))
        case .dropOutputs where service.configuration.answersAtOnce: break
        case .dropOutputs(let attempt, _):
            blobs.post(.release(attempt))
            forget(attempt.task)
        case .exit: preconditionFailure("the caller looks at exit")
        }
    }

    private func openSocket() {
        control = nil
        blobs.post(.disconnect)
        do throws(ZMQError) {
            var options = SocketOptions()
            options.maximumFrameBytes = Limits.payloadBytes + Limits.headerBytes
            options.queuedMessages = Limits.messagesQueuedPerPeer
            options.unreadMessages = Limits.messagesQueuedPerPeer
            options.security = service.configuration.security
            let socket = try Socket(.dealer, options: options, tellsHandshakes: true, context: service.context)
            try socket.connect(service.endpoint.text)
            control = consume socket
        } catch {
            end(.failure(.badEndpoint(BadAddress(service.endpoint.text, error.description))))
        }
    }
}
