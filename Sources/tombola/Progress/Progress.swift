/// How far sweeps are: what `run`, `watch` and `status` show.
package struct Progress: Sendable, Equatable {
    /// Counts of runs or levels by state.
    package struct Counts: Sendable, Equatable {
        package var done = 0
        package var running = 0
        package var failed = 0
        package var total = 0

        package init(done: Int = 0, running: Int = 0, failed: Int = 0, total: Int = 0) {
            self.done = done
            self.running = running
            self.failed = failed
            self.total = total
        }
    }

    /// The sweep's name; several are counted together under a name such as `3 sweeps`.
    package var name: String
    package var runs: Counts
    package var levels: Counts
    /// Training steps of all tasks, and how many of them are behind us, running tasks included.
    package var stepsTotal: Int
    package var stepsDone: Int
    /// Workers in session, and slots they have.
    package var workers: Int
    package var slots: Int
    /// The first row of the leaderboard in a few words; nil before there is one.
    package var best: String?

    package init(
        name: String, runs: Counts, levels: Counts, stepsTotal: Int, stepsDone: Int, workers: Int, slots: Int, best: String? = nil
    ) {
        self.name = name
        self.runs = runs
        self.levels = levels
        self.stepsTotal = stepsTotal
        self.stepsDone = stepsDone
        self.workers = workers
        self.slots = slots
        self.best = best
    }

    /// 0…1 by steps, so that a long level counts for more than a short one.
    package var fraction: Double {
        stepsTotal > 0 ? min(1, Double(stepsDone) / Double(stepsTotal)) : (levels.total > 0 && levels.done == levels.total ? 1 : 0)
    }

    package var isFinished: Bool { levels.done + levels.failed >= levels.total }
}

/// Steps per second over the last half minute. Time comes in from outside.
package struct RateMeter: Sendable {
    private static let windowSeconds = 30.0
    private var samples: [(seconds: Double, steps: Int)] = []

    package init() {}

    /// Notes that `steps` were behind us at `seconds`.
    package mutating func note(steps: Int, at seconds: Double) {
        // Steps fall back when a worker is lost with its checkpoint. The rate is then measured anew.
        if let last = samples.last, steps < last.steps { samples.removeAll() }
        samples.append((seconds, steps))
        while samples.count > 2, seconds - samples[1].seconds >= RateMeter.windowSeconds { samples.removeFirst() }
    }

    /// Nil until two seconds have been seen.
    package var stepsPerSecond: Double? {
        guard let first = samples.first, let last = samples.last, last.seconds - first.seconds >= 2 else { return nil }
        return Double(last.steps - first.steps) / (last.seconds - first.seconds)
    }

    package func secondsLeft(of progress: Progress) -> Double? {
        guard let rate = stepsPerSecond, rate > 0 else { return nil }
        return Double(max(0, progress.stepsTotal - progress.stepsDone)) / rate
    }
}
