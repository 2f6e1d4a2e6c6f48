import CLinux
import Glibc

/// Processor time of the calling thread.
public enum ThreadTime {
    /// Seconds that the thread has run on a core since it began: what it takes from the machine, whoever shares the
    /// cores with it.
    public static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
