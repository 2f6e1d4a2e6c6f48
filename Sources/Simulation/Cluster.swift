import Coordination
import Lottery
import OrderedCollections
import Sweeps
import Wire

/// A coordinator, its disk, workers on machines of their own, and the network between them: all that runs in a
/// simulation. `Cluster+Coordinator.swift` and `Cluster+Workers.swift` are the shells around the two values, and do
/// what `CoordinatorService` and `WorkerService` do.
struct Cluster {
    typealias Violation = Checker.Violation

    /// Times are true milliseconds from the start.
    enum Happening: Sendable {
        case coordinatorStarts
        case coordinatorTurns(life: Int, at: Int64)
        case toCoordinator(RouteID, [[UInt8]])
        case toBlobServer(RouteID, [[UInt8]])
        case workerStarts(Int)
        case workerTurns(Int, process: Int, at: Int64)
        case toWorker(Int, RouteID, [[UInt8]])
        case toBlobClient(Int, RouteID, [[UInt8]])
        case child(Int, number: Int, ChildEvent)
        case submission
        case faultsEnd
        case fault(Faults.Fault)
        case coordinatorResumes
        /// The desk has looked at the results of an adaptive sweep.
        case deskAnswers(life: Int, SweepID, everything: Bool)
        case workerResumes(Int)
        case connected(Int?)
        case diskHasRoom
        case crashesEnd(Int)
        case authorised(Int)
    }

    enum ChildEvent: Sendable {
        /// `stopped` has saved what it was at; `killed` has not.
        case began(Int), progress(Int), finished, died, stopped, killed
    }

    let sweeps: [SimulatedSweep]
    /// How many tasks they have together.
    let taskCount: Int
    let bug: PlantedBug?
    let scenario: Scenario?
    var faults: Faults
    /// No fault begins after this, and those that last are over.
    let faultsEnd: Int64
    private let isQuiet: Bool

    var random: SeededRandom
    var now: Int64 = 0
    var timetable = Timetable<Happening>()
    var checker = Checker()
    var trace: Trace

    var store = SimulatedStore()
    var coordinator = CoordinatorHost()
    var workers: [WorkerHost] = []
    /// Machines that the network does not reach; nil is the coordinator's.
    var cut: Set<Int?> = []
    /// Workers whose key is off the allow-list, and those of which it ever was.
    var revoked: Set<Int> = []
    var wereRevoked: Set<Int> = []
    var childCount = 0
    /// Of all trainings, those that were done again too.
    var stepsTrained = 0
    var disksLost = 0
    var settings = CoordinatorSettings()

    var areFaultsOver: Bool { now >= faultsEnd }
    /// Simulated milliseconds since the start.
    var elapsed: Int64 { now }

    /// - Parameter isQuiet: whether nothing goes wrong.
    init(seed: UInt64, isQuiet: Bool, scenario: Scenario?, bug: PlantedBug?, keepsTrace: Bool) {
        var random = SeededRandom(seed: seed)
        let count = scenario?.hasTwoSweeps ?? isQuiet ? 2 : 1 + random.below(2)
        let areAdaptive = scenario == .growingSweep || scenario == nil && random.chance(0.3)
        sweeps = [SimulatedSweep](
            &random, count: count, scale: scenario?.trainingScale ?? 1, areAdaptive: areAdaptive)
        taskCount = sweeps.keys.count
        self.bug = bug
        self.scenario = scenario
        self.isQuiet = isQuiet
        faultsEnd = 600_000
        let workerCount = 1 + random.below(4)
        faults =
            if let scenario {
                scenario.faults(&random, workers: workerCount, end: faultsEnd)
            } else {
                isQuiet ? Faults() : Faults(&random, workers: workerCount, end: faultsEnd)
            }
        checker.mayMiscompute = faults.miscomputation > 0
        checker.watchesTurns = isQuiet || scenario == .fairShare
        trace = Trace(isKept: keepsTrace)
        settings.stallMilliseconds = 120_000
        settings.startMilliseconds = 120_000
        settings.restMilliseconds = 5_000
        settings.restCapMilliseconds = 60_000
        for index in 0..<workerCount {
            // The first can do anything; where turns are watched none holds them up.
            let memory = index == 0 || checker.watchesTurns ? nil : 1 + random.below(5)
            workers.append(WorkerHost(index: index, slots: 1 + random.below(3), memory: memory))
            checker.memory[workers[index].id] = memory
            checker.slots[workers[index].id] = workers[index].slots
        }
        for work in sweeps.flatMap(\.works) { checker.needs[work.key] = work.needs.memoryBytes }
        for sweep in sweeps { checker.mayWant[sweep.id] = sweep.asked { _ in .pending } }
        self.random = random
    }

