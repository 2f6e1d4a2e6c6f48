import Coordination
import Lottery
import OrderedCollections

/// What must never happen, seen from outside: from what was committed, and from what was sent after that.
///
/// It knows nothing of the coordinator's or the workers' state. Of a store that was put back to an earlier copy it
/// forgets what came after the copy, but for the results: the same task must come to the same artifacts again.
struct Checker: Sendable {
    struct Violation: Error, CustomStringConvertible {
        var description: String
    }

    /// Attempts that the store holds as given out.
    private var open: [TaskKey: AttemptID] = [:]
    private var highest: [TaskKey: Attempt] = [:]
    /// To whom each attempt was ever given.
    private var holders: [AttemptID: WorkerID] = [:]
    /// The first result of each task, over all copies of the store.
    private var results: [TaskKey: WorkResult] = [:]
    private var done: Set<TaskKey> = []
    /// How far the kept checkpoint of each task is.
    private var checkpointSteps: [TaskKey: Int] = [:]
    /// Tasks whose result was acknowledged as accepted.
    private(set) var acknowledged: Set<TaskKey> = []
    private(set) var counts = Counts()
    /// What people and plans have said, as it is in the store.
    private var standing = Standing()
    /// The coordinator was told to give out nothing more, and has not ended in good order since.
    private var isDraining = false
    /// Workers of which the coordinator knows that their key is not good any more.
    var expelled: Set<WorkerID> = []
    /// Workers that are to get nothing.
    private var quarantined: Set<WorkerID> = []
    /// Whether nothing can excuse that a task goes out of turn.
    var watchesTurns = false
    /// What workers have and tasks need.
    var memory: [WorkerID: Int] = [:]
    /// How many tasks each worker trains at a time.
    var slots: [WorkerID: Int] = [:]
    var needs: [TaskKey: Int] = [:]
    /// Open attempts whose results have come: their slots are free.
    private var delivering: Set<AttemptID> = []
    /// Of them, those that came since the last commit.
    private var resultsUnderWay = 0
    /// Whether trainings may come to other artifacts than they should.
    var mayMiscompute = false
    /// What the results of each sweep have ever asked for.
    var mayWant: [SweepID: Set<TaskKey>] = [:]

    struct Counts: Hashable, Sendable {
        var attempts = 0
        var resultsAcknowledged = 0
        var resultsDiscarded = 0
        var losses = 0
        var childFailures = 0
        var disputes = 0
    }

    /// - Parameter store: as the commit left it.
    mutating func committed(_ changes: [Change], to store: SimulatedStore) throws(Violation) {
        for change in changes {
            standing.note(change)
            switch change {
            case .attemptStarted(let id, let worker): try started(id, by: worker)
            case .attemptEnded(let id, let end):
                try demand(open[id.task] == id, "attempt \(id.attempt) of \(id.task) ends, and is not given out")
                open[id.task] = nil
                if end.isLoss { counts.losses += 1 }
                if end.isChildFailure { counts.childFailures += 1 }
            case .checkpointKept(let key, let checkpoint):
                try demand(!done.contains(key), "task \(key) is done and has a checkpoint")
                try demand(
                    store.checkpoints[checkpoint.digest] != nil, "a checkpoint of task \(key) is not in the store")
                if let before = checkpointSteps.updateValue(checkpoint.step, forKey: key) {
                    try demand(
                        checkpoint.step > before, "task \(key) goes back from step \(before) to \(checkpoint.step)")
                }
            case .taskDone(let key, _, let result):
                checkpointSteps[key] = nil
                try demand(standing.failures[key] != .cancelled, "task \(key) was cancelled and is done")
                try finished(key, result, store)
                standing.failures[key] = nil
            case .taskFailed(let key, let failure):
                checkpointSteps[key] = nil
                try demand(!done.contains(key), "task \(key) was done and fails: \(failure.reason)")
                try demand(open[key] == nil, "task \(key) fails while it is given out")
                standing.failures[key] = failure.name
            case .taskRevived(let key): standing.failures[key] = nil
            case .outputRetired(let retirement):
                try demand(done.contains(retirement.task), "task \(retirement.task) is not done and loses an output")
                results[retirement.task]?.outputs.removeAll { $0.name == retirement.name }
            case .taskReopened(let work):
                try demand(done.remove(work.key) != nil, "task \(work.key) is not done and is done again")
                acknowledged.remove(work.key)
            case .nondeterminism(let key, _, _, let worker):
                try demand(mayMiscompute, "\(worker) is said to have computed something else for task \(key)")
                try demand(done.contains(key), "two results of task \(key) differ, and it is not done")
                counts.disputes += 1
            case .workerQuarantined(let worker, let quarantine):
                if quarantine?.milliseconds ?? 0 > 0 { quarantined.insert(worker) } else { quarantined.remove(worker) }
            case .drainChanged(let drain): isDraining = drain != nil
            case .sweepWants(let sweep, let keys):
                for key in keys {
                    try demand(
                        mayWant[sweep]?.contains(key) == true, "\(sweep) wants task \(key), for which no result asks")
                }
            case .taskAdded, .taskRequested, .attemptLogged, .sweepChanged, .sweepDrops: break
            }
        }
        resultsUnderWay = 0
    }

