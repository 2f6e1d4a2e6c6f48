import Artifacts
import Coordination
import Dispatch
import Foundation
import Lottery
import Store
import Sweeps
import Synchronization
import ZeroMQ

/// Does what takes long, on a thread of its own, so that beats never wait for it: plans sweeps, materialises data sets,
/// ranks tickets.
///
/// It reads the store and never writes tasks to it: what it planned goes to the coordinator's thread, which alone
/// decides.
final class Desk: Sendable {
    enum Job: Sendable {
        /// Plans a sweep that the store has, to know what its tasks are to it.
        case restore(SweepRecord)
        case submit(SubmitRequest, Asker, tries: Int)
        case leaderboard(LeaderboardRequest, Asker)
        case explain(ExplainRequest, Asker)
        /// Finds what an order is about.
        case order(OrderRequest, Asker)
        case ticket(TicketRequest, Asker)
        case blob(BlobRequest, Asker)
        /// Finds what nobody needs. Until `compacted` follows, nothing is planned.
        case survey(CompactRequest, Asker)
        /// What the last survey found is gone, or stays.
        case compacted
        /// Finds what the results of an adaptive sweep ask for beyond what it has.
        case grow(sweep: String, everything: Bool, tries: Int)
        /// Ranks one sweep for the status.
        case rank(sweep: String)
        case stop

        /// Whether it finds tasks to add, which count on checkpoints and data sets that the store has.
        var plans: Bool {
            switch self {
            case .submit, .grow: true
            case .restore, .leaderboard, .explain, .order, .ticket, .blob, .survey, .compacted, .rank, .stop: false
            }
        }
    }

    enum Event: Sendable {
        case restored(SweepProgress)
        case planned(Arrival)
        case refused(SubmissionError, Asker)
        case leaderboards([Leaderboard], Asker)
        case noSuchSweep(String, known: [String], Asker)
        /// All but what the coordinator itself says of it.
        case explained(TaskReport, Asker)
        case ordered(OrderTarget, OrderRequest, Asker)
        case ticket(TicketRecord, Asker)
        case blob([UInt8], Asker)
        case surveyed(Survey, CompactRequest, Asker)
        case unsurveyed(reason: String, Asker)
        /// What was asked for is not there, or cannot be done with it; the sentence says which.
        case refusedOrder(String, Asker)
        case grown(Growth)
        case notGrown(sweep: String, reason: String)
        /// With how many of its levels have diverged.
        case ranked(sweep: String, LeaderboardRow?, diverged: Int)
        case unranked(sweep: String, reason: String)
        case failed(reason: String, Asker)
        /// A sweep of an earlier start cannot be planned; its tasks go on all the same. With the milliseconds that it took
        /// to find that out; nil where another try would find the same, since it is the spec that this version cannot
        /// read.
        case unplannable(SweepRecord, reason: String, took: Int64?)

        /// Whose request this answers; nil for the coordinator's own.
        var asker: Asker? {
            switch self {
            case .planned(let arrival): arrival.asker
            case .refused(_, let asker), .leaderboards(_, let asker), .noSuchSweep(_, _, let asker),
                .failed(_, let asker), .explained(_, let asker), .ordered(_, _, let asker), .ticket(_, let asker),
                .blob(_, let asker), .surveyed(_, _, let asker), .unsurveyed(_, let asker), .refusedOrder(_, let asker):
                asker
            case .restored, .grown, .notGrown, .ranked, .unranked, .unplannable: nil
            }
        }

        /// Whether it may change what is asked for, and so waits while something is being taken on.
        var waitsForArrival: Bool {
            switch self {
            case .planned, .ordered, .surveyed, .grown: true
            case .restored, .refused, .leaderboards, .noSuchSweep, .explained, .ticket, .blob, .unsurveyed,
                .refusedOrder, .notGrown,
                .ranked, .unranked, .failed, .unplannable:
                false
            }
        }
    }

