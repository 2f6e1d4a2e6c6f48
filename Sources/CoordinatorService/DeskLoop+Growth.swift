import Coordination
import Logging
import Lottery
import Store
import Sweeps
import ZeroMQ

/// What an adaptive sweep's results ask for beyond what it was given.
struct Growth: Sendable {
    var sweep: String
    /// Nil if the results so far ask for nothing new.
    var found: Arrival?
}

/// Adaptive sweeps: `refine` and `stop_when`. What they ask for follows from plan and results (`Extent`), so nothing
/// about it is stored: a coordinator that was killed in between asks for the same as soon as it has planned the sweep
/// again.
extension DeskLoop {
    /// - Parameter everything: whether to hand over all that is asked for and not done, not what is new since the last
    ///   time alone.
    func grow(_ sweep: String, everything: Bool, tries: Int) {
        var growth = Growth(sweep: sweep)
        guard let index = index(ofSweep: sweep), known[index].plan.isAdaptive else {
            return events.post(.grown(growth))
        }
        do {
            // What an earlier try found is not given yet.
            let before = everything || tries > 0 ? [] : asked[sweep] ?? []
            let plan = known[index].plan
            let asks = try isAsked(&known[index])
            let isNew = plan.tasks.indices.contains {
                asks[$0] && !plan.tasks[$0].isDone && !before.contains(plan.tasks[$0].key)
            }
            guard isNew else { return events.post(.grown(growth)) }
            // Planned anew: what a plan says of checkpoints holds for what the store held when it was made.
            let planned = try self.plan(plan.sweep)
            var fresh = KnownResults(plan: planned.plan)
            let isAsked = try isAsked(&fresh)
            let works = try WorkSpool(plan: fresh.plan, folder: store.directory, isStored: planned.isStored) {
                isAsked[$0] && !planned.isGiven(fresh.plan.tasks[$0].key, before)
            }
            remember(fresh, isAsked)
            growth.found = Arrival(
                .growth, works: works, progress: SweepProgress(plan: fresh.plan, isAsked: isAsked),
                // The sweep's own were asked for all they are to keep when they were given.
                believedPending: planned.believedPending.intersection(works.keys), tries: tries)
            events.post(.grown(growth))
        } catch {
            events.post(.notGrown(sweep: sweep, reason: String(describing: error)))
        }
    }

    /// Which tasks of a plan its sweep asks for, as far as the results in the store say.
    func isAsked(_ known: inout KnownResults) throws -> [Bool] {
        let plan = known.plan
        guard plan.isAdaptive else { return Array(repeating: true, count: plan.tasks.count) }
        return plan.isAsked(within: Extent(plan: plan, results: try results(&known)))
    }

    func remember(_ results: KnownResults, _ isAsked: [Bool]) {
        let plan = results.plan
        if let index = index(ofSweep: plan.sweep.name) {
            known[index] = results
        } else {
            known.append(results)
        }
        asked[plan.sweep.name] =
            plan.isAdaptive ? Set(plan.tasks.indices.lazy.filter { isAsked[$0] }.map { plan.tasks[$0].key }) : nil
    }
}

/// Which adaptive sweeps have results that may ask for more.
struct GrowthWishes {
    /// A process that is to end once all is done gives up after so many failures in a row, half a minute, where nothing
    /// else is left to do.
    static let triesBeforeTheEnd = 5

    /// How long a sweep at which the desk failed is left alone at first.
    let retryMilliseconds: Int64

    /// With whether everything is to be handed over again, since something may have been passed over.
    private(set) var due: [String: Bool] = [:]
    /// At the desk.
    private(set) var underWay: String?
    private var begunAt: Instant?
    /// Sweeps at which the desk failed.
    private(set) var failed: [String: BackOff] = [:]
    private var cancelled: Set<String> = []

    init(retryMilliseconds: Int64) { self.retryMilliseconds = retryMilliseconds }

    func isCancelled(_ sweep: String) -> Bool { cancelled.contains(sweep) }

    /// What a cancel does to a sweep's tasks is a result, too, but asks for nothing.
    mutating func want(_ sweep: String, everything: Bool = false) {
        guard !cancelled.contains(sweep) else { return }
        due[sweep] = everything || due[sweep] ?? false
    }

    /// When the first of what was put off is to be asked; nil if nothing was.
    var nextAt: Instant? { underWay == nil ? due.keys.compactMap { failed[$0]?.until }.min() : nil }

    /// The next one to ask the desk about; nil while it is at one.
    mutating func next(at now: Instant) -> (sweep: String, everything: Bool)? {
        let ready = due.keys.filter { failed[$0].map { $0.until <= now } ?? true }
        guard underWay == nil, let sweep = ready.min() else { return nil }
        let everything = due.removeValue(forKey: sweep)!
        underWay = sweep
        begunAt = now
        return (sweep, everything)
    }

    mutating func finish() {
        if let underWay { failed[underWay] = nil }
        underWay = nil
    }

    /// The desk could not find out. No result need come that has it look again, so it is asked again by itself: a sweep
    /// must not end for want of an answer.
    mutating func fail(at now: Instant, _ reason: String) {
        guard let sweep = underWay else { return }
        underWay = nil
        guard !cancelled.contains(sweep) else { return }
        failed[sweep, default: BackOff(at: now, milliseconds: retryMilliseconds)]
            .fail(at: now, took: begunAt.map { now.since($0) } ?? 0, reason)
        want(sweep, everything: true)
    }

    /// A sweep that is cancelled asks for nothing; one that is not any more asks for all that it got not meanwhile.
    mutating func note(_ sweep: String, isCancelled: Bool) {
        if isCancelled {
            cancelled.insert(sweep)
            (due[sweep], failed[sweep]) = (nil, nil)
        } else {
            cancelled.remove(sweep)
            want(sweep, everything: true)
        }
    }

    func concerns(_ sweep: String) -> Bool { underWay == sweep || due[sweep] != nil }
}

extension CoordinatorLoop {
    /// Asks the desk about a sweep whose results may ask for more, and about those of earlier starts that it could not plan.
    func tendGrowth() {
        for record in submissions.due(at: CoordinatorLoop.now) { desk.post(.restore(record)) }
        guard let (sweep, everything) = growth.next(at: CoordinatorLoop.now) else { return }
        desk.post(.grow(sweep: sweep, everything: everything, tries: 0))
    }

    /// Begins to give the coordinator what a sweep's results ask for.
    func take(on growth: Growth) {
        // A sweep that was cancelled meanwhile takes on nothing, so there must be no waiting for it either.
        guard let found = growth.found, !self.growth.isCancelled(growth.sweep) else {
            self.growth.finish()
            return forgetStarted()
        }
        hasPlanned = true
        arrivals.current = found
    }

    /// Notes a change after which results may ask for more.
    func noteGrowth(_ change: Change) {
        switch change {
        case .taskDone(let key, _, _), .taskFailed(let key, _), .taskRevived(let key):
            for sweep in submissions.sweeps where sweep.plan.isAdaptive && sweep.contains(key) {
                growth.want(sweep.name)
            }
        case .sweepChanged(let standing):
            guard submissions.sweeps.contains(where: { $0.name == standing.id.text && $0.plan.isAdaptive })
            else { return }
            growth.note(standing.id.text, isCancelled: standing.isCancelled)
        case .taskAdded, .taskRequested, .attemptStarted, .attemptEnded, .attemptLogged, .checkpointKept,
            .outputRetired,
            .taskReopened, .sweepWants, .sweepDrops, .workerQuarantined, .drainChanged, .nondeterminism:
            break
        }
    }
}
