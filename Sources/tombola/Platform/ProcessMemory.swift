import CLinux
import Foundation
import Glibc

enum ProcessMemory {
    /// What this process has in memory now, less what its allocator only keeps for later.
    static func residentBytes() throws -> Int {
        linux_trim_memory()
        let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        guard pages.count > 1, let count = Int(pages[1]) else {
            throw Failure(.infrastructure, "/proc/self/statm does not say how much memory this process has")
        }
        return count * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// The most memory that this process has had so far.
    static func peakBytes() -> Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1_024
    }
}
