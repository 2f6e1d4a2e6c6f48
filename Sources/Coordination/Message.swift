import Lottery

/// Where a frame came from: ROUTER's routing id, which lives as long as one connection.
public struct RouteID: Hashable, Sendable, Comparable {
    public var bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }
    public static func < (left: RouteID, right: RouteID) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// What a worker says on the control socket.
public enum WorkerMessage: Hashable, Sendable {
    case hello(Hello)
    case beat(Beat)
    case result(ResultReport)
    case failure(FailureReport)
    case checkpoint(CheckpointReport)
    /// An orderly end: what it held may be given to others at once.
    case goodbye(WorkerID)
}

/// What the coordinator says to a worker on the control socket.
public enum CoordinatorMessage: Hashable, Sendable {
    case welcome(Welcome)
    /// The frame came from a route without a session: say HELLO. Results in the frame counted all the same.
    case sayHello
    case task(Assignment)
    case beatAck(BeatAck)
    case resultAck(ResultAck)
    case checkpointAck(CheckpointAck)
    /// The worker cannot be used, and why: it must end with that sentence.
    case refused(reason: String)
    /// The coordinator is to end: save what is trained, send it up, hand it back, and end.
    case drain
    /// The coordinator has no more work and its workers are to end (`tombola run`).
    case shutdown
}

/// A worker process presents itself: the first message on every connection. Lists are cut to `Limits`; what does not fit is said by
/// beats.
public struct Hello: Hashable, Sendable, Codable {
    public var worker: WorkerID
    /// Drawn at the start of the worker process.
    public var incarnation: UInt64
    /// Rises with each HELLO of an incarnation; a higher one supersedes the session.
    public var counter: UInt64
    public var slots: Int
    /// Everything it holds, running or waiting for inputs.
    public var running: [RunningAttempt]
    /// What it has finished, or reports as failed, and not seen acknowledged; those messages follow WELCOME.
    public var finished: [AttemptID]
    /// Data sets and other artifacts in its folder, by digest.
    public var datasets: [Digest]
    /// Host and process, for people.
    public var host: String
    public var processID: Int32
    /// What its slots may take together, as affinity, control groups and the machine allow; nil if it does not know.
    public var memoryBytes: Int?
    /// What it can compute with; empty if it does not say.
    public var numerics: [NumericsID]

    public init(
        worker: WorkerID, incarnation: UInt64, counter: UInt64, slots: Int, running: [RunningAttempt],
        finished: [AttemptID],
        datasets: [Digest], host: String, processID: Int32, memoryBytes: Int? = nil, numerics: [NumericsID] = []
    ) {
        self.memoryBytes = memoryBytes
        self.numerics = numerics
        self.worker = worker
        self.incarnation = incarnation
        self.counter = counter
        self.slots = slots
        self.running = running
        self.finished = finished
        self.datasets = datasets
        self.host = host
        self.processID = processID
    }
}

/// An attempt that a worker holds, and how far it is.
public struct RunningAttempt: Hashable, Sendable, Codable {
    public var id: AttemptID
    /// Training step reached; stands still only if the training does.
    public var step: Int

    public init(id: AttemptID, step: Int) {
        self.id = id
        self.step = step
    }
}

/// Answers a HELLO that was taken: from here on beats are expected.
public struct Welcome: Hashable, Sendable, Codable {
    public var store: StoreID
    public var generation: Generation
    /// Of the blob socket, on the host of the control socket.
    public var blobEndpointPort: Int
    /// Between beats.
    public var beatMilliseconds: Int64
    /// Silence after which the session ends.
    public var sessionMilliseconds: Int64

    public init(
        store: StoreID, generation: Generation, blobEndpointPort: Int, beatMilliseconds: Int64,
        sessionMilliseconds: Int64
    ) {
        self.store = store
        self.generation = generation
        self.blobEndpointPort = blobEndpointPort
        self.beatMilliseconds = beatMilliseconds
        self.sessionMilliseconds = sessionMilliseconds
    }
}

/// A TASK: what a slot is to do, sent again until a beat or an end shows that it came.
public struct Assignment: Hashable, Sendable {
    public var id: AttemptID
    /// Sequence number of this TASK in the session, from 1; beats say the last one received.
    public var sequence: UInt64
    public var inputs: [ResolvedInput]
    /// What the slot is to do. Empty in a coordinator's outcome: whoever sends it puts in what the store has
    /// (`Payload`).
    public var payload: [UInt8]

    public init(id: AttemptID, sequence: UInt64, inputs: [ResolvedInput], payload: [UInt8] = []) {
        self.id = id
        self.sequence = sequence
        self.inputs = inputs
        self.payload = payload
    }
}

/// An input whose content is known.
public struct ResolvedInput: Hashable, Sendable, Codable {
    public var name: String
    public var digest: Digest

    public init(name: String, digest: Digest) {
        self.name = name
        self.digest = digest
    }
}

/// A sign of life every few seconds, with all that the worker holds: what is assigned and absent is sent again, what is held and not
/// assigned is revoked.
public struct Beat: Hashable, Sendable {
    public var worker: WorkerID
    public var incarnation: UInt64
    /// Everything it holds, running or waiting for inputs, with the training step.
    public var holding: [RunningAttempt]
    /// The highest number of a TASK of the session that has come; 0 for none.
    public var lastSequence: UInt64
    /// Slots it has, absolute; 0 when it takes no more tasks because it is about to end.
    public var slots: Int

