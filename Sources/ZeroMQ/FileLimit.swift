import Glibc

/// How many files and connections this process may have open at once.
public enum FileLimit {
    /// Raises the soft limit to the hard one. If that fails, it stays as it was.
    public static func raise() {
        var limit = limits
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// How many more may be opened. It lists those that are open, which takes a millisecond for some thousands.
    public static var free: Int {
        guard let folder = opendir("/proc/self/fd") else {
            // Without /proc, or with no descriptor left to look into it.
            return errno == EMFILE || errno == ENFILE ? 0 : .max
        }
        defer { closedir(folder) }
        var open = 0
        while readdir(folder) != nil { open += 1 }
        // `.`, `..` and the descriptor of the listing itself were counted.
        return max(0, Int(clamping: limits.rlim_cur) - (open - 3))
    }

    private static var limits: rlimit {
        var limit = rlimit()
        // It fails only for a resource that does not exist.
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return rlimit(rlim_cur: rlim_t.max, rlim_max: rlim_t.max)
        }
        return limit
    }
}
