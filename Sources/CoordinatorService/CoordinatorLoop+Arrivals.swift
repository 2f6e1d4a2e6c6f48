import Coordination
import Logging
import Lottery
import Store
import Sweeps
import ZeroMQ

/// What the coordinator takes on piece by piece, a turn of its loop each: a large sweep takes a minute, in which
/// workers are to be heard.
struct Arrivals {
    var current: Arrival?
    /// What the desk has found since and what may change what is asked for: it waits.
    var waiting: [Desk.Event] = []

    var isEmpty: Bool { current == nil && waiting.isEmpty }
}

/// One sweep that was submitted, or what the results of one ask for.
struct Arrival: Sendable {
    enum Source: Sendable {
        case submission(Submission)
        case growth
    }

    let source: Source
    /// Parents first.
    let works: WorkSpool
    /// With changes since it began; it is to take over from the coordinator what tasks had come to before.
    var progress: SweepProgress
    /// Tasks that are still to be taken on, and were planned in the belief that they are not given out yet.
    var believedPending: Set<TaskKey>
    /// How often it was planned before, and the belief was wrong.
    let tries: Int
    private(set) var hasBegun = false
    private var place = WorkSpool.Place()
    /// Tasks of the plan whose states `progress` has taken over.
    private var noted = 0

    init(_ source: Source, works: WorkSpool, progress: SweepProgress, believedPending: Set<TaskKey>, tries: Int) {
        self.source = source
        self.works = works
        self.progress = progress
        self.believedPending = believedPending
        self.tries = tries
    }

    var sweep: String { progress.name }
    /// Who waits for an answer, if it was submitted.
    var asker: Asker? { if case .submission(let submission) = source { submission.asker } else { nil } }
    var isRead: Bool { hasBegun && place.count == works.count }

    /// The next works; none, once, if there are none at all.
    mutating func nextPiece() throws -> [Work] {
        hasBegun = true
        let piece = try works.next(after: &place)
        for work in piece { believedPending.remove(work.key) }
        return piece
    }

    /// Takes over what some more tasks have come to. False if there are others yet.
    mutating func noteSome(_ count: Int, _ state: (TaskKey) -> TaskState?) -> Bool {
        let range = noted..<min(noted + count, progress.plan.tasks.count)
        progress.note(range, state)
        noted = range.upperBound
        return noted == progress.plan.tasks.count
    }
}

/// A submission is recorded with its first piece as one that is not whole, and with its last as whole, after which it
/// is acknowledged. A coordinator that dies in between goes on with it when it starts: it plans what the store says of
/// the spec, and tasks that are there already are not added again.
///
/// What arrives is changed where it is, since a copy of a million tasks' states takes long.
extension CoordinatorLoop {
    /// A task costs a microsecond or two.
    private static let statesPerTurn = 65_536

    /// Submissions that an earlier process was amid.
    func resumeSubmissions() throws(CoordinatorServiceError) {
        let records: [SweepRecord]
        do { records = try store.sweeps() } catch { throw .store(error) }
        for record in records where !record.isWhole { resumeSubmission(of: record) }
    }

    func resumeSubmission(of record: SweepRecord) {
        logger.notice("the submission of sweep \(record.name) was interrupted: the coordinator goes on with it")
        // Whether it replaced another spec is not known any more; if it did not, nothing is dropped.
        let request = SubmitRequest(file: record.file, spec: record.spec, consents: true, extends: true)
        beginSubmission(request, .nobody)
    }

    func receiveFromDesk() throws(CoordinatorServiceError) {
        for event in desk.events.takeAll() {
            if event.waitsForArrival { arrivals.waiting.append(event) } else { try receive(event) }
        }
        while arrivals.current == nil, !arrivals.waiting.isEmpty { try receive(arrivals.waiting.removeFirst()) }
    }

