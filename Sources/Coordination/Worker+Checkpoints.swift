import Lottery
import OrderedCollections

/// Checkpoints that leave the worker, so that its tasks can be gone on with elsewhere.
///
/// A child saves its training to a resume file every so often, for a later try on this machine. A saved checkpoint goes
/// to the coordinator, too, once doing again what nobody else has would cost more than sending it. Both are counted in
/// time of training: what is at stake is the time since the attempt began here or since its last checkpoint that was
/// sent; sending costs `WorkerSettings.checkpointMilliseconds`, and a second for each `checkpointBytesPerSecond` bytes.
/// (By default a training of 4 MB sends every four minutes, one of 200 MB every eight: well under a megabyte a second
/// from each slot.) An attempt that went on from a saved step sends its first: whoever was lost once may be lost again,
/// and so each of a row of losses leaves the task further than the last. A draining worker sends the last checkpoint of each of its tasks, whatever is at stake, and gives
/// the task back with it.
extension Worker {
    struct Upload: Sendable {
        /// Resume files that are being taken into the folder.
        var takes = 0
        /// The newest that is there.
        var kept: SavedCheckpoint?
        /// Its child has stopped, and the task is given back.
        var endsAttempt = false
        var nextSendAt: Instant
        var waitMilliseconds: Int64

        /// Whether it can be said to the coordinator.
        var isComplete: Bool { takes == 0 && (kept != nil || endsAttempt) }
    }

    mutating func onSaved(_ slot: Int, _ step: Int, _ byteCount: Int, _ outcome: inout Outcome) {
        let id: AttemptID
        switch slots[slot] {
        case .free, .ending(_, _, isRevoked: true, _): return
        case .running(let assignment, _):
            id = assignment.id
            guard uploads[id] == nil, isWorthSending(byteCount, of: id) else { return }
        case .ending(let assignment, _, isRevoked: false, _): id = assignment.id
        }
        guard (0...Limits.blobBytes).contains(byteCount) else { return }
        unsentSince[id] = latest
        openUpload(of: id)
        uploads[id]!.takes += 1
        outcome.actions.append(.takeCheckpoint(slot: slot, id, step: min(max(step, 0), Limits.step)))
    }

    private func isWorthSending(_ byteCount: Int, of id: AttemptID) -> Bool {
        let cost = settings.checkpointMilliseconds + Int64(byteCount) * 1_000 / Int64(settings.checkpointBytesPerSecond)
        guard let since = unsentSince[id] else { return true }
        return latest.since(since) >= cost
    }

    private mutating func openUpload(of id: AttemptID) {
        guard uploads[id] == nil else { return }
        uploads[id] = Upload(nextSendAt: latest, waitMilliseconds: settings.resendMilliseconds)
    }

    mutating func onCheckpointTaken(_ id: AttemptID, _ checkpoint: SavedCheckpoint?, _ outcome: inout Outcome) {
        guard uploads[id] != nil else {
            // The attempt came to its result or was revoked meanwhile.
            if let checkpoint { drop(checkpoint, &outcome) }
            return
        }
        uploads[id]!.takes -= 1
        if let checkpoint {
            let old = uploads[id]!.kept
            uploads[id]!.kept = checkpoint
            if let old { drop(old, &outcome) }
        }
        if uploads[id]!.takes == 0, uploads[id]!.kept == nil, !uploads[id]!.endsAttempt { uploads[id] = nil }
        announce(id, &outcome)
    }

    /// The attempt's child has stopped, or never began.
    mutating func giveBack(_ id: AttemptID, _ outcome: inout Outcome) {
        openUpload(of: id)
        uploads[id]!.endsAttempt = true
        announce(id, &outcome)
    }

    /// Says it, and again later, ever more rarely, until it is acknowledged.
    mutating func announce(_ id: AttemptID, _ outcome: inout Outcome) {
        guard connection == .joined, let upload = uploads[id], upload.isComplete else { return }
        uploads[id]!.nextSendAt = latest.advanced(byMilliseconds: upload.waitMilliseconds)
        uploads[id]!.waitMilliseconds = min(2 * upload.waitMilliseconds, settings.resendCapMilliseconds)
        outcome.messages.append(
            .checkpoint(
                CheckpointReport(
                    worker: identity.worker, id: id, checkpoint: upload.kept, endsAttempt: upload.endsAttempt)))
    }

    mutating func onCheckpointAck(_ ack: CheckpointAck, _ outcome: inout Outcome) {
        // An ack of what was said before speaks of an older checkpoint, or not of the attempt's end.
        guard let upload = uploads[ack.id], upload.isComplete, upload.kept?.digest == ack.digest,
            upload.endsAttempt == ack.endsAttempt
        else { return }
        dropUpload(of: ack.id, &outcome)
    }

    mutating func dropUpload(of id: AttemptID, _ outcome: inout Outcome) {
        if let kept = uploads.removeValue(forKey: id)?.kept { drop(kept, &outcome) }
    }

    private func drop(_ checkpoint: SavedCheckpoint, _ outcome: inout Outcome) {
        // Two attempts of a task may have the same one.
        guard !uploads.values.contains(where: { $0.kept?.digest == checkpoint.digest }) else { return }
        outcome.actions.append(.dropCheckpoint(checkpoint.digest))
    }
}