    /// One live lease per task, and attempts only rise. (An attempt that was given up for lost may be taken up again by
    /// its worker.)
    private mutating func started(_ id: AttemptID, by worker: WorkerID) throws(Violation) {
        try demand(!done.contains(id.task), "task \(id.task) is done and is given out again")
        if let other = open[id.task] {
            throw Violation(
                description: "task \(id.task) is given out as attempt \(id.attempt) while \(other.attempt) is open")
        }
        if let holder = holders[id] {
            try demand(holder == worker, "attempt \(id.attempt) of \(id.task) is \(holder)'s and is given to \(worker)")
        } else {
            if let before = highest[id.task] {
                try demand(id.attempt > before, "attempt \(id.attempt) of \(id.task) comes after attempt \(before)")
            }
            try mayGoOut(id.task)
            try demand(!expelled.contains(worker), "\(worker) is not authorised and is given task \(id.task)")
            try demand(!quarantined.contains(worker), "\(worker) is quarantined and is given task \(id.task)")
        }
        if holders[id] == nil {
            let held = open.values.filter { holders[$0] == worker && !delivering.contains($0) }
            let slots = slots[worker] ?? 0
            try demand(held.count < slots, "\(worker) has \(slots) slots, all taken, and is given task \(id.task)")
            if let memory = memory[worker] {
                let needed = held.reduce(needs[id.task] ?? 0) { $0 + (needs[$1.task] ?? 0) }
                try demand(needed <= memory, "\(worker) has \(memory) of memory and is given tasks that need \(needed)")
            }
        }
        counts.attempts += 1
        holders[id] = worker
        highest[id.task] = max(highest[id.task] ?? id.attempt, id.attempt)
        open[id.task] = id
    }

    /// What was given up is not given out, nor what only paused sweeps want; and who is most urgent goes first.
    private func mayGoOut(_ key: TaskKey) throws(Violation) {
        if let name = standing.failures[key] {
            throw Violation(description: "task \(key) is \(name) and is given out")
        }
        try demand(!isDraining, "task \(key) is given out, and nothing more was to be")
        try demand(!standing.isHeld(key), "task \(key) is given out, and every sweep that wants it is paused")
        guard watchesTurns else { return }
        let running = Set(open.values).subtracting(delivering).map(\.task)
        let turn = standing.turn(of: key, running: running)
        for other in standing.ready(open: open, done: done) {
            let due = standing.turn(of: other, running: running)
            try demand(due.priority <= turn.priority, "task \(key) goes out before \(other), which is more urgent")
            guard due.priority == turn.priority else { continue }
            // Results of one turn of the loop have come one after the other, and all count as here already.
            try demand(
                due.running + resultsUnderWay >= turn.running,
                "task \(key) goes out where \(turn.running) run, before \(other), where \(due.running) do")
        }
    }

    mutating func resultCame(_ id: AttemptID) {
        guard open[id.task] == id, delivering.insert(id).inserted else { return }
        resultsUnderWay += 1
    }

    /// A finished task's artifacts are all there, and are the same whenever it is finished.
    private mutating func finished(
        _ key: TaskKey, _ result: WorkResult, _ store: SimulatedStore
    ) throws(Violation) {
        try demand(done.insert(key).inserted, "task \(key) is done a second time")
        open[key] = nil
        if let first = results[key] {
            // Done again it leaves what was retired since, too.
            try demand(
                first.outputs.allSatisfy(result.outputs.contains), "the artifacts of task \(key) are others than before"
            )
        }
        results[key] = result
        for output in result.outputs {
            try demand(
                store.blobs[output.digest].map { Digest.of($0) } == output.digest,
                "task \(key) is done and its \(output.name) is not in the store")
        }
    }