    /// Runs until every task is done and nothing is under way.
    mutating func run() throws(Violation) {
        store.commitBlob(SimulatedSweep.dataset)
        timetable.enter(.coordinatorStarts, at: 0)
        timetable.enter(.submission, at: random.below(2_000))
        timetable.enter(.faultsEnd, at: faultsEnd)
        for index in workers.indices { timetable.enter(.workerStarts(index), at: random.below(5_000)) }
        for planned in faults.planned { timetable.enter(.fault(planned.fault), at: planned.at) }
        var steps = 0
        while !isOver {
            guard let next = timetable.next() else { throw Violation(description: "nothing will ever happen again") }
            now = max(now, next.at)
            guard now < faultsEnd + Cluster.recovery else {
                throw Violation(description: "a sweep has not ended, two hours after the last fault")
            }
            steps += 1
            try happen(next.happening)
        }
        trace.steps = steps
        try checker.restarted(on: store)
        if isQuiet || scenario?.wastesNoAttempt == true, checker.counts.attempts != taskCount {
            throw Violation(
                description: "\(taskCount) tasks took \(checker.counts.attempts) attempts, though none failed")
        }
        let wanted = sweeps.steps
        if let limit = scenario?.stepsTrainedAtMost(
            undisturbed: wanted, slotsLost: disksLost * (workers.map(\.slots).max() ?? 0)), stepsTrained > limit
        {
            throw Violation(
                description: "\(stepsTrained) steps were trained where \(wanted) are to be and \(limit) may be")
        }
        guard !checker.mayMiscompute else { return }
        for sweep in sweeps where leaderboard(of: sweep) != sweep.undisturbedLeaderboard {
            throw Violation(description: "the leaderboard of \(sweep.id) is not that of the undisturbed run")
        }
    }

    /// How long the sweep may take once faults are over: backing off, rests, stalls and adoption take minutes.
    static let recovery: Int64 = 2 * 3_600_000

    private var isOver: Bool {
        guard areFaultsOver, let counts = coordinator.value?.counts, counts.left == 0 else { return false }
        return workers.allSatisfy { $0.value?.load.outbox ?? 0 == 0 }
            && sweeps.allSatisfy { sweep in sweep.asked(by: store).allSatisfy(store.isDone) }
    }

    private func leaderboard(of sweep: SimulatedSweep) -> Leaderboard {
        sweep.leaderboard(
            store.records.elements.reduce(into: [:]) { results, record in
                if case .done(let result) = record.value.state { results[record.key] = result }
            })
    }

