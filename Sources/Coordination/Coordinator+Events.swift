import Lottery

extension Coordinator {
    /// What can happen to a coordinator. Of one turn of the loop, frames come before `wake`: timeouts are only looked
    /// at there, so that a beat which waited in a socket buffer is never too late.
    public enum Event: Sendable {
        case worker(RouteID, WorkerMessage)
        /// A message could not be sent because nobody is at the end of the route.
        case unreachable(RouteID)
        /// Whoever is at the end of the route may not take part any more, and was told so.
        case expelled(RouteID)
        /// Parents first. Keys that are known already are requests to merge: see `Coordinator+Tasks.swift`. The sweep,
        /// if there is one, wants them.
        case tasksAdded([Work], sweep: SweepID? = nil)
        /// The sweep, which is known, wants nothing that is not done but these tasks.
        case sweepNarrowed(SweepID, to: [TaskKey])
        /// The sweep, which is known, wants those of these tasks that are known: what a store did not yet say that was
        /// made when nobody asked.
        case sweepPlanned(SweepID, [TaskKey])
        /// The sweep, which is known, wants these as well, since its results ask for them. Parents first. Unlike a
        /// submission this is nobody's order: a cancelled sweep stays cancelled and gets none, and what was given up is
        /// not tried again.
        case sweepGrew(SweepID, [Work])
        case sweepOrdered(SweepID, SweepOrder)
        case taskOrdered(TaskKey, TaskOrder)
        /// Gives out nothing more, so that all that runs comes to its end.
        case drain(Drain)
        /// The process is about to end in good order, which is what was wanted; nothing more is given out.
        case drainEnded
        /// People have changed their minds, and tasks are given out.
        case drainForgotten
        /// The store's disk has become short of room, or has room again.
        case roomChanged(isShort: Bool)
        /// Outputs that only other tasks needed are to go, those that nobody will read.
        case retire([Retirement])
        /// The blob is durable here.
        case blobStored(Digest, kind: BlobPull.Kind = .artifact)
        /// The worker sent other bytes, or nothing for long. (A worker that cannot be reached is no reason: its session
        /// ends by itself.)
        case blobUnavailable(Digest, WorkerID, kind: BlobPull.Kind = .artifact)
        /// The worker answered that it does not have the blob any more.
        case blobGone(Digest, WorkerID, kind: BlobPull.Kind = .artifact)
        case wake
        /// The loop did not read its sockets for this long.
        case loopStalled(milliseconds: Int64)
        /// Tells workers, now and when they say HELLO, to end; gives out nothing more.
        case stopWorkers
    }

    /// What is to be done about an event, in this order: make `changes` durable in one transaction, then send
    /// `messages`.
    public struct Outcome: Hashable, Sendable {
        public var changes: [Change] = []
        public var messages: [Envelope] = []
        /// Blobs to pull from a worker; one that is here already is answered with `blobStored` at once.
        public var pulls: [BlobPull] = []
        /// Pulls nobody waits for any more.
        public var droppedPulls: [BlobPull] = []
        /// Checkpoints to delete, of which the store knows nothing any more once `changes` are made.
        public var staleCheckpoints: [Digest] = []
        public var notices: [Notice] = []
        /// When to send `wake` at the latest.
        public var wakeUpAt: Instant?

        public init() {}
    }

    /// What the log should tell beyond the changes.
    public enum Notice: Hashable, Sendable {
        case workerJoined(WorkerID, host: String, slots: Int)
        /// It came back on another connection, or as another process.
        case workerReturned(WorkerID, host: String)
        case workerLost(WorkerID, reason: String)
        case workerLeft(WorkerID)
        case workerRefused(WorkerID, reason: String)
        /// So many different tasks have failed there in a row that it gets nothing for a while.
        case workerQuarantined(WorkerID, tasks: Int, milliseconds: Int64)
    }
}

/// A message and the route it goes to.
public struct Envelope: Hashable, Sendable {
    public var to: RouteID
    public var message: CoordinatorMessage

    public init(to: RouteID, message: CoordinatorMessage) {
        self.to = to
        self.message = message
    }
}

/// A blob that a worker has and the store needs.
public struct BlobPull: Hashable, Sendable {
    public var worker: WorkerID
    public var digest: Digest
    public var byteCount: Int
    public var kind: Kind

    public init(worker: WorkerID, digest: Digest, byteCount: Int, kind: Kind = .artifact) {
        self.worker = worker
        self.digest = digest
        self.byteCount = byteCount
        self.kind = kind
    }

    public enum Kind: Hashable, Sendable {
        /// An output, kept for good.
        case artifact
        /// Kept until a newer one comes or the task is done.
        case checkpoint
    }
}
