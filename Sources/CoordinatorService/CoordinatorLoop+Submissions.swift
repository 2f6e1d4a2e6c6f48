import Coordination
import Foundation
import Logging
import Lottery
import Store
import Sweeps
import Wire

/// What was submitted to this process, and who waits for an answer.
struct Submissions {
    /// In the order in which their plans came to be known.
    var sweeps: [SweepProgress] = []
    /// Names of sweeps that were submitted since the start.
    var submitted: Set<String> = []
    /// Names of sweeps that have come to their end and after which the store was compacted.
    var tidied: Set<String> = []
    /// Of the last compaction by itself: when it began, and how many tasks were done.
    var tidying: (begunAt: Instant, done: Int)?
    /// The next one may begin from then on while sweeps go on.
    var tidyAt: Instant?
    /// Tasks that belong to no sweep were added since the start.
    var tasksWereAdded = false
    /// At the desk.
    var underWay = 0
    /// Answers that clients wait for from the desk.
    var clientsWaiting = 0
    /// Sweeps of earlier starts that the desk could not plan for want of something that may come, such as a disk with
    /// their data: nothing is asked for beyond their tasks until it can.
    private(set) var unplanned: [String: (record: SweepRecord, backOff: BackOff)] = [:]
    /// Those of them that it is at again.
    private var atDesk: Set<String> = []
    /// Tasks given out while something is planned: the plan may believe that they can still be asked for more.
    var startedMeanwhile: Set<TaskKey> = []

    mutating func put(_ progress: SweepProgress) {
        endPlanning(progress.name)
        if let index = sweeps.firstIndex(where: { $0.name == progress.name }) {
            var progress = progress
            progress.best = sweeps[index].best
            progress.diverged = sweeps[index].diverged
            sweeps[index] = progress
        } else {
            sweeps.append(progress)
        }
    }

    /// The plan is there, or another try would find the same.
    mutating func endPlanning(_ sweep: String) {
        unplanned[sweep] = nil
        atDesk.remove(sweep)
    }

    mutating func fail(
        toPlan record: SweepRecord, at now: Instant, took: Int64, retryMilliseconds: Int64, _ reason: String
    ) {
        atDesk.remove(record.name)
        unplanned[record.name, default: (record, BackOff(at: now, milliseconds: retryMilliseconds))]
            .backOff.fail(at: now, took: took, reason)
    }

    /// When the first of the unplanned sweeps is to be tried again; nil if there is none.
    var nextAt: Instant? {
        unplanned.values.lazy.filter { !atDesk.contains($0.record.name) }.map(\.backOff.until).min()
    }

    /// Those that are to be tried again now.
    mutating func due(at now: Instant) -> [SweepRecord] {
        let due = unplanned.values.filter { $0.backOff.until <= now && !atDesk.contains($0.record.name) }.map(\.record)
        atDesk.formUnion(due.map(\.name))
        return due
    }

    private var watched: [SweepProgress] { sweeps.filter { submitted.contains($0.name) } }

    /// - Parameter growth: what their results may ask for yet.
    func areSettled(_ counts: CoordinatorStatus.Counts, _ growth: GrowthWishes) -> Bool {
        guard underWay == 0, tasksWereAdded || !submitted.isEmpty else { return false }
        return watched.allSatisfy { $0.isSettled && !growth.concerns($0.name) } && (!tasksWereAdded || counts.isSettled)
    }

    /// The first sweep of which nothing is left to do but what the desk cannot plan, time after time, with the last reason.
    func hopeless(_ growth: GrowthWishes) -> (sweep: String, reason: String)? {
        guard underWay == 0, growth.underWay == nil, watched.allSatisfy(\.isSettled) else { return nil }
        return watched.lazy.compactMap { sweep in growth.failed[sweep.name].map { (sweep.name, $0) } }
            .first { $0.1.tries >= GrowthWishes.triesBeforeTheEnd }.map { ($0.0, $0.1.reason) }
    }

    func failedTasks(_ counts: CoordinatorStatus.Counts) -> Int {
        tasksWereAdded ? counts.faulty : watched.reduce(0) { $0 + $1.failedCount }
    }

    func cancelledTasks(_ counts: CoordinatorStatus.Counts) -> Int {
        tasksWereAdded ? counts.cancelled : watched.reduce(0) { $0 + $1.cancelledCount }
    }
}

