/// One whole course of a sweep or two on a small cluster, in one thread and in no time, with everything going wrong
/// that can: the network drops, duplicates, delays, reorders, puts junk in place and cuts off; the coordinator dies
/// between any two steps of its loop, is paused, or comes back with an older store; its disk fills; workers die, pause,
/// lose their disks, and come back under the same name; trainings die and hang; clocks drift and jump; people pause,
/// cancel, retry and reprioritise. Then faults stop, and each sweep must end with the leaderboard of a run in which
/// nothing went wrong.
///
/// Coordinator, worker and transfer are the values that ship, and every message goes through `Wire`. All follows from
/// the seed: a failure is replayed by its seed alone.
public struct Simulation: Sendable {
    public let seed: UInt64
    /// The one thing that goes wrong; nil if everything may.
    public let scenario: Scenario?
    /// What was broken on purpose.
    public let bug: PlantedBug?
    /// Nil if all was as it must be; else what was not, in a sentence.
    public let violation: String?
    /// Simulated time from the start to the sweep's end or the violation.
    public let milliseconds: Int64
    public let tasks: Int
    public let workers: Int
    /// Attempts that were given out.
    public let attempts: Int
    /// How often two results of a task were found to differ.
    public let disputes: Int
    /// Events that were handled.
    public let events: Int
    /// The same for every run of a seed by the same program.
    public let fingerprint: UInt64
    /// What happened, a line each; empty unless it was asked for.
    public let trace: [String]

    /// Runs the simulation of a seed to its end.
    /// - Parameters:
    ///   - isQuiet: whether nothing goes wrong.
    ///   - scenario: what alone goes wrong.
    ///   - bug: what to break on purpose.
    ///   - keepsTrace: whether `trace` is filled.
    public init(
        seed: UInt64, isQuiet: Bool = false, scenario: Scenario? = nil, bug: PlantedBug? = nil, keepsTrace: Bool = false
    ) {
        var cluster = Cluster(
            seed: seed, isQuiet: isQuiet, scenario: scenario, bug: bug, keepsTrace: keepsTrace)
        var violation: String?
        do { try cluster.run() } catch { violation = error.description }
        self.seed = seed
        self.scenario = scenario
        self.bug = bug
        self.violation = violation
        milliseconds = cluster.elapsed
        tasks = cluster.taskCount
        workers = cluster.workers.count
        attempts = cluster.checker.counts.attempts
        disputes = cluster.checker.counts.disputes
        events = cluster.trace.steps
        fingerprint = SeededRandom.mixed(cluster.random.state &+ UInt64(cluster.elapsed) &+ UInt64(cluster.trace.steps))
        trace = cluster.trace.lines
    }
}
