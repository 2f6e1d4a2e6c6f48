/// How many tasks were done when.
struct TaskCourse {
    private var points: [(seconds: Double, done: Int)] = []

    mutating func note(done: Int, at seconds: Double) {
        if points.last?.done != done { points.append((seconds, done)) }
    }

    /// Tasks per second between two numbers of tasks done, by the nearest observations around them.
    func rate(from first: Int, to last: Int) -> Double {
        guard let begin = points.last(where: { $0.done <= first }), let end = points.first(where: { $0.done >= last }),
            end.seconds > begin.seconds
        else { return 0 }
        return Double(end.done - begin.done) / (end.seconds - begin.seconds)
    }
}

/// The JSON of `tombola bench tasks`.
struct TasksMeasurement: Encodable {
    let count: Int
    let workers: Int
    let idleWorkers: Int
    let prefetch: Int
    /// From the workers' start to the last result, their start included.
    let tasksPerSecond: Double
    let tasksPerSecondOfFirstTenth: Double
    let tasksPerSecondOfLastTenth: Double
    /// To make all tasks durable before any was given out.
    let secondsToAdd: Double
    /// To start a coordinator on the store with all of them done.
    let secondsToRestart: Double
    /// The median of fdatasync after 4 KiB, on the same disk; nil if it could not be measured.
    let secondsToSync: Double?
    /// Nil unless tasks were given out one at a time.
    let trips: RoundTrips?
    /// The most that the coordinator's process held.
    let coordinatorBytes: Int
    let bytesPerReadyTask: Int
    let bytesPerDoneTask: Int

    init(
        count: Int, workers: Int, idleWorkers: Int, prefetch: Int, course: TaskCourse, secondsToAdd: Double,
        secondsToRestart: Double, secondsToSync: Double?, trips: RoundTrips?, coordinatorBytes: Int,
        bytesPerReadyTask: Int, bytesPerDoneTask: Int
    ) {
        self.count = count
        self.workers = workers
        self.idleWorkers = idleWorkers
        self.prefetch = prefetch
        tasksPerSecond = course.rate(from: 0, to: count)
        tasksPerSecondOfFirstTenth = course.rate(from: 0, to: count / 10)
        tasksPerSecondOfLastTenth = course.rate(from: count - count / 10, to: count)
        self.secondsToAdd = secondsToAdd
        self.secondsToRestart = secondsToRestart
        self.secondsToSync = secondsToSync
        self.trips = trips
        self.coordinatorBytes = coordinatorBytes
        self.bytesPerReadyTask = bytesPerReadyTask
        self.bytesPerDoneTask = bytesPerDoneTask
    }

    private func text(_ trips: RoundTrips) -> String {
        func milliseconds(_ seconds: Double) -> String { "\(Format.fixed(seconds * 1_000, 2)) ms" }
        return "\(milliseconds(trips.secondsAtMedian)) at the median, \(milliseconds(trips.secondsAt99)) at 99 %"
            + (secondsToSync.map { "; twice fdatasync and half a millisecond are \(milliseconds(2 * $0 + 0.000_5))" }
                ?? "")
    }

    var facts: [(name: String, value: String)] {
        [
            ("rate", "\(Format.rate(tasksPerSecond)) tasks/s, \(Format.count(count)) tasks on \(workers) workers"),
            ("first tenth", "\(Format.rate(tasksPerSecondOfFirstTenth)) tasks/s"),
            ("last tenth", "\(Format.rate(tasksPerSecondOfLastTenth)) tasks/s"),
            ("adding", "\(Format.duration(seconds: secondsToAdd)) until all tasks were durable"),
            ("restart", "\(Format.fixed(secondsToRestart, 2)) s with all of them done"),
            ("disk", secondsToSync.map { "fdatasync takes \(Format.fixed($0 * 1_000, 2)) ms" } ?? "cannot be measured"),
        ] + (trips.map { [("round trip", text($0))] } ?? []) + [
            (
                "memory",
                "\(Format.bytes(coordinatorBytes)) at the most in the coordinator; \(Format.count(bytesPerReadyTask)) bytes a ready "
                    + "task, \(Format.count(bytesPerDoneTask)) a done one"
            )
        ]
    }
}
