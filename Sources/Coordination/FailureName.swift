/// What can go wrong, each under a name of its own, which is the same in the store, in `status`, in JSON and in logs.
/// It is said of an attempt, of a task, or of a worker.
///
/// - `lost`. An attempt: its worker fell silent, started anew without it, or lost what it had made. A task:
///   `CoordinatorSettings.lossLimit` of its attempts were, and no checkpoint came in between.
/// - `preempted`. An attempt: it ended through no fault and counts for nothing. Its worker ended and handed it back, it
///   was not needed any more, or it was cancelled.
/// - `failed`. An attempt: its child died, reported an error, or its step stood still. A task: its child reported an
///   error that no other attempt can help, or `CoordinatorSettings.childFailureLimit` attempts failed on one and the
///   same worker.
/// - `quarantined`. A task: as many attempts failed, on more than one worker, so that the fault is its own. A worker:
///   several different tasks have failed there in a row; it gets nothing for a while.
/// - `diverged`. A task: it is done, and its training met an infinity or NaN. That is its result, and is not tried
///   again.
/// - `cancelled`. A task: somebody did not want it any more.
///
/// A task that waits for one that was given up bears that one's name. Whatever the name, `retry` makes a task that was
/// given up ready again with nothing held against it; and unless it was cancelled, a late result counts.
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
    public var isInherited: Bool {
        guard reason.hasPrefix(TaskFailure.inheritance) else { return false }
        // A child may report anything, but hardly this.
        let rest = reason.dropFirst(TaskFailure.inheritance.count)
        let digits = rest.prefix { $0.isHexDigit }
        return !digits.isEmpty && rest.dropFirst(digits.count).hasPrefix(", which ")
    }
}
