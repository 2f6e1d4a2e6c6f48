import CoordinatorService

/// How far sweeps are: what `run`, `watch` and `status` show.
package struct Progress: Sendable, Equatable {
    /// The sweep's name; several are counted together under a name such as `3 sweeps`.
    package var name: String
    package var runs: ServiceStatus.Tally
    package var levels: ServiceStatus.Tally
    /// Training steps of all tasks, and how many of them are behind us, running tasks included.
    package var stepsTotal: Int
    package var stepsDone: Int
    /// Workers in session, and slots they have.
    package var workers: Int
    package var slots: Int
    /// Nil until enough was seen.
    package var stepsPerSecond: Double?
    package var secondsLeft: Double?
    /// All of it is paused, or nothing more is given out.
    package var isPaused = false
    package var isStopping = false
    /// Nothing is given out until the store's disk has room.
    package var isShortOfRoom = false
    /// What is in the way, a sentence each: tasks that no worker can take, and what cannot be planned.
    package var waits: [String] = []
    /// The first row of the leaderboard in a few words; nil before there is one.
    package var best: String?

    package init(
        name: String, runs: ServiceStatus.Tally, levels: ServiceStatus.Tally, stepsTotal: Int, stepsDone: Int,
        workers: Int, slots: Int, stepsPerSecond: Double? = nil, secondsLeft: Double? = nil, best: String? = nil
    ) {
        self.name = name
        self.runs = runs
        self.levels = levels
        self.stepsTotal = stepsTotal
        self.stepsDone = stepsDone
        self.workers = workers
        self.slots = slots
        self.stepsPerSecond = stepsPerSecond
        self.secondsLeft = secondsLeft
        self.best = best
    }

    /// 0…1 by steps, so that a long level counts for more than a short one.
    package var fraction: Double {
        stepsTotal > 0
            ? min(1, Double(stepsDone) / Double(stepsTotal)) : (levels.total > 0 && levels.done == levels.total ? 1 : 0)
    }

    package var isFinished: Bool { waits.isEmpty && levels.done + levels.failed + levels.cancelled >= levels.total }
}