    let events: Mailbox<Event>
    private let jobs: Mailbox<Job>
    private let thread: LoopThread

    /// - Parameters:
    ///   - reader: a connection of the desk's own, so that what it reads at length holds up no commit.
    ///   - artifacts: where data sets go.
    init(reader: Store, artifacts: ArtifactFolder, configuration: CoordinatorServiceConfiguration) throws(ZMQError) {
        let events = try Mailbox<Event>()
        let jobs = try Mailbox<Job>()
        self.events = events
        self.jobs = jobs
        thread = LoopThread(name: "desk") {
            DeskLoop(store: reader, artifacts: artifacts, configuration: configuration, jobs: jobs, events: events)
                .run()
        }
    }

    func post(_ job: Job) { jobs.post(job) }

    func stop() {
        jobs.post(.stop)
        thread.join()
    }
}

/// Who waits for an answer.
enum Asker: Sendable {
    case client(RouteID, id: UInt64)
    case caller(Outcome<SubmitReply, SubmissionError>)
    /// The coordinator does it by itself.
    case nobody
}

/// A sweep that was submitted and planned.
struct Submission: Sendable {
    var record: SweepRecord
    var reply: SubmitReply
    var request: SubmitRequest
    var asker: Asker
}

final class DeskLoop {
    let store: Store
    let artifacts: ArtifactFolder
    let configuration: CoordinatorServiceConfiguration
    let jobs: Mailbox<Desk.Job>
    let events: Mailbox<Desk.Event>
    /// Of every sweep whose plan is known, in the order in which they came to be.
    var known: [KnownResults] = []
    var plans: [Plan] { known.map(\.plan) }
    /// The tasks that each adaptive sweep has asked for.
    var asked: [String: Set<TaskKey>] = [:]
    /// What to plan once the finds of a survey are gone, so that no plan counts on them. Nil while nothing is to go.
    private var held: [Desk.Job]?

    init(
        store: Store, artifacts: ArtifactFolder, configuration: CoordinatorServiceConfiguration,
        jobs: Mailbox<Desk.Job>,
        events: Mailbox<Desk.Event>
    ) {
        self.store = store
        self.artifacts = artifacts
        self.configuration = configuration
        self.jobs = jobs
        self.events = events
    }

    func run() {
        while true {
            for job in waitForJobs() where !perform(job) { return }
        }
    }

    /// - Returns: False if that was the last one.
    private func perform(_ job: Desk.Job) -> Bool {
        if held != nil, job.plans {
            held!.append(job)
            return true
        }
        switch job {
        case .restore(let record): restore(record)
        case .submit(let request, let asker, let tries): submit(request, asker, tries)
        case .leaderboard(let request, let asker): answer(request, asker)
        case .explain(let request, let asker): answer(asker) { .explained(try report(request), asker) }
        case .order(let request, let asker):
            answer(asker) { .ordered(try target(of: request), request, asker) }
        case .ticket(let request, let asker):
            answer(asker) {
                .ticket(try TicketRecord(request.ticket, in: store, plans: plans, specs: try specs()), asker)
            }
        case .blob(let request, let asker): answer(asker) { .blob(try bytes(request), asker) }
        case .survey(let request, let asker):
            do {
                let survey = try survey(request)
                held = []
                events.post(.surveyed(survey, request, asker))
            } catch {
                events.post(.unsurveyed(reason: String(describing: error), asker))
            }
        case .compacted:
            let due = held ?? []
            held = nil
            for job in due where !perform(job) { return false }
        case .grow(let sweep, let everything, let tries): grow(sweep, everything: everything, tries: tries)
        case .rank(let sweep): rank(sweep)
        case .stop: return false
        }
        return true
    }

    private func waitForJobs() -> [Desk.Job] {
        var poller = Poller()
        _ = poller.watch(readable: jobs.doorbell.descriptor)
        // Waiting for one descriptor can only be interrupted, and then there are no jobs.
        do { _ = try poller.wait(milliseconds: nil) } catch {
            preconditionFailure("waiting for a doorbell failed: \(error)")
        }
        return jobs.takeAll()
    }