    private mutating func happen(_ happening: Happening) throws(Violation) {
        switch happening {
        case .coordinatorStarts: try startCoordinator()
        case .coordinatorTurns(let life, let at):
            if life == coordinator.life, at == coordinator.turnsAt { try turnCoordinator() }
        case .toCoordinator(let route, let frames): receive(frames, from: route)
        case .toBlobServer(let route, let frames): receiveBlob(frames, from: route)
        case .workerStarts(let index): try startWorker(index)
        case .workerTurns(let index, let process, let at):
            if process == workers[index].process, at == workers[index].turnsAt { try turnWorker(index) }
        case .toWorker(let index, let route, let frames):
            guard route == workers[index].controlRoute else { return }
            try whenAwake(index, happening) { (cluster) throws(Violation) in try cluster.receive(frames, on: index) }
        case .toBlobClient(let index, let route, let frames):
            guard route == workers[index].blobRoute else { return }
            try whenAwake(index, happening) { (cluster) throws(Violation) in
                try cluster.receiveBlob(frames, on: index)
            }
        case .child(let index, let number, let event):
            try whenAwake(index, happening) { (cluster) throws(Violation) in
                try cluster.child(number, of: index, event)
            }
        case .submission: submit()
        case .faultsEnd: for sweep in sweeps { tell(.sweep(sweep.id, .resume)) }
        case .fault(let fault): try begin(fault)
        case .coordinatorResumes: resumeCoordinator()
        case .deskAnswers(let life, let sweep, let everything):
            if life == coordinator.life { answerGrowth(of: sweep, everything: everything) }
        case .workerResumes(let index): resumeWorker(index)
        case .connected(let machine): cut.remove(machine)
        case .diskHasRoom: store.isFull = false
        case .crashesEnd(let index): workers[index].crashesOnTasks = false
        case .authorised(let index):
            revoked.remove(index)
            checker.expelled.remove(workers[index].id)
        }
    }

    /// What reaches a paused process waits until it goes on.
    private mutating func whenAwake(
        _ index: Int, _ happening: Happening, _ work: (inout Cluster) throws(Violation) -> Void
    ) throws(Violation) {
        if workers[index].isPaused {
            workers[index].missed.append(happening)
        } else {
            try work(&self)
        }
    }

    /// A person who submits the sweeps, and again now and then until they are done: after a restored backup, and to
    /// have tasks tried again that were given up.
    private mutating func submit() {
        coordinator.submissions += 1
        callCoordinator()
        // Else what the coordinator forgets would be brought back to it.
        if scenario?.isSubmittedOnce == true { return }
        timetable.enter(.submission, at: now + 60_000 + random.below(Int64(60_000)))
    }

    /// A person's order, which they say again until it is done.
    mutating func tell(_ order: SimulatedOrder) {
        trace.note(now, "ordered: \(order)")
        coordinator.orders.append(order)
        callCoordinator()
    }

    // MARK: - Network

    /// Sends frames from or to machine `index`: they come once, later, twice, out of order, or
    /// never.
    /// - Parameter name: what they are, for the trace.
    mutating func send(
        _ happening: (_ frames: [[UInt8]]) -> Happening, _ frames: [[UInt8]], machine index: Int,
        name: @autoclosure () -> String
    ) {
        guard !cut.contains(index), !cut.contains(nil) else { return }
        let isFaulty = !areFaultsOver
        if isFaulty, random.chance(faults.drop) {
            trace.note(now, "lost on its way: \(name())")
            return
        }
        let copies = isFaulty && random.chance(faults.duplicate) ? 2 : 1
        if copies > 1 { trace.note(now, "comes twice: \(name())") }
        for _ in 0..<copies {
            let wait =
                isFaulty && random.chance(faults.delay) ? random.below(Int64(30_000)) : 1 + random.below(Int64(40))
            let junk = isFaulty && random.chance(faults.junk) ? junkFrames() : nil
            timetable.enter(happening(junk ?? frames), at: now + wait)
        }
    }