/// Submissions and questions of clients.
extension CoordinatorLoop {
    /// How often a plan is made again because tasks were given out meanwhile, before it is taken as it is: then a task
    /// that needs what was not asked for in time fails with a reason that says to submit again.
    static let planningTries = 5

    func answer(_ request: ClientRequest, from route: RouteID) throws(WireError) {
        let asker = Asker.client(route, id: request.id)
        guard let verb = ServiceVerb(rawValue: request.verb) else {
            let known = ServiceVerb.allCases.map(\.rawValue).joined(separator: ", ")
            return refuse(
                asker, status: 2,
                "this coordinator does not know “\(request.verb)”, only \(known): use the same version of tombola")
        }
        if verb == .status {
            let now = CoordinatorLoop.now
            farewell.lookedAt = now
            return reply(currentStatus(at: now), to: asker)
        }
        guard submissions.clientsWaiting < Limits.requestsWaiting else {
            return refuse(
                asker, status: 1, "\(Limits.requestsWaiting) requests wait for their answers already: try again later")
        }
        switch verb {
        case .status: break
        case .submit: beginSubmission(try decode(SubmitRequest.self, request), asker)
        case .leaderboard: ask(.leaderboard(try decode(LeaderboardRequest.self, request), asker), for: asker)
        case .explain: ask(.explain(try decode(ExplainRequest.self, request), asker), for: asker)
        case .order: ask(.order(try decode(OrderRequest.self, request), asker), for: asker)
        case .stop: drain(try decode(StopRequest.self, request), asker)
        case .ticket: ask(.ticket(try decode(TicketRequest.self, request), asker), for: asker)
        case .blob: ask(.blob(try decode(BlobRequest.self, request), asker), for: asker)
        case .compact:
            // Clients of before there was a choice say nothing.
            beginCompaction(request.body.isEmpty ? CompactRequest() : try decode(CompactRequest.self, request), asker)
        }
    }

    /// Gives the desk a job whose answer `asker` waits for.
    func ask(_ job: Desk.Job, for asker: Asker) {
        if case .client = asker { submissions.clientsWaiting += 1 }
        desk.post(job)
    }

    private func decode<Body: Decodable>(_ type: Body.Type, _ request: ClientRequest) throws(WireError) -> Body {
        do { return try JSONDecoder().decode(type, from: Data(request.body)) } catch {
            throw .malformed("the body of “\(request.verb)”: \(error)")
        }
    }

    func beginSubmission(_ request: SubmitRequest, _ asker: Asker, tries: Int = 0) {
        submissions.underWay += 1
        ask(.submit(request, asker, tries: tries), for: asker)
    }

