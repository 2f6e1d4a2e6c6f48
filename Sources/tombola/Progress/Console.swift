import Synchronization

/// Standard error, shared by progress and logs: on a terminal, log lines scroll above a live region at the bottom; in a
/// pipe, everything is plain lines.
package final class Console: Sendable {
    package static let shared = Console(Terminal.error)

    private let terminal: Terminal
    private let region = Mutex<Region>(Region())

    init(_ terminal: Terminal) { self.terminal = terminal }

    package var isInteractive: Bool { terminal.isInteractive }
    package var ink: Ink { terminal.ink }
    package var columns: Int { terminal.size?.columns ?? 80 }

    /// Prints a line for good, above the live region if there is one.
    package func say(_ line: String) {
        region.withLock { region in
            terminal.write(region.erasing(columns: columns) + line + "\n" + region.text)
        }
    }

    /// Replaces the live region. Call it at most five times a second: more is a strain on remote shells.
    package func show(_ lines: [String]) {
        region.withLock { region in
            let erasing = region.erasing(columns: columns)
            region.lines = Array(lines.prefix(max(1, (terminal.size?.rows ?? 24) - 1)))
            terminal.write(erasing + region.text)
        }
    }

    /// Removes the live region; what was said stays.
    package func clear() { show([]) }

    private struct Region {
        var lines: [String] = []

        var text: String { lines.map { $0 + "\n" }.joined() }

        /// Moves to the region's first row and erases from there. A window that became narrower has wrapped old lines.
        func erasing(columns: Int) -> String {
            guard !lines.isEmpty else { return "" }
            let rows = lines.reduce(0) { $0 + max(1, (Region.visibleWidth(of: $1) + columns - 1) / max(1, columns)) }
            return "\r\u{1B}[\(rows)A\u{1B}[J"
        }

        /// The width without colour sequences.
        static func visibleWidth(of line: String) -> Int {
            line.replacing(#/\u{1B}\[[0-9;]*m/#, with: "").displayWidth
        }
    }
}
