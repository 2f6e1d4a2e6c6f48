import Lottery
import OrderedCollections

/// One blob on its way here: asks for 1 MiB chunks, four in flight, and hands them on in order. It resumes from any
/// offset.
public struct Transfer: Sendable {
    public struct Settings: Hashable, Sendable {
        public var chunkBytes = Limits.chunkBytes
        public var chunksInFlight = Limits.chunksInFlight
        public var maximumByteCount = Limits.blobBytes
        /// A chunk that has not come after this long is asked for again; the wait doubles up to the cap.
        public var resendMilliseconds: Int64 = 10_000
        public var resendCapMilliseconds: Int64 = 60_000
        /// Rounds of asking again, with no chunk in between, after which the transfer fails.
        public var resendLimit = 10

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

    /// `pulling` → `complete` or `failed`, which are final.
    public enum State: Hashable, Sendable {
        case pulling
        /// All bytes were handed on; the digest is still to be checked.
        case complete(byteCount: Int)
        case failed(reason: String)
    }

    public let digest: Digest
    public private(set) var state = State.pulling
    /// Bytes handed on, those that were here at the start included.
    public private(set) var offset: Int

    private let settings: Settings
    private var byteCount: Int?
    /// Where the next request begins.
    private var nextRequest: Int
    /// Chunks asked for and not here, with the time of asking, in ascending order.
    private var asked: OrderedDictionary<Int, Instant> = [:]
    /// Chunks that came before an earlier one; fewer than `chunksInFlight`.
    private var early: [Int: [UInt8]] = [:]
    private var waitMilliseconds: Int64
    private var resends = 0

    /// - Parameters:
    ///   - byteCount: size of the blob, or nil if the first chunk is to tell it.
    ///   - offset: bytes that are here already.
    public init(digest: Digest, byteCount: Int?, from offset: Int, settings: Settings = Settings()) {
        precondition(offset >= 0 && byteCount ?? 0 >= 0, "a transfer from \(offset) of \(byteCount ?? 0) bytes")
        self.digest = digest
        self.settings = settings
        self.byteCount = byteCount
        self.offset = offset
        nextRequest = offset
        waitMilliseconds = settings.resendMilliseconds
    }

    /// The first requests; complete at once if nothing is missing.
    public mutating func start(at now: Instant) -> Outcome {
        var outcome = Outcome()
        checkSize()
        proceed(at: now, &outcome)
        return outcome
    }

    /// Decides about one event; once the transfer has ended, about nothing any more.
    /// - Parameter now: never earlier than in the call before.
    public mutating func handle(_ event: Event, at now: Instant) -> Outcome {
        var outcome = Outcome()
        if state == .pulling {
            switch event {
            case .message(.chunk(digest, let offset, let byteCount, let bytes)):
                onChunk(offset, byteCount, bytes, &outcome)
            case .message(.missing(digest)): state = .failed(reason: "the other side does not have \(digest)")
            case .message: break
            case .reconnected:
                // What was asked over the old connection was perhaps never heard.
                resends = 0
                waitMilliseconds = settings.resendMilliseconds
                ask(again: Array(asked.keys), at: now, &outcome)
            case .wake: onWake(at: now, &outcome)
            }
        }
        proceed(at: now, &outcome)
        return outcome
    }

    private mutating func onChunk(_ start: Int, _ byteCount: Int, _ bytes: [UInt8], _ outcome: inout Outcome) {
        // What was not asked for, or came before, says nothing.
        guard asked[start] != nil else { return }
        if self.byteCount == nil {
            self.byteCount = byteCount
            checkSize()
        }
        guard state == .pulling else { return }
        guard byteCount == self.byteCount else {
            return state = .failed(reason: "\(digest) had \(self.byteCount!) bytes and now has \(byteCount)")
        }
        let expected = min(settings.chunkBytes, byteCount - start)
        guard bytes.count == expected else {
            return state = .failed(reason: "\(bytes.count) bytes of \(digest) came where \(expected) were asked for")
        }
        asked[start] = nil
        waitMilliseconds = settings.resendMilliseconds
        resends = 0
        early[start] = bytes
        while let next = early.removeValue(forKey: offset) {
            offset += next.count
            if !next.isEmpty { outcome.pieces.append(next) }
            if next.isEmpty { break }
        }
    }

    private mutating func checkSize() {
        guard let byteCount else { return }
        if byteCount > settings.maximumByteCount {
            state = .failed(reason: "\(digest) has \(byteCount) bytes; the limit is \(settings.maximumByteCount)")
        } else if byteCount < offset {
            state = .failed(reason: "\(offset) bytes of \(digest) are here, and it has only \(byteCount)")
        }
    }

    private mutating func onWake(at now: Instant, _ outcome: inout Outcome) {
        let late = asked.filter { now.since($0.value) >= waitMilliseconds }.keys
        guard !late.isEmpty else { return }
        resends += 1
        guard resends <= settings.resendLimit else {
            return state = .failed(reason: "no answer about \(digest) after asking \(resends) times")
        }
        waitMilliseconds = min(2 * waitMilliseconds, settings.resendCapMilliseconds)
        ask(again: Array(late), at: now, &outcome)
    }

    private mutating func ask(again starts: [Int], at now: Instant, _ outcome: inout Outcome) {
        for start in starts {
            asked[start] = now
            outcome.requests.append(.get(digest: digest, offset: start, count: settings.chunkBytes))
        }
    }

    /// Completes, or fills the window.
    private mutating func proceed(at now: Instant, _ outcome: inout Outcome) {
        defer { outcome.state = state }
        guard state == .pulling else { return }
        if let byteCount, offset == byteCount { return state = .complete(byteCount: byteCount) }
        // Until the size is known there is one request.
        while asked.count + early.count < (byteCount == nil ? 1 : settings.chunksInFlight),
            nextRequest < byteCount ?? .max
        {
            ask(again: [nextRequest], at: now, &outcome)
            nextRequest =
                byteCount.map { min($0, nextRequest + settings.chunkBytes) } ?? nextRequest + settings.chunkBytes
        }
        outcome.wakeUpAt = asked.values.min()?.advanced(byMilliseconds: waitMilliseconds)
    }
}
