import Coordination
import Lottery
import Testing

extension WorkerBench {
    func ack(of report: CheckpointReport) -> CheckpointAck {
        CheckpointAck(
            store: StoreID("store"), id: report.id, digest: report.checkpoint?.digest, endsAttempt: report.endsAttempt)
    }

    /// The shell takes the checkpoint that was asked for into its folder.
    @discardableResult
    mutating func take(_ checkpoint: SavedCheckpoint, of id: AttemptID) -> Worker.Outcome {
        handle(.checkpointTaken(id, checkpoint))
    }
}

extension Worker.Outcome {
    var checkpoints: [CheckpointReport] {
        messages.compactMap { if case .checkpoint(let report) = $0 { report } else { nil } }
    }
    var takes: [Int] { actions.compactMap { if case .takeCheckpoint(_, _, let step) = $0 { step } else { nil } } }
}

private func saved(_ step: Int) -> SavedCheckpoint {
    SavedCheckpoint(step: step, digest: blob("checkpoint \(step)"), byteCount: 2_000_000)
}

@Suite("Worker: checkpoints and deadlines")
struct WorkerCheckpointTests {
    private let id = attempt(1, 1)

    @Test("A checkpoint goes up once what is at stake costs more than sending it, and one at a time")
    func worthSending() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        // Four minutes, and two seconds for as many megabytes.
        #expect(bench.handle(.saved(slot: 0, step: 10, byteCount: 2_000_000), after: 241_999).takes.isEmpty)
        #expect(bench.handle(.saved(slot: 0, step: 20, byteCount: 2_000_000), after: 1).takes == [20])
        // In the meantime newer ones stay here.
        #expect(bench.handle(.saved(slot: 0, step: 30, byteCount: 0), after: 400_000).takes.isEmpty)
        let announced = bench.take(saved(20), of: id)
        #expect(
            announced.checkpoints
                == [CheckpointReport(worker: "a", id: id, checkpoint: saved(20), endsAttempt: false)])
        let acknowledged = bench.hear(.checkpointAck(bench.ack(of: announced.checkpoints[0])))
        #expect(acknowledged.actions == [.dropCheckpoint(saved(20).digest)])
        // The stake counts from the save that was sent.
        #expect(bench.handle(.saved(slot: 0, step: 40, byteCount: 2_000_000)).takes == [40])
    }

    @Test("An attempt that goes on from a saved step sends its first save, and one that begins does not")
    func resumed() {
        // One that begins where its level rewinds to has no more to lose than any.
        for isSent in [false, true] {
            var bench = WorkerBench()
            bench.join()
            bench.hear(bench.assignment(1))
            bench.handle(.began(slot: 0, step: 40, isResumed: isSent))
            #expect(bench.handle(.saved(slot: 0, step: 50, byteCount: 0), after: 1_000).takes == (isSent ? [50] : []))
            if isSent { bench.hear(.checkpointAck(bench.ack(of: bench.take(saved(50), of: id).checkpoints[0]))) }
            // The next one counts again.
            #expect(bench.handle(.saved(slot: 0, step: 60, byteCount: 0), after: 1_000).takes.isEmpty)
        }
    }

    @Test(
        "A checkpoint is said again until it is acknowledged, also to the next coordinator, and dropped with its attempt"
    )
    func resending() {
        var bench = WorkerBench { $0.checkpointMilliseconds = 0 }
        bench.join()
        bench.hear(bench.assignment(1))
        bench.handle(.saved(slot: 0, step: 5, byteCount: 0))
        bench.take(saved(5), of: id)
        bench.hear(bench.ack())
        #expect(bench.handle(.wake, after: 5_000).checkpoints.map(\.checkpoint) == [saved(5)])
        // An ack of something else changes nothing.
        var other = bench.ack(of: CheckpointReport(worker: "a", id: id, checkpoint: saved(4), endsAttempt: false))
        #expect(bench.hear(.checkpointAck(other)).actions.isEmpty)
        other.digest = saved(5).digest
        other.endsAttempt = true
        #expect(bench.hear(.checkpointAck(other)).actions.isEmpty)
        bench.hear(.sayHello)
        #expect(bench.join().checkpoints.map(\.checkpoint) == [saved(5)])
        let finished = bench.handle(.finished(slot: 0, result(1)))
        #expect(finished.actions == [.dropCheckpoint(saved(5).digest)])
        // What is taken too late is dropped at once.
        bench.hear(bench.assignment(2))
        bench.handle(.saved(slot: 0, step: 7, byteCount: 0))
        bench.hear(bench.ack(revoking: [attempt(2, 1)]))
        #expect(bench.handle(.checkpointTaken(attempt(2, 1), saved(7))).actions == [.dropCheckpoint(saved(7).digest)])
    }

    @Test("Where the file is gone, nothing is said, and the next save may be sent")
    func untakeable() {
        var bench = WorkerBench { $0.checkpointMilliseconds = 0 }
        bench.join()
        bench.hear(bench.assignment(1))
        bench.handle(.saved(slot: 0, step: 5, byteCount: 0))
        #expect(bench.handle(.checkpointTaken(id, nil)).messages.isEmpty)
        #expect(bench.handle(.saved(slot: 0, step: 6, byteCount: 0)).takes == [6])
    }

    @Test("A draining worker saves, sends up, gives back what it runs and what waits, and ends when all of it is known")
    func draining() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        bench.hear(bench.assignment(2, inputs: [blob("x")]))
        let stop = bench.handle(.stop)
        #expect(stop.actions == [.dropFetch(blob("x")), .stop(slot: 0)])
        #expect(
            stop.checkpoints == [CheckpointReport(worker: "a", id: attempt(2, 1), checkpoint: nil, endsAttempt: true)])
        #expect(stop.beats.map(\.slots) == [0])
        // However little is at stake.
        #expect(bench.handle(.saved(slot: 0, step: 3, byteCount: 10)).takes == [3])
        #expect(bench.handle(.stopped(slot: 0)).checkpoints.isEmpty)
        let given = bench.take(saved(3), of: id)
        #expect(given.checkpoints == [CheckpointReport(worker: "a", id: id, checkpoint: saved(3), endsAttempt: true)])
        // Until then it holds both.
        #expect(
            bench.handle(.wake, after: 5_000).beats.first?.holding
                == [RunningAttempt(id: attempt(2, 1), step: 0), RunningAttempt(id: id, step: 3)])
        bench.hear(.checkpointAck(bench.ack(of: stop.checkpoints[0])))
        let last = bench.hear(.checkpointAck(bench.ack(of: given.checkpoints[0])))
        #expect(last.actions == [.dropCheckpoint(saved(3).digest), .exit(.stopped)])
        #expect(last.messages == [.goodbye("a")])
    }

    @Test("What was being sent when the worker drains is said again as the end of its attempt")
    func drainingWhileSending() {
        var bench = WorkerBench { $0.checkpointMilliseconds = 0 }
        bench.join()
        bench.hear(bench.assignment(1))
        bench.handle(.saved(slot: 0, step: 5, byteCount: 0))
        let before = bench.take(saved(5), of: id).checkpoints[0]
        bench.handle(.stop)
        // The child had nothing new to save.
        #expect(bench.handle(.stopped(slot: 0)).checkpoints.map(\.endsAttempt) == [true])
        #expect(bench.hear(.checkpointAck(bench.ack(of: before))).actions.isEmpty)
        var after = before
        after.endsAttempt = true
        #expect(bench.hear(.checkpointAck(bench.ack(of: after))).actions.last == .exit(.stopped))
    }

    @Test("A worker with a deadline works until its margin before, then drains, and ends by then at the latest")
    func deadline() {
        var bench = WorkerBench { $0.marginMilliseconds = 60_000 }
        bench.join()
        #expect(bench.handle(.deadline(bench.now.advanced(byMilliseconds: 100_000))).actions.isEmpty)
        bench.hear(bench.assignment(1))
        bench.hear(bench.ack(), after: 39_999)
        let drained = bench.handle(.wake, after: 1)
        #expect(drained.actions == [.stop(slot: 0)] && drained.notices == [.drains(withinMilliseconds: 60_000)])
        #expect(bench.hear(bench.assignment(2)).actions.isEmpty)
        bench.hear(bench.ack())
        #expect(bench.handle(.wake, after: 59_999).actions.isEmpty)
        let end = bench.handle(.wake, after: 1)
        #expect(end.actions == [.kill(slot: 0), .exit(.stopped)] && end.messages.last == .goodbye("a"))
    }

    @Test("Of several deadlines the earliest counts, and SIGTERM shortens what is left")
    func earlierDeadline() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        bench.handle(.deadline(bench.now.advanced(byMilliseconds: 10_000_000)))
        #expect(bench.handle(.deadline(bench.now.advanced(byMilliseconds: 100_000))).actions == [.stop(slot: 0)])
        #expect(bench.handle(.deadline(bench.now.advanced(byMilliseconds: 200_000))).actions.isEmpty)
        bench.handle(.stop)
        #expect(bench.handle(.wake, after: 25_000).actions.last == .exit(.stopped))
    }

    @Test("A checkpoint that cannot be had is no failure: the training starts without it")
    func absentCheckpoint() {
        var bench = WorkerBench()
        bench.join()
        let assignment = Assignment(
            id: id, sequence: 1,
            inputs: [
                ResolvedInput(name: "parent", digest: blob("parent")),
                ResolvedInput(name: WorkInput.checkpoint, digest: blob("checkpoint")),
            ], payload: [])
        #expect(bench.hear(.task(assignment)).actions == [.fetch(blob("parent")), .fetch(blob("checkpoint"))])
        bench.handle(.inputReady(blob("parent")))
        let start = bench.handle(.inputFailed(blob("checkpoint"), reason: "it is gone"))
        #expect(start.failures.isEmpty && start.startedSlots == [0])
        guard case .start(_, let started) = start.actions[0] else { return #expect(Bool(false)) }
        #expect(started.inputs.map(\.name) == ["parent"])
    }

    @Test("A task fails with the name of the input that cannot be had")
    func absentInput() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(
            .task(
                Assignment(
                    id: id, sequence: 1, inputs: [ResolvedInput(name: "dataset", digest: blob("images"))], payload: []))
        )
        let outcome = bench.handle(.inputFailed(blob("images"), reason: "it is gone"))
        let reasons = outcome.messages.compactMap { if case .failure(let report) = $0 { report.reason } else { nil } }
        #expect(
            reasons == [
                "its input “dataset” could not be had: it is gone; `tombola store verify` says what the store lacks"
            ])
    }
}