    /// A submission is acknowledged: all of it is in the store.
    func submitted(_ sweep: SweepID, _ keys: [TaskKey], to store: SimulatedStore) throws(Violation) {
        for key in keys {
            try demand(
                store.records[key] != nil,
                "the submission of \(sweep) is acknowledged, and its task \(key) is not in the store")
        }
        try demand(!store.incomplete.contains(sweep), "the submission of \(sweep) is acknowledged, and is not whole")
    }

    /// Whatever is sent is true of the store at that moment.
    mutating func sent(_ envelope: Envelope, by store: SimulatedStore) throws(Violation) {
        switch envelope.message {
        case .task(let assignment):
            // It may have ended in the same transaction.
            try demand(
                holders[assignment.id] != nil,
                "attempt \(assignment.id.attempt) of \(assignment.id.task) is sent and was never committed")
        case .resultAck(let ack):
            guard ack.verdict == .accepted else { return counts.resultsDiscarded += 1 }
            guard case .done = store.records[ack.id.task]?.state else {
                throw Violation(description: "the result of \(ack.id.task) is acknowledged, and is not in the store")
            }
            counts.resultsAcknowledged += 1
            acknowledged.insert(ack.id.task)
        case .checkpointAck(let ack):
            try demand(
                !ack.endsAttempt || open[ack.id.task] != ack.id,
                "attempt \(ack.id.attempt) of \(ack.id.task) is said to have ended, and has not")
        case .welcome, .sayHello, .beatAck, .refused, .drain, .shutdown: break
        }
    }

    /// Nothing acknowledged is lost, and nothing in the store changes that no change has told of.
    mutating func restarted(on store: SimulatedStore) throws(Violation) {
        delivering = []
        for key in acknowledged.sorted() {
            try demand(done.contains(key), "task \(key) was acknowledged and never done")
        }
        for key in done.sorted() {
            guard case .done(let kept) = store.records[key]?.state else {
                throw Violation(description: "task \(key) was done, and is not after a restart")
            }
            try demand(kept == results[key], "the result of task \(key) has changed in the store")
        }
    }

    /// Counts are conserved: every task is in exactly one state, and none is missing.
    func counted(_ counts: CoordinatorStatus.Counts, in store: SimulatedStore) throws(Violation) {
        try demand(
            counts.total == store.records.count, "\(counts.total) tasks are counted of \(store.records.count)")
        try demand(counts.done == done.count, "\(counts.done) tasks are counted as done of \(done.count)")
        let held = counts.running + counts.delivering
        // One that was given up for lost is delivered, too, where its worker returned with the result.
        try demand(held >= open.count, "\(held) attempts are counted of \(open.count)")
        try demand(counts.running <= open.count, "\(counts.running) tasks are counted as running of \(open.count)")
        for (name, counted) in [
            (FailureName.failed, counts.failed), (.quarantined, counts.quarantined), (.lost, counts.lost),
            (.cancelled, counts.cancelled),
        ] {
            let expected = standing.failures.values.count { $0 == name }
            try demand(counted == expected, "\(counted) tasks are counted as \(name) of \(expected)")
        }
    }

    /// The store was put back to an earlier copy.
    mutating func restored(_ store: SimulatedStore) {
        open = [:]
        highest = [:]
        done = []
        checkpointSteps = [:]
        for (key, record) in store.records {
            if let running = record.running { open[key] = running.attempt }
            checkpointSteps[key] = record.checkpoint?.step
            if record.attempts > 0 { highest[key] = Attempt(record.attempts) }
            if case .done = record.state { done.insert(key) }
        }
        acknowledged.formIntersection(done)
        isDraining = store.drain != nil
        quarantined = Set(store.quarantines.filter { $0.value.milliseconds > 0 }.keys)
        standing = Standing(of: store)
    }

    private func demand(_ holds: Bool, _ text: @autoclosure () -> String) throws(Violation) {
        if !holds { throw Violation(description: text()) }
    }
}
