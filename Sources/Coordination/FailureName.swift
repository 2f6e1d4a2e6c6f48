/// What can go wrong, each under a name of its own, which is the same in the store, in `status`, in JSON and in logs.
///
/// A name is said of an attempt, of a task, or of a worker:
///
/// | name | of an attempt | of a task | of a worker |
/// |---|---|---|---|
/// | `lost` | its worker fell silent, started anew without it, or lost what it had made | was lost `CoordinatorSettings.lossLimit` times; not tried again | – |
/// | `preempted` | ended through no fault: handed back by a worker that ends, not needed any more, or cancelled; counts for nothing | – | – |
/// | `failed` | its child died, reported an error, or its step stood still | reported an error that no other attempt can help, or failed `CoordinatorSettings.childFailureLimit` times on one worker; not tried again | – |
/// | `diverged` | – | done, and not to be tried again: the training met an infinity or NaN, which is its result | – |
/// | `quarantined` | – | failed `CoordinatorSettings.childFailureLimit` times, on more than one worker, so that the fault is the task's; put aside | several different tasks have failed there in a row; gets nothing for a while |
/// | `cancelled` | – | somebody did not want it any more | – |
///
/// A task that waits for one that was given up bears that one's name. Whatever the name, `retry` makes the task ready
/// again with nothing held against it; and unless it was cancelled, a late result counts.
public enum FailureName: String, Hashable, Sendable, Codable, CaseIterable {
    case lost, preempted, failed, diverged, quarantined, cancelled
}

/// Why no further attempt of a task will be made.
public struct TaskFailure: Hashable, Sendable, Codable {
    /// `failed`, `lost`, `quarantined` or `cancelled`.
    public var name: FailureName
    /// One sentence for people, of at most about `Limits.reasonBytes`.
    public var reason: String

    public init(_ name: FailureName, _ reason: String) {
        self.name = name
        self.reason = reason
    }

    /// The names a task can be given up under.
    public static let names: [FailureName] = [.failed, .quarantined, .lost, .cancelled]

    static let inheritance = "waits for "

    /// Whether it failed only because a task that it waits for had.
    public var isInherited: Bool { reason.hasPrefix(TaskFailure.inheritance) }
}
