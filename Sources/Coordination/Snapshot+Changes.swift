import Lottery

extension Change {
    /// The tasks whose records it changes.
    public var tasks: [TaskKey] {
        switch self {
        case .taskAdded(let work), .taskRequested(let work), .taskReopened(let work): [work.key]
        case .outputRetired(let retirement): [retirement.task]
        case .attemptStarted(let id, _), .attemptEnded(let id, _), .attemptLogged(let id, _): [id.task]
        case .sweepChanged, .workerQuarantined, .drainChanged: []
        case .sweepWants(_, let keys), .sweepDrops(_, let keys): keys
        case .taskDone(let key, _, _), .taskFailed(let key, _), .taskRevived(let key), .checkpointKept(let key, _),
            .nondeterminism(let key, _, _, _):
            [key]
        }
    }
}

extension Snapshot.TaskRecord {
    /// The record of one of the tasks of `change` after it, given the one before (nil if there was none): what a store
    /// must do, in one place.
    /// - Precondition: the change is `taskAdded` exactly if there was no record.
    public static func applying(_ change: Change, to record: Snapshot.TaskRecord?) -> Snapshot.TaskRecord {
        if case .taskAdded(let work) = change {
            precondition(record == nil, "task \(work.key) is added twice")
            return Snapshot.TaskRecord(work: work, state: .pending)
        }
        guard var record else { preconditionFailure("no record for \(change)") }
        switch change {
        case .taskAdded: break
        case .taskRequested(let work): record.work = work
        case .attemptStarted(let id, let worker):
            record.attempts = max(record.attempts, id.attempt.number)
            record.running = Snapshot.Running(attempt: id, worker: worker)
        case .attemptEnded(let id, let end):
            if end.isChildFailure {
                record.childFailures += 1
                if let running = record.running, running.attempt == id, !record.failedOn.contains(running.worker) {
                    record.failedOn = (record.failedOn + [running.worker]).sorted()
                }
            }
            if record.running?.attempt == id { record.running = nil }
            if end.isLoss { record.losses += 1 }
        case .checkpointKept(_, let checkpoint):
            record.checkpoint = checkpoint
            record.losses = 0
        case .taskDone(_, _, let result):
            record.state = .done(result)
            record.running = nil
            record.checkpoint = nil
        case .taskFailed(_, let failure):
            record.state = .failed(failure)
            record.running = nil
            record.checkpoint = nil
        case .taskRevived:
            record.state = .pending
            record.childFailures = 0
            record.losses = 0
            record.failedOn = []
        case .outputRetired(let retirement):
            guard case .done(var result) = record.state else { break }
            result.outputs.removeAll { $0.name == retirement.name }
            record.state = .done(result)
        case .taskReopened(let work):
            record.work = work
            record.state = .pending
            record.childFailures = 0
            record.losses = 0
            record.failedOn = []
        case .sweepWants(let sweep, _):
            if !record.sweeps.contains(sweep) { record.sweeps = (record.sweeps + [sweep]).sorted() }
        case .sweepDrops(let sweep, _): record.sweeps.removeAll { $0 == sweep }
        case .attemptLogged, .sweepChanged, .workerQuarantined, .drainChanged, .nondeterminism: break
        }
        return record
    }
}
