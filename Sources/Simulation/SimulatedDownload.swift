import Coordination
import Lottery

/// One blob on its way: `Transfer` decides what to ask for, memory takes what comes.
struct SimulatedDownload: Sendable {
    enum Ending: Sendable {
        case stored([UInt8])
        case unavailable
    }

    /// Small, so that few bytes make several chunks.
    static let settings: Transfer.Settings = {
        var settings = Transfer.Settings()
        settings.chunkBytes = 8
        return settings
    }()

    let digest: Digest
    private var transfer: Transfer
    private var bytes: [UInt8] = []
    private(set) var wakeUpAt: Instant?
    private(set) var ending: Ending?

    init(_ digest: Digest, byteCount: Int?) {
        self.digest = digest
        transfer = Transfer(digest: digest, byteCount: byteCount, from: 0, settings: SimulatedDownload.settings)
    }

    /// Each of these gives the requests to send.
    mutating func start(at now: Instant) -> [BlobMessage] { take(transfer.start(at: now)) }
    mutating func receive(_ message: BlobMessage, at now: Instant) -> [BlobMessage] {
        take(transfer.handle(.message(message), at: now))
    }
    mutating func reconnected(at now: Instant) -> [BlobMessage] { take(transfer.handle(.reconnected, at: now)) }
    mutating func wake(at now: Instant) -> [BlobMessage] { take(transfer.handle(.wake, at: now)) }

    private mutating func take(_ outcome: Transfer.Outcome) -> [BlobMessage] {
        for piece in outcome.pieces { bytes += piece }
        wakeUpAt = outcome.wakeUpAt
        switch outcome.state {
        case .pulling: break
        case .complete: ending = Digest.of(bytes) == digest ? .stored(bytes) : .unavailable
        case .failed: ending = .unavailable
        }
        return outcome.requests
    }

    /// The answer to a `get`, from a folder of blobs.
    static func answer(_ digest: Digest, offset: Int, count: Int, from blobs: [Digest: [UInt8]]) -> BlobMessage {
        guard let bytes = blobs[digest], (0...bytes.count).contains(offset), count >= 0 else { return .missing(digest) }
        let end = min(bytes.count, offset + count)
        return .chunk(digest: digest, offset: offset, byteCount: bytes.count, bytes: Array(bytes[offset..<end]))
    }
}
