import Coordination
import Lottery
import Testing

private func saved(_ step: Int) -> SavedCheckpoint {
    SavedCheckpoint(step: step, digest: blob("checkpoint \(step)"), byteCount: 100)
}

extension Bench {
    @discardableResult
    fileprivate mutating func report(
        _ checkpoint: SavedCheckpoint?, of id: AttemptID, from worker: WorkerID, endsAttempt: Bool = false
    ) -> Coordinator.Outcome {
        let report = CheckpointReport(worker: worker, id: id, checkpoint: checkpoint, endsAttempt: endsAttempt)
        return handle(.worker(RouteID(worker), .checkpoint(report)))
    }

    /// Reports a checkpoint and stores its blob.
    @discardableResult
    fileprivate mutating func keep(
        _ checkpoint: SavedCheckpoint, of id: AttemptID, from worker: WorkerID, endsAttempt: Bool = false
    ) -> Coordinator.Outcome {
        report(checkpoint, of: id, from: worker, endsAttempt: endsAttempt)
        return handle(.blobStored(checkpoint.digest, kind: .checkpoint))
    }
}

extension Coordinator.Outcome {
    fileprivate var checkpointAcks: [CheckpointAck] {
        messages.compactMap { if case .checkpointAck(let ack) = $0.message { ack } else { nil } }
    }
    fileprivate var handedOut: [Digest] {
        tasks.flatMap(\.inputs).filter { $0.name == WorkInput.checkpoint }.map(\.digest)
    }
}

@Suite("Coordinator: checkpoints")
struct CoordinatorCheckpointTests {
    private let first = attempt(1, 1)

