import Foundation

/// What this machine's processor calls itself.
package enum ProcessorModel {
    /// Nil where it has no name, as on ARM.
    static let current: String? = {
        // The first processor's lines are enough; of a large machine all of them are a megabyte.
        guard let file = FileHandle(forReadingAtPath: "/proc/cpuinfo"), let head = try? file.read(upToCount: 4_096)
        else { return nil }
        return name(in: String(decoding: head, as: UTF8.self))
    }()

    private static let lettersAtMost = 200

    /// - Parameter text: of `/proc/cpuinfo`.
    package static func name(in text: String) -> String? {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            guard parts.count == 2, parts[0] == "model name", !parts[1].isEmpty else { continue }
            return String(parts[1].prefix(lettersAtMost))
        }
        return nil
    }
}
