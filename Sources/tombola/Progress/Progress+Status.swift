import CoordinatorService

extension Progress {
    /// The sweep of that name; without a name, all unfinished sweeps together, or all if none is unfinished.
    init(_ status: ServiceStatus, sweep name: String? = nil) {
        var sweeps = status.sweeps.filter { name == nil || $0.name == name }
        let unfinished = sweeps.filter { $0.levels.done + $0.levels.failed + $0.levels.cancelled < $0.levels.total }
        if name == nil, !unfinished.isEmpty { sweeps = unfinished }
        self.init(
            name: sweeps.count == 1 ? sweeps[0].name : "\(sweeps.count) sweeps", runs: Counts(sweeps.map(\.runs)),
            levels: Counts(sweeps.map(\.levels)), stepsTotal: sweeps.reduce(0) { $0 + $1.stepsTotal },
            stepsDone: sweeps.reduce(0) { $0 + $1.stepsDone }, workers: status.workers.count,
            slots: status.workers.reduce(0) { $0 + $1.slots }, stepsPerSecond: status.stepsPerSecond,
            secondsLeft: status.secondsRemaining, best: sweeps.compactMap(\.best).first.flatMap(LeaderboardText.best))
        isPaused = status.isShortOfRoom || !sweeps.isEmpty && sweeps.allSatisfy(\.isPaused)
        isStopping = status.isDraining
        unmet = status.unmet.map(UnmetText.sentence)
    }
}

extension Progress.Counts {
    fileprivate init(_ tallies: [ServiceStatus.Tally]) {
        self.init()
        for tally in tallies {
            done += tally.done
            running += tally.running
            failed += tally.failed
            cancelled += tally.cancelled
            total += tally.total
        }
    }
}
