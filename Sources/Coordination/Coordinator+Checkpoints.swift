import Lottery
import OrderedCollections

/// Checkpoints of trainings that are not done: kept one a task, the furthest, and handed out with the next attempt.
///
/// Workers say when they have one that is worth sending (`Worker+Checkpoints.swift`). Which attempt it is from does not
/// matter: the same task comes to the same bits at the same step, so any that is further than the kept one is welcome
/// while the task is pending. Nothing rests on a checkpoint. If its blob is lost, or the child finds it damaged or
/// another's, the training starts from the beginning.
extension Coordinator {
    struct Upload: Sendable {
        var report: CheckpointReport
        var checkpoint: SavedCheckpoint
        /// Where the report came from last: the ack goes there.
        var route: RouteID
    }

    mutating func onCheckpoint(_ report: CheckpointReport, from route: RouteID, _ outcome: inout Outcome) {
        hear(report.worker, from: route, &outcome)
        // It was asked to say HELLO, and sends this again afterwards.
        guard routes[route] == report.worker else { return }
        let key = report.id.task
        // Where room is short, only what would be lost otherwise is taken in.
        guard let checkpoint = report.checkpoint, wants(checkpoint, of: key), !isShortOfRoom || report.endsAttempt
        else {
            return endUpload(report, to: route, &outcome)
        }
        if let upload = uploads[key] {
            if upload.checkpoint == checkpoint {
                // Sent again: the ack takes long, the connection is another, or the attempt is now to end with it. If
                // another worker has the same one, the first to ask is pulled from and this one asks again.
                if upload.report.worker == report.worker {
                    uploads[key] = Upload(report: report, checkpoint: checkpoint, route: route)
                }
                return
            }
            guard checkpoint.step > upload.checkpoint.step else { return endUpload(report, to: route, &outcome) }
            dropUpload(of: key, &outcome)
        }
        uploads[key] = Upload(report: report, checkpoint: checkpoint, route: route)
        uploading[checkpoint.digest] = key
        outcome.pulls.append(pull(checkpoint, from: report.worker))
    }

    /// What a TASK hands over. The last try begins anew: should a checkpoint be what its children die of, the task does
    /// not fail for it.
    func checkpointToHandOut(of key: TaskKey) -> SavedCheckpoint? {
        let failures = tasks[key]!.childFailures
        return failures > 0 && failures == settings.childFailureLimit - 1 ? nil : checkpoints[key]
    }

    private func wants(_ checkpoint: SavedCheckpoint, of key: TaskKey) -> Bool {
        guard let task = tasks[key], task.settled == nil, task.claims.isEmpty else { return false }
        if let other = uploading[checkpoint.digest], other != key { return false }
        return checkpoint.step > checkpoints[key]?.step ?? -1
    }

    /// The checkpoint is in the store, or none is to come.
    private mutating func endUpload(_ report: CheckpointReport, to route: RouteID, _ outcome: inout Outcome) {
        if report.endsAttempt, let running = tasks[report.id.task]?.running, running.id == report.id,
            running.worker == report.worker
        {
            endAttempt(report.id.task, .preempted, &outcome)
            sessions[report.worker]?.givenBack.insert(report.id)
        }
        let ack = CheckpointAck(
            store: store, id: report.id, digest: report.checkpoint?.digest, endsAttempt: report.endsAttempt)
        send(.checkpointAck(ack), to: route, &outcome)
    }

    mutating func keepUpload(of digest: Digest, _ outcome: inout Outcome) {
        guard let key = uploading.removeValue(forKey: digest), let upload = uploads.removeValue(forKey: key) else {
            return
        }
        if let old = checkpoints.updateValue(upload.checkpoint, forKey: key) {
            outcome.staleCheckpoints.append(old.digest)
        }
        outcome.changes.append(.checkpointKept(key, upload.checkpoint))
        if tasks[key]!.losses > 0 { tasks.change(key) { $0.losses = 0 } }
        endUpload(upload.report, to: upload.route, &outcome)
    }

    /// The worker still has it and will say so again.
    mutating func giveUpUpload(of digest: Digest, from worker: WorkerID) {
        guard let key = uploading[digest], uploads[key]?.report.worker == worker else { return }
        uploads[key] = nil
        uploading[digest] = nil
    }

    /// The worker's folder was emptied under it.
    mutating func refuseUpload(of digest: Digest, from worker: WorkerID, _ outcome: inout Outcome) {
        guard let key = uploading[digest], let upload = uploads[key], upload.report.worker == worker else { return }
        giveUpUpload(of: digest, from: worker)
        endUpload(upload.report, to: upload.route, &outcome)
    }

    mutating func dropUploads(of worker: WorkerID, _ outcome: inout Outcome) {
        for key in uploads.filter({ $0.value.report.worker == worker }).keys.sorted() { dropUpload(of: key, &outcome) }
    }

    private mutating func dropUpload(of key: TaskKey, _ outcome: inout Outcome) {
        guard let upload = uploads.removeValue(forKey: key) else { return }
        uploading[upload.checkpoint.digest] = nil
        outcome.droppedPulls.append(pull(upload.checkpoint, from: upload.report.worker))
    }

    /// The task is done or failed.
    mutating func forgetCheckpoint(of key: TaskKey, _ outcome: inout Outcome) {
        dropUpload(of: key, &outcome)
        if let checkpoint = checkpoints.removeValue(forKey: key) { outcome.staleCheckpoints.append(checkpoint.digest) }
    }

    private func pull(_ checkpoint: SavedCheckpoint, from worker: WorkerID) -> BlobPull {
        BlobPull(worker: worker, digest: checkpoint.digest, byteCount: checkpoint.byteCount, kind: .checkpoint)
    }

    func checkCheckpoints() {
        for key in checkpoints.keys { precondition(tasks[key]!.settled == nil, "a checkpoint of \(tasks[key]!)") }
        precondition(uploads.count == uploading.count, "\(uploads.count) uploads of \(uploading.count) blobs")
        for (digest, key) in uploading {
            precondition(uploads[key]?.checkpoint.digest == digest, "\(digest) is pulled for nothing")
            precondition(tasks[key]!.settled == nil, "a checkpoint on its way for \(tasks[key]!)")
            precondition(sessions[uploads[key]!.report.worker] != nil, "nobody sends \(digest)")
        }
    }
}
