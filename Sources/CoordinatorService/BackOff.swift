import Coordination

/// When what the desk could not do is asked of it again: after a while, then after twice as long each time, and never
/// sooner than the failed try took.
struct BackOff {
    static let millisecondsAtMost: Int64 = 60_000

    private(set) var tries = 0
    private(set) var until: Instant
    private var milliseconds: Int64
    /// Of the last try.
    private(set) var reason = ""

    /// - Parameter milliseconds: after the first failure.
    init(at now: Instant, milliseconds: Int64) {
        until = now
        self.milliseconds = milliseconds
    }

    /// - Parameter took: milliseconds of the try that failed.
    mutating func fail(at now: Instant, took: Int64, _ reason: String) {
        tries += 1
        until = now.advanced(byMilliseconds: max(milliseconds, took))
        milliseconds = min(2 * milliseconds, BackOff.millisecondsAtMost)
        self.reason = reason
    }
}
