import Glibc
import Lottery

/// How much memory a training may take on this machine.
public struct MemoryBudget: Sendable {
    /// Bytes that can be had now; nil where the system does not tell.
    let available: @Sendable () -> Int?

    public init(available: @escaping @Sendable () -> Int?) { self.available = available }

    public static let system = MemoryBudget { systemBytes }

    /// What the system has left, or the control group of this process if that is less; memory that caches could give
    /// back counts as left.
    public static var systemBytes: Int? {
        let machine = field("MemAvailable:", of: "/proc/meminfo").map { $0 * 1_024 }
        let group = controlGroup()
        guard let machine, let group else { return machine ?? group }
        return min(machine, group)
    }

    /// Throws if the work would need more than there is.
    public func require(_ need: MemoryNeed) throws(TrainingError) {
        guard let available = available(), need.bytes > available else { return }
        throw .unsupported(
            "\(need.work) takes about \(MemoryBudget.text(need.bytes)), and \(MemoryBudget.text(available)) are "
                + "left on this machine; \(need.remedy)")
    }

    private static func text(_ bytes: Int) -> String {
        let mebibytes = (bytes + 1_048_575) / 1_048_576
        return mebibytes < 10_240 ? "\(mebibytes) MiB" : "\(mebibytes / 1_024) GiB"
    }

    /// The number after `name` in a file of lines.
    private static func field(_ name: String, of path: String) -> Int? {
        for line in text(of: path).split(separator: "\n") where line.hasPrefix(name) {
            return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        }
        return nil
    }

    /// What a limit of control groups (version 2: `memory.max`) leaves; the tightest of the group and those above it.
    private static func controlGroup() -> Int? {
        guard let line = text(of: "/proc/self/cgroup").split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
        else { return nil }
        var parts = line.dropFirst(4).split(separator: "/").map(String.init)
        var least: Int?
        while true {
            let folder = (["/sys/fs/cgroup"] + parts).joined(separator: "/")
            // A group without a limit says "max".
            if let limit = Int(text(of: "\(folder)/memory.max").split(separator: "\n").first ?? ""),
                let used = Int(text(of: "\(folder)/memory.current").split(separator: "\n").first ?? "")
            {
                let cache = field("inactive_file", of: "\(folder)/memory.stat") ?? 0
                least = min(least ?? .max, max(0, limit - used + cache))
            }
            if parts.isEmpty { return least }
            parts.removeLast()
        }
    }

    /// A small file of the kernel's; empty if it is not there.
    private static func text(of path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16_384)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }
}
