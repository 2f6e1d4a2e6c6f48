import Foundation

/// What this process holds in memory, as Linux counts it.
enum ProcessMemory {
    static func presentBytes() throws -> Int { try bytes("VmRSS:") }
    /// The most since `forgetPeak`.
    static func peakBytes() throws -> Int { try bytes("VmHWM:") }

    /// proc(5), `clear_refs`: 5 sets the peak to what is held now.
    static func forgetPeak() throws { try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs")) }

    private struct NotTold: Error { let name: String }

    private static func bytes(_ name: String) throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let words = status.split(separator: "\n").first { $0.hasPrefix(name) }?.split(whereSeparator: \.isWhitespace)
        guard let words, words.count > 1, let kibibytes = Int(words[1]) else { throw NotTold(name: name) }
        return kibibytes << 10
    }
}
