import Artifacts
import Coordination
import Logging
import Lottery
import Store
import Sweeps

/// Removal of what nobody needs.
extension CoordinatorLoop {
    /// Has the desk look for artifacts that no record names, and for checkpoints that nobody will read.
    func beginCompaction(_ request: CompactRequest, _ asker: Asker) {
        guard committedSinceSurvey == nil else {
            return refuse(asker, status: 1, "the store is being compacted already: do it again when that is over")
        }
        committedSinceSurvey = []
        ask(.survey(request, asker), for: asker)
    }

    /// Removes what the desk found, but for what has been named since, or is about to be. Sweeps that were planned before
    /// the survey have been taken on by now, and others are planned once this is over, so that no plan counts on what goes.
    func compact(_ survey: Survey, _ request: CompactRequest, for asker: Asker) throws(CoordinatorServiceError) {
        defer {
            committedSinceSurvey = nil
            desk.post(.compacted)
            if case .nobody = asker { noteTidied() }
        }
        try flush()
        var reply = CompactReply(
            isDryRun: request.isDryRun,
            rewroteDatabase: !request.isDryRun && coordinator.counts.running + coordinator.counts.delivering == 0,
            databaseBytesBefore: store.databaseByteCount)
        // The value decides, since tasks may have come meanwhile.
        let retired = survey.intermediates.filter { coordinator.mayRetire($0.retirement.task, $0.retirement.name) }
        if !request.isDryRun {
            apply(.retire(retired.map(\.retirement)))
            try flush()
        }
        var wanted = committedSinceSurvey ?? []
        wanted.formUnion(coordinator.digestsInDelivery)
        do {
            for digest in survey.unnamed where !wanted.contains(digest) {
                reply.removed += 1
                reply.removedBytes += try store.artifacts.byteCount(of: digest)
                if !request.isDryRun { try store.artifacts.remove(digest) }
            }
            let gone = Set(retired.map { Survey.Holder(task: $0.retirement.task, name: $0.retirement.name) })
            var freed: Set<Digest> = []
            for intermediate in retired {
                // A replay's checkpoint is the same file as that of the training that it repeats.
                guard intermediate.holders.isSubset(of: gone), !wanted.contains(intermediate.digest),
                    freed.insert(intermediate.digest).inserted
                else { continue }
                reply.intermediates += 1
                reply.intermediateBytes += intermediate.byteCount - intermediate.keptBytes
                if !request.isDryRun { try store.artifacts.remove(intermediate.digest) }
            }
            if reply.rewroteDatabase {
                try store.compactDatabase()
            } else if !request.isDryRun {
                try store.truncateLog()
            }
        } catch {
            return refuse(asker, status: 1, String(describing: error))
        }
        reply.databaseBytes = store.databaseByteCount
        if !request.isDryRun {
            logger.notice(
                """
                the store was compacted: \(reply.removed) artifacts of \(reply.removedBytes) bytes that no record names are gone, and \
                \(reply.intermediateBytes) bytes of \(reply.intermediates) checkpoints that nobody waits for
                """)
        }
        self.reply(reply, to: asker)
    }

    /// Removes what a sweep that came to its end has left over, where the store is to keep tickets alone; and now and then
    /// what levels that are done have read, since a sweep may take weeks.
    func tendRetention() {
        guard configuration.retainsTicketsOnly else { return }
        let settled = Set(submissions.sweeps.filter(isAtItsEnd).map(\.name))
        submissions.tidied.formIntersection(settled)
        let now = CoordinatorLoop.now
        guard isRetentionDue || isTidyingDue(at: now), committedSinceSurvey == nil else { return }
        submissions.tidied = settled
        submissions.tidying = (now, coordinator.counts.done)
        beginCompaction(CompactRequest(intermediates: true), .nobody)
    }

    private func isTidyingDue(at now: Instant) -> Bool {
        guard let tidyAt = submissions.tidyAt else {
            submissions.tidyAt = now.advanced(byMilliseconds: configuration.retentionMilliseconds)
            return false
        }
        // Levels that results may yet ask for read what those before them have read.
        let mayReadAgain = submissions.sweeps.contains { $0.plan.sweep.stopRule != nil && !isAtItsEnd($0) }
        return !mayReadAgain && tidyAt <= now && coordinator.counts.done != submissions.tidying?.done
    }

    private static let tidyingShare: Int64 = 20

    /// A compaction by itself is over, or could not be begun.
    func noteTidied() {
        guard let begunAt = submissions.tidying?.begunAt else { return }
        let now = CoordinatorLoop.now
        let wait = max(configuration.retentionMilliseconds, CoordinatorLoop.tidyingShare * now.since(begunAt))
        submissions.tidyAt = now.advanced(byMilliseconds: wait)
    }

    /// Whether something is left to remove before this process may end by itself.
    var isRetentionDue: Bool {
        configuration.retainsTicketsOnly
            && (committedSinceSurvey != nil
                || submissions.sweeps.contains { isAtItsEnd($0) && !submissions.tidied.contains($0.name) })
    }

    /// Whether the sweep's results do not ask for more either, which would read what is there.
    private func isAtItsEnd(_ sweep: SweepProgress) -> Bool { sweep.isSettled && !growth.concerns(sweep.name) }

    /// What a change names stays.
    func keepForCompaction(_ change: Change) {
        guard committedSinceSurvey != nil else { return }
        switch change {
        case .taskDone(_, attempt: _, let result): committedSinceSurvey?.formUnion(result.outputs.map(\.digest))
        case .outputRetired(let retirement):
            if let remainder = retirement.remainder { committedSinceSurvey?.insert(remainder.digest) }
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
