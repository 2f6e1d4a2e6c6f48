import Lottery

/// What a coordinator is doing, for progress bars, `status` and `watch`. Ages are against the last event handled.
public struct CoordinatorStatus: Hashable, Sendable, Codable {
    public var counts: Counts
    /// Sorted by worker id.
    public var workers: [WorkerLine]
    /// Sorted by worker, then task.
    public var running: [RunningLine]
    public var incidents: Incidents
    /// In the order of submission.
    public var sweeps: [SweepLine]
    /// Nothing more is given out.
    public var isDraining: Bool
    /// Nothing more is given out until the store's disk has room.
    public var isShortOfRoom: Bool
    /// What ready tasks need and no worker that is here has, most tasks first.
    public var unmet: [UnmetNeeds]
    /// Nothing goes on unless another worker comes, or something is resumed: nothing is under way, and all that could be
    /// given out is unmet.
    public var isStuck: Bool

    /// Ready tasks that need the same, which no worker that is here has.
    public struct UnmetNeeds: Hashable, Sendable, Codable {
        public var needs: Work.Needs
        public var tasks: Int
        /// The most memory of the workers that compute the tasks' numerics; nil if none does.
        public var largestMemoryBytes: Int?

        public init(needs: Work.Needs, tasks: Int, largestMemoryBytes: Int?) {
            self.needs = needs
            self.tasks = tasks
            self.largestMemoryBytes = largestMemoryBytes
        }
    }

    /// A sweep, as people have ordered it and as it goes.
    public struct SweepLine: Hashable, Sendable, Codable {
        public var standing: SweepStanding
        /// Its tasks that are given out.
        public var running: Int
    }

    /// How many tasks are in which phase; each is in one.
    public struct Counts: Hashable, Sendable, Codable {
        /// Waits for parents.
        public var waiting = 0
        /// Could be given out.
        public var ready = 0
        public var running = 0
        /// Finished by a worker, its blobs on their way.
        public var delivering = 0
        public var done = 0
        /// Given up, by the `FailureName` under which they were.
        public var failed = 0
        public var quarantined = 0
        public var lost = 0
        public var cancelled = 0

        public init() {}

        /// Given up through a fault.
        public var faulty: Int { failed + quarantined + lost }
        public var total: Int { waiting + ready + running + delivering + done + faulty + cancelled }
        /// Neither done nor given up.
        public var left: Int { waiting + ready + running + delivering }
        /// Whether nothing is left to do: every task is done or given up.
        public var isSettled: Bool { left == 0 }
    }

    /// A worker that has a session.
    public struct WorkerLine: Hashable, Sendable, Codable {
        public var worker: WorkerID
        public var host: String
        public var processID: Int32
        public var slots: Int
        /// Attempts that it has.
        public var running: Int
        /// Since it was last heard.
        public var silentMilliseconds: Int64
        /// Whether there is a connection; without one it has until the session's end to come back.
        public var isReachable: Bool
        /// What it said that its slots may take together.
        public var memoryBytes: Int?
        /// For how long it gets nothing, because different tasks have failed there in a row; nil if it may get some.
        public var quarantinedMilliseconds: Int64?
    }

    /// An attempt that is given out.
    public struct RunningLine: Hashable, Sendable, Codable {
        public var task: TaskKey
        public var attempt: Attempt
        public var worker: WorkerID
        /// Reached, by the last beat.
        public var step: Int
        /// Steps that the task has in all.
        public var cost: Int
        /// Since it was given out or adopted.
        public var ageMilliseconds: Int64
        /// Since the step last rose.
        public var stillMilliseconds: Int64
        /// Given out before the coordinator's start; its worker has not come back yet.
        public var awaitsAdoption: Bool
    }

    /// Events that should be rare, counted since the coordinator's start.
    public struct Incidents: Hashable, Sendable, Codable {
        public var sessionsLost = 0
        public var childFailures = 0
        public var stalls = 0
        public var nondeterministic = 0
        public var resultsDiscarded = 0
        public var resentTasks = 0
        public var sayHellos = 0

        public init() {}
    }
}
