/// One rule of the wire put to the test again and again, where nothing else goes wrong. Each is named after what
/// happens.
public enum Scenario: String, CaseIterable, Sendable {
    /// TCP's connection breaks and is made anew under another routing id, which neither side is told.
    case silentReconnect = "silent-reconnect"
    /// Every message comes twice, also late: HELLO above all.
    case duplicateHello = "duplicate-hello"
    /// The coordinator comes back on an earlier copy of its store, while workers hold what came after.
    case restoredBackup = "restored-backup"
    /// Coordinator and workers are restarted at the same time.
    case restartRace = "restart-race"
    /// Messages get lost: TASK, its results, their acknowledgements.
    case lostTask = "lost-task"
    /// A worker that was taken for dead returns with its result when others have the task, or have done it.
    case lateResults = "late-results"
    /// Two attempts of a task come to different artifacts: said loudly, and the first result stays.
    case nondeterminism
    /// A worker and its disk are gone when it has reported a result and before that was fetched.
    case deadUploader = "dead-uploader"
    /// Every result is delivered, or refused as a duplicate, so that no outbox stays full.
    case drainingOutbox = "draining-outbox"
    /// A worker never gets more than it has slots for, however many beats are lost or repeated.
    case absoluteCapacity = "absolute-capacity"
    /// The coordinator is stopped for minutes, as by SIGSTOP, and goes on: what it did not read is no silence.
    case stoppedCoordinator = "stopped-coordinator"
    /// The store's disk is full for a while: a commit that fails sends nothing.
    case failedCommit = "failed-commit"
    /// Sweeps are paused and resumed, over restarts of the coordinator: a paused one gets no new task and loses none.
    case pausedSweep = "paused-sweep"
    /// Sweeps and tasks are cancelled and brought back: a cancelled task is not given out, and a shared one lives on.
    case cancelledSweep = "cancelled-sweep"
    /// Trainings die again and again, and what is given up is retried.
    case retriedTasks = "retried-tasks"
    /// Two sweeps share the workers, with priorities that change.
    case fairShare = "fair-share"
    /// Workers are told to end, say because their time on the machine is over: each sends up what it has trained, and
    /// no step is trained again.
    case drainedWorker = "drained-worker"
    /// The coordinator is told to stop, at once or when nothing runs: it gives out nothing more, workers hand back what
    /// they train, and when it is started again no step is trained again.
    case drainedCoordinator = "drained-coordinator"
    /// Machines are gone amid a training, with their disks: others go on from the checkpoint that was sent last.
    case preemptedMidLevel = "preempted-mid-level"
    /// Workers have unequal memory, and tasks need more or less of it: none is sent where it does not fit.
    case unequalMemory = "unequal-memory"
    /// The coordinator is told to stop and dies before it has: started again it gives out nothing, until it has ended
    /// in order.
    case interruptedStop = "interrupted-stop"
    /// On a worker every training dies, and the coordinator with it now and then: what is quarantined stays so.
    case quarantinedWorker = "quarantined-worker"
    /// Keys of workers are revoked while they hold tasks: those go to others at once, and nothing goes to who has no
    /// key.
    case revokedKey = "revoked-key"
    /// Checkpoints that nobody will read are removed, and then the sweep grows and reads them: they are made again.
    case retiredOutputs = "retired-outputs"
    /// Results ask for more replicates and end chains, and the coordinator dies between a result and what it asks for:
    /// all of that is asked for, and nothing else.
    case growingSweep = "growing-sweep"
    /// The coordinator dies amid a submission: who asked has no answer, and when it is started again it takes on the
    /// rest.
    case interruptedSubmission = "interrupted-submission"

    /// Whether each task must come to its result by its first attempt.
    var wastesNoAttempt: Bool {
        switch self {
        case .silentReconnect, .duplicateHello, .absoluteCapacity, .stoppedCoordinator, .failedCommit, .pausedSweep,
            .fairShare, .unequalMemory:
            true
        case .restoredBackup, .restartRace, .lostTask, .lateResults, .nondeterminism, .deadUploader, .drainingOutbox,
            .cancelledSweep, .retriedTasks, .drainedWorker, .drainedCoordinator, .preemptedMidLevel, .interruptedStop,
            .quarantinedWorker, .revokedKey, .retiredOutputs, .growingSweep, .interruptedSubmission:
            false
        }
    }

    private var isAboutOrders: Bool { hasTwoSweeps || self == .retriedTasks }

    /// Whether there are two sweeps at all times; else there may be.
    var hasTwoSweeps: Bool { [.pausedSweep, .cancelledSweep, .fairShare].contains(self) }

    /// Whether sweeps are submitted once and never again, so that all the rest is the coordinator's.
    var isSubmittedOnce: Bool { [.growingSweep, .interruptedSubmission].contains(self) }

    /// By how much trainings are longer than usual, so that checkpoints are worth sending.
    var trainingScale: Int {
        switch self {
        case .preemptedMidLevel: 5
        case .drainedWorker, .drainedCoordinator: 2
        case .silentReconnect, .duplicateHello, .restoredBackup, .restartRace, .lostTask, .lateResults, .nondeterminism,
            .deadUploader, .drainingOutbox, .absoluteCapacity, .stoppedCoordinator, .failedCommit, .pausedSweep,
            .cancelledSweep, .retriedTasks, .fairShare, .unequalMemory, .interruptedStop, .quarantinedWorker,
            .revokedKey, .retiredOutputs,
            .growingSweep, .interruptedSubmission:
            1
        }
    }

