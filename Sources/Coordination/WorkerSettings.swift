/// Timings of a worker. Times are in milliseconds; the beat is the coordinator's once WELCOME has told it.
public struct WorkerSettings: Hashable, Sendable {
    public var beatMilliseconds: Int64 = 5_000
    /// Beats without an ack after which the connection is given up.
    public var missedAcks = 3
    /// How long HELLO may stay unanswered.
    public var helloMilliseconds: Int64 = 15_000
    /// Wait before the first new connection; it doubles with each further one.
    public var backoffMilliseconds: Int64 = 500
    public var backoffCapMilliseconds: Int64 = 15_000
    /// Wait before a result is sent again; it doubles up to the cap.
    public var resendMilliseconds: Int64 = 5_000
    public var resendCapMilliseconds: Int64 = 60_000
    /// Without a task and with all results acknowledged for this long, the worker ends. Nil: never.
    public var idleExitMilliseconds: Int64?
    /// How long a worker that is told to stop has for its children to write their resume files, and for checkpoints and
    /// results to be acknowledged.
    public var graceMilliseconds: Int64 = 25_000
    /// How long before a deadline it begins with the same.
    public var marginMilliseconds: Int64 = 120_000
    /// What keeping one more checkpoint is deemed to cost a coordinator that many slots share, in time of training: see
    /// `Worker+Checkpoints.swift`.
    public var checkpointMilliseconds: Int64 = 240_000
    /// How many bytes of a checkpoint cost as much as a second of training.
    public var checkpointBytesPerSecond = 1_000_000

    public init() {}
}
