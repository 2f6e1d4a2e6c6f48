import Collections
import Lottery

/// A worker's decisions as a value: session, beats, outbox, slots, inputs.
public struct Worker: Sendable {
    public struct Identity: Hashable, Sendable {
        public var worker: WorkerID
        /// Drawn at the start of the process.
        public var incarnation: UInt64
        public var slots: Int
        /// Data sets in the worker's folder at its start.
        public var datasets: [Digest]
        public var host: String
        public var processID: Int32

        public init(worker: WorkerID, incarnation: UInt64, slots: Int, datasets: [Digest], host: String, processID: Int32) {
            self.worker = worker
            self.incarnation = incarnation
            self.slots = slots
            self.datasets = datasets
            self.host = host
            self.processID = processID
        }
    }

    public let identity: Identity
    public let settings: WorkerSettings

    public init(identity: Identity, settings: WorkerSettings, at now: Instant) {
        self.identity = identity
        self.settings = settings
    }

    /// - Parameter random: uniform in 0..<1, used if this event makes the worker back off.
    public mutating func handle(_ event: Event, at now: Instant, random: Double) -> Outcome { Outcome() }

    public func checkInvariants() {}
}