    /// Takes on the next piece of what arrives.
    func takeOnPiece() throws(CoordinatorServiceError) {
        guard arrivals.current != nil else { return }
        // The desk read the store while this thread went on. A task that it took for waiting may have been given out
        // since, without the checkpoints that the plan relies on.
        if arrivals.current!.tries < CoordinatorLoop.planningTries,
            !submissions.startedMeanwhile.isDisjoint(with: arrivals.current!.believedPending)
        {
            return planAgain()
        }
        if !arrivals.current!.isRead {
            try takeOnWorks()
            guard arrivals.current!.isRead else { return }
        }
        if arrivals.current!.noteSome(CoordinatorLoop.statesPerTurn, coordinator.state) { finishArrival() }
    }

    private func planAgain() {
        let arrival = arrivals.current!
        arrivals.current = nil
        // What has begun so far is in the store, for the next plan to see.
        if submissions.underWay + (growth.underWay == nil ? 0 : 1) == 1 { submissions.startedMeanwhile = [] }
        switch arrival.source {
        case .submission(let submission):
            beginSubmission(submission.request, submission.asker, tries: arrival.tries + 1)
            finishPlanning()
        case .growth: desk.post(.grow(sweep: arrival.sweep, everything: true, tries: arrival.tries + 1))
        }
    }

    private func takeOnWorks() throws(CoordinatorServiceError) {
        try flush()
        let (name, source) = (arrivals.current!.sweep, arrivals.current!.source)
        let piece: [Work]
        do { piece = try arrivals.current!.nextPiece() } catch {
            throw .blobs("the tasks of sweep \(name) cannot be read: \(error)")
        }
        switch source {
        case .growth:
            apply(.sweepGrew(SweepID(name), piece))
            try flush()
        case .submission(let submission):
            var record = submission.record
            record.isWhole = arrivals.current!.isRead
            let replaces = submission.request.extends
            apply(.tasksAdded(piece, sweep: SweepID(name)))
            if record.isWhole, replaces { apply(.sweepNarrowed(SweepID(name), to: arrivals.current!.works.keys)) }
            do { try flush((record, replaces)) } catch {
                // It ends the process.
                arrivals.current = nil
                if case .store(let error) = error { refuse(submission.asker, .store(error)) }
                throw error
            }
        }
    }

    private func finishArrival() {
        let arrival = arrivals.current!
        arrivals.current = nil
        // What planning took is free now.
        hasPlanned = true
        switch arrival.source {
        case .submission(let submission):
            submissions.put(arrival.progress)
            submissions.submitted.insert(arrival.sweep)
            if arrival.progress.doneCount > 0 { reporting.ranksWanted.insert(arrival.sweep) }
            // Results that came meanwhile may ask for more.
            if arrival.progress.plan.isAdaptive { growth.want(arrival.sweep) }
            let plan = submission.reply.plan
            logger.info(
                "sweep \(plan.sweep): \(plan.points) \(plan.points == 1 ? "point" : "points"), \(plan.tasksAsked) tasks, \(plan.tasksAsked - plan.tasksToDo) of them done already"
            )
            var answer = submission.reply
            if coordinator.status.isDraining {
                let stops = "the coordinator stops and gives out nothing more; started again it goes on"
                answer.warning = answer.warning.map { "\($0); \(stops)" } ?? stops
            }
            reply(answer, to: submission.asker)
            finishPlanning()
        case .growth:
            growth.finish()
            // If it was cancelled on the way, the coordinator passed over the rest of it.
            if !growth.isCancelled(arrival.sweep) {
                submissions.put(arrival.progress)
                reporting.ranksWanted.insert(arrival.sweep)
                let count = arrival.works.newCount
                if count > 0 { logger.info("sweep \(arrival.sweep): its results ask for \(count) more tasks") }
            }
            forgetStarted()
        }
    }

    /// The process ends amid a submission, which the next one goes on with.
    func refuseArrival() {
        guard case .submission(let submission) = arrivals.current?.source else { return }
        arrivals.current = nil
        refuse(
            submission.asker, status: 1,
            "the coordinator ends before all of the sweep is taken on; it goes on with that when it is started again")
    }
}