    private func restore(_ record: SweepRecord) {
        // Where it is tried again: somebody has submitted it meanwhile, perhaps as another spec.
        guard index(ofSweep: record.name) == nil else { return }
        let begunAt = MonotonicClock.milliseconds
        do {
            let sweep = try Sweep(
                yaml: record.spec, file: record.file, vocabulary: configuration.vocabulary,
                maximumRuns: Sweep.runsAtMost)
            let planned = try plan(sweep)
            var known = KnownResults(plan: planned.plan)
            var isAsked = try isAsked(&known)
            // A cancelled sweep asks for nothing that it has not got, and must not be waited for on its account.
            if known.plan.isAdaptive, try isCancelled(record.name) {
                for (index, task) in known.plan.tasks.enumerated() where !task.isDone && !planned.isStored(task.key) {
                    isAsked[index] = false
                }
            }
            remember(known, isAsked)
            events.post(.restored(SweepProgress(plan: known.plan, isAsked: isAsked)))
        } catch {
            let isFinal =
                switch error {
                case is SpecError, SubmissionError.spec, SubmissionError.tooManyTasks: true
                default: false
                }
            events.post(
                .unplannable(
                    record, reason: String(describing: error),
                    took: isFinal ? nil : MonotonicClock.milliseconds - begunAt))
        }
    }

    private func isCancelled(_ sweep: String) throws -> Bool {
        try store.standings().contains { $0.id.text == sweep && $0.isCancelled }
    }

    private func submit(_ request: SubmitRequest, _ asker: Asker, _ tries: Int) {
        do throws(SubmissionError) {
            events.post(.planned(try prepare(request, asker, tries)))
        } catch {
            events.post(.refused(error, asker))
        }
    }

    private func prepare(_ request: SubmitRequest, _ asker: Asker, _ tries: Int) throws(SubmissionError) -> Arrival {
        let sweep: Sweep
        do {
            sweep = try Sweep(
                yaml: request.spec, file: request.file, vocabulary: configuration.vocabulary,
                maximumRuns: request.consents ? Sweep.runsAtMost : Sweep.runsWithoutConsent)
        } catch { throw .spec(error) }
        let held: SweepRecord?
        do { held = try store.sweep(named: sweep.name) } catch { throw .store(error) }
        if let held {
            guard request.extends || held.digest == sweep.specDigest else { throw .changedSpec(name: sweep.name) }
        } else {
            guard !request.extends else { throw .noSuchSweep(name: sweep.name) }
            let count: Int
            do { count = try store.sweeps().count } catch { throw .store(error) }
            guard count < Limits.sweeps else { throw .tooManySweeps }
        }

        let planned = try plan(sweep)
        let plan = planned.plan
        if held?.digest != sweep.specDigest { do { try plan.checkAsNew() } catch { throw .spec(error) } }
        for (digest, name) in planned.datasets.sorted(by: { $0.key < $1.key }) { try keep(dataset: name, digest) }
        let record = SweepRecord(
            name: sweep.name, file: request.file, spec: request.spec, digest: sweep.specDigest,
            submittedAt: held?.submittedAt ?? Date().timeIntervalSince1970, isWhole: false)
        var known = KnownResults(plan: plan)
        let isAsked: [Bool]
        do { isAsked = try self.isAsked(&known) } catch {
            throw .failed("the results of the sweep could not be read: \(error)")
        }
        let works: WorkSpool
        do {
            works = try WorkSpool(plan: plan, folder: store.directory, isStored: planned.isStored) { isAsked[$0] }
        } catch {
            throw .failed("the tasks of the sweep could not be written as JSON beside the store: \(error)")
        }
        // Refused before its first piece is taken on: a sweep that has begun is gone on with, here and at every start.
        let hasBegun = held.map { !$0.isWhole && $0.digest == sweep.specDigest } ?? false
        let room = try? artifacts.freeByteCount()  // A disk that cannot be asked will say so when it is written to.
        if !hasBegun, let free = room, free < works.newByteCount {
            throw .failed(
                "its \(works.newCount) new tasks take about \(ByteText(works.newByteCount)) in the store, whose disk has "
                    + "\(ByteText(free)) left: free some, or make the sweep smaller")
        }
        remember(known, isAsked)
        let submission = Submission(
            record: record,
            reply: SubmitReply(
                sweep: sweep.name, isContinued: held?.isWhole == true, plan: plan.summary(asking: isAsked),
                warning: held.flatMap { warning(about: sweep, extending: $0) }),
            request: request, asker: asker)
        return Arrival(
            .submission(submission), works: works, progress: SweepProgress(plan: plan, isAsked: isAsked),
            believedPending: planned.believedPending, tries: tries)
    }

