import Lottery
import OrderedCollections

/// Who does what, as a value: no clock, no socket, no file. The shell hands it events and carries out the outcomes.
///
/// A task is pending, done or failed; a pending one waits for parents, is ready, is run by one worker, or is being
/// delivered. What an attempt came to is decided by its name alone, so that a frame may come late, twice or never.
/// Everything that must survive a crash is a `Change` of the same outcome as the messages that depend on it.
///
/// - Complexity: O(log n) amortised for each event and for each task or worker it touches; a `wake` past a deadline
///   looks at every session and every running attempt once.
public struct Coordinator: Sendable {
    public let store: StoreID
    public let generation: Generation
    public let settings: CoordinatorSettings

    var tasks = TaskTable()
    public internal(set) var counts = CoordinatorStatus.Counts()
    var incidents = CoordinatorStatus.Incidents()

    /// In the order of submission.
    var sweeps: OrderedDictionary<SweepID, SweepState> = [:]
    /// The first is that of tasks which no sweep wants and which need nothing. None is ever taken out: there are few.
    var groups: [Group] = [Group(name: GroupName(sweeps: [], needs: Work.Needs()))]
    var groupIndices: [GroupName: Int] = [GroupName(sweeps: [], needs: Work.Needs()): 0]
    /// Tasks that are given out and that no sweep wants.
    var looseRunning = 0
    /// Tasks given out since the start, which tells sweeps' turns apart.
    var turns = 0
    var looseTurn = 0

    /// Who has which artifacts, and which ready tasks would find their inputs there.
    var holdings = Holdings()
    var sessions: [WorkerID: Session] = [:]
    var routes: [RouteID: WorkerID] = [:]
    /// Sessions with a free slot.
    var free = RankedQueue<WorkerID, FreeRank>()
    /// Works of submissions that were done already: one is done again if another reads of it what was retired.
    var offered: [TaskKey: Work] = [:]
    /// Workers on which too much has failed, and until when they get nothing: see `Coordinator+Rests.swift`.
    var resting: [WorkerID: Instant] = [:]
    /// Those that rest, and those that did and have brought no result since.
    var quarantines: [WorkerID: Quarantine] = [:]
    /// Until then a rest goes on though no other worker is there.
    var restsStandUntil: Instant
    /// Processes that a newer one of the same name replaced, newest last.
    var replaced: [WorkerID: [ReplacedProcess]] = [:]

    /// Which claims wait for a blob.
    var pulls: [Digest: OrderedSet<ClaimReference>] = [:]
    var claims: [WorkerID: Set<ClaimReference>] = [:]
    /// The newest checkpoint of each pending task that has one. Few have: see `Coordinator+Checkpoints.swift`.
    var checkpoints: [TaskKey: SavedCheckpoint] = [:]
    /// Checkpoints on their way here, at most one of a task, and whose they are.
    var uploads: [TaskKey: Upload] = [:]
    var uploading: [Digest: TaskKey] = [:]
    /// Restored attempts whose worker has not come back.
    var orphans: [WorkerID: Set<TaskKey>] = [:]
    var adoptionDeadline: Instant

    /// No deadline is earlier. It may lie before the earliest one, because traffic only puts deadlines off.
    var nextCheck: Instant?
    var latest: Instant
    var isStopping = false
    /// Nothing more is given out.
    public internal(set) var drain: Drain?
    /// The process ends once this event's changes are durable.
    var isEnding = false
    /// Nothing more is given out until the store's disk has room for results.
    public internal(set) var isShortOfRoom = false
    /// Duplicates that were found to differ, so that a resent one is not reported twice.
    var disputed: Set<AttemptID> = []
    /// What restoring decided; it goes out with the first outcome.
    var deferred = Outcome()