    /// What another program might send to the port.
    private mutating func junkFrames() -> [[UInt8]] {
        while true {
            let frames = (0..<1 + random.below(3)).map { _ in
                (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
            }
            // A refusal is read whatever follows it, and believed: whoever can write one to a worker can end it.
            if case .refused? = try? Wire.decodeCoordinatorMessage(frames) { continue }
            return frames
        }
    }

    // MARK: - Faults

    private func sweep(_ number: Int) -> SimulatedSweep { sweeps[number % sweeps.count] }
    private func task(_ number: Int) -> TaskKey {
        let works = sweep(number).works
        return works[number % works.count].key
    }

    private mutating func begin(_ fault: Faults.Fault) throws(Violation) {
        guard !areFaultsOver else { return }
        if case .pauseCoordinator = fault, coordinator.isPaused { return }
        trace.note(now, "fault: \(fault)")
        func until(_ milliseconds: Int64) -> Int64 { min(faultsEnd, now + milliseconds) }
        switch fault {
        case .killCoordinator: killCoordinator()
        case .restoreBackup:
            if store.restoreBackup(&random) {
                killCoordinator()
                checker.restored(store)
            }
        case .backUp: store.backUp()
        case .fillDisk(let milliseconds):
            store.isFull = true
            timetable.enter(.diskHasRoom, at: until(milliseconds))
        case .pauseCoordinator(let milliseconds):
            coordinator.isPaused = true
            coordinator.pausedAt = now
            timetable.enter(.coordinatorResumes, at: until(milliseconds))
        case .killWorker(let index): killWorker(index)
        case .replaceMachine(let index):
            killWorker(index)
            loseDisk(index)
        case .drain(let index, let notice):
            if !workers[index].isPaused, let clock = workers[index].clock {
                try tell(index, .deadline(clock.instant(at: now + notice)))
            }
        case .preempt(let index, let notice):
            try begin(.drain(index, notice: notice))
            timetable.enter(.fault(.replaceMachine(index)), at: until(notice))
        case .stopWorker(let index):
            if !workers[index].isPaused { try tell(index, .stop) }
        case .pauseWorker(let index, let milliseconds):
            guard !workers[index].isPaused else { return }
            workers[index].isPaused = true
            timetable.enter(.workerResumes(index), at: until(milliseconds))
        case .emptyFolder(let index): workers[index].blobs = [:]
        case .cut(let index, let milliseconds):
            cut.insert(index)
            timetable.enter(.connected(index), at: until(milliseconds))
        case .cutCoordinator(let milliseconds):
            cut.insert(nil)
            timetable.enter(.connected(nil), at: until(milliseconds))
        case .reconnectSilently(let index): workers[index].reconnect()
        case .jump(nil, let milliseconds):
            coordinator.clock?.jump(milliseconds: milliseconds)
            // The loop sees such a gap, and takes it for a time in which it was not run.
            coordinator.heldUp += milliseconds
            callCoordinator()
        case .jump(let index?, let milliseconds):
            workers[index].clock?.jump(milliseconds: milliseconds)
            call(index)
        case .stopCoordinator(let isAtOnce): tell(.stop(isAtOnce: isAtOnce))
        case .pauseSweep(let number): tell(.sweep(sweep(number).id, .pause))
        case .resumeSweep(let number): tell(.sweep(sweep(number).id, .resume))
        case .cancelSweep(let number): tell(.sweep(sweep(number).id, .cancel))
        case .prioritise(let number, let priority): tell(.sweep(sweep(number).id, .prioritise(priority)))
        case .retrySweep(let number): tell(.sweep(sweep(number).id, .retry(Set(TaskFailure.names))))
        case .cancelTask(let number): tell(.task(task(number), .cancel))
        case .compact: tell(.compact)
        case .revokeKey(let index, let milliseconds):
            guard !revoked.contains(index) else { return }
            revoked.insert(index)
            wereRevoked.insert(index)
            timetable.enter(.authorised(index), at: until(milliseconds))
            // SIGHUP; a coordinator that is down reads the list when it starts.
            coordinator.rereadsKeys = true
            callCoordinator()
        case .retryTask(let number): tell(.task(task(number), .retry(Set(TaskFailure.names))))
        case .crashOnTasks(let index, let milliseconds):
            workers[index].crashesOnTasks = true
            timetable.enter(.crashesEnd(index), at: until(milliseconds))
        }
    }
}

extension SimulatedStore {
    mutating func commitBlob(_ bytes: [UInt8]) {
        do { try keep(bytes, under: Digest.of(bytes)) } catch { preconditionFailure("an empty disk is full") }
    }
}
