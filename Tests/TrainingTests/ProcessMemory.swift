import Foundation

/// What this process holds in memory, as Linux counts it.
enum ProcessMemory {
    static func presentBytes() -> Int { bytes("VmRSS:") }
    /// The most since `forgetPeak`.
    static func peakBytes() -> Int { bytes("VmHWM:") }

    /// proc(5), `clear_refs`: 5 sets the peak to what is held now.
    static func forgetPeak() { try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs")) }

    private static func bytes(_ name: String) -> Int {
        let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = (status ?? "").split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.split(whereSeparator: \.isWhitespace)[1]) }.map { $0 << 10 } ?? 0
    }
}
