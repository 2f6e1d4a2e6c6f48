import Artifacts
import Coordination
import Lottery

/// One blob on its way into an artifact folder: `Transfer` decides what to ask for, a part file takes what comes.
///
/// Both ends of a blob socket pull, so coordinator and worker use the same one. It belongs to the thread that made it.
public final class Download {
    /// What is to be done next.
    public struct Step {
        /// `get`s to send to the peer that has the blob.
        public var requests: [BlobMessage] = []
        public var wakeUpAt: Instant?
        /// Set once; the download is over then.
        public var ending: Ending?
    }

    public enum Ending {
        /// It is durable in the folder.
        case stored
        /// The peer does not have it, or sent something else under its name.
        case unavailable(reason: String)
        /// This side cannot take it in: the disk is full, say. What has come stays for another try.
        case broken(ArtifactError)
    }

    public let digest: Digest
    private let folder: ArtifactFolder
    private let settings: Transfer.Settings
    private var transfer: Transfer
    private var part: PartFile?
    private let announcedByteCount: Int?

    /// - Parameter byteCount: size of the blob, or nil if the first chunk is to tell it.
    public init(
        _ digest: Digest, byteCount: Int?, into folder: ArtifactFolder,
        settings: Transfer.Settings = Transfer.Settings()
    ) {
        self.digest = digest
        self.folder = folder
        self.settings = settings
        announcedByteCount = byteCount
        transfer = Transfer(digest: digest, byteCount: byteCount, from: 0, settings: settings)
    }

    /// Begins, going on from what an earlier try has left.
    public func start(at now: Instant) -> Step {
        if folder.contains(digest) { return Step(ending: .stored) }
        guard let announcedByteCount else { return carryOut(transfer.start(at: now)) }
        return begin(byteCount: announcedByteCount, at: now) ?? carryOut(transfer.start(at: now))
    }

    /// What the peer sent; messages about other blobs change nothing.
    public func receive(_ message: BlobMessage, at now: Instant) -> Step {
        if part == nil, case .chunk(digest, offset: _, let byteCount, bytes: _) = message {
            if let step = begin(byteCount: byteCount, at: now) { return step }
        }
        return carryOut(transfer.handle(.message(message), at: now))
    }

    /// The peer has a new connection: what was asked for is asked for again.
    public func reconnected(at now: Instant) -> Step { carryOut(transfer.handle(.reconnected, at: now)) }

    public func wake(at now: Instant) -> Step { carryOut(transfer.handle(.wake, at: now)) }

    /// Opens the part file. Nil if nothing of the blob is there yet, so that the transfer can go on as it is.
    private func begin(byteCount: Int, at now: Instant) -> Step? {
        do {
            let part = try folder.beginPart(digest, byteCount: byteCount)
            self.part = part
            if part.received == 0 && byteCount > 0 { return nil }
            if part.isComplete { return finish() }
            transfer = Transfer(digest: digest, byteCount: byteCount, from: part.received, settings: settings)
            return carryOut(transfer.start(at: now))
        } catch {
            return Step(ending: ending(of: error))
        }
    }

    private func carryOut(_ outcome: Transfer.Outcome) -> Step {
        do throws(ArtifactError) {
            for piece in outcome.pieces {
                guard let part else { preconditionFailure("a piece of \(digest) came before its first chunk") }
                try part.append(piece)
            }
        } catch {
            return Step(ending: ending(of: error))
        }
        switch outcome.state {
        case .pulling: return Step(requests: outcome.requests, wakeUpAt: outcome.wakeUpAt)
        case .complete: return finish()
        case .failed(let reason): return Step(ending: .unavailable(reason: reason))
        }
    }

    private func finish() -> Step {
        guard let part else { preconditionFailure("\(digest) is complete without a part file") }
        do throws(ArtifactError) {
            try part.finish()
            return Step(ending: .stored)
        } catch {
            return Step(ending: ending(of: error))
        }
    }

    private func ending(of error: ArtifactError) -> Ending {
        switch error {
        case .badPart, .tooLarge: .unavailable(reason: error.description)
        default: .broken(error)
        }
    }
}

extension ArtifactFolder {
    /// The answer to a peer's `get`: at most one chunk, or `missing` for what is not here.
    ///
    /// - Throws: what the disk says of content that is here.
    public func answer(_ digest: Digest, offset: Int, count: Int) throws(ArtifactError) -> BlobMessage {
        do throws(ArtifactError) {
            let byteCount = try byteCount(of: digest)
            // A peer that asks for what lies beyond the end has another blob in mind.
            guard offset >= 0, count >= 0, offset <= byteCount else { return .missing(digest) }
            let bytes = try read(digest, offset: offset, count: min(count, Limits.chunkBytes))
            return .chunk(digest: digest, offset: offset, byteCount: byteCount, bytes: bytes)
        } catch {
            // It may be removed at any time, between these lines, too.
            guard contains(digest) else { return .missing(digest) }
            throw error
        }
    }
}
