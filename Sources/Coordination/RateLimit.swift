/// Lets something that peers may cause without end be said once in ten seconds, and counts how often it happened.
public struct RateLimit: Sendable {
    private static let milliseconds: Int64 = 10_000
    private var count = 0
    private var admittedAt: Instant?

    public init() {}

    /// How often it has happened, this time included, if it may be said now.
    public mutating func admit(at now: Instant) -> Int? {
        count += 1
        if let admittedAt, now.since(admittedAt) < RateLimit.milliseconds { return nil }
        admittedAt = now
        return count
    }
}
