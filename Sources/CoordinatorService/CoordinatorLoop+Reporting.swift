import Coordination
import Logging
import Lottery
import Store
import Sweeps
import Synchronization

/// What is shown of the coordinator's work, and when it is brought up to date.
struct Reporting {
    static let milliseconds: Int64 = 250
    /// A leaderboard is made again after this long at the earliest, and after ten times as long as it took.
    static let rankMilliseconds: Int64 = 2_000

    var rate = StepRate()
    /// In the order in which they were found.
    var contradictedTasks: [TaskKey] = []
    /// Something changed since the last report.
    var isDue = true
    private(set) var reportedAt: Instant?
    /// Sweeps with results that the shown ticket does not know of.
    var ranksWanted: Set<String> = []
    var rankAskedAt: Instant?
    var isRanking = false
    var nextRankAt: Instant?

    /// When the loop must look at it again; nil while nothing changes.
    var nextAt: Instant? {
        guard let reportedAt else { return nil }
        let reportAt = reportedAt.advanced(byMilliseconds: Reporting.milliseconds)
        if isDue { return reportAt }
        return ranksWanted.isEmpty || isRanking ? nil : max(reportAt, nextRankAt ?? reportAt)
    }

    mutating func noteReport(at now: Instant) {
        reportedAt = now
        isDue = false
    }
}

extension CoordinatorLoop {
    /// Keeps progress, rate and log up with a change that is durable.
    func note(_ change: Change) {
        for index in submissions.sweeps.indices { submissions.sweeps[index].note(change) }
        arrivals.current?.progress.note(change)
        keepForCompaction(change)
        noteGrowth(change)
        switch change {
        case .attemptStarted(let id, let worker):
            if submissions.underWay > 0 || growth.underWay != nil { submissions.startedMeanwhile.insert(id.task) }
            logger.debug("task \(id.task), attempt \(id.attempt), goes to \(worker)")
        case .attemptEnded(let id, let end):
            reporting.rate.noteEnded(id.task)
            logger.info("attempt \(id.attempt) of task \(id.task) was \(end.name): \(end.sentence)")
        case .attemptLogged(let id, log: _):
            logger.debug("the end of the log of attempt \(id.attempt) of task \(id.task) has come")
        case .checkpointKept(let key, let checkpoint):
            logger.debug("task \(key) can be gone on with from step \(checkpoint.step)")
        case .taskDone(let key, attempt: _, let result):
            let planned = submissions.sweeps.lazy.compactMap { $0.steps(of: key) }.first
            reporting.rate.noteDone(key, steps: planned ?? arrivals.current?.progress.steps(of: key) ?? 0..<0)
            for sweep in submissions.sweeps where sweep.contains(key) { reporting.ranksWanted.insert(sweep.name) }
            logger.debug("task \(key) is done after \(result.seconds) s")
        case .taskFailed(let key, let failure):
            // Whoever cancels a sweep has its name in the log, and need not have that of each task.
            logger.log(
                level: failure.name == .cancelled ? .debug : .error,
                "task \(key) is \(failure.name): \(failure.reason)")
        case .nondeterminism(let key, _, _, let worker):
            if !reporting.contradictedTasks.contains(key) { reporting.contradictedTasks.append(key) }
            logger.critical(
                "task \(key) gave other results on \(worker) than before: a bug in tombola, or broken hardware; see `tombola explain \(key)`"
            )
        case .taskRevived(let key): logger.debug("task \(key) is tried anew")
        case .outputRetired(let retirement):
            logger.debug("\(retirement.name) of task \(retirement.task) is gone, since nobody waits for it")
        case .taskReopened(let work): logger.info("task \(work.key) is done again, for an output that was removed")
        case .sweepChanged(let sweep):
            let state = sweep.isCancelled ? ", cancelled" : sweep.isPaused ? ", paused" : ""
            logger.info("sweep \(sweep.id): priority \(sweep.priority)\(state)")
        case .taskAdded, .taskRequested, .sweepWants, .sweepDrops, .workerQuarantined, .drainChanged: break
        }
    }

    func note(best row: LeaderboardRow?, diverged: Int, of sweep: String) {
        let now = CoordinatorLoop.now
        reporting.isRanking = false
        let took = reporting.rankAskedAt.map { now.since($0) } ?? 0
        reporting.nextRankAt = now.advanced(byMilliseconds: max(Reporting.rankMilliseconds, 10 * took))
        if let index = submissions.sweeps.firstIndex(where: { $0.name == sweep }) {
            submissions.sweeps[index].best = row
            submissions.sweeps[index].diverged = diverged
        }
    }

