import Lottery

/// A task as coordination sees it: a name, what must be there before it can start, what it costs, and a payload that it
/// never reads.
public struct Work: Hashable, Sendable {
    public var key: TaskKey
    public var inputs: [WorkInput]
    /// Estimated work, in training steps.
    public var cost: Int
    /// Of ready tasks the one with the higher priority is sent first: the cost of the longest chain that waits for it.
    public var priority: Int
    /// What a worker must have for it.
    public var needs: Needs
    /// What the worker's slot is to do. Opaque here.
    public var payload: Payload

    public init(
        key: TaskKey, inputs: [WorkInput], cost: Int, priority: Int, needs: Needs = Needs(), payload: Payload
    ) {
        self.key = key
        self.inputs = inputs
        self.cost = cost
        self.priority = priority
        self.needs = needs
        self.payload = payload
    }

    public init(
        key: TaskKey, inputs: [WorkInput], cost: Int, priority: Int, needs: Needs = Needs(), payload: [UInt8]
    ) {
        self.init(key: key, inputs: inputs, cost: cost, priority: priority, needs: needs, payload: Payload(payload))
    }

    /// What a worker must have for a task. Few differ, however many tasks there are.
    public struct Needs: Hashable, Sendable, Codable {
        /// Predicted, of the slot's process; 0 if nothing is known.
        public var memoryBytes: Int
        /// The arithmetic that it must compute with; nil: any.
        public var numerics: NumericsID?

        public init(memoryBytes: Int = 0, numerics: NumericsID? = nil) {
            self.memoryBytes = memoryBytes
            self.numerics = numerics
        }
    }
}

/// One input of a task, under the name by which the task finds it.
public struct WorkInput: Hashable, Sendable, Codable {
    public var name: String
    public var source: Source

    public init(name: String, source: Source) {
        self.name = name
        self.source = source
    }

    public enum Source: Hashable, Sendable, Codable {
        /// Content the coordinator has already, such as a data set.
        case blob(Digest)
        /// What another task leaves under a name.
        case output(TaskKey, OutputName)
    }
}

extension WorkInput {
    /// The name under which a TASK hands its newest saved checkpoint to the slot, beside the task's own inputs. Nothing
    /// depends on it: without it the training starts from the beginning and comes to the same.
    public static let checkpoint = "checkpoint"
}

/// How far a training had come when it was last saved, and the blob from which any worker can go on.
public struct SavedCheckpoint: Hashable, Sendable, Codable {
    /// Training step, counted as the task counts.
    public var step: Int
    public var digest: Digest
    public var byteCount: Int

    public init(step: Int, digest: Digest, byteCount: Int) {
        self.step = step
        self.digest = digest
        self.byteCount = byteCount
    }
}

/// The number of a try of a task. It rises with each try and is durable before the try is sent.
public struct Attempt: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    public var number: Int

    public init(_ number: Int) { self.number = number }

    public static func < (left: Attempt, right: Attempt) -> Bool { left.number < right.number }
    public var description: String { String(number) }
    public init(from decoder: any Decoder) throws { number = try decoder.singleValueContainer().decode(Int.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }
}

/// One try of one task by one worker, as both sides name it.
public struct AttemptID: Hashable, Sendable, Comparable, Codable {
    public var task: TaskKey
    public var attempt: Attempt
    /// The coordinator start in which the attempt was given out.
    public var generation: Generation

    public init(task: TaskKey, attempt: Attempt, generation: Generation) {
        self.task = task
        self.attempt = attempt
        self.generation = generation
    }

    public static func < (left: AttemptID, right: AttemptID) -> Bool {
        (left.task, left.attempt, left.generation.nonce) < (right.task, right.attempt, right.generation.nonce)
    }
}

/// A nonce drawn at each start of a coordinator, so that workers notice another or a restored store.
public struct Generation: Hashable, Sendable, Codable {
    public var nonce: UInt64

    public init(nonce: UInt64) { self.nonce = nonce }
    public init(from decoder: any Decoder) throws { nonce = try decoder.singleValueContainer().decode(UInt64.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(nonce)
    }
}

/// What a worker says a task came to.
public struct WorkResult: Hashable, Sendable {
    /// Artifacts by output name, sorted by name.
    public var outputs: [TaskOutput]
    /// At most `Limits.summaryBytes` bytes that coordination does not read; part of what two results are compared by.
    public var summary: [UInt8]
    /// Processor time of the training, in seconds, also of those of its steps that other attempts took. Not compared.
    public var seconds: Double
    /// Where it is from: at most `Limits.originBytes` bytes of text that coordination does not read. Not compared.
    public var origin: String

    public init(outputs: [TaskOutput], summary: [UInt8], seconds: Double, origin: String = "") {
        self.outputs = outputs
        self.summary = summary
        self.seconds = seconds
        self.origin = origin
    }

    public func output(_ name: OutputName) -> TaskOutput? { outputs.first { $0.name == name } }
}
