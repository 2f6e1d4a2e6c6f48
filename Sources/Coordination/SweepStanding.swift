/// A sweep's name within a store. Coordination knows nothing else of a sweep, and does not read the name.
public struct SweepID: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    public var text: String

    public init(_ text: String) { self.text = text }

    public static func < (left: SweepID, right: SweepID) -> Bool { left.text < right.text }
    public var description: String { text }
    public init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// What people have said of a sweep, and what decides when its tasks go out.
public struct SweepStanding: Hashable, Sendable, Codable {
    public var id: SweepID
    /// Of the sweeps that have a task ready, those of the highest priority go first. In `SweepStanding.priorities`.
    public var priority = 0
    /// No task is given out for it; what runs goes on.
    public var isPaused = false
    /// It wants no task any more. Its tasks that no other sweep wants are cancelled.
    public var isCancelled = false

    public static let priorities = -1_000...1_000

    public init(id: SweepID, priority: Int = 0, isPaused: Bool = false, isCancelled: Bool = false) {
        self.id = id
        self.priority = priority
        self.isPaused = isPaused
        self.isCancelled = isCancelled
    }
}

/// What people may say of a sweep.
public enum SweepOrder: Hashable, Sendable {
    /// Gives out no more tasks for it; what runs goes on.
    case pause
    case resume
    /// Ends what runs for it and cancels all that is not done; tasks that another sweep wants live on.
    case cancel
    /// Makes its tasks that were given up under these names ready again, with nothing held against them.
    case retry(Set<FailureName>)
    /// In `SweepStanding.priorities`.
    case prioritise(Int)
}

/// What people may say of one task. One that is done stays done.
public enum TaskOrder: Hashable, Sendable {
    /// Ends it, whoever wants it, and with it what waits for it.
    case cancel
    /// Makes it ready again if it was given up under one of these names.
    case retry(Set<FailureName>)
}
