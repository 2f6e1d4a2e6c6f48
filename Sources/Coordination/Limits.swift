/// Limits on every frame, list and queue.
public enum Limits {
    public static let headerBytes = 64 * 1024
    public static let summaryBytes = 64 * 1024
    /// Text that says where a result is from.
    public static let originBytes = 1_024
    /// A TASK's payload.
    public static let payloadBytes = 256 * 1024
    public static let outputsPerTask = 256
    public static let inputsPerTask = 16
    /// Names of workers, hosts, inputs, outputs, stores and verbs, in UTF-8.
    public static let nameBytes = 128
    /// Reasons are cut to this before they are sent.
    public static let reasonBytes = 4 * 1024
    /// Of what a failed child wrote to standard error, its end of this length is kept and sent.
    public static let logTailBytes = 4 * 1024
    /// Attempts or data sets that one message lists.
    public static let attemptsPerMessage = 1024
    public static let datasetsPerWorker = 1024
    /// Artifacts of which the coordinator remembers that a worker has them.
    public static let holdingsPerWorker = 2048
    public static let numericsPerWorker = 16
    /// Highest number of an attempt that is taken back though nobody knows of it any more; the next ones count on from it.
    public static let attemptsReadopted = Int(Int32.max) / 2
    /// Highest training step that a beat can say.
    public static let step = Int(Int32.max)
    public static let chunkBytes = 1024 * 1024
    /// Of one blob, asked for and not here yet.
    public static let chunksInFlight = 4
    /// Blobs that the coordinator pulls at once, from all workers and from one.
    public static let pulls = 16
    public static let pullsPerWorker = 8
    /// Chunks that wait to be sent to one peer; what it asks for beyond them is dropped, and it asks again.
    public static let chunksQueuedPerPeer = 64
    public static let blobBytes = 64 << 30
    /// Body of a client's request or reply: a spec, a leaderboard.
    public static let clientBodyBytes = 64 << 20
    /// Messages of one peer that have come to the coordinator and wait to be read; TCP holds the peer back meanwhile.
    public static let messagesUnreadPerPeer = 64
    /// Requests of clients that wait for an answer that takes long; more are refused, to be made again later.
    public static let requestsWaiting = 64
    public static let slotsPerWorker = 1024
    /// Messages of a control socket that wait to be sent to a peer; more are dropped, and resent after a beat at the
    /// earliest. A turn has an ack and a task for each slot at most. ZeroMQ counts down only once half of a queue was
    /// read, so twice that may be taken up, and the rest is for beats.
    public static let messagesQueuedPerPeer = 2 * 2 * slotsPerWorker + 1_000
    /// Sweeps of one store.
    public static let sweeps = 1_000
    public static let workers = 10_000
    /// File descriptors that the coordinator keeps for its own files: with fewer left it listens to nobody new.
    public static let descriptorsKept = 128
    /// Results of one task whose blobs are being pulled at the same time.
    public static let claimsPerTask = 8
    /// Results a worker keeps until they are acknowledged; with more it takes no new task.
    public static let outbox = 1024
}