    func receive(_ event: Desk.Event) throws(CoordinatorServiceError) {
        if case .client = event.asker { submissions.clientsWaiting -= 1 }
        switch event {
        case .restored(var progress):
            hasPlanned = true
            progress.note(coordinator.state)
            // Its submission could not be gone on with at the start, for the same reason.
            if let record = submissions.unplanned[progress.name]?.record, !record.isWhole {
                resumeSubmission(of: record)
            }
            submissions.put(progress)
            if progress.doneCount > 0 { reporting.ranksWanted.insert(progress.name) }
            apply(.sweepPlanned(SweepID(progress.name), progress.askedKeys))
            if progress.plan.isAdaptive {
                let standing = coordinator.status.sweeps.first { $0.standing.id.text == progress.name }?.standing
                growth.note(progress.name, isCancelled: standing?.isCancelled ?? false)
            }
        case .unplannable(let record, let reason, let took):
            let text =
                "sweep \(record.name) cannot be planned, so that its progress is not shown, and nothing is asked for"
                + " beyond the tasks that it has"
            guard let took else {
                logger.warning("\(text): \(reason)")
                submissions.endPlanning(record.name)
                break
            }
            let isKnown = submissions.unplanned[record.name]?.backOff.reason == reason
            logger.log(
                level: isKnown ? .debug : .warning, "\(text), until it can be; it is tried again: \(reason)")
            submissions.fail(
                toPlan: record, at: CoordinatorLoop.now, took: took,
                retryMilliseconds: configuration.retryMilliseconds, reason)
        case .planned(let arrival):
            hasPlanned = true
            arrivals.current = arrival
        case .refused(let error, let asker):
            refuse(asker, error)
            finishPlanning()
        case .leaderboards(let leaderboards, let asker): reply(leaderboards, to: asker)
        case .explained(let report, let asker): explain(report, to: asker)
        case .ordered(let target, let request, let asker): try carryOut(request, of: target, for: asker)
        case .ticket(let record, let asker): reply(record, to: asker)
        case .blob(let bytes, let asker): reply(bytes: bytes, to: asker)
        case .surveyed(let survey, let request, let asker): try compact(survey, request, for: asker)
        case .unsurveyed(let reason, let asker):
            committedSinceSurvey = nil
            if case .nobody = asker { noteTidied() }
            refuse(asker, status: 1, reason)
        case .refusedOrder(let sentence, let asker): refuse(asker, status: 2, sentence)
        case .noSuchSweep(let name, let known, let asker):
            let list = known.isEmpty ? "it has none" : "it has \(known.joined(separator: ", "))"
            refuse(asker, status: 2, "there is no sweep “\(name)” in this store; \(list)")
        case .failed(let reason, let asker): refuse(asker, status: 1, reason)
        case .grown(let growth): take(on: growth)
        case .notGrown(let sweep, let reason):
            growth.fail(at: CoordinatorLoop.now, reason)
            forgetStarted()
            logger.error(
                "what the results of sweep \(sweep) ask for could not be planned, and is tried again: \(reason)")
        case .ranked(let sweep, let row, let diverged): note(best: row, diverged: diverged, of: sweep)
        case .unranked(let sweep, let reason):
            logger.warning("the tickets of sweep \(sweep) could not be ranked: \(reason)")
            note(best: nil, diverged: 0, of: sweep)
        }
        reporting.isDue = true
    }

    func finishPlanning() {
        submissions.underWay -= 1
        forgetStarted()
    }

    /// While nothing is planned, nobody asks what was given out meanwhile.
    func forgetStarted() {
        if submissions.underWay == 0, growth.underWay == nil { submissions.startedMeanwhile = [] }
    }

    private func reply(bytes: [UInt8], to asker: Asker) {
        guard case .client(let route, let id) = asker else { preconditionFailure("a caller asks for no blobs") }
        send(ClientReply(id: id, status: 0, body: bytes), to: route)
    }

    func reply(_ body: some Encodable, to asker: Asker) {
        switch asker {
        case .client(let route, let id):
            do { send(ClientReply(id: id, status: 0, body: Array(try CoordinatorLoop.json(body))), to: route) } catch {
                refuse(asker, status: 1, "the answer could not be written as JSON: \(error)")
            }
        case .caller(let answer):
            guard let body = body as? SubmitReply else { preconditionFailure("a caller submits and asks nothing else") }
            answer.set(.success(body))
        case .nobody: break
        }
    }

    func refuse(_ asker: Asker, _ error: SubmissionError) {
        switch asker {
        case .client, .nobody: refuse(asker, status: error.exitStatus, error.description)
        case .caller(let answer):
            answer.set(.failure(error))
        }
    }

    func refuse(_ asker: Asker, status: Int, _ sentence: String) {
        switch asker {
        case .client(let route, let id):
            do {
                send(
                    ClientReply(
                        id: id, status: status, body: Array(try CoordinatorLoop.json(ServiceRefusal(error: sentence)))),
                    to: route)
            } catch { preconditionFailure("a sentence could not be written as JSON: \(error)") }
        case .caller(let answer):
            answer.set(.failure(.failed(sentence)))
        case .nobody: logger.warning("the coordinator could not do what it was to do by itself: \(sentence)")
        }
    }

    private func send(_ reply: ClientReply, to route: RouteID) {
        guard reply.body.count <= Limits.clientBodyBytes else {
            return refuse(
                .client(route, id: reply.id), status: 1,
                "the answer of \(reply.body.count) bytes is above the limit of \(Limits.clientBodyBytes): ask for one sweep, or read the store"
            )
        }
        // A client that is gone needs no answer.
        do { _ = try send(Wire.encode(reply), to: route) } catch { end(.failure(error)) }
    }

    private static func json(_ body: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(body)
    }
}
