import Artifacts
import Coordination
import Logging
import Lottery
import Store

/// Removal of what nobody needs.
extension CoordinatorLoop {
    /// Has the desk look for artifacts that no record names.
    func beginCompaction(_ asker: Asker) {
        committedSinceSurvey = []
        ask(.survey(asker), for: asker)
    }

    /// Removes what the desk found, but for what has been named since, or is about to be.
    func compact(_ unnamed: [Digest], for asker: Asker) throws(CoordinatorServiceError) {
        defer { committedSinceSurvey = nil }
        // Its plan may count on a data set that is there already.
        guard submissions.underWay == 0 else {
            return refuse(asker, status: 1, "a sweep is being planned: compact the store again when that is over")
        }
        try flush()
        var wanted = committedSinceSurvey ?? []
        wanted.formUnion(coordinator.digestsInDelivery)
        var reply = CompactReply(
            removed: 0, removedBytes: 0,
            rewroteDatabase: coordinator.counts.running + coordinator.counts.delivering == 0,
            databaseBytesBefore: store.databaseByteCount, databaseBytes: 0)
        do {
            for digest in unnamed where !wanted.contains(digest) {
                let byteCount = try store.artifacts.byteCount(of: digest)
                try store.artifacts.remove(digest)
                reply.removed += 1
                reply.removedBytes += byteCount
            }
            if reply.rewroteDatabase { try store.compactDatabase() } else { try store.truncateLog() }
        } catch {
            return refuse(asker, status: 1, String(describing: error))
        }
        reply.databaseBytes = store.databaseByteCount
        logger.notice(
            "the store was compacted: \(reply.removed) artifacts of \(reply.removedBytes) bytes that no record names are gone"
        )
        self.reply(reply, to: asker)
    }

    /// What a change names stays.
    func keepForCompaction(_ change: Change) {
        guard committedSinceSurvey != nil else { return }
        switch change {
        case .taskDone(_, attempt: _, let result): committedSinceSurvey?.formUnion(result.outputs.map(\.digest))
        case .taskAdded(let work), .taskRequested(let work):
            for input in work.inputs {
                if case .blob(let digest) = input.source { committedSinceSurvey?.insert(digest) }
            }
        default: break
        }
    }
}

extension DeskLoop {
    func unnamedArtifacts() throws -> [Digest] {
        let named = try store.references()
        return try artifacts.digests().filter { digest in
            try named[digest] == nil && artifacts.age(of: digest) >= configuration.unnamedSeconds
        }
    }
}
