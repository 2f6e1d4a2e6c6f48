/// A point on the monotonic clock of one process, in milliseconds. It is never stored and never sent.
public struct Instant: Hashable, Sendable, Comparable {
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public static func < (left: Instant, right: Instant) -> Bool { left.milliseconds < right.milliseconds }

    public func advanced(byMilliseconds duration: Int64) -> Instant { Instant(milliseconds: milliseconds + duration) }

    /// Milliseconds from `earlier` to `self`.
    public func since(_ earlier: Instant) -> Int64 { milliseconds - earlier.milliseconds }
}
