import CLinux
import Foundation
import Glibc

/// How many slots a machine, a container or a Slurm job has room for.
public enum UsableCores {
    /// The CPUs this process may run on at once: those of its affinity, and no more than cgroup v2's `cpu.max` pays
    /// for. At least 1.
    public static var count: Int {
        let affinity = Int(linux_affinity_count())
        let cores = affinity > 0 ? affinity : ProcessInfo.processInfo.activeProcessorCount
        return max(1, min(cores, quota() ?? cores))
    }

    /// Whole CPUs that the tightest `cpu.max` of this process's cgroup and those above it pays for; nil if none limits
    /// it.
    /// - Parameters:
    ///   - membership: text of /proc/self/cgroup; read there if nil.
    ///   - root: where cgroup v2 is mounted.
    public static func quota(membership: String? = nil, root: String = "/sys/fs/cgroup") -> Int? {
        // Where there is no /proc or no cgroup v2 there is no limit to be found, which is what a missing file says.
        guard let membership = membership ?? (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) else {
            return nil
        }
        guard let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
        var folders = line.dropFirst("0::/".count).split(separator: "/")
        var tightest: Int?
        while true {
            let file = ([root[...]] + folders + ["cpu.max"]).joined(separator: "/")
            // Absent at the root of the hierarchy and where the cpu controller is off: no limit at that level.
            if let text = try? String(contentsOfFile: file, encoding: .utf8), let cores = cores(paidBy: text) {
                tightest = min(tightest ?? cores, cores)
            }
            if folders.popLast() == nil { return tightest }
        }
    }

    /// `"150000 100000"` pays for one whole CPU; `"max 100000"` limits nothing.
    private static func cores(paidBy text: String) -> Int? {
        let fields = text.split(whereSeparator: \.isWhitespace).map { Int($0) }
        guard fields.count == 2, let quota = fields[0], let period = fields[1], period > 0 else { return nil }
        return max(1, quota / period)
    }
}
