import Coordination
import Lottery
import OrderedCollections
import Wire

/// A worker's machine: its disk, and its process while that runs.
struct WorkerHost: Sendable {
    let index: Int
    let id: WorkerID
    let slots: Int
    /// In units of their own; nil: it does not say.
    let memory: Int?
    /// The artifact folder.
    var blobs: [Digest: [UInt8]] = [:]
    /// Results that nobody has acknowledged.
    var outbox: OrderedDictionary<AttemptID, ResultReport> = [:]
    /// Resume files by task.
    var resumeFiles: [TaskKey: [UInt8]] = [:]
    /// Every training dies.
    var crashesOnTasks = false

    /// Nil while it is down.
    var value: Worker?
    /// Rises with each start and each end.
    var process = 0
    var clock: ProcessClock?
    var isPaused = false
    /// What reached the paused process.
    var missed: [Cluster.Happening] = []
    /// When its loop takes the next turn; turns entered for other times are void.
    var turnsAt: Int64?
    var wakeUpAt: Instant?
    /// Rises with each connection of either socket.
    private var connections = 0
    private(set) var controlRoute = RouteID(bytes: [])
    private(set) var blobRoute = RouteID(bytes: [])
    var isBlobConnected = false
    var blobHelloAt: Instant?
    var downloads: OrderedDictionary<Digest, SimulatedDownload> = [:]
    /// By number; each is one training.
    var children: OrderedDictionary<Int, Child> = [:]

    struct Child: Sendable {
        var slot: Int
        var id: AttemptID
        var training: SimulatedTraining
        /// When it began, and at which step.
        var startedAt: Int64
        var firstStep: Int
    }

    init(index: Int, slots: Int, memory: Int?) {
        self.index = index
        self.slots = slots
        self.memory = memory
        id = WorkerID("worker-\(index)")
    }

    /// A new connection of both sockets has a new route.
    mutating func reconnect() {
        connections += 1
        let number = [UInt8(truncatingIfNeeded: connections >> 8), UInt8(truncatingIfNeeded: connections)]
        controlRoute = RouteID(bytes: [0, UInt8(index)] + number)
        blobRoute = RouteID(bytes: [1, UInt8(index)] + number)
    }

    static func index(of route: RouteID) -> Int { Int(route.bytes[1]) }

    /// The process is gone; what is on the disk stays.
    mutating func end() {
        var fresh = WorkerHost(index: index, slots: slots, memory: memory)
        fresh.blobs = blobs
        fresh.outbox = outbox
        fresh.resumeFiles = resumeFiles
        fresh.crashesOnTasks = crashesOnTasks
        fresh.process = process + 1
        fresh.connections = connections
        self = fresh
    }
}

/// The shell around the worker value.
extension Cluster {
    /// The blob socket says hello this often.
    private static let helloMilliseconds: Int64 = 10_000

    mutating func startWorker(_ index: Int) throws(Violation) {
        guard workers[index].value == nil else { return }
        workers[index].process += 1
        let clock = ProcessClock(startedAt: now, random: &random)
        workers[index].outbox = workers[index].outbox.filter { [blobs = workers[index].blobs] in
            $0.value.result.outputs.allSatisfy { blobs[$0.digest] != nil }
        }
        let host = workers[index]
        workers[index].clock = clock
        workers[index].value = Worker(
            identity: Worker.Identity(
                worker: host.id, incarnation: random.next(), slots: host.slots,
                datasets: host.blobs.keys.sorted(), host: "host-\(index)", processID: Int32(host.process),
                memoryBytes: host.memory, numerics: [.f32Lanes16]),
            settings: Cluster.workerSettings, outbox: Array(host.outbox.values), at: clock.instant(at: now))
        let memory = host.memory.map { ", \($0) of memory" } ?? ""
        trace.note(now, "\(host.id) starts with \(host.slots) slots\(memory) and \(host.outbox.count) results")
        try tell(index, .begin)
    }

    /// A worker's disk is lost, with all that was trained there and not sent.
    mutating func loseDisk(_ index: Int) {
        workers[index].blobs = [:]
        workers[index].outbox = [:]
        workers[index].resumeFiles = [:]
        disksLost += 1
    }

    static var workerSettings: WorkerSettings {
        var settings = WorkerSettings()
        settings.checkpointMilliseconds = 10_000
        return settings
    }

