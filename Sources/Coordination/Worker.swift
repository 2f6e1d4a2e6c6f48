import Lottery
import OrderedCollections

/// A worker's decisions as a value: session, beats, outbox, slots, inputs. The shell hands it events and carries out
/// the outcomes; sockets, children and files are the shell's.
///
/// Training never stops because the coordinator is gone: children go on, results wait in the outbox, and HELLO says
/// what is still held when somebody answers.
public struct Worker: Sendable {
    public struct Identity: Hashable, Sendable {
        public var worker: WorkerID
        /// Drawn at the start of the process.
        public var incarnation: UInt64
        public var slots: Int
        /// Artifacts in the worker's folder at its start.
        public var datasets: [Digest]
        /// Host and process, for people.
        public var host: String
        public var processID: Int32
        /// Nil if it is not known.
        public var memoryBytes: Int?
        public var numerics: [NumericsID]

        public init(
            worker: WorkerID, incarnation: UInt64, slots: Int, datasets: [Digest], host: String, processID: Int32,
            memoryBytes: Int? = nil, numerics: [NumericsID] = []
        ) {
            self.memoryBytes = memoryBytes
            self.numerics = numerics
            self.worker = worker
            self.incarnation = incarnation
            self.slots = slots
            self.datasets = datasets
            self.host = host
            self.processID = processID
        }
    }

    public let identity: Identity
    public let settings: WorkerSettings

    var connection = Connection.none
    var helloCounter: UInt64 = 0
    /// New connections since the last WELCOME.
    var reconnections = 0
    var beatMilliseconds: Int64
    var nextBeatAt: Instant
    var unansweredBeats = 0
    /// When the coordinator last said anything; at first, when it was first asked.
    var heardAt: Instant
    /// When it was last heard before it was said that nobody answers; nil while somebody does.
    var silentSince: Instant?
    /// Highest number of a TASK of this generation.
    var lastSequence: UInt64 = 0
    var store: StoreID?
    var generation: Generation?

    var slots: [Slot]
    /// Assignments without a slot or without all their inputs, oldest first; a task is here or in a slot, never in
    /// both.
    var waiting: OrderedDictionary<TaskKey, Waiting> = [:]
    /// Inputs that were asked for, and the waiting tasks that want them.
    var fetches: OrderedDictionary<Digest, OrderedSet<TaskKey>> = [:]
    var outbox: OrderedDictionary<AttemptID, Delivery> = [:]
    /// Checkpoints that the coordinator is to have, and attempts that it gets back: see `Worker+Checkpoints.swift`.
    var uploads: OrderedDictionary<AttemptID, Upload> = [:]
    /// Since when each attempt in a slot has trained what no one else has; none for one that goes on from a save that others
    /// may lack.
    var unsentSince: [AttemptID: Instant] = [:]
    /// Failures that could not be said because there was no session.
    var unsaidFailures: [FailureReport] = []

    /// Since when it has had nothing to do.
    var idleSince: Instant?
    /// When the machine will be taken away.
    var deadline: Instant?
    /// When a draining worker ends, whatever is left.
    var drainDeadline: Instant?
    var hasExited = false

    var latest: Instant

    /// - Parameter finished: results of an earlier process of this worker that were not acknowledged.
    /// - Precondition: `identity.slots` in 1...`Limits.slotsPerWorker`.
    public init(identity: Identity, settings: WorkerSettings, outbox finished: [ResultReport] = [], at now: Instant) {
        precondition((1...Limits.slotsPerWorker).contains(identity.slots), "a worker has no \(identity.slots) slots")
        self.identity = identity
        self.settings = settings
        beatMilliseconds = settings.beatMilliseconds
        nextBeatAt = now
        heardAt = now
        latest = now
        slots = Array(repeating: .free, count: identity.slots)
        for report in finished { put(report) }
    }

    /// - Parameter random: uniform in 0..<1, used if this event makes the worker back off.
    public mutating func handle(_ event: Event, at now: Instant, random: Double) -> Outcome {
        var outcome = Outcome()
        guard !hasExited else { return outcome }
        latest = now
        switch event {
        case .begin: connect(&outcome)
        case .message(let message): onMessage(message, &outcome)
        case .began(let slot, let step, let isResumed): onBegan(slot, step, isResumed)
        case .progress(let slot, let step): onProgress(slot, step)
        case .saved(let slot, let step, let byteCount): onSaved(slot, step, byteCount, &outcome)
        case .checkpointTaken(let id, let checkpoint): onCheckpointTaken(id, checkpoint, &outcome)
        case .finished(let slot, let result): onFinished(slot, result, &outcome)
        case .failed(let slot, let reason, let log, let isFinal):
            onFailed(slot, reason, log: log, isFinal: isFinal, &outcome)
        case .stopped(let slot, let log): onStopped(slot, log: log, &outcome)
        case .inputReady(let digest): onInputReady(digest)
        case .inputFailed(let digest, let reason): onInputFailed(digest, reason, &outcome)
        case .wake: onWake(random: random, &outcome)
        case .deadline(let deadline): self.deadline = min(self.deadline ?? deadline, deadline)
        case .stop: drain(until: now.advanced(byMilliseconds: settings.graceMilliseconds), &outcome)
        }
        drainIfDue(&outcome)
        startWaiting(&outcome)
        noticeIdleness()
        exitIfDone(&outcome)
        outcome.wakeUpAt = hasExited ? nil : deadlines().min()
        return outcome
    }

    /// Attempts it has: running, waiting, or finished and not acknowledged.
    public var load: Load {
        Load(
            running: slots.count { if case .running = $0 { true } else { false } }, waiting: waiting.count,
            outbox: outbox.count,
            isConnected: connection == .joined, reconnections: reconnections)
    }

    /// For the log.
    public struct Load: Hashable, Sendable {
        public var running: Int
        public var waiting: Int
        public var outbox: Int
        public var isConnected: Bool
        /// New connections since the coordinator last answered.
        public var reconnections: Int
    }
}

extension Worker {
    /// `none` → `greeting` → `joined`; either of the last two → `backingOff` → `greeting`. A late WELCOME joins from
    /// anywhere.
    enum Connection: Hashable, Sendable {
        case none
        /// HELLO was sent and is unanswered.
        case greeting(since: Instant)
        case joined
        case backingOff(until: Instant)
    }

    /// `free` → `running` → `free`, or `running` → `ending` → `free`.
    enum Slot: Sendable {
        case free
        case running(Assignment, step: Int)
        /// `kill` or `stop` was said. A result that comes all the same is kept unless the attempt was revoked.
        case ending(Assignment, step: Int, isRevoked: Bool, isStalled: Bool = false)

        var assignment: Assignment? {
            switch self {
            case .free: nil
            case .running(let assignment, _), .ending(let assignment, _, _, _): assignment
            }
        }

        var task: TaskKey? { assignment?.id.task }
    }

    struct Waiting: Sendable {
        var assignment: Assignment
        var missing: OrderedSet<Digest>
    }

    struct Delivery: Sendable {
        var report: ResultReport
        var nextSendAt: Instant
        var waitMilliseconds: Int64
    }
}
