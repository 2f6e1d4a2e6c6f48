import Coordination
import Keys
import Logging
import Lottery
import Sweeps

/// What a coordinator process is told at its start.
public struct CoordinatorServiceConfiguration: Sendable {
    /// The store's folder; made where it lacks.
    public var storeDirectory: String
    /// Where workers and clients connect: `tcp://127.0.0.1:5570`, or `…:*` for any free port.
    public var bind = "tcp://127.0.0.1:*"
    /// Where blobs go; nil: the port after that of `bind`, or any free one if that is free to choose too.
    public var blobBind: String?
    public var protection = Protection.loopback
    public var settings = CoordinatorSettings()
    /// Bytes of the store's disk below which nothing more is given out; nil: a GiB, or a twentieth of a smaller disk.
    public var minimumFreeBytes: Int?
    /// Tasks that one sweep may have.
    public var tasksPerSubmission = Plan.tasksAtMost
    /// How old an artifact must be before it counts as one that no record will name: a result's blobs come before its
    /// record.
    public var unnamedSeconds = 3_600
    /// Whether the store is compacted when a sweep has come to its end, and now and then before, checkpoints to rewind to
    /// included.
    public var retainsTicketsOnly = false
    /// How long after one compaction the next may begin while sweeps go on; and never sooner than twenty times what it
    /// took.
    public var retentionMilliseconds: Int64 = 600_000
    /// How long it waits before it plans anew what could not be planned; twice as long each time, up to a minute.
    public var retryMilliseconds: Int64 = 2_000
    /// What this build can train.
    public var vocabulary: Vocabulary
    public var data: DataAccess
    /// Ends, and the workers with it, once all that was submitted to this process is done or failed.
    public var exitWhenDone = false
    /// What becomes of a stop (`StopRequest`) that the process before this one had not come to the end of when it died.
    public var interruptedStop = InterruptedStop.goesOn
    /// How long a stop waits for workers that stop as well to deliver what they have and say goodbye. With 0 it waits
    /// for nobody.
    public var stopGraceMilliseconds: Int64 = 0
    /// Called a few times a second while something changes, by the coordinator's thread: it must return soon.
    public var onStatus: (@Sendable (ServiceStatus) -> Void)?
    public var logger: Logger

    public init(storeDirectory: String, vocabulary: Vocabulary, data: DataAccess, logger: Logger) {
        self.storeDirectory = storeDirectory
        self.vocabulary = vocabulary
        self.data = data
        self.logger = logger
    }
}

/// What becomes of a stop that a crash interrupted.
public enum InterruptedStop: Sendable {
    /// Nothing is given out, and the process ends once nothing runs.
    case goesOn
    /// A person has started it to go on with its tasks.
    case isForgotten
    /// This process is for other things, and leaves it to the next.
    case isKept
}

/// How a coordinator's sockets are protected from those who can reach them.
public enum Protection: Sendable {
    /// By listening at addresses of this machine only.
    case loopback
    /// By CURVE: only keys on the folder's allow-list come in, and only for what their role is for.
    case keys(KeyFolder)
    /// Not at all: whoever can reach it may do everything.
    case none
}

/// How the coordinator gets at data sets, which it hands to workers without knowing what they are.
public struct DataAccess: Sendable {
    /// The digest of a data set's canonical file, by registered name. Its errors are shown to the user as they are.
    public var digest: @Sendable (_ name: String) throws -> Digest
    /// Writes the canonical file into a folder, under a name of its choice, and says which. May take long.
    public var materialise: @Sendable (_ name: String, _ directory: String) throws -> String

    public init(
        digest: @escaping @Sendable (_ name: String) throws -> Digest,
        materialise: @escaping @Sendable (_ name: String, _ directory: String) throws -> String
    ) {
        self.digest = digest
        self.materialise = materialise
    }
}

/// How a coordinator came to its end in good order.
public enum CoordinatorExit: Hashable, Sendable {
    /// All that was submitted is done, but for so many tasks that failed and so many that were cancelled.
    case done(failedTasks: Int, cancelledTasks: Int = 0)
    /// It was asked to stop.
    case stopped
    /// It was asked to stop once nothing runs, and so many tasks are left for the next start.
    case drained(tasksLeft: Int)
}