    @Test("A checkpoint is pulled, made durable, acknowledged, and handed out with the next attempt")
    func kept() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        let reported = bench.report(saved(100), of: first, from: "a")
        #expect(
            reported.pulls == [BlobPull(worker: "a", digest: saved(100).digest, byteCount: 100, kind: .checkpoint)])
        #expect(reported.changes.isEmpty && reported.checkpointAcks.isEmpty)
        // Said again: nothing is pulled twice.
        #expect(bench.report(saved(100), of: first, from: "a").pulls.isEmpty)
        let stored = bench.handle(.blobStored(saved(100).digest, kind: .checkpoint))
        #expect(stored.changes == [.checkpointKept(key(1), saved(100))])
        #expect(stored.checkpointAcks.map(\.digest) == [saved(100).digest])
        #expect(bench.status.counts.running == 1)
        bench.handle(.worker(RouteID("a"), .goodbye("a")))
        #expect(bench.join("b").handedOut == [saved(100).digest])
    }

    @Test("The furthest is kept, one a task; a result ends that, and what is of no more use is deleted")
    func furthest() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.keep(saved(100), of: first, from: "a")
        #expect(bench.keep(saved(200), of: first, from: "a").staleCheckpoints == [saved(100).digest])
        let earlier = bench.report(saved(150), of: first, from: "a")
        #expect(earlier.pulls.isEmpty && earlier.checkpointAcks.map(\.digest) == [saved(150).digest])
        // A newer one takes the place of one that is on its way.
        bench.report(saved(300), of: first, from: "a")
        let newer = bench.report(saved(400), of: first, from: "a")
        #expect(newer.droppedPulls.map(\.digest) == [saved(300).digest])
        #expect(newer.pulls.map(\.digest) == [saved(400).digest])
        let done = bench.finish(first, from: "a")
        #expect(bench.disk.records[key(1)]?.checkpoint == nil)
        #expect(done.changes.contains { if case .taskDone = $0 { true } else { false } })
        #expect(bench.report(saved(500), of: first, from: "a").checkpointAcks.count == 1)
        // The blob of one that nobody waits for any more changes nothing.
        #expect(bench.handle(.blobStored(saved(400).digest, kind: .checkpoint)).changes.isEmpty)
    }

    @Test("A task that a draining worker gives back is preempted once its checkpoint is durable, and counts no failure")
    func handedBack() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.join("b")
        bench.beat("a", holding: [RunningAttempt(id: first, step: 5)], slots: 0)
        #expect(bench.report(saved(5), of: first, from: "a", endsAttempt: true).ended.isEmpty)
        let stored = bench.handle(.blobStored(saved(5).digest, kind: .checkpoint))
        #expect(stored.changes.prefix(2) == [.checkpointKept(key(1), saved(5)), .attemptEnded(first, .preempted)])
        #expect(stored.checkpointAcks.map(\.endsAttempt) == [true])
        #expect(stored.started == [attempt(1, 2)] && stored.handedOut == [saved(5).digest])
        // Its word may come again, when another has the task.
        let again = bench.report(saved(5), of: first, from: "a", endsAttempt: true)
        #expect(again.changes.isEmpty && again.checkpointAcks.count == 1)
        let record = bench.disk.records[key(1)]
        #expect(record?.childFailures == 0 && record?.losses == 0 && record?.attempts == 2)
    }

    @Test("Without a checkpoint it is given back at once")
    func handedBackUnbegun() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        let back = bench.report(nil, of: first, from: "a", endsAttempt: true)
        #expect(back.ended == [.preempted] && back.checkpointAcks.count == 1)
    }

    @Test("What was given back is not taken up again by a HELLO that crossed the ack on its way")
    func handedBackAndAnnounced() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        let held = RunningAttempt(id: first, step: 5)
        bench.beat("a", holding: [held], slots: 0)
        #expect(bench.report(nil, of: first, from: "a", endsAttempt: true).ended == [.preempted])
        #expect(bench.join("a", slots: 0, running: [held]).changes.isEmpty)
        #expect(bench.beat("a", holding: [held], slots: 0).revoked == [first])
        // Another process of that name has not given it back.
        #expect(bench.join("a", slots: 0, incarnation: 2, running: [held]).changes.count == 1)
    }

    @Test("A checkpoint outlives the coordinator; what was on its way is said again")
    func restart() {
        var bench = Bench()
        bench.add([work(1), work(2)])
        bench.join("a", slots: 2)
        bench.keep(saved(100), of: first, from: "a")
        bench.report(saved(200), of: first, from: "a")
        bench.restart()
        let back = bench.join("a", slots: 2, incarnation: 2)
        #expect(back.ended == [.released, .released] && back.tasks.count == 2)
        #expect(back.handedOut == [saved(100).digest])
        #expect(bench.report(saved(200), of: first, from: "a").pulls.map(\.digest) == [saved(200).digest])
    }

    @Test("A task that comes further between its losses is never given up, however often its workers die")
    func lostButFurther() {
        var settings = CoordinatorSettings()
        settings.lossLimit = 2
        var bench = Bench(settings: settings)
        bench.add([work(1)])
        func lose(round: Int, keeping step: Int) {
            let id = bench.join("a", incarnation: UInt64(round)).started[0]
            bench.keep(saved(step), of: id, from: "a")
            #expect(bench.handle(.wake, after: 30_000).ended == [.lost])
        }
        for round in 1...10 {
            lose(round: round, keeping: round)
            #expect(bench.disk.records[key(1)]?.losses == 1 && bench.disk.records[key(1)]?.state == .pending)
            if round == 5 { bench.restart() }
        }
        // Where another has been is no further.
        lose(round: 11, keeping: 10)
        guard case .failed(let failure) = bench.disk.records[key(1)]?.state else { return #expect(Bool(false)) }
        #expect(failure.name == .lost && failure.reason.contains("2 times in a row"), "\(failure)")
    }

    @Test("When its worker is gone, a checkpoint on its way is not waited for; another attempt's is as good")
    func deadUploader() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.report(saved(100), of: first, from: "a")
        bench.join("b")
        bench.handle(.wake, after: 15_000)
        bench.beat("b")
        let lost = bench.handle(.wake, after: 15_000)
        let second = attempt(1, 2)
        #expect(lost.droppedPulls.map(\.digest) == [saved(100).digest] && lost.started == [second])
        #expect(bench.keep(saved(50), of: second, from: "b").changes.contains(.checkpointKept(key(1), saved(50))))
        // The first worker is back, with more: its attempt is over, its bits are the same.
        bench.join("a", incarnation: 9)
        #expect(bench.keep(saved(100), of: first, from: "a").changes.contains(.checkpointKept(key(1), saved(100))))
    }

    @Test("What the worker does not have any more is acknowledged; what it cannot send now it says again")
    func unavailable() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.report(saved(100), of: first, from: "a")
        #expect(bench.handle(.blobUnavailable(saved(100).digest, "a", kind: .checkpoint)).messages.isEmpty)
        #expect(bench.report(saved(100), of: first, from: "a", endsAttempt: true).pulls.count == 1)
        let gone = bench.handle(.blobGone(saved(100).digest, "a", kind: .checkpoint))
        #expect(gone.ended == [.preempted] && gone.checkpointAcks.count == 1)
    }

    @Test("While the store's disk is short of room only checkpoints of what is given back are taken")
    func shortOfRoom() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.handle(.roomChanged(isShort: true))
        let refused = bench.report(saved(100), of: first, from: "a")
        #expect(refused.pulls.isEmpty && refused.checkpointAcks.count == 1 && refused.ended.isEmpty)
        #expect(bench.report(saved(110), of: first, from: "a", endsAttempt: true).pulls.count == 1)
        bench.handle(.blobStored(saved(110).digest, kind: .checkpoint))
        #expect(bench.handle(.roomChanged(isShort: false)).handedOut == [saved(110).digest])
    }

    @Test("The last try begins anew, should its checkpoint be what kills it")
    func lastTry() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.keep(saved(100), of: first, from: "a")
        #expect(bench.failure(first, from: "a").handedOut == [saved(100).digest])
        #expect(bench.coordinator.savedSteps == [key(1): 100])
        #expect(bench.failure(attempt(1, 2), from: "a").handedOut.isEmpty)
        #expect(bench.coordinator.savedSteps.isEmpty && bench.coordinator.explanation(of: key(1))?.checkpoint == nil)
        let last = bench.failure(attempt(1, 3), from: "a")
        #expect(last.failed == [key(1)] && last.staleCheckpoints == [saved(100).digest])
        #expect(bench.disk.records[key(1)]?.checkpoint == nil)
    }
}
