/// Which faults a simulation has and how often: drawn from its seed, so that some seeds are almost quiet and others
/// have everything at once.
struct Faults: Sendable {
    /// Of each message.
    var drop = 0.0
    var duplicate = 0.0
    /// Of seconds rather than milliseconds.
    var delay = 0.0
    /// That junk comes in its place.
    var junk = 0.0
    /// At each step between handling, committing and sending.
    var coordinatorDeath = 0.0
    var workerDeath = 0.0
    /// Of each training.
    var childDeath = 0.0
    var hang = 0.0
    /// Of each training: it comes to other artifacts than it should.
    var miscomputation = 0.0
    /// Of each reported result: its worker is gone just then, with its disk.
    var uploaderDeath = 0.0
    /// What happens at a time drawn beforehand.
    var planned: [(at: Int64, fault: Fault)] = []

    enum Fault: Sendable {
        case killCoordinator
        /// Kills it and puts an earlier copy of the store in place.
        case restoreBackup
        case backUp
        case fillDisk(milliseconds: Int64)
        case pauseCoordinator(milliseconds: Int64)
        case killWorker(Int)
        /// Kills it, and its disk is lost.
        case replaceMachine(Int)
        case stopWorker(Int)
        /// Tells it that its machine will be taken away so much later.
        case drain(Int, notice: Int64)
        /// The same, and so it is, with its disk, whatever the worker has come to.
        case preempt(Int, notice: Int64)
        case pauseWorker(Int, milliseconds: Int64)
        /// The worker's outputs are deleted under it.
        case emptyFolder(Int)
        case cut(Int, milliseconds: Int64)
        case cutCoordinator(milliseconds: Int64)
        /// TCP's connection breaks and is made anew, which neither side is told.
        case reconnectSilently(Int)
        /// A clock jumps ahead.
        case jump(worker: Int?, milliseconds: Int64)
        case crashOnTasks(Int, milliseconds: Int64)
        /// The coordinator is told to end once nothing runs.
        case stopCoordinator(isAtOnce: Bool)
        // What people order; the number chooses a sweep or a task.
        case pauseSweep(Int)
        case resumeSweep(Int)
        case cancelSweep(Int)
        case retrySweep(Int)
        case prioritise(Int, Int)
        case cancelTask(Int)
        case retryTask(Int)
        case compact
        /// The worker's key is taken off the allow-list, and put back later.
        case revokeKey(Int, milliseconds: Int64)
    }

    /// No faults.
    init() {}

    /// - Parameters:
    ///   - end: all faults are over by then.
    init(_ random: inout SeededRandom, workers: Int, end: Int64) {
        func some(_ levels: [Double]) -> Double { random.element(of: levels) }
        drop = some([0, 0, 0.01, 0.1, 0.3])
        duplicate = some([0, 0, 0.02, 0.2])
        delay = some([0, 0.02, 0.2])
        junk = some([0, 0, 0.01])
        coordinatorDeath = some([0, 0, 0.001, 0.01])
        workerDeath = some([0, 0, 0.001, 0.01])
        childDeath = some([0, 0, 0.05, 0.3])
        hang = some([0, 0, 0.05])
        for _ in 0..<random.below(16) {
            planned.append((at: random.below(end), fault: Faults.drawn(&random, workers: workers)))
        }
    }

    private static func drawn(_ random: inout SeededRandom, workers: Int) -> Fault {
        let worker = random.below(workers)
        let milliseconds = random.element(of: [500, 5_000, 20_000, 60_000, 200_000]) + random.below(Int64(1_000))
        let number = random.below(1_000)
        switch random.below(25) {
        case 0: return .killCoordinator
        case 1: return .restoreBackup
        case 2: return .backUp
        case 3: return .fillDisk(milliseconds: milliseconds)
        case 4: return .pauseCoordinator(milliseconds: milliseconds)
        case 5: return .killWorker(worker)
        case 6: return .replaceMachine(worker)
        case 7: return .stopWorker(worker)
        case 8: return .pauseWorker(worker, milliseconds: milliseconds)
        case 9: return .emptyFolder(worker)
        case 10: return .cut(worker, milliseconds: milliseconds)
        case 11: return .cutCoordinator(milliseconds: milliseconds)
        case 12: return .reconnectSilently(worker)
        case 13: return .jump(worker: random.chance(0.5) ? worker : nil, milliseconds: milliseconds)
        case 14: return .pauseSweep(number)
        case 15: return .resumeSweep(number)
        case 16: return .cancelSweep(number)
        case 17: return .retrySweep(number)
        case 18: return .cancelTask(number)
        case 19: return random.chance(0.5) ? .retryTask(number) : .prioritise(number, random.below(5) - 2)
        case 20: return .drain(worker, notice: milliseconds)
        case 21: return .preempt(worker, notice: min(milliseconds, 30_000))
        case 22: return .stopCoordinator(isAtOnce: random.chance(0.5))
        case 23: return .revokeKey(worker, milliseconds: milliseconds)
        default: return .crashOnTasks(worker, milliseconds: milliseconds)
        }
    }
}
