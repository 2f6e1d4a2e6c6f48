import Glibc

/// How many files and connections this process may have open at once.
public enum FileLimit {
    /// Raises the soft limit to the hard one. If that fails, it stays as it was.
    public static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