    /// It comes back under the same name after a while.
    mutating func killWorker(_ index: Int) {
        guard workers[index].value != nil else { return }
        trace.note(now, "\(workers[index].id) dies")
        workers[index].end()
        let longest: Int64 = areFaultsOver ? 1_000 : random.element(of: [100, 10_000, 120_000])
        timetable.enter(.workerStarts(index), at: now + 1 + random.below(longest))
    }

    mutating func resumeWorker(_ index: Int) {
        guard workers[index].isPaused else { return }
        workers[index].isPaused = false
        for happening in workers[index].missed { timetable.enter(happening, at: now) }
        workers[index].missed = []
        call(index)
    }

    mutating func call(_ index: Int) { schedule(index, at: now + random.below(Int64(3))) }

    private mutating func schedule(_ index: Int, at time: Int64) {
        let host = workers[index]
        guard host.value != nil, !host.isPaused, time < host.turnsAt ?? .max else { return }
        workers[index].turnsAt = time
        timetable.enter(.workerTurns(index, process: host.process, at: time), at: time)
    }

    private func instant(_ index: Int) -> Instant { workers[index].clock!.instant(at: now) }

    mutating func receive(_ frames: [[UInt8]], on index: Int) throws(Violation) {
        // Junk is dropped, as the service does.
        guard let message = try? Wire.decodeCoordinatorMessage(frames) else { return }
        try tell(index, .message(message))
    }

    /// What is due by the clock.
    mutating func turnWorker(_ index: Int) throws(Violation) {
        workers[index].turnsAt = nil
        guard workers[index].value != nil, !workers[index].isPaused else { return }
        if let helloAt = workers[index].blobHelloAt, helloAt <= instant(index) { sayBlobHello(index) }
        for digest in workers[index].downloads.keys {
            guard let wakeUpAt = workers[index].downloads[digest]?.wakeUpAt, wakeUpAt <= instant(index) else {
                continue
            }
            sendBlobs(workers[index].downloads[digest]!.wake(at: instant(index)), from: index)
            try finishDownload(digest, on: index)
        }
        if let wakeUpAt = workers[index].wakeUpAt, wakeUpAt <= instant(index) { try tell(index, .wake) }
        schedule(index)
    }

    /// Enters the next turn.
    private mutating func schedule(_ index: Int) {
        let host = workers[index]
        guard host.value != nil else { return }
        var deadlines = host.isBlobConnected ? host.downloads.values.compactMap(\.wakeUpAt) : []
        deadlines += [host.wakeUpAt, host.blobHelloAt].compactMap { $0 }
        guard let next = deadlines.min() else { return }
        schedule(index, at: max(now + 1, host.clock!.time(of: next, from: now)))
    }

    /// Lets the value decide, and does what it says; the process may die between any two steps.
    mutating func tell(_ index: Int, _ event: Worker.Event) throws(Violation) {
        guard workers[index].value != nil else { return }
        let outcome = workers[index].value!.handle(event, at: instant(index), random: random.uniform())
        workers[index].value!.checkInvariants()
        workers[index].wakeUpAt = outcome.wakeUpAt
        let process = workers[index].process
        var exit: Worker.ExitReason?
        for action in outcome.actions {
            if case .exit(let reason) = action { exit = reason } else { try carryOut(action, on: index) }
            guard mayGoOn(index, process) else { return }
        }
        for message in outcome.messages {
            trace.note(now, "\(workers[index].id) says \(Trace.text(of: message))")
            let route = workers[index].controlRoute
            send(
                { .toCoordinator(route, $0) }, Wire.encode(message), machine: index,
                name: "\(Trace.text(of: message)) of worker-\(index)")
            if case .result(let report) = message { reported(report, by: index) }
            guard mayGoOn(index, process) else { return }
        }
        schedule(index)
        switch exit {
        case nil: break
        case .stopped: killWorker(index)
        // A supervisor starts it again and again.
        case .refused where wereRevoked.contains(index): killWorker(index)
        case .refused(let reason): throw Violation(description: "\(workers[index].id) was refused: \(reason)")
        case .shutdown, .idle, .unanswered: throw Violation(description: "\(workers[index].id) ended of its own accord")
        }
    }

    private mutating func reported(_ report: ResultReport, by index: Int) {
        if bug == .deletesBeforeAck {
            for output in report.result.outputs { workers[index].blobs[output.digest] = nil }
        }
        if !areFaultsOver, random.chance(faults.uploaderDeath) {
            trace.note(now, "\(workers[index].id) is gone with its disk as its result is on its way")
            killWorker(index)
            loseDisk(index)
        }
    }