    public init(worker: WorkerID, incarnation: UInt64, holding: [RunningAttempt], lastSequence: UInt64, slots: Int) {
        self.worker = worker
        self.incarnation = incarnation
        self.holding = holding
        self.lastSequence = lastSequence
        self.slots = slots
    }
}

/// Answers every beat of a session.
public struct BeatAck: Hashable, Sendable {
    public var store: StoreID
    public var generation: Generation
    /// Held but not assigned: stop it. Said in every ack until the beat no longer lists it.
    public var revoked: [AttemptID]
    /// Those of them whose step stood still: what the child wrote last is to be reported.
    public var stalled: [AttemptID]

    public init(store: StoreID, generation: Generation, revoked: [AttemptID], stalled: [AttemptID] = []) {
        self.store = store
        self.generation = generation
        self.revoked = revoked
        self.stalled = stalled
    }
}

/// What an attempt came to, sent again until it is acknowledged; its blobs stay in the worker's folder until then.
public struct ResultReport: Hashable, Sendable {
    public var worker: WorkerID
    public var id: AttemptID
    public var result: WorkResult

    public init(worker: WorkerID, id: AttemptID, result: WorkResult) {
        self.worker = worker
        self.id = id
        self.result = result
    }
}

/// That an attempt's child died or reported an error. It is not acknowledged: a lost one shows as an attempt that beats do not hold.
public struct FailureReport: Hashable, Sendable {
    public var worker: WorkerID
    public var id: AttemptID
    /// One sentence, of at most `Limits.reasonBytes`.
    public var reason: String
    /// The end of what its child wrote to standard error, of at most `Limits.logTailBytes`; empty if it wrote nothing.
    public var log: String
    /// The task itself is at fault (a bad payload), so that no other attempt can help.
    public var isFinal: Bool
    /// The coordinator had it ended because its step stood still, and here is the end of its log.
    public var isStalled: Bool

    public init(
        worker: WorkerID, id: AttemptID, reason: String, log: String = "", isFinal: Bool, isStalled: Bool = false
    ) {
        self.isStalled = isStalled
        self.worker = worker
        self.id = id
        self.reason = reason
        self.log = log
        self.isFinal = isFinal
    }
}

/// Says that a result is durable, or that nobody wants it.
public struct ResultAck: Hashable, Sendable, Codable {
    public var store: StoreID
    public var id: AttemptID
    public var verdict: Verdict

    public init(store: StoreID, id: AttemptID, verdict: Verdict) {
        self.store = store
        self.id = id
        self.verdict = verdict
    }

    public enum Verdict: String, Hashable, Sendable, Codable {
        /// It counts and is durable.
        case accepted
        /// Duplicate, cancelled or unknown: the worker may delete its copies.
        case discarded
    }
}

/// How far an attempt has come, and that its worker has the checkpoint and would like it kept elsewhere too. Sent again
/// until it is acknowledged.
public struct CheckpointReport: Hashable, Sendable, Codable {
    public var worker: WorkerID
    public var id: AttemptID
    /// Nil if the attempt ends without one: it was not begun, or could not be saved.
    public var checkpoint: SavedCheckpoint?
    /// The worker is about to end and gives the task back with it, which is nobody's fault.
    public var endsAttempt: Bool

    public init(worker: WorkerID, id: AttemptID, checkpoint: SavedCheckpoint?, endsAttempt: Bool) {
        self.worker = worker
        self.id = id
        self.checkpoint = checkpoint
        self.endsAttempt = endsAttempt
    }
}

/// The checkpoint is durable, or not wanted: the worker may delete what it kept of it, and if the attempt was to end it
/// has ended.
public struct CheckpointAck: Hashable, Sendable, Codable {
    public var store: StoreID
    public var id: AttemptID
    /// Of the report that is acknowledged.
    public var digest: Digest?
    public var endsAttempt: Bool

    public init(store: StoreID, id: AttemptID, digest: Digest?, endsAttempt: Bool) {
        self.store = store
        self.id = id
        self.digest = digest
        self.endsAttempt = endsAttempt
    }
}

/// What either side says on the blob socket. Both pull: who lacks content asks for chunks.
public enum BlobMessage: Hashable, Sendable {
    /// A worker's first frame on a connection, so that the coordinator can ask it for blobs.
    case hello(WorkerID)
    case get(digest: Digest, offset: Int, count: Int)
    /// Bytes from `offset` of a blob of `byteCount` bytes.
    case chunk(digest: Digest, offset: Int, byteCount: Int, bytes: [UInt8])
    /// The asked side does not have it.
    case missing(Digest)
}

/// What `submit`, `status`, `watch` and remote reads say on the control socket: a verb and a JSON or text body.
/// Coordination does not read it; the coordinator's service answers it.
public struct ClientRequest: Hashable, Sendable {
    public var id: UInt64
    public var verb: String
    public var body: [UInt8]

    public init(id: UInt64, verb: String, body: [UInt8]) {
        self.id = id
        self.verb = verb
        self.body = body
    }
}

/// Answers the `ClientRequest` of the same id.
public struct ClientReply: Hashable, Sendable {
    public var id: UInt64
    /// Exit status for the client: 0 ok, 1 infrastructure, 2 usage or spec, 3 some tasks failed.
    public var status: Int
    public var body: [UInt8]

    public init(id: UInt64, status: Int, body: [UInt8]) {
        self.id = id
        self.status = status
        self.body = body
    }
}