    /// Goes on where the snapshot ends: done stays done, attempts that were given out wait for their workers until
    /// `CoordinatorSettings.adoptionMilliseconds` have passed. Tasks of equal priority go out in the snapshot's order.
    public init(restoring snapshot: Snapshot, generation: Generation, settings: CoordinatorSettings, at now: Instant) {
        self.init(
            restoring: snapshot.store, sweeps: snapshot.sweeps, quarantines: snapshot.quarantines,
            drain: snapshot.drain, generation: generation, settings: settings, at: now
        ) { restore in
            for record in snapshot.tasks { restore(record) }
        }
    }

    /// As from a snapshot of which no more than one task need be in memory at a time.
    /// - Parameter tasks: hands over every task.
    public init<Failure: Error>(
        restoring store: StoreID, sweeps standings: [SweepStanding], quarantines: [WorkerID: Quarantine] = [:],
        drain: Drain? = nil, generation: Generation,
        settings: CoordinatorSettings, at now: Instant,
        tasks records: ((Snapshot.TaskRecord) -> Void) throws(Failure) -> Void
    ) throws(Failure) {
        self.store = store
        self.generation = generation
        self.settings = settings
        self.latest = now
        adoptionDeadline = now.advanced(byMilliseconds: settings.adoptionMilliseconds)
        restsStandUntil = now
        self.drain = drain
        for standing in standings { sweeps[standing.id] = SweepState(standing: standing) }
        // Parents may come after their children.
        var unlinked: [Work] = []
        try records { restore($0, &unlinked, at: now) }
        for work in unlinked { tasks.setInputs(of: work.key, to: work.inputs) }
        var outcome = Outcome()
        for key in tasks.keys { settle(key, &outcome) }
        deferred = outcome
        if !orphans.isEmpty { expect(adoptionDeadline) }
        restore(quarantines, at: now)
    }

    /// Decides about one event. The caller carries the outcome out in the order that `Outcome` says: what changed is
    /// durable before a message leaves. It comes back with `wake` at `Outcome.wakeUpAt`, or later.
    /// - Parameter now: never earlier than in the call before.
    public mutating func handle(_ event: Event, at now: Instant) -> Outcome {
        latest = now
        var outcome = deferred
        deferred = Outcome()
        switch event {
        case .worker(let route, .hello(let hello)): onHello(hello, from: route, &outcome)
        case .worker(let route, .beat(let beat)): onBeat(beat, from: route, &outcome)
        case .worker(let route, .result(let report)): onResult(report, from: route, &outcome)
        case .worker(let route, .failure(let report)): onFailure(report, from: route, &outcome)
        case .worker(let route, .checkpoint(let report)): onCheckpoint(report, from: route, &outcome)
        case .worker(let route, .goodbye(let worker)): onGoodbye(worker, from: route, &outcome)
        case .unreachable(let route): onUnreachable(route)
        case .expelled(let route): onExpelled(route, &outcome)
        case .tasksAdded(let works, let sweep): onTasksAdded(works, sweep: sweep, &outcome)
        case .sweepNarrowed(let sweep, let keys): dropAll(of: sweep, keeping: Set(keys), &outcome)
        case .sweepPlanned(let sweep, let keys): onSweepPlanned(sweep, keys, &outcome)
        case .sweepGrew(let sweep, let works): onSweepGrew(sweep, works, &outcome)
        case .sweepOrdered(let sweep, let order): onOrder(order, of: sweep, &outcome)
        case .taskOrdered(let key, let order): onOrder(order, of: key, &outcome)
        case .drain(let drain): onDrain(drain, &outcome)
        case .drainEnded:
            isEnding = true
            forgetDrain(&outcome)
        case .drainForgotten: forgetDrain(&outcome)
        case .roomChanged(let isShort): isShortOfRoom = isShort
        case .retire(let retirements): onRetire(retirements, &outcome)
        case .blobStored(let digest, .artifact): onBlobStored(digest, &outcome)
        case .blobStored(let digest, .checkpoint): keepUpload(of: digest, &outcome)
        case .blobUnavailable(let digest, let worker, .artifact): onBlobUnavailable(digest, worker, &outcome)
        case .blobUnavailable(let digest, let worker, .checkpoint): giveUpUpload(of: digest, from: worker)
        case .blobGone(let digest, let worker, .artifact): onBlobGone(digest, worker, &outcome)
        case .blobGone(let digest, let worker, .checkpoint): refuseUpload(of: digest, from: worker, &outcome)
        case .wake: onWake(&outcome)
        case .loopStalled(let milliseconds): onLoopStalled(milliseconds)
        case .stopWorkers: onStopWorkers(&outcome)
        }
        place(&outcome)
        outcome.wakeUpAt = nextCheck
        return outcome
    }

