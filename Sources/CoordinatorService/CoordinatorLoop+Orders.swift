import Coordination
import Logging
import Lottery
import Store

/// What an order is about.
enum OrderTarget: Sendable {
    case sweep(SweepID)
    case task(TaskKey)
}

/// Orders of people, and the end that they ask for.
extension CoordinatorLoop {
    /// Does what was ordered, makes it durable, and says what it did.
    func carryOut(
        _ request: OrderRequest, of target: OrderTarget, for asker: Asker
    ) throws(CoordinatorServiceError) {
        try flush()
        let names = Set(request.states ?? TaskFailure.names)
        var reply = OrderReply(cancelled: 0, revived: 0, ended: 0, running: 0)
        switch target {
        case .sweep(let id):
            let isCancelled = coordinator.status.sweeps.contains { $0.standing.id == id && $0.standing.isCancelled }
            if isCancelled, request.order == .resume {
                return refuse(
                    asker, status: 2, "sweep “\(id)” is cancelled, not paused: `tombola retry \(id)` brings it back")
            }
            let order: SweepOrder =
                switch request.order {
                case .pause: .pause
                case .resume: .resume
                case .cancel: .cancel
                case .retry: .retry(names)
                case .priority: .prioritise(request.priority!)
                }
            apply(.sweepOrdered(id, order))
        case .task(let key):
            if case .done = coordinator.state(of: key) {
                return refuse(asker, status: 2, "task \(key) is done, and what is done stays done")
            }
            reply.task = key
            apply(.taskOrdered(key, request.order == .cancel ? .cancel : .retry(names)))
        }
        for change in batch.changes {
            switch change {
            case .taskFailed(_, let failure) where failure.name == .cancelled: reply.cancelled += 1
            case .taskRevived: reply.revived += 1
            case .attemptEnded: reply.ended += 1
            default: break
            }
        }
        try flush()
        if case .sweep(let id) = target {
            let line = coordinator.status.sweeps.first { $0.standing.id == id }
            (reply.sweep, reply.running) = (line?.standing, line?.running ?? 0)
            if let index = submissions.sweeps.firstIndex(where: { $0.name == id.text }) {
                submissions.sweeps[index].note(coordinator.state)
            }
        }
        self.reply(reply, to: asker)
    }

    func explain(_ report: TaskReport, to asker: Asker) {
        var report = report
        report.explanation = coordinator.explanation(of: report.task)
        reply(report, to: asker)
    }

    func drain(_ request: StopRequest, _ asker: Asker) {
        apply(.drain(Drain(isAtOnce: request.isAtOnce, endsWorkers: request.endsWorkers)))
        isKeptStop = false
        let counts = coordinator.counts
        let running = counts.running + counts.delivering
        let runs = running == 1 ? "1 task runs" : "\(running) tasks run"
        logger.notice("the coordinator gives out nothing more and ends once nothing runs; \(runs)")
        reply(StopReply(running: running, left: counts.left - running), to: asker)
    }

    /// Takes up, forgets, or leaves alone a stop that the last process had not come to the end of.
    func resumeStop() {
        guard coordinator.drain != nil else { return }
        switch configuration.interruptedStop {
        case .goesOn:
            logger.notice(
                "it had been told to stop when its process ended: it gives out nothing, and ends once nothing runs")
        case .isForgotten: apply(.drainForgotten)
        case .isKept: isKeptStop = true
        }
    }

    /// Whether nothing runs any more after a wish to drain.
    var isDrained: Bool {
        coordinator.drain != nil && !isKeptStop && arrivals.isEmpty
            && coordinator.counts.running + coordinator.counts.delivering == 0
    }
}
