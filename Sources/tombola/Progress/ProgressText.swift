import CoordinatorService

/// Progress as text: a region of a few lines for a terminal, one line for a pipe.
package enum ProgressText {
    /// At most five lines, none wider than `width` cells.
    package static func region(_ progress: Progress, width: Int, ink: Ink) -> [String] {
        let percent = "\(Int(progress.fraction * 100)) %".padded(to: 5, alignment: .right)
        let name = progress.name.cut(to: max(6, width / 3))
        let barWidth = max(4, min(60, width - name.displayWidth - percent.displayWidth - 4))
        let filled = Int(progress.fraction * Double(barWidth))
        let bar =
            ink(String(repeating: "━", count: filled), progress.levels.failed > 0 ? .yellow : .green)
            + ink(String(repeating: "─", count: barWidth - filled), .dim)

        var lines = ["\(ink(name, .bold))  \(bar)  \(percent)"]
        lines.append("  " + "levels \(counts(progress.levels))   runs \(counts(progress.runs))".cut(to: width - 2))
        lines.append("  " + pace(progress).joined(separator: "   ").cut(to: width - 2))
        if !progress.waits.isEmpty {
            lines.append("  " + ink(progress.waits.joined(separator: "; ").cut(to: width - 2), .yellow))
        }
        if let best = progress.best { lines.append("  " + ink("best so far: \(best)".cut(to: width - 2), .cyan)) }
        return lines
    }

    /// One line without colours, for logs.
    package static func line(_ progress: Progress) -> String {
        var parts = ["\(progress.name): \(Int(progress.fraction * 100)) %"]
        parts.append("levels \(counts(progress.levels))")
        parts.append("runs \(counts(progress.runs))")
        parts += pace(progress) + progress.waits
        if let best = progress.best { parts.append("best so far: \(best)") }
        return parts.joined(separator: "; ")
    }

    private static func counts(_ counts: ServiceStatus.Tally) -> String {
        var text = "\(Format.count(counts.done)) of \(Format.count(counts.total)) done"
        if counts.running > 0 { text += ", \(Format.count(counts.running)) running" }
        if counts.failed > 0 { text += ", \(Format.count(counts.failed)) failed" }
        if counts.cancelled > 0 { text += ", \(Format.count(counts.cancelled)) cancelled" }
        return text
    }

    /// Why nothing is given out; nil if something is.
    private static func pause(_ progress: Progress) -> String? {
        if progress.isStopping { return "stops" }
        if progress.isShortOfRoom { return "paused, until the store's disk has room" }
        return progress.isPaused ? "paused, until `tombola resume`" : nil
    }

    private static func pace(_ progress: Progress) -> [String] {
        var parts: [String] = []
        if progress.isFinished {
            parts.append("finished")
        } else if let pause = pause(progress) {
            let rest = progress.levels.running > 0 ? "; what runs goes on" : ""
            parts.append(pause + rest)
        } else {
            if let pace = progress.stepsPerSecond { parts.append("\(Format.count(Int(pace.rounded()))) steps/s") }
            if let left = progress.secondsLeft { parts.append("\(Format.duration(seconds: left)) left") }
        }
        let workers = Format.count(progress.workers, "worker")
        parts.append(
            progress.slots == progress.workers ? workers : "\(workers), \(Format.count(progress.slots, "slot"))")
        return parts
    }
}
