import Lottery

/// One blob on its way here: asks for 1 MiB chunks, four in flight, and hands them on in order.
public struct Transfer: Sendable {
    public struct Settings: Hashable, Sendable {
        public var chunkBytes = Limits.chunkBytes
        public var chunksInFlight = Limits.chunksInFlight
        public var maximumByteCount = Limits.blobBytes
        /// A chunk that has not come after this long is asked for again; the wait doubles up to the cap.
        public var resendMilliseconds: Int64 = 10_000
        public var resendCapMilliseconds: Int64 = 60_000

        public init() {}
    }

    public enum Event: Sendable {
        /// Any blob message; what is not about this blob is ignored.
        case message(BlobMessage)
        /// The connection is a new one: what was asked for must be asked for again.
        case reconnected
        case wake
    }

    public struct Outcome: Hashable, Sendable {
        /// `get`s to send.
        public var requests: [BlobMessage] = []
        /// Pieces to append to the part file, in order.
        public var pieces: [[UInt8]] = []
        public var state = State.pulling
        public var wakeUpAt: Instant?

        public init() {}
    }

    public enum State: Hashable, Sendable {
        case pulling
        /// All bytes were handed on; the digest is still to be checked.
        case complete(byteCount: Int)
        case failed(reason: String)
    }

    public let digest: Digest

    /// - Parameters:
    ///   - byteCount: size of the blob, or nil if the first chunk is to tell it.
    ///   - offset: bytes that are here already.
    public init(digest: Digest, byteCount: Int?, from offset: Int, settings: Settings = Settings()) {
        self.digest = digest
    }

    public mutating func start(at now: Instant) -> Outcome { Outcome() }
    public mutating func handle(_ event: Event, at now: Instant) -> Outcome { Outcome() }
}
