import Glibc

/// Time that only goes forward, for deadlines within one process.
public enum MonotonicClock {
    /// Milliseconds since a moment that stays the same until the machine restarts.
    public static var milliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