    /// Replicates that are added because of the results of those before are another look at the same question, and the tests
    /// know of looks by the spec alone: each that it leaves out, added or taken away, makes the share of the others too
    /// large. One replicate decides nothing, and so is no look.
    private func warning(about sweep: Sweep, extending held: SweepRecord) -> String? {
        // A spec that this version cannot read says nothing of looks, and is no reason to refuse the new one.
        let before = try? Sweep(
            yaml: held.spec, file: held.file, vocabulary: configuration.vocabulary, maximumRuns: Sweep.runsAtMost)
        guard let before, sweep.replicates >= 2 else { return nil }
        func text(_ looks: [Int]) -> String { looks.map(String.init).joined(separator: ", ") }
        let forgotten = before.looks.filter { $0 >= 2 && !sweep.looks.contains($0) }
        guard !forgotten.isEmpty else { return nil }
        let all = Set(before.looks + sweep.looks).filter { $0 >= 2 }.sorted()
        let remedy =
            all.count <= Refinement.looksAtMost
            ? "use refine: {looks: [\(text(all))]}" + (sweep.refinement == nil ? " in the place of replicates" : "")
            : "make a sweep of another seed, since there are more than \(Refinement.looksAtMost) looks by now"
        return
            "verdicts are tested as if there were looks at \(text(sweep.looks)) replicates alone, but those over "
            + "\(text(forgotten)) may have been seen: if they are why the spec changes, \(remedy), so that each look has its share "
            + "of the error"
    }

    /// Plans against what the store holds now.
    func plan(_ sweep: Sweep) throws(SubmissionError) -> PlannedSweep {
        var stored: [TaskKey: KnownTask] = [:]
        var datasets: [Digest: String] = [:]
        var failure: SubmissionError?
        do {
            let plan = try Plan(
                sweep: sweep, vocabulary: configuration.vocabulary, maximumTasks: configuration.tasksPerSubmission,
                dataDigest: { name in
                    do {
                        let digest = try configuration.data.digest(name)
                        datasets[digest] = name
                        return digest
                    } catch { throw SubmissionError.data(name: name, String(describing: error)) }
                },
                known: { key in
                    guard failure == nil else { return nil }
                    do throws(StoreError) {
                        let known = try store.task(key).map(KnownTask.init(stored:))
                        switch known {
                        case .pending, .running, .failed: stored[key] = known
                        case .done, nil: break
                        }
                        return known
                    } catch {
                        failure = .store(error)
                        return nil
                    }
                })
            if let failure { throw failure }
            return PlannedSweep(plan: plan, datasets: datasets, stored: stored)
        } catch let error as SubmissionError {
            throw error
        } catch let error as SpecError {
            throw .spec(error)
        } catch let error as PlanLimitError {
            throw .tooManyTasks(error)
        } catch {
            throw .failed(String(describing: error))
        }
    }

