import Coordination

/// The monotonic clock of one process: it starts anywhere, runs a little fast or slow, and may jump ahead, but never
/// back.
struct ProcessClock: Sendable {
    private let startedAt: Int64
    private var shown: Int64
    /// Parts per million that it gains or loses.
    private let drift: Int64

    /// - Parameter now: true time in milliseconds, as all times here that are no `Instant`.
    init(startedAt now: Int64, random: inout SeededRandom) {
        startedAt = now
        shown = random.below(1_000_000_000)
        drift = random.below(40_001) - 20_000
    }

    func instant(at now: Int64) -> Instant {
        let elapsed = now - startedAt
        return Instant(milliseconds: shown + elapsed + elapsed * drift / 1_000_000)
    }

    /// The first true time at which it shows `instant` or more, not before `now`.
    func time(of instant: Instant, from now: Int64) -> Int64 {
        let wait = instant.since(self.instant(at: now))
        guard wait > 0 else { return now }
        var time = now + wait * 1_000_000 / (1_000_000 + drift)
        while self.instant(at: time) < instant { time += 1 }
        return time
    }

    mutating func jump(milliseconds: Int64) { shown += milliseconds }
}
