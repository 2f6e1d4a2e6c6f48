import Coordination

/// How long a coordinator that ends by itself stays for those who follow it: `tombola watch` looks twice a second, and is to see
/// how it ended.
struct Farewell {
    static let milliseconds: Int64 = 1_000

    /// When a client last asked how all stands.
    var lookedAt: Instant?
    /// When it ends; nil while there is something to do.
    private(set) var endsAt: Instant?

    mutating func note(isDone: Bool, at now: Instant) {
        guard isDone else { return endsAt = nil }
        let isFollowed = lookedAt.map { now.since($0) < Farewell.milliseconds } ?? false
        endsAt = endsAt ?? now.advanced(byMilliseconds: isFollowed ? Farewell.milliseconds : 0)
    }
}
