import Coordination
import Foundation
import Lottery
import Sweeps

/// What a coordinator is doing, for `status`, `watch` and the progress of `run`.
public struct ServiceStatus: Hashable, Sendable, Codable {
    public var store: StoreID
    /// In the order in which they were planned. A sweep of an earlier start appears as soon as its plan is made again.
    public var sweeps: [SweepStatus]
    /// Sweeps of earlier starts that cannot be planned until something comes, each with what is in the way. Their tasks go
    /// on.
    public var unplanned: [Unplanned]
    /// Tasks of all sweeps by state; a task that sweeps share counts once.
    public var tasks: CoordinatorStatus.Counts
    public var workers: [WorkerStatus]
    /// Training steps of all sweeps together; a task that sweeps share counts in each.
    public var stepsTotal: Int
    /// Those behind us, of running tasks too.
    public var stepsDone: Int
    /// Over the last half minute; nil until enough was seen.
    public var stepsPerSecond: Double?
    /// Until all is done that is neither paused nor given up, at that rate; nil if there is no such thing or nothing is given out.
    /// Too long where sweeps share tasks that are still to be done, since those count in each.
    public var secondsRemaining: Double?
    public var incidents: CoordinatorStatus.Incidents
    /// What ready tasks wait for in vain, as long as no other worker comes.
    public var unmet: [CoordinatorStatus.UnmetNeeds]
    /// Nothing goes on unless another worker comes, or something is resumed. While results may yet ask for more, it is
    /// not known.
    public var isStuck: Bool
    /// Nothing more is given out: it ends once nothing runs.
    public var isDraining: Bool
    /// It ends by itself once all that was submitted to it is done, as the coordinator of a `run` does.
    public var endsWhenDone: Bool
    /// Nothing more is given out until the store's disk has room.
    public var isShortOfRoom: Bool
    /// Tasks of the store of which two results differ: a bug in tombola, or broken hardware. Those of earlier starts
    /// too.
    public var contradictedTasks: [TaskKey]

    /// Whether every task is done or failed, and no results are left that may ask for more. A process that ends when all is done has
    /// not begun where it has nothing.
    public var isSettled: Bool {
        tasks.isSettled && unplanned.isEmpty && !sweeps.contains(where: \.mayGrow)
            && !(endsWhenDone && tasks.total == 0)
    }

    /// How many of something are in which state; the rest waits.
    public struct Tally: Hashable, Sendable, Codable {
        public var done = 0
        public var running = 0
        /// Failed, quarantined or lost for good.
        public var failed = 0
        public var cancelled = 0
        public var total = 0

        public init(done: Int = 0, running: Int = 0, failed: Int = 0, cancelled: Int = 0, total: Int = 0) {
            self.done = done
            self.running = running
            self.failed = failed
            self.cancelled = cancelled
            self.total = total
        }
    }

    public struct SweepStatus: Hashable, Sendable, Codable {
        public var name: String
        /// Of the sweeps with tasks to give out, those of the highest priority go first.
        public var priority: Int
        /// Gets no new tasks.
        public var isPaused: Bool
        public var isCancelled: Bool
        public var points: Int
        /// A run is done when all its tasks are, failed when one of them is, else cancelled when one is.
        public var runs: Tally
        /// Trainings: levels of chains and of branches, and replays. What runs share counts once.
        public var levels: Tally
        public var stepsTotal: Int
        public var stepsDone: Int
        /// Of levels that failed or were cancelled.
        public var stepsGivenUp: Int
        /// The leaderboard's first row, a few seconds old at most; nil before any level is done.
        public var best: LeaderboardRow?
        /// Levels among the done whose training diverged; a few seconds old at most.
        public var diverged: Int
        /// Why tasks were given up, the first few; those that only waited for one of them are left out, and so are
        /// cancelled ones.
        public var failures: [Failure]
        /// Whether its results may ask for more than it has: nobody has looked yet.
        public var mayGrow = false
        /// Why what its results ask for could not be planned the last time; it is tried again. Nil if nothing is in the way.
        public var growthFailure: String?

        var stepsLeft: Int { max(0, stepsTotal - stepsDone - stepsGivenUp) }

        public struct Failure: Hashable, Sendable, Codable {
            public var task: TaskKey
            /// `failed`, `quarantined` or `lost`.
            public var name: FailureName
            public var reason: String
        }
    }

    public struct Unplanned: Hashable, Sendable, Codable {
        public var sweep: String
        public var reason: String
    }

    public struct WorkerStatus: Hashable, Sendable, Codable {
        public var id: WorkerID
        public var host: String
        public var processID: Int32
        public var slots: Int
        public var isReachable: Bool
        /// What it said that its slots may take together; nil if it did not.
        public var memoryBytes: Int?
        /// How long it will get nothing, because different tasks failed there in a row; nil if it may get some.
        public var quarantinedMilliseconds: Int64?
        public var silentMilliseconds: Int64
        public var running: [RunningTask]

        private enum CodingKeys: String, CodingKey {
            case id, host, slots, running
            case processID = "process_id"
            case isReachable = "is_reachable"
            case memoryBytes = "memory_bytes"
            case quarantinedMilliseconds = "quarantined_milliseconds"
            case silentMilliseconds = "silent_milliseconds"
        }
    }

    public struct RunningTask: Hashable, Sendable, Codable {
        public var task: TaskKey
        public var attempt: Attempt
        /// What it is within its sweep: `dense`, `level 3`, `random-reinit 3`; nil if no sweep asked for it.
        public var role: String?
        public var sweep: String?
        /// Training step reached, counted as the task counts: a rewound one begins at its rewind step.
        public var step: Int
        public var firstStep: Int
        /// Training steps from its first to its last.
        public var cost: Int
        public var ageMilliseconds: Int64

        private enum CodingKeys: String, CodingKey {
            case task, attempt, role, sweep, step, cost
            case firstStep = "first_step"
            case ageMilliseconds = "age_milliseconds"
        }
    }

    private enum CodingKeys: String, CodingKey {
        case store, sweeps, unplanned, tasks, workers, incidents, unmet
        case stepsTotal = "steps_total"
        case stepsDone = "steps_done"
        case stepsPerSecond = "steps_per_second"
        case secondsRemaining = "seconds_remaining"
        case isStuck = "is_stuck"
        case isDraining = "is_draining"
        case endsWhenDone = "ends_when_done"
        case isShortOfRoom = "is_short_of_room"
        case contradictedTasks = "contradicted_tasks"
    }
}

extension ServiceStatus.SweepStatus {
    private enum CodingKeys: String, CodingKey {
        case name, priority, points, runs, levels, best, diverged, failures
        case isPaused = "is_paused"
        case isCancelled = "is_cancelled"
        case mayGrow = "may_grow"
        case growthFailure = "growth_failure"
        case stepsTotal = "steps_total"
        case stepsDone = "steps_done"
        case stepsGivenUp = "steps_given_up"
    }
}
