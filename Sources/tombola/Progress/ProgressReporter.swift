/// Shows progress on standard error as it comes in: a live region on a terminal, a line every ten seconds in a pipe.
struct ProgressReporter {
    private static let redrawSeconds = 0.2
    private static let lineSeconds = 10.0

    private let console: Console
    private var lastShown = -Double.infinity
    private var lastLine: String?

    init(_ console: Console = .shared) { self.console = console }

    /// Takes note, and shows it if the last showing is long enough ago or `isFinal`.
    mutating func show(_ progress: Progress, at seconds: Double, isFinal: Bool = false) {
        let interval = console.isInteractive ? ProgressReporter.redrawSeconds : ProgressReporter.lineSeconds
        guard isFinal || seconds - lastShown >= interval else { return }
        lastShown = seconds
        if console.isInteractive {
            console.show(ProgressText.region(progress, width: console.columns - 1, ink: console.ink))
        } else {
            let line = ProgressText.line(progress)
            if line != lastLine { console.say(line) }
            lastLine = line
        }
    }

    /// Takes the live region away before results are printed.
    func end() { if console.isInteractive { console.clear() } }
}
