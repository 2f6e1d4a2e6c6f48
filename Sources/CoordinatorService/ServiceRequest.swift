import Coordination
import Foundation
import Lottery
import Sweeps

/// What clients may ask of a coordinator, by the verb of a `ClientRequest`. Bodies are JSON.
public enum ServiceVerb: String, Sendable, CaseIterable {
    /// `SubmitRequest` → `SubmitReply`.
    case submit
    /// Nothing → `ServiceStatus`.
    case status
    /// `LeaderboardRequest` → an array of `Leaderboard`.
    case leaderboard
    /// `ExplainRequest` → `TaskReport`.
    case explain
    /// `OrderRequest` → `OrderReply`.
    case order
    /// `StopRequest` → `StopReply`.
    case stop
    /// `TicketRequest` → `TicketRecord`.
    case ticket
    /// `BlobRequest` → bytes as they are: the blob's size as a little-endian `u64`, then what was asked for.
    case blob
    /// `CompactRequest`, or nothing → `CompactReply`.
    case compact
}

/// What is to go beside artifacts that no record names.
public struct CompactRequest: Hashable, Sendable, Codable {
    /// Checkpoints that trainings left for others to rewind to, once those are done; of them the weights stay.
    public var intermediates: Bool
    /// Nothing is removed, and the reply says what would be.
    public var isDryRun: Bool

    public init(intermediates: Bool = false, isDryRun: Bool = false) {
        self.intermediates = intermediates
        self.isDryRun = isDryRun
    }

    private enum CodingKeys: String, CodingKey {
        case intermediates
        case isDryRun = "is_dry_run"
    }
}

/// What a coordinator removed from its store, or would.
public struct CompactReply: Hashable, Sendable, Codable {
    public var isDryRun: Bool
    /// Artifacts that no record names.
    public var removed = 0
    public var removedBytes = 0
    /// Checkpoints to rewind to of which only the weights are left, or nothing.
    public var intermediates = 0
    /// Less what is left of them.
    public var intermediateBytes = 0
    /// Whether the database was written anew; that waits until nothing runs, since nothing can be committed meanwhile.
    public var rewroteDatabase: Bool
    public var databaseBytesBefore: Int
    public var databaseBytes = 0

    private enum CodingKeys: String, CodingKey {
        case removed, intermediates
        case isDryRun = "is_dry_run"
        case intermediateBytes = "intermediate_bytes"
        case removedBytes = "removed_bytes"
        case rewroteDatabase = "rewrote_database"
        case databaseBytesBefore = "database_bytes_before"
        case databaseBytes = "database_bytes"
    }
}

public struct SubmitRequest: Hashable, Sendable, Codable {
    /// What errors call the spec.
    public var file: String
    /// YAML.
    public var spec: String
    /// Whether a person has said that they mean more than `Sweep.runsWithoutConsent` runs.
    public var consents: Bool
    /// Whether it takes the place of the spec under which its sweep was submitted, if that is another.
    public var extends: Bool

    public init(file: String, spec: String, consents: Bool = false, extends: Bool = false) {
        self.file = file
        self.spec = spec
        self.consents = consents
        self.extends = extends
    }
}

public struct SubmitReply: Hashable, Sendable, Codable {
    public var sweep: String
    /// The store had it already, with the same spec.
    public var isContinued: Bool
    public var plan: PlanSummary
    /// What to know about it, a sentence; nil where there is nothing.
    public var warning: String?

    private enum CodingKeys: String, CodingKey {
        case sweep, plan, warning
        case isContinued = "is_continued"
    }
}

public struct LeaderboardRequest: Hashable, Sendable, Codable {
    /// Nil for all sweeps.
    public var sweep: String?

    public init(sweep: String? = nil) { self.sweep = sweep }
}

public struct ExplainRequest: Hashable, Sendable, Codable {
    /// The first digits of a task's key.
    public var task: String

    public init(task: String) { self.task = task }
}

/// What people order of a sweep or a task.
public struct OrderRequest: Hashable, Sendable, Codable {
    public enum Order: String, Hashable, Sendable, Codable {
        case pause, resume, cancel, retry, priority

        /// Whether it can be said of a single task.
        var isForTasks: Bool { self == .cancel || self == .retry }
    }

    public var order: Order
    /// A sweep's name, or the first digits of a task's key.
    public var target: String
    /// What `priority` sets.
    public var priority: Int?
    /// The names under which `retry` looks for tasks that were given up; nil for all.
    public var states: [FailureName]?

    public init(_ order: Order, _ target: String, priority: Int? = nil, states: [FailureName]? = nil) {
        self.order = order
        self.target = target
        self.priority = priority
        self.states = states
    }
}

/// What an order did; it is durable.
public struct OrderReply: Hashable, Sendable, Codable {
    /// How the sweep stands now, or nil if it was about a task.
    public var sweep: SweepStanding?
    public var task: TaskKey?
    /// Tasks that were cancelled, and that are tried anew.
    public var cancelled: Int
    public var revived: Int
    /// Trainings that were ended.
    public var ended: Int
    /// Of a sweep: tasks that are given out and go on.
    public var running: Int
}

/// Has the coordinator give out nothing more, and end once nothing runs.
public struct StopRequest: Hashable, Sendable, Codable {
    /// Whether workers are told to end, too.
    public var endsWorkers: Bool
    /// Whether workers save what they train, hand it back and end, so that nothing runs for long.
    public var isAtOnce: Bool

    public init(endsWorkers: Bool, isAtOnce: Bool = false) {
        self.endsWorkers = endsWorkers
        self.isAtOnce = isAtOnce
    }

    private enum CodingKeys: String, CodingKey {
        case endsWorkers = "ends_workers"
        case isAtOnce = "is_at_once"
    }
}

public struct StopReply: Hashable, Sendable, Codable {
    /// Tasks that run, for which it waits.
    public var running: Int
    /// Tasks that are left for the next start.
    public var left: Int
}

/// The body of a reply whose status is not 0.
public struct ServiceRefusal: Hashable, Sendable, Codable {
    /// One sentence for people.
    public var error: String

    public init(error: String) { self.error = error }
}
