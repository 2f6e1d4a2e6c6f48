import Coordination
import Keys
import Logging
import Lottery
import ZeroMQ

/// What a worker process is told at its start.
public struct WorkerServiceConfiguration: Sendable {
    /// The coordinator's control socket: `tcp://host:port`.
    public var endpoint: String
    /// How it connects; a coordinator that listens to other machines wants a key (`Keys.KeyFile.security`).
    public var security = SocketSecurity.plain
    /// Holds the worker's id, fetched inputs, results not yet delivered, and what interrupted tasks have reached. Local
    /// disk only.
    public var directory: String
    /// First part of the worker's id; the rest is drawn once and kept in `directory`.
    public var name: String
    /// Tasks that run at once, each in a child process.
    public var slots: Int
    /// Program and arguments of a slot's child process, which speaks `SlotProtocol` on standard input and output.
    public var slotCommand: [String]
    /// What the slots may take together; nil: not known, so that tasks are not chosen by it.
    public var memoryBytes: Int?
    /// What the slots' program can compute with; empty: not said.
    public var numerics: [NumericsID] = []
    /// For measuring coordination: every task comes to an empty result at once, without a child process.
    public var answersAtOnce = false
    /// Called by the worker's thread with each task that it answers at once; it must return soon.
    public var onAnswer: (@Sendable () -> Void)?
    public var settings = WorkerSettings()
    /// How long after its start the machine will be taken away; nil if nobody said so.
    public var deadlineMilliseconds: Int64?
    /// Artifacts that are kept beyond their use, so that they need not be fetched again.
    public var cacheByteCount = 4 << 30
    public var logger: Logger

    public init(endpoint: String, directory: String, name: String, slots: Int, slotCommand: [String], logger: Logger) {
        self.endpoint = endpoint
        self.directory = directory
        self.name = name
        self.slots = slots
        self.slotCommand = slotCommand
        self.logger = logger
    }
}

/// How a worker came to its end in good order.
public enum WorkerExit: Hashable, Sendable {
    /// The coordinator has no more work.
    case shutdown
    /// Nothing to do for `WorkerSettings.idleExitMilliseconds`.
    case idle
    /// It was asked to stop.
    case stopped
}

/// Why a worker cannot start or go on: one sentence each, with the remedy.
public enum WorkerServiceError: Error, Hashable, Sendable, CustomStringConvertible {
    case badEndpoint(BadAddress)
    case badSlots(Int)
    case badName(String)
    case directory(String)
    case slotCommand(String)
    /// The coordinator does not want this worker.
    case refused(String)
    /// The coordinator does not let this worker's key in.
    case notLetIn(ConnectionRefusal, String)
    /// It was to end when there is no work for so long, and no coordinator has ever answered.
    case unanswered(String, seconds: Int64)
    case socket(String)

    public var description: String {
        switch self {
        case .badEndpoint(let error): error.description
        case .badSlots(let slots): "a worker has 1 to \(Limits.slotsPerWorker) slots, not \(slots)"
        case .badName(let name):
            "“\(name)” cannot name a worker: use 1 to \(WorkerDirectory.maximumNameBytes) letters, digits, '.', '_' and '-'"
        case .directory(let sentence): sentence
        case .slotCommand(let sentence): sentence
        case .refused(let reason): "the coordinator refused this worker: \(reason)"
        case .notLetIn(let refusal, let endpoint): refusal.sentence(about: endpoint)
        case .unanswered(let endpoint, let seconds):
            "no coordinator answered at \(endpoint) within the \(seconds) s of --idle-exit: is `tombola serve` running there?"
        case .socket(let sentence): sentence
        }
    }
}
