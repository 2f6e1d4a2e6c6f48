import CoordinatorService

extension Progress {
    /// The sweep of that name; without a name, all unfinished sweeps together, or all if none is unfinished.
    init(_ status: ServiceStatus, sweep name: String? = nil) {
        var sweeps = status.sweeps.filter { name == nil || $0.name == name }
        let unfinished = sweeps.filter { $0.levels.done + $0.levels.failed + $0.levels.cancelled < $0.levels.total }
        if name == nil, !unfinished.isEmpty { sweeps = unfinished }
        let unplanned = status.unplanned.filter { name == nil || $0.sweep == name }
        let names = sweeps.map(\.name) + unplanned.map(\.sweep)
        self.init(
            name: names.count == 1 ? names[0] : "\(names.count) sweeps",
            runs: ServiceStatus.Tally(sum: sweeps.map(\.runs)),
            levels: ServiceStatus.Tally(sum: sweeps.map(\.levels)), stepsTotal: sweeps.reduce(0) { $0 + $1.stepsTotal },
            stepsDone: sweeps.reduce(0) { $0 + $1.stepsDone }, workers: status.workers.count,
            slots: status.workers.reduce(0) { $0 + $1.slots }, stepsPerSecond: status.stepsPerSecond,
            secondsLeft: status.secondsRemaining, best: sweeps.compactMap(\.best).first.flatMap(LeaderboardText.best))
        isPaused = !sweeps.isEmpty && sweeps.allSatisfy(\.isPaused)
        isShortOfRoom = status.isShortOfRoom
        isStopping = status.isDraining
        waits =
            status.unmet.map(UnmetText.sentence)
            + unplanned.map { "\($0.sweep) cannot be planned: \($0.reason)" }
            + sweeps.compactMap { sweep in
                sweep.growthFailure.map { "what the results of \(sweep.name) ask for cannot be planned: \($0)" }
            }
    }
}

extension ServiceStatus.Tally {
    fileprivate init(sum tallies: [ServiceStatus.Tally]) {
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
