import Coordination
import Lottery
import OrderedCollections
import Sweeps

/// Tasks that the coordinator takes on piece by piece, a turn of its loop each: a sweep that was submitted, or what the
/// results of one ask for.
struct Arrival: Sendable {
    enum Source: Sendable {
        /// Somebody waits for an answer.
        case submission
        /// Of a submission that an earlier process was amid.
        case rest
        case growth
    }

    var sweep: SweepID
    var source: Source
    var all: [Work]
    /// Of `all`, how many were taken on.
    var taken = 0
}

/// Which adaptive sweeps have results that may ask for more. Dies with the process.
struct SimulatedGrowth: Sendable {
    /// With whether everything is to be handed over again.
    var due: [SweepID: Bool] = [:]
    var isUnderWay = false
    /// What each sweep has asked for.
    var asked: [SweepID: Set<TaskKey>] = [:]
}

/// How sweeps come to the coordinator and grow, as in `CoordinatorLoop` and its desk.
extension Cluster {
    /// At a start: submissions that are not whole, and results that may have asked for more.
    mutating func goOnWithSweeps() {
        if bug != .forgetsSubmissions {
            for sweep in sweeps where store.incomplete.contains(sweep.id) {
                coordinator.arrivals.append(Arrival(sweep: sweep.id, source: .rest, all: works(of: sweep)))
            }
        }
        if bug != .forgetsGrowth {
            for sweep in sweeps where sweep.plan.isAdaptive && store.sweeps[sweep.id] != nil {
                coordinator.growth.due[sweep.id] = true
            }
        }
    }

    /// What is submitted of a sweep.
    private func works(of sweep: SimulatedSweep) -> [Work] {
        let asked = sweep.asked(by: store)
        let works = sweep.works.filter { asked.contains($0.key) }
        // Parents come first, so that some of the first are a smaller sweep.
        let isSmall = scenario == .retiredOutputs && now < faultsEnd / 3
        return isSmall ? Array(works.prefix((works.count + 1) / 2)) : works
    }

    /// Takes on a piece of what comes first. Workers go on between pieces; whoever orders waits.
    mutating func takeOnArrivals(_ batch: inout Coordinator.Outcome) throws(Interruption) {
        if coordinator.arrivals.isEmpty, coordinator.submissions > 0 {
            coordinator.arrivals = sweeps.map { Arrival(sweep: $0.id, source: .submission, all: works(of: $0)) }
            for sweep in sweeps { coordinator.growth.asked[sweep.id] = sweep.asked(by: store) }
        }
        guard let arrival = coordinator.arrivals.first else { return }
        let end = min(arrival.taken + 1 + random.below(12), arrival.all.count)
        let piece = Array(arrival.all[arrival.taken..<end])
        switch arrival.source {
        case .growth:
            apply(.sweepGrew(arrival.sweep, piece), &batch)
            try flush(&batch)
        case .submission, .rest:
            let isWhole = end == arrival.all.count
            apply(.tasksAdded(piece, sweep: arrival.sweep), &batch)
            // Whether the submission replaced another spec is not known any more.
            if isWhole, case .rest = arrival.source {
                apply(.sweepNarrowed(arrival.sweep, to: arrival.all.map(\.key)), &batch)
            }
            try flush(&batch, isWhole ? .whole(arrival.sweep) : .begun(arrival.sweep))
        }
        coordinator.arrivals[0].taken = end
        guard end == arrival.all.count else { return }
        coordinator.arrivals.removeFirst()
        guard case .submission = arrival.source else { return }
        do { try checker.submitted(arrival.sweep, arrival.all.map(\.key), to: store) } catch { throw .violation(error) }
        if arrival.sweep == sweeps.last?.id { coordinator.submissions = 0 }
    }

    /// Notes after a commit which sweeps' results may ask for more.
    mutating func noteGrowth(_ changes: [Change]) {
        for sweep in sweeps where sweep.plan.isAdaptive {
            var isDue = false
            for change in changes {
                switch change {
                case .taskDone(let key, _, _), .taskFailed(let key, _), .taskRevived(let key):
                    isDue = isDue || sweep.contains(key)
                case .sweepChanged(let standing):
                    // One that was cancelled got nothing meanwhile.
                    if standing.id == sweep.id, !standing.isCancelled { coordinator.growth.due[sweep.id] = true }
                case .taskAdded, .taskRequested, .attemptStarted, .attemptEnded, .attemptLogged, .checkpointKept,
                    .outputRetired,
                    .taskReopened, .sweepWants, .sweepDrops, .workerQuarantined, .drainChanged, .nondeterminism:
                    break
                }
            }
            guard isDue else { continue }
            coordinator.growth.due[sweep.id] = coordinator.growth.due[sweep.id] ?? false
            checker.mayWant[sweep.id]!.formUnion(sweep.asked(by: store))
        }
    }

    /// Has the desk look at the results of a sweep, which takes it a while.
    mutating func tendGrowth() {
        guard !coordinator.growth.isUnderWay, let sweep = coordinator.growth.due.keys.min() else { return }
        let everything = coordinator.growth.due.removeValue(forKey: sweep)!
        coordinator.growth.isUnderWay = true
        timetable.enter(
            .deskAnswers(life: coordinator.life, sweep, everything: everything), at: now + random.below(Int64(3_000)))
    }

    mutating func answerGrowth(of id: SweepID, everything: Bool) {
        coordinator.growth.isUnderWay = false
        let sweep = sweeps.first { $0.id == id }!
        let asked = sweep.asked(by: store)
        let before = everything ? [] : coordinator.growth.asked[id] ?? []
        let fresh = sweep.works.filter { asked.contains($0.key) && !before.contains($0.key) && !store.isDone($0.key) }
        coordinator.growth.asked[id] = asked
        // A coordinator that was started anew is handed all that is not done.
        let isMore = !everything && !fresh.isEmpty
        if isMore { trace.note(now, "the results ask for \(fresh.count) tasks more of sweep \(id)") }
        if !fresh.isEmpty {
            coordinator.arrivals.append(Arrival(sweep: id, source: .growth, all: fresh))
        }
        callCoordinator()
    }
}