    func log(_ notice: Coordinator.Notice) {
        switch notice {
        case .workerJoined(let worker, let host, let slots):
            logger.info("\(worker) on \(host) joined with \(slots) \(slots == 1 ? "slot" : "slots")")
        case .workerReturned(let worker, let host): logger.info("\(worker) on \(host) is back")
        case .workerLost(let worker, let reason): logger.warning("\(worker) is lost: \(reason)")
        case .workerLeft(let worker): logger.info("\(worker) has left")
        case .workerRefused(let worker, let reason): logger.warning("\(worker) was refused: \(reason)")
        case .workerQuarantined(let worker, let tasks, let milliseconds):
            logger.warning(
                "\(worker) is quarantined: \(tasks) different tasks failed there in a row; it gets none for \(milliseconds / 1_000) s; see its log"
            )
        }
    }

    /// Publishes the status and has tickets ranked anew, a few times a second at most.
    func report() {
        let now = CoordinatorLoop.now
        if let last = reporting.reportedAt, now.since(last) < Reporting.milliseconds { return }
        if !reporting.isRanking, reporting.nextRankAt.map({ $0 <= now }) ?? true,
            let sweep = reporting.ranksWanted.min()
        {
            reporting.ranksWanted.remove(sweep)
            reporting.isRanking = true
            reporting.rankAskedAt = now
            desk.post(.rank(sweep: sweep))
        }
        guard reporting.isDue else { return }
        reporting.noteReport(at: now)
        publish(currentStatus(at: now))
    }

    func publish(_ status: ServiceStatus) {
        shared.status.withLock { $0 = status }
        configuration.onStatus?(status)
    }

    /// - Complexity: O(workers + sweeps × (running tasks + saved checkpoints)).
    func currentStatus(at now: Instant) -> ServiceStatus {
        let status = coordinator.status
        reporting.rate.note(
            status.running.map {
                StepRate.Line(task: $0.task, attempt: $0.attempt, step: $0.step, isAwaited: $0.awaitsAdoption)
            }, at: now)
        let (positions, saved) = (reporting.rate.positions, coordinator.savedSteps)
        let standings = Dictionary(uniqueKeysWithValues: status.sweeps.map { ($0.standing.id.text, $0.standing) })
        let sweeps = submissions.sweeps.map { sweep in
            var line = sweep.status(running: positions, saved: saved, standing: standings[sweep.name])
            line.mayGrow = growth.concerns(sweep.name)
            line.growthFailure = growth.failed[sweep.name]?.reason
            return line
        }
        // One that is cancelled asks for nothing.
        let unplanned = submissions.unplanned.values.filter { standings[$0.record.name]?.isCancelled != true }
            .sorted { $0.record.name < $1.record.name }
            .map { ServiceStatus.Unplanned(sweep: $0.record.name, reason: $0.backOff.reason) }
        let running = Dictionary(grouping: status.running, by: \.worker)
        let workers = status.workers.map { line in
            ServiceStatus.WorkerStatus(
                id: line.worker, host: line.host, processID: line.processID, slots: line.slots,
                isReachable: line.isReachable, memoryBytes: line.memoryBytes,
                quarantinedMilliseconds: line.quarantinedMilliseconds,
                silentMilliseconds: line.silentMilliseconds, running: (running[line.worker] ?? []).map(describe))
        }
        let rate = reporting.rate.stepsPerSecond
        // Of what waits for a word or for room nobody knows when it will be done. What others want of a cancelled sweep is
        // theirs.
        let isHeld = status.isDraining || status.isShortOfRoom
        let left = sweeps.filter { !isHeld && !$0.isPaused && !$0.isCancelled }.reduce(0) { $0 + $1.stepsLeft }
        return ServiceStatus(
            store: store.id, sweeps: sweeps, unplanned: unplanned, tasks: status.counts, workers: workers,
            stepsTotal: sweeps.reduce(0) { $0 + $1.stepsTotal }, stepsDone: sweeps.reduce(0) { $0 + $1.stepsDone },
            stepsPerSecond: rate, secondsRemaining: rate.flatMap { $0 > 0 && left > 0 ? Double(left) / $0 : nil },
            incidents: status.incidents, unmet: status.unmet,
            isStuck: status.isStuck && !sweeps.contains { $0.mayGrow && $0.growthFailure == nil },
            isDraining: status.isDraining,
            endsWhenDone: configuration.exitWhenDone,
            isShortOfRoom: status.isShortOfRoom, contradictedTasks: reporting.contradictedTasks)
    }

    private func describe(_ line: CoordinatorStatus.RunningLine) -> ServiceStatus.RunningTask {
        let sweep = submissions.sweeps.first { $0.contains(line.task) }
        return ServiceStatus.RunningTask(
            task: line.task, attempt: line.attempt, role: sweep?.role(of: line.task), sweep: sweep?.name,
            step: line.step, firstStep: sweep?.steps(of: line.task)?.lowerBound ?? 0, cost: line.cost,
            ageMilliseconds: line.ageMilliseconds)
    }
}
