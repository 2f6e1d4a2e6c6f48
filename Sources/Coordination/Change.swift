import Lottery

/// What must be durable before the messages of the same outcome are sent. A turn's changes are one transaction.
public enum Change: Hashable, Sendable {
    case taskAdded(Work)
    /// A task that had not been given out is asked for with another payload (more checkpoints to keep) or priority.
    case taskRequested(Work)
    /// Also said of an attempt that was given up for lost and whose worker came back with it: it runs again under its
    /// number.
    case attemptStarted(AttemptID, worker: WorkerID)
    /// The attempt ended without a result.
    case attemptEnded(AttemptID, AttemptEnd)
    /// The end of what the child of an attempt that ended as `stalled` had written to standard error.
    case attemptLogged(AttemptID, log: String)
    /// The task can be gone on with from here by any worker. It takes the place of an earlier checkpoint; a task that
    /// is done or failed has none. The task's losses are forgotten: it has come further.
    case checkpointKept(TaskKey, SavedCheckpoint)
    /// The task has its result; whatever attempt was running is over. It may follow `taskFailed`: late results count.
    case taskDone(TaskKey, attempt: AttemptID?, WorkResult)
    /// No further attempt will be made.
    case taskFailed(TaskKey, TaskFailure)
    /// A task that was given up is tried anew, with its failures and losses forgotten: it, or what it waits for, was
    /// submitted again, is to be retried, or came to a result after all.
    case taskRevived(TaskKey)
    /// Nobody will read the output any more.
    case outputRetired(Retirement)
    /// A task that is done is to be done again, for an output that was retired. It comes to the same.
    case taskReopened(Work)
    /// What people have said of a sweep; one that was not known is from now on.
    case sweepChanged(SweepStanding)
    /// The sweep wants these tasks, beside those it wants already.
    case sweepWants(SweepID, [TaskKey])
    case sweepDrops(SweepID, [TaskKey])
    /// The worker process gets nothing for a while; nil: nothing is held against it any more.
    case workerQuarantined(WorkerID, Quarantine?)
    /// Nothing more is to be given out; nil: that is over.
    case drainChanged(Drain?)
    /// Two results of one task differ: a bug or broken hardware, kept for people to see.
    case nondeterminism(TaskKey, kept: [TaskOutput], other: [TaskOutput], worker: WorkerID)
}

/// How an attempt ended without a result.
public enum AttemptEnd: Hashable, Sendable, Codable {
    /// The slot's child died or reported an error. `log` is the end of what it wrote to standard error.
    case childFailed(reason: String, log: String)
    /// The worker fell silent or started anew without it.
    case lost
    /// Its training step stood still past the limit.
    case stalled
    /// Taken back: another attempt finished first, or the task is no longer wanted.
    case revoked
    /// Given back without fault: its worker did not come back with it after the coordinator was restarted.
    case released
    /// Given back without fault by a worker that was told to end.
    case preempted

    /// What it is called.
    public var name: FailureName {
        switch self {
        case .childFailed, .stalled: .failed
        case .lost: .lost
        case .revoked, .released, .preempted: .preempted
        }
    }

    /// Whether it counts towards `CoordinatorSettings.childFailureLimit`.
    public var isChildFailure: Bool {
        switch self {
        case .childFailed, .stalled: true
        case .lost, .revoked, .released, .preempted: false
        }
    }

    /// Whether it counts towards `CoordinatorSettings.lossLimit`.
    public var isLoss: Bool { self == .lost }
}

/// All that a coordinator remembers across a restart.
public struct Snapshot: Sendable {
    public var store: StoreID
    public var tasks: [TaskRecord]
    /// All sweeps that a task may be wanted by, in the order of submission.
    public var sweeps: [SweepStanding]
    public var quarantines: [WorkerID: Quarantine]
    /// A stop that the last process had not come to the end of.
    public var drain: Drain?

    public init(
        store: StoreID, tasks: [TaskRecord], sweeps: [SweepStanding] = [], quarantines: [WorkerID: Quarantine] = [:],
        drain: Drain? = nil
    ) {
        self.store = store
        self.tasks = tasks
        self.sweeps = sweeps
        self.quarantines = quarantines
        self.drain = drain
    }

    public struct TaskRecord: Hashable, Sendable {
        public var work: Work
        public var state: State
        /// Attempts begun so far; the next one's number is one higher.
        public var attempts: Int
        public var childFailures: Int
        public var losses: Int
        /// Workers on which its child failed, sorted.
        public var failedOn: [WorkerID]
        /// Sweeps that want it, sorted.
        public var sweeps: [SweepID]
        /// The attempt that was given out when the coordinator stopped, and to whom.
        public var running: Running?
        /// The newest that is kept, of a pending task.
        public var checkpoint: SavedCheckpoint?

        public init(
            work: Work, state: State, attempts: Int = 0, childFailures: Int = 0, losses: Int = 0,
            failedOn: [WorkerID] = [], sweeps: [SweepID] = [], running: Running? = nil,
            checkpoint: SavedCheckpoint? = nil
        ) {
            self.work = work
            self.state = state
            self.attempts = attempts
            self.childFailures = childFailures
            self.losses = losses
            self.failedOn = failedOn
            self.sweeps = sweeps
            self.running = running
            self.checkpoint = checkpoint
        }
    }

    public struct Running: Hashable, Sendable {
        public var attempt: AttemptID
        public var worker: WorkerID

        public init(attempt: AttemptID, worker: WorkerID) {
            self.attempt = attempt
            self.worker = worker
        }
    }

    public enum State: Hashable, Sendable {
        case pending
        case done(WorkResult)
        case failed(TaskFailure)
    }
}

/// Drawn once when a store is made.
public struct StoreID: Hashable, Sendable, Codable, CustomStringConvertible {
    public var text: String

    public init(_ text: String) { self.text = text }
    public var description: String { text }
    public init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
