import Lottery

extension Worker {
    /// What can happen to a worker. Each `Action.start` is answered by exactly one of `finished`, `failed` and
    /// `stopped`.
    public enum Event: Sendable {
        /// The first event: connect.
        case begin
        case message(CoordinatorMessage)
        /// The child trains, from this step on; `isResumed`: where an earlier attempt had saved it.
        case began(slot: Int, step: Int, isResumed: Bool)
        /// The child reached a training step.
        case progress(slot: Int, step: Int)
        /// The child has written its resume file, of this many bytes.
        case saved(slot: Int, step: Int, byteCount: Int)
        /// Answers `takeCheckpoint`: the checkpoint is in the worker's artifact folder; nil if it could not be taken,
        /// say because the training has ended meanwhile.
        case checkpointTaken(AttemptID, SavedCheckpoint?)
        /// The outputs are in the worker's artifact folder and the result in its outbox, both durable.
        case finished(slot: Int, WorkResult)
        /// The child died or reported an error. `log` is the end of what it wrote to standard error; `isFinal`: the
        /// task itself is at fault.
        case failed(slot: Int, reason: String, log: String, isFinal: Bool)
        /// The child ended its task because of `kill` or `stop`, with nothing to report but the end of what it wrote to
        /// standard error.
        case stopped(slot: Int, log: String = "")
        /// The input is in the worker's artifact folder.
        case inputReady(Digest)
        case inputFailed(Digest, reason: String)
        case wake
        /// The machine will be taken away then. From `WorkerSettings.marginMilliseconds` before, the worker drains: it
        /// takes no more tasks, children write their resume files, checkpoints go up, tasks are given back, results are
        /// delivered; then it says goodbye. It ends at that time at the latest. The earliest of several counts.
        case deadline(Instant)
        /// SIGTERM, SIGINT or SIGHUP: drains now, for at most `WorkerSettings.graceMilliseconds`.
        case stop
    }

    public struct Outcome: Hashable, Sendable {
        /// To be done before `messages` are sent, in this order.
        public var actions: [Action] = []
        public var messages: [WorkerMessage] = []
        public var notices: [Notice] = []
        public var wakeUpAt: Instant?

        public init() {}
    }

    /// What the log should tell beyond the actions: each outage once at its begin and once at its end.
    public enum Notice: Hashable, Sendable {
        /// Nobody answers; a new connection is tried after `retryMilliseconds` at the latest, again and again.
        case coordinatorGone(retryMilliseconds: Int64)
        /// It answers, so long after it was last heard.
        case coordinatorBack(afterMilliseconds: Int64)
        /// Its deadline comes near: what it trains is saved and handed back.
        case drains(withinMilliseconds: Int64)
    }

    public enum Action: Hashable, Sendable {
        /// Close the control and blob sockets if there are any, and connect new ones.
        case openSocket
        /// The session began: the coordinator's blob port and the rest of its WELCOME.
        case welcomed(Welcome)
        /// Ask for the blob and answer `inputReady` or `inputFailed`; one that is in the folder is answered at once.
        case fetch(Digest)
        /// Nobody waits for the blob any more.
        case dropFetch(Digest)
        case start(slot: Int, Assignment)
        /// End the slot's task now; its outputs are of no use. A resume file stays: a newer attempt of the task may
        /// follow.
        case kill(slot: Int)
        /// End the slot's task after it wrote its resume file.
        case stop(slot: Int)
        /// Take the resume file of the slot's task, as it is now, into the artifact folder, and answer
        /// `checkpointTaken`.
        case takeCheckpoint(slot: Int, AttemptID, step: Int)
        /// The checkpoint need not be kept for the coordinator any more.
        case dropCheckpoint(Digest)
        /// The result was acknowledged, or is not wanted: it leaves the outbox, and its outputs need not be kept for
        /// the coordinator.
        case dropOutputs(AttemptID, [TaskOutput])
        /// Send what `messages` holds, then end the process. No further event is handled.
        case exit(ExitReason)
    }

    public enum ExitReason: Hashable, Sendable {
        /// The coordinator has no more work.
        case shutdown
        /// The coordinator cannot use this worker, and why.
        case refused(String)
        case idle
        /// As `idle`, and no coordinator has ever answered.
        case unanswered
        /// `Event.stop` or `Event.deadline` was carried out.
        case stopped
    }
}