    /// Sees to it that workers can pull the data set.
    private func keep(dataset name: String, _ digest: Digest) throws(SubmissionError) {
        if artifacts.contains(digest) { return }
        let folder = "\(store.directory)/data/canonical"
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let path = try configuration.data.materialise(name, folder)
            let (found, _) = try artifacts.add(movingFile: path)
            guard found == digest else {
                throw SubmissionError.data(
                    name: name,
                    "the data set \(name) changed while it was read (its digest was \(digest), now \(found)): submit again"
                )
            }
        } catch let error as SubmissionError {
            throw error
        } catch {
            throw .data(name: name, String(describing: error))
        }
    }

    func index(ofSweep name: String) -> Int? { known.firstIndex { $0.plan.sweep.name == name } }

    private func answer(_ request: LeaderboardRequest, _ asker: Asker) {
        if let name = request.sweep, index(ofSweep: name) == nil {
            return events.post(.noSuchSweep(name, known: plans.map(\.sweep.name), asker))
        }
        do {
            // In the order of submission.
            let names = try request.sweep.map { [$0] } ?? store.sweeps().map(\.name)
            let chosen = names.compactMap { index(ofSweep: $0) }
            events.post(.leaderboards(try chosen.map { try leaderboard($0) }, asker))
        } catch {
            events.post(.failed(reason: String(describing: error), asker))
        }
    }

    private func rank(_ sweep: String) {
        guard let index = index(ofSweep: sweep) else { return }
        do {
            let best = try leaderboard(index, withCurves: false).rows.first
            events.post(.ranked(sweep: sweep, best, diverged: known[index].divergedCount))
        } catch {
            events.post(.unranked(sweep: sweep, reason: String(describing: error)))
        }
    }

    /// How many results are read at once.
    private static let resultsAtOnce = 4_096

    /// - Parameter index: in `known`.
    private func leaderboard(_ index: Int, withCurves: Bool = true) throws -> Leaderboard {
        let results = try results(&known[index])
        return Leaderboard(plan: known[index].plan, withCurves: withCurves, results: results)
    }

    /// Reads what is new of a sweep's results, and says what the store holds for each of its tasks.
    func results(_ known: inout KnownResults) throws -> (TaskKey) -> CellResult {
        let unknown = known.unknown
        var failed: [TaskKey: TaskFailure] = [:]
        for first in stride(from: 0, to: unknown.count, by: DeskLoop.resultsAtOnce) {
            let keys = unknown[first..<min(first + DeskLoop.resultsAtOnce, unknown.count)]
            for (key, outcome) in try store.outcomes(of: keys) {
                switch outcome {
                case .done(let summary):
                    if let summary = LevelSummary.reading(summary) {
                        known.note(summary, of: key)
                    } else {
                        failed[key] = .unreadableResult
                    }
                case .failed(let failure): failed[key] = failure
                }
            }
        }
        let (done, broken) = (known, failed)
        return { key in
            if let summary = done[key] { return .done(summary) }
            return broken[key].map(CellResult.init) ?? .pending
        }
    }
}

extension TaskFailure {
    /// Of a done task, which no worker of this version leaves so.
    package static let unreadableResult = TaskFailure(
        .failed, "its result cannot be read: something else than this version of tombola delivered it")
}

extension CellResult {
    /// What the leaderboard makes of a task that was given up.
    package init(_ failure: TaskFailure) {
        self = failure.name == .cancelled ? .stopped : .failed(reason: failure.reason)
    }
}

extension KnownTask {
    init(stored task: StoredTask) {
        switch task.state {
        case .pending: self = .pending(keepSteps: KnownTask.keepSteps(of: task))
        case .running: self = .running(keepSteps: KnownTask.keepSteps(of: task))
        case .done: self = .done(outputs: Set(task.outputs.map(\.name)))
        case .failed: self = .failed
        }
    }

    private struct Wish: Decodable {
        var keepSteps: [Int]
    }

    private static func keepSteps(of task: StoredTask) -> [Int] {
        let wish = try? JSONDecoder().decode(Wish.self, from: Data(task.payload))  // A benchmark’s payload has none.
        return wish?.keepSteps ?? []
    }
}