    /// How many steps may be trained in all, those that are done again too; nil where that says nothing.
    /// - Parameter slotsLost: so many trainings at most were lost with their machine.
    func stepsTrainedAtMost(undisturbed: Int, slotsLost: Int) -> Int? {
        switch self {
        case .drainedWorker, .drainedCoordinator: undisturbed
        case .preemptedMidLevel:
            // A checkpoint goes up once ten seconds are at stake, which is looked at with each save; then it takes a
            // moment.
            undisturbed + slotsLost * (10 + SimulatedTraining.savedEvery + 2)
        case .silentReconnect, .duplicateHello, .restoredBackup, .restartRace, .lostTask, .lateResults, .nondeterminism,
            .deadUploader, .drainingOutbox, .absoluteCapacity, .stoppedCoordinator, .failedCommit, .pausedSweep,
            .cancelledSweep, .retriedTasks, .fairShare, .unequalMemory, .interruptedStop, .quarantinedWorker,
            .revokedKey, .retiredOutputs,
            .growingSweep, .interruptedSubmission:
            nil
        }
    }

    func faults(_ random: inout SeededRandom, workers: Int, end: Int64) -> Faults {
        var faults = Faults()
        // The sweeps of most seeds take a minute or two.
        let end = isAboutOrders ? end / 3 : end
        func plan(_ count: Int, _ fault: (inout SeededRandom) -> [Faults.Fault]) {
            for _ in 0..<count {
                let at = random.below(end / 2)
                for next in fault(&random) { faults.planned.append((at: at + random.below(Int64(500)), fault: next)) }
            }
        }
        switch self {
        case .silentReconnect: plan(12) { [.reconnectSilently($0.below(workers))] }
        case .duplicateHello:
            (faults.duplicate, faults.delay) = (1, 0.05)
        case .restoredBackup:
            plan(4) { _ in [.backUp] }
            plan(2) { _ in [.restoreBackup] }
        case .restartRace: plan(4) { [.killCoordinator, .killWorker($0.below(workers))] }
        case .lostTask: faults.drop = 0.3
        case .lateResults: plan(6) { [.pauseWorker($0.below(workers), milliseconds: 40_000 + $0.below(Int64(60_000)))] }
        case .nondeterminism:
            faults.miscomputation = 0.2
            plan(8) { [.pauseWorker($0.below(workers), milliseconds: 40_000 + $0.below(Int64(20_000)))] }
        case .deadUploader: faults.uploaderDeath = 0.3
        // Shorter and longer than a session.
        case .drainingOutbox: plan(6) { [.cut($0.below(workers), milliseconds: 5_000 + $0.below(Int64(85_000)))] }
        case .absoluteCapacity: (faults.drop, faults.duplicate) = (0.02, 0.3)
        case .stoppedCoordinator: plan(4) { [.pauseCoordinator(milliseconds: 10_000 + $0.below(Int64(200_000)))] }
        case .pausedSweep:
            plan(6) { [.pauseSweep($0.below(2))] }
            plan(4) { [.resumeSweep($0.below(2))] }
            plan(2) { _ in [.killCoordinator] }
        case .cancelledSweep:
            plan(4) { [.cancelSweep($0.below(2))] }
            plan(4) { [.cancelTask($0.below(1_000))] }
            plan(4) { [$0.chance(0.5) ? .retrySweep($0.below(2)) : .retryTask($0.below(1_000))] }
            plan(1) { _ in [.killCoordinator] }
        case .retriedTasks:
            faults.childDeath = 0.5
            plan(12) { [.retrySweep($0.below(2))] }
            plan(12) { [.retryTask($0.below(1_000))] }
        case .fairShare: plan(12) { [.prioritise($0.below(2), $0.below(3))] }
        case .drainedCoordinator: plan(3) { [.stopCoordinator(isAtOnce: $0.chance(0.7))] }
        case .revokedKey: plan(6) { [.revokeKey($0.below(workers), milliseconds: 5_000 + $0.below(Int64(60_000)))] }
        case .retiredOutputs:
            for at in stride(from: Int64(60_000), to: end, by: 20_000) {
                faults.planned.append((at: at, fault: .compact))
            }
            plan(2) { _ in [.killCoordinator] }
        case .growingSweep:
            faults.coordinatorDeath = 0.02
            plan(6) { _ in [.killCoordinator] }
        case .interruptedSubmission: faults.coordinatorDeath = 0.1
        case .interruptedStop: plan(3) { [.stopCoordinator(isAtOnce: $0.chance(0.5)), .killCoordinator] }
        case .quarantinedWorker:
            plan(4) { [.crashOnTasks($0.below(workers), milliseconds: 20_000 + $0.below(Int64(40_000)))] }
            plan(6) { _ in [.killCoordinator] }
        case .unequalMemory: plan(4) { [.reconnectSilently($0.below(workers))] }
        case .drainedWorker: plan(6) { [.drain($0.below(workers), notice: 30_000 + $0.below(Int64(30_000)))] }
        case .preemptedMidLevel: plan(6) { [.replaceMachine($0.below(workers))] }
        case .failedCommit: plan(3) { [.fillDisk(milliseconds: 5_000 + $0.below(Int64(60_000)))] }
        }
        return faults
    }
}
