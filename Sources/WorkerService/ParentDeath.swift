import CLinux
import Glibc

/// Ties a process's life to its parent's.
public enum ParentDeath {
    /// The environment variable that tells a child the process id of the parent it must not outlive.
    public static let variable = "TOMBOLA_PARENT"

    /// Has the kernel kill this process when the *thread* that started it ends, and ends it now if the parent is gone
    /// already.
    ///
    /// posix_spawn cannot ask for this on the child's behalf, so the child does, first thing; a parent that died before
    /// is noticed by the parent's id having changed. Does nothing where `variable` is not set: then the process was not
    /// started by one of ours.
    public static func follow() {
        guard let text = getenv(variable), let parent = Int32(String(cString: text)) else { return }
        guard linux_die_with_parent(SIGKILL) == 0, getppid() == parent else { _exit(1) }
    }
}