    /// False if it died just now.
    private mutating func mayGoOn(_ index: Int, _ process: Int) -> Bool {
        if !areFaultsOver, random.chance(faults.workerDeath) { killWorker(index) }
        return workers[index].process == process
    }

    private mutating func carryOut(_ action: Worker.Action, on index: Int) throws(Violation) {
        switch action {
        case .openSocket:
            workers[index].reconnect()
            workers[index].isBlobConnected = false
            workers[index].blobHelloAt = nil
        case .welcomed:
            workers[index].isBlobConnected = true
            sayBlobHello(index)
            for digest in workers[index].downloads.keys {
                sendBlobs(workers[index].downloads[digest]!.reconnected(at: instant(index)), from: index)
            }
        case .fetch(let digest):
            if workers[index].blobs[digest] != nil { return try tell(index, .inputReady(digest)) }
            guard workers[index].downloads[digest] == nil else { return }
            var download = SimulatedDownload(digest, byteCount: nil)
            let requests = download.start(at: instant(index))
            workers[index].downloads[digest] = download
            sendBlobs(requests, from: index)
        case .dropFetch(let digest): workers[index].downloads[digest] = nil
        case .dropOutputs(let attempt, let outputs):
            workers[index].outbox[attempt] = nil
            // A cache may keep them or not; what another attempt left stays.
            let needed = Set(workers[index].outbox.values.flatMap { $0.result.outputs.map(\.digest) })
            for output in outputs where !needed.contains(output.digest) && random.chance(0.5) {
                workers[index].blobs[output.digest] = nil
            }
        case .start(let slot, let assignment): try start(assignment, slot, on: index)
        case .kill(let slot):
            guard let number = workers[index].children.first(where: { $0.value.slot == slot })?.key else { return }
            timetable.enter(.child(index, number: number, .killed), at: now + 20)
        case .stop(let slot):
            guard let number = workers[index].children.first(where: { $0.value.slot == slot })?.key else { return }
            timetable.enter(.child(index, number: number, .stopped), at: now + 20)
        case .takeCheckpoint(_, let id, let step):
            guard let bytes = workers[index].resumeFiles[id.task] else {
                return try tell(index, .checkpointTaken(id, nil))
            }
            let digest = Digest.of(bytes)
            workers[index].blobs[digest] = bytes
            let checkpoint = SavedCheckpoint(step: step, digest: digest, byteCount: bytes.count)
            try tell(index, .checkpointTaken(id, checkpoint))
        case .dropCheckpoint(let digest): workers[index].blobs[digest] = nil
        case .exit: preconditionFailure("the caller looks at exit")
        }
    }

    // MARK: - Children

    private mutating func start(_ assignment: Assignment, _ slot: Int, on index: Int) throws(Violation) {
        childCount += 1
        let number = childCount
        let key = assignment.id.task
        // Simulated tasks are told their own key.
        guard assignment.payload == Array(key.hex.utf8) else {
            throw Violation(description: "\(workers[index].id) is given task \(key) with another's payload, or none")
        }
        var training = SimulatedTraining(key, inputs: assignment.inputs, scale: sweeps[0].scale)
        if let bytes = workers[index].resumeFiles[key] { training.goOn(from: bytes) }
        for input in assignment.inputs where input.name == WorkInput.checkpoint {
            if let bytes = workers[index].blobs[input.digest] { training.goOn(from: bytes) }
        }
        let first = training.step
        workers[index].children[number] = WorkerHost.Child(
            slot: slot, id: assignment.id, training: training, startedAt: now, firstStep: first)
        trace.note(now, "\(workers[index].id) trains \(key), attempt \(assignment.id.attempt), from step \(first)")
        let isFaulty = !areFaultsOver
        if isFaulty, workers[index].crashesOnTasks {
            return timetable.enter(.child(index, number: number, .died), at: now + 100)
        }
        if isFaulty, random.chance(faults.hang) { return }
        timetable.enter(.child(index, number: number, .began(first)), at: now)
        for step in stride(from: first + 2, to: training.steps, by: 2) {
            timetable.enter(.child(index, number: number, .progress(step)), at: now + 1000 * Int64(step - first))
        }
        let end: ChildEvent = isFaulty && random.chance(faults.childDeath) ? .died : .finished
        timetable.enter(
            .child(index, number: number, end),
            at: now + 1000 * Int64(training.steps - first) + random.below(Int64(900)))
    }