    /// Changes a task, and with it the counts and its group's queue.
    mutating func update(_ key: TaskKey, _ change: (inout Task) -> Void) {
        let ((oldPhase, oldGroup), (phase, group), rank) = tasks.change(key) { task in
            let old = (task.phase, task.group)
            change(&task)
            return (old, (task.phase, task.group), ReadyRank(of: task))
        }
        count(oldPhase, by: -1)
        if oldPhase == .running { countRunning(oldGroup, by: -1) }
        count(phase, by: 1)
        if phase == .running { countRunning(group, by: 1) }
        if oldGroup != group { groups[oldGroup].ready.remove(key) }
        holdings.takeOut(key)
        if phase == .ready {
            groups[group].ready.set(key, rank: rank)
            let holders = holdings.holders(of: inputsFromParents(of: key))
            if !holders.isEmpty { holdings.put(key, of: group, near: holders, rank: rank) }
        } else {
            groups[group].ready.remove(key)
        }
    }

    mutating func count(_ phase: Phase, by difference: Int) {
        switch phase {
        case .waiting: counts.waiting += difference
        case .ready: counts.ready += difference
        case .running: counts.running += difference
        case .delivering: counts.delivering += difference
        case .done: counts.done += difference
        case .failed(.failed): counts.failed += difference
        case .failed(.quarantined): counts.quarantined += difference
        case .failed(.lost): counts.lost += difference
        case .failed(.cancelled): counts.cancelled += difference
        case .failed(.preempted), .failed(.diverged): preconditionFailure("\(phase) is no state of a task")
        }
    }

    /// Sees to it that `wake` looks at `deadline`.
    mutating func expect(_ deadline: Instant) {
        nextCheck = nextCheck.map { min($0, deadline) } ?? deadline
    }

    private mutating func restore(_ record: Snapshot.TaskRecord, _ unlinked: inout [Work], at now: Instant) {
        let key = record.work.key
        precondition(tasks[key] == nil, "task \(key) is in the snapshot twice")
        for id in record.sweeps { precondition(sweeps[id] != nil, "task \(key) is wanted by an unknown sweep \(id)") }
        // A task that waits for nothing is made ready by `settle`, once all its parents are here.
        var task = Task(
            record.work, order: tasks.place(of: key), group: group(of: record.sweeps, needing: record.work.needs))
        task.attempts = max(record.attempts, record.running?.attempt.attempt.number ?? 0)
        task.childFailures = record.childFailures
        task.losses = record.losses
        task.avoided = Set(record.failedOn)
        switch record.state {
        case .done(let result):
            // What it read is of no more interest.
            task.settled = .done(tasks.keep(result, by: nil))
        case .failed(let failure):
            task.settled = .failed(failure)
        case .pending:
            checkpoints[key] = record.checkpoint
            if let running = record.running {
                task.running = Running(
                    id: running.attempt, worker: running.worker, sequence: 0, sentAt: now, startedAt: now, step: 0,
                    steppedAt: now, isOrphan: true)
                task.lastHolder = running.worker
                orphans[running.worker, default: []].insert(key)
            }
        }
        tasks[key] = task
        count(task.phase, by: 1)
        if task.phase == .running { countRunning(task.group, by: 1) }
        if case .done = record.state { return }
        // Only once its parents have their places does it get to know them, so that those places are in the snapshot's
        // order.
        if tasks.hasParents(of: record.work) {
            tasks.setInputs(of: key, to: record.work.inputs)
        } else {
            unlinked.append(record.work)
        }
    }
}
