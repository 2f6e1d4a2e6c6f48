/// Timings and limits of a coordinator. Times are in milliseconds.
public struct CoordinatorSettings: Hashable, Sendable {
    /// How often workers beat; told in WELCOME.
    public var beatMilliseconds: Int64 = 5_000
    /// A worker that is silent for this long has lost its session.
    public var sessionMilliseconds: Int64 = 30_000
    /// How long attempts that were given out before a restart wait for their worker.
    public var adoptionMilliseconds: Int64 = 60_000
    /// An attempt whose training step stands still for this long is ended.
    public var stallMilliseconds: Int64 = 15 * 60_000
    /// The same before it has come to a step: inputs are fetched, and weights are ranked, which takes minutes for some
    /// criteria and levels.
    public var startMilliseconds: Int64 = 60 * 60_000
    /// A gap in the loop of more than this extends every deadline by the gap: what was not read is not silence.
    public var loopStallMilliseconds: Int64 = 2_000
    /// Child deaths, errors and stalls after which a task is given up.
    public var childFailureLimit = 3
    /// Different tasks that fail on a worker in a row before it gets nothing for a while, if there is another.
    public var restAfterFailures = 3
    /// How long it rests at first; the time doubles up to the cap until one of its tasks comes to a result.
    public var restMilliseconds: Int64 = 30_000
    public var restCapMilliseconds: Int64 = 10 * 60_000
    /// Lost workers in a row, without a checkpoint that was kept in between, after which a task is given up.
    public var lossLimit = 10
    /// Told in WELCOME.
    public var blobEndpointPort = 0

    public init() {}
}
