/// One rule of the wire put to the test again and again, where nothing else goes wrong. Each is named after what happens.
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

    /// Whether each task must come to its result by its first attempt.
    var wastesNoAttempt: Bool {
        switch self {
        case .silentReconnect, .duplicateHello, .absoluteCapacity, .stoppedCoordinator, .failedCommit: true
        case .restoredBackup, .restartRace, .lostTask, .lateResults, .nondeterminism, .deadUploader, .drainingOutbox:
            false
        }
    }

    func faults(_ random: inout SeededRandom, workers: Int, end: Int64) -> Faults {
        var faults = Faults()
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
        case .drainingOutbox: plan(6) { [.cut($0.below(workers), milliseconds: 5_000 + $0.below(Int64(15_000)))] }
        case .absoluteCapacity: (faults.drop, faults.duplicate) = (0.02, 0.3)
        case .stoppedCoordinator: plan(4) { [.pauseCoordinator(milliseconds: 10_000 + $0.below(Int64(200_000)))] }
        case .failedCommit: plan(3) { [.fillDisk(milliseconds: 5_000 + $0.below(Int64(60_000)))] }
        }
        return faults
    }
}