    mutating func child(_ number: Int, of index: Int, _ event: ChildEvent) throws(Violation) {
        // Children die with their worker, and what a killed one still wrote is not read.
        guard let child = workers[index].children[number] else { return }
        if case .began(let step) = event {
            return try tell(index, .began(slot: child.slot, step: step, isResumed: step > 0))
        }
        if case .progress(let step) = event {
            train(number, of: index, to: step)
            try tell(index, .progress(slot: child.slot, step: step))
            if step.isMultiple(of: SimulatedTraining.savedEvery) { try save(number, of: index) }
            return
        }
        switch event {
        case .began, .progress: break
        case .finished:
            train(number, of: index, to: child.training.steps)
            guard let training = workers[index].children.removeValue(forKey: number)?.training else { return }
            var (result, blobs) = sweeps.result(of: training)
            if !areFaultsOver, random.chance(faults.miscomputation) {
                let bytes: [UInt8] = [255, UInt8(random.below(256))]
                blobs[Digest.of(bytes)] = bytes
                result.outputs[0].digest = Digest.of(bytes)
                result.outputs[0].byteCount = bytes.count
            }
            workers[index].blobs.merge(blobs) { _, new in new }
            workers[index].resumeFiles[child.id.task] = nil
            workers[index].outbox[child.id] = ResultReport(worker: workers[index].id, id: child.id, result: result)
            try tell(index, .finished(slot: child.slot, result))
        case .died:
            workers[index].children[number] = nil
            try tell(index, .failed(slot: child.slot, reason: "killed by signal 9", log: "", isFinal: false))
        case .killed:
            workers[index].children[number] = nil
            try tell(index, .stopped(slot: child.slot))
        case .stopped:
            let trained = child.firstStep + Int((now - child.startedAt) / 1_000)
            train(number, of: index, to: min(trained, child.training.steps - 1))
            try save(number, of: index)
            guard workers[index].children.removeValue(forKey: number) != nil else { return }
            try tell(index, .stopped(slot: child.slot))
        }
    }

    private mutating func train(_ number: Int, of index: Int, to step: Int) {
        guard var training = workers[index].children[number]?.training else { return }
        stepsTrained += max(0, min(step, training.steps) - training.step)
        training.advance(to: step)
        workers[index].children[number]!.training = training
    }

    private mutating func save(_ number: Int, of index: Int) throws(Violation) {
        // The worker may have died of what it was told.
        guard let child = workers[index].children[number] else { return }
        let bytes = child.training.saved
        workers[index].resumeFiles[child.id.task] = bytes
        try tell(index, .saved(slot: child.slot, step: child.training.step, byteCount: bytes.count))
    }

    // MARK: - Blobs

    private mutating func sayBlobHello(_ index: Int) {
        workers[index].blobHelloAt = instant(index).advanced(byMilliseconds: Cluster.helloMilliseconds)
        sendBlobs([.hello(workers[index].id)], from: index)
    }

    private mutating func sendBlobs(_ messages: [BlobMessage], from index: Int) {
        guard workers[index].isBlobConnected else { return }
        let route = workers[index].blobRoute
        for message in messages {
            send(
                { .toBlobServer(route, $0) }, Wire.encode(message), machine: index,
                name: "a blob's frame of worker-\(index)")
        }
    }

    mutating func receiveBlob(_ frames: [[UInt8]], on index: Int) throws(Violation) {
        // Junk is dropped, as the service does.
        guard workers[index].value != nil, let message = try? Wire.decodeBlobMessage(frames) else { return }
        switch message {
        case .get(let digest, let offset, let count):
            let answer = SimulatedDownload.answer(digest, offset: offset, count: count, from: workers[index].blobs)
            sendBlobs([answer], from: index)
        case .chunk(let digest, _, _, _), .missing(let digest):
            guard workers[index].downloads[digest] != nil else { return }
            sendBlobs(workers[index].downloads[digest]!.receive(message, at: instant(index)), from: index)
            try finishDownload(digest, on: index)
            schedule(index)
        case .hello: break
        }
    }

    private mutating func finishDownload(_ digest: Digest, on index: Int) throws(Violation) {
        guard let ending = workers[index].downloads[digest]?.ending else { return }
        workers[index].downloads[digest] = nil
        switch ending {
        case .stored(let bytes):
            workers[index].blobs[digest] = bytes
            try tell(index, .inputReady(digest))
        case .unavailable: try tell(index, .inputFailed(digest, reason: "it was not sent"))
        }
    }
}
