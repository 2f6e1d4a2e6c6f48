import Coordination
import Lottery
import Testing

private let generation = firstGeneration

/// A worker with a clock.
struct WorkerBench {
    var now = Instant(milliseconds: 0)
    var worker: Worker

    init(slots: Int = 1, idleExit: Int64? = nil, _ change: (inout WorkerSettings) -> Void = { _ in }) {
        var settings = WorkerSettings()
        settings.idleExitMilliseconds = idleExit
        change(&settings)
        worker = Worker(
            identity: Worker.Identity(
                worker: "a", incarnation: 1, slots: slots, datasets: [], host: "host", processID: 1),
            settings: settings, at: now)
    }

    @discardableResult
    mutating func handle(_ event: Worker.Event, after milliseconds: Int64 = 0) -> Worker.Outcome {
        now = now.advanced(byMilliseconds: milliseconds)
        let outcome = worker.handle(event, at: now, random: 0.5)
        worker.checkInvariants()
        return outcome
    }

    @discardableResult
    mutating func hear(_ message: CoordinatorMessage, after milliseconds: Int64 = 0) -> Worker.Outcome {
        handle(.message(message), after: milliseconds)
    }

    @discardableResult
    mutating func join() -> Worker.Outcome {
        handle(.begin)
        return hear(
            .welcome(
                Welcome(
                    store: StoreID("store"), generation: generation, blobEndpointPort: 1, beatMilliseconds: 5_000,
                    sessionMilliseconds: 30_000)))
    }

    func assignment(_ task: Int, _ number: Int = 1, inputs: [Digest] = [], payload: [UInt8] = []) -> CoordinatorMessage
    {
        .task(
            Assignment(
                id: attempt(task, number), sequence: 1, inputs: inputs.map { ResolvedInput(name: "in", digest: $0) },
                payload: payload))
    }

    func ack(revoking revoked: [AttemptID] = []) -> CoordinatorMessage {
        .beatAck(BeatAck(store: StoreID("store"), generation: generation, revoked: revoked))
    }
}

extension Worker.Outcome {
    var beats: [Beat] { messages.compactMap { if case .beat(let beat) = $0 { beat } else { nil } } }
    var hellos: [Hello] { messages.compactMap { if case .hello(let hello) = $0 { hello } else { nil } } }
    var results: [AttemptID] {
        messages.compactMap { if case .result(let report) = $0 { report.id } else { nil } }
    }
    var failures: [AttemptID] {
        messages.compactMap { if case .failure(let report) = $0 { report.id } else { nil } }
    }
    var startedSlots: [Int] {
        actions.compactMap { if case .start(let slot, _) = $0 { slot } else { nil } }
    }
}

@Suite("Worker")
struct WorkerTests {
    @Test("A task starts when its inputs are here and a slot is free; one blob is fetched once")
    func inputs() {
        var bench = WorkerBench()
        bench.join()
        let first = bench.hear(bench.assignment(1, inputs: [blob("x")]))
        #expect(first.actions == [.fetch(blob("x"))])
        #expect(bench.hear(bench.assignment(2, inputs: [blob("x")])).actions.isEmpty)
        #expect(bench.handle(.inputReady(blob("x"))).startedSlots == [0])
        #expect(bench.handle(.finished(slot: 0, result(1))).startedSlots == [0])
    }

    @Test("A result is kept and sent again, ever more rarely, until it is acknowledged")
    func outbox() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        #expect(bench.handle(.finished(slot: 0, result(1))).results == [attempt(1, 1)])
        bench.hear(bench.ack())
        #expect(bench.handle(.wake, after: 4_999).results.isEmpty)
        #expect(bench.handle(.wake, after: 1).results == [attempt(1, 1)])
        bench.hear(bench.ack())
        #expect(bench.handle(.wake, after: 9_999).results.isEmpty)
        #expect(bench.handle(.wake, after: 1).results == [attempt(1, 1)])
        // The same task again is answered with the result rather than a second training.
        #expect(bench.hear(bench.assignment(1, 2)).results == [attempt(1, 1)])
        let ack = ResultAck(store: StoreID("store"), id: attempt(1, 1), verdict: .accepted)
        #expect(bench.hear(.resultAck(ack)).actions == [.dropOutputs(attempt(1, 1), result(1).outputs)])
        #expect(bench.worker.load.outbox == 0)
    }

    @Test("Three missed acks: a new socket after a wait, and HELLO with what still runs")
    func missedAcks() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        bench.handle(.progress(slot: 0, step: 70))
        #expect(bench.handle(.wake, after: 5_000).beats.first?.holding == [RunningAttempt(id: attempt(1, 1), step: 70)])
        #expect(bench.handle(.wake, after: 5_000).beats.count == 1)
        let given = bench.handle(.wake, after: 5_000)
        #expect(given.beats.isEmpty && given.wakeUpAt == bench.now.advanced(byMilliseconds: 375))
        let again = bench.handle(.wake, after: 375)
        #expect(again.actions == [.openSocket])
        #expect(again.hellos.map(\.counter) == [2])
        #expect(again.hellos.first?.running == [RunningAttempt(id: attempt(1, 1), step: 70)])
    }

    @Test("The wait between connections doubles up to fifteen seconds")
    func backoff() {
        var bench = WorkerBench()
        bench.handle(.begin)
        var waits: [Int64] = []
        for _ in 0..<8 {
            let wait = bench.handle(.wake, after: 15_000).wakeUpAt!.since(bench.now)
            waits.append(wait)
            #expect(bench.handle(.wake, after: wait).actions == [.openSocket])
        }
        #expect(waits == [375, 750, 1_500, 3_000, 6_000, 11_250, 11_250, 11_250])
    }

    @Test("An outage is told once at its first wait and once at the WELCOME that ends it; a quick return is not told")
    func outage() {
        var bench = WorkerBench()
        #expect(bench.join().notices.isEmpty)
        bench.hear(bench.ack(), after: 1_000)
        for _ in 0..<3 { #expect(bench.handle(.wake, after: 5_000).notices.isEmpty) }
        #expect(bench.handle(.wake, after: 5_000).notices == [.coordinatorGone(retryMilliseconds: 15_000)])
        for _ in 0..<6 { #expect(bench.handle(.wake, after: 15_000).notices.isEmpty) }
        let welcome = Welcome(
            store: StoreID("store"), generation: generation, blobEndpointPort: 1, beatMilliseconds: 5_000,
            sessionMilliseconds: 30_000)
        #expect(bench.hear(.welcome(welcome)).notices == [.coordinatorBack(afterMilliseconds: 110_000)])
        bench.hear(.sayHello)
        #expect(bench.hear(.welcome(welcome)).notices.isEmpty)
    }

    @Test("Without work for long enough a worker ends, and says so where no coordinator ever answered")
    func idleExit() {
        var bench = WorkerBench(idleExit: 20_000)
        bench.handle(.begin)
        #expect(bench.handle(.wake, after: 19_999).actions.allSatisfy { $0 == .openSocket })
        #expect(bench.handle(.wake, after: 1).actions.contains(.exit(.unanswered)))
        var joined = WorkerBench(idleExit: 20_000)
        joined.join()
        #expect(joined.handle(.wake, after: 20_000).actions.contains(.exit(.idle)))
    }

    @Test("What is revoked is killed or never started, and a result that comes all the same is dropped")
    func revocation() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        bench.hear(bench.assignment(2, inputs: [blob("x")]))
        let revoked = bench.hear(bench.ack(revoking: [attempt(1, 1), attempt(2, 1)]))
        #expect(revoked.actions == [.kill(slot: 0), .dropFetch(blob("x"))])
        let late = bench.handle(.finished(slot: 0, result(1)))
        #expect(late.results.isEmpty && late.actions == [.dropOutputs(attempt(1, 1), result(1).outputs)])
    }

    @Test(
        "Of a child that hung the end of its log is reported once it is gone, also where a newer attempt is there already"
    )
    func stalledLog() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        let ack = CoordinatorMessage.beatAck(
            BeatAck(
                store: StoreID("store"), generation: generation, revoked: [attempt(1, 1)], stalled: [attempt(1, 1)]))
        #expect(bench.hear(ack).actions == [.kill(slot: 0)])
        #expect(bench.hear(bench.assignment(1, 2)).actions.isEmpty)
        let gone = bench.handle(.stopped(slot: 0, log: "at a lock"))
        #expect(
            gone.messages == [
                .failure(
                    FailureReport(
                        worker: "a", id: attempt(1, 1), reason: "its step stood still", log: "at a lock",
                        isFinal: false, isStalled: true))
            ])
        #expect(gone.startedSlots == [0])
        // What is revoked for another reason is not reported, nor one that wrote nothing.
        bench.hear(bench.ack(revoking: [attempt(1, 2)]))
        #expect(bench.handle(.stopped(slot: 0, log: "at work")).messages.isEmpty)
    }

    @Test("A newer attempt replaces the running child, which may hang; duplicates and older ones change nothing")
    func newerAttempt() {
        var bench = WorkerBench(slots: 2)
        bench.join()
        bench.hear(bench.assignment(1, 2))
        #expect(bench.hear(bench.assignment(1, 2)).actions.isEmpty)
        #expect(bench.hear(bench.assignment(1, 1)).actions.isEmpty)
        #expect(bench.hear(bench.assignment(1, 3)).actions == [.kill(slot: 0)])
        #expect(bench.handle(.stopped(slot: 0)).startedSlots == [0])
        #expect(bench.handle(.finished(slot: 0, result(1))).results == [attempt(1, 3)])
    }

    @Test("Children that die are reported, and the worker goes on; without a session the report waits for one")
    func deaths() {
        var bench = WorkerBench()
        bench.join()
        for task in 1...4 {
            #expect(bench.hear(bench.assignment(task)).startedSlots == [0])
            #expect(
                bench.handle(.failed(slot: 0, reason: "killed", log: "", isFinal: false)).failures == [attempt(task, 1)]
            )
        }
        bench.hear(bench.assignment(5))
        let again = bench.hear(.sayHello)
        #expect(again.hellos.count == 1)
        #expect(bench.handle(.failed(slot: 0, reason: "killed", log: "", isFinal: false)).failures.isEmpty)
        #expect(bench.join().failures == [attempt(5, 1)])
    }

    @Test("Stopping: children write their resume files, results are delivered, then goodbye")
    func stopping() {
        var bench = WorkerBench(slots: 2)
        bench.join()
        bench.hear(bench.assignment(1))
        bench.hear(bench.assignment(2))
        bench.handle(.finished(slot: 0, result(1)))
        let stop = bench.handle(.stop)
        #expect(stop.actions == [.stop(slot: 1)] && stop.beats.first?.slots == 0)
        let stopped = bench.handle(.stopped(slot: 1))
        #expect(stopped.actions.isEmpty && stopped.checkpoints.map(\.endsAttempt) == [true])
        bench.hear(.checkpointAck(bench.ack(of: stopped.checkpoints[0])))
        let ack = ResultAck(store: StoreID("store"), id: attempt(1, 1), verdict: .accepted)
        let last = bench.hear(.resultAck(ack))
        #expect(last.messages == [.goodbye("a")] && last.actions.last == .exit(.stopped))
    }

    @Test("A stopping worker does not wait for ever")
    func stoppingInTime() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        bench.handle(.stop)
        #expect(bench.handle(.wake, after: 25_000).actions == [.kill(slot: 0), .exit(.stopped)])
    }

    @Test("Idle for the given time, it says goodbye; a task starts the time anew")
    func idling() {
        var bench = WorkerBench(idleExit: 60_000)
        bench.join()
        bench.hear(bench.assignment(1), after: 30_000)
        bench.hear(bench.ack(), after: 40_000)
        bench.handle(.failed(slot: 0, reason: "no", log: "", isFinal: true))
        #expect(bench.handle(.wake, after: 59_999).actions.isEmpty)
        #expect(bench.handle(.wake, after: 1).actions == [.exit(.idle)])
    }

    @Test("Told to drain it stops its children once, says that it takes no more, and ends when all is handed back")
    func drainMessage() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        let told = bench.hear(.drain)
        #expect(told.actions == [.stop(slot: 0)])
        #expect(told.beats.map(\.slots) == [0])
        #expect(bench.hear(.drain).actions.isEmpty)
        #expect(bench.hear(bench.assignment(2)).startedSlots.isEmpty)
        #expect(bench.handle(.wake, after: 25_000).actions.last == .exit(.stopped), "it ends in any case")
    }

    @Test("Refused and shutdown end it, children first")
    func ended() {
        var bench = WorkerBench()
        bench.join()
        bench.hear(bench.assignment(1))
        #expect(bench.hear(.refused(reason: "no")).actions == [.kill(slot: 0), .exit(.refused("no"))])
        #expect(bench.handle(.wake, after: 1).actions.isEmpty)
    }
}

@Suite("Transfer")
struct TransferTests {
    private let digest = blob("blob")
    private let mebibyte = 1 << 20
    private let start = Instant(milliseconds: 0)

    private func chunk(_ offset: Int, of byteCount: Int) -> Transfer.Event {
        .message(
            .chunk(
                digest: digest, offset: offset, byteCount: byteCount,
                bytes: Array(repeating: UInt8(offset >> 20 & 255), count: min(mebibyte, byteCount - offset))))
    }

    private func offsets(_ outcome: Transfer.Outcome) -> [Int] {
        outcome.requests.compactMap { if case .get(_, let offset, _) = $0 { offset } else { nil } }
    }

    @Test("Four chunks are in flight, pieces come out in order, and duplicates are ignored")
    func window() {
        let size = 5 * mebibyte + 7
        var transfer = Transfer(digest: digest, byteCount: size, from: 0)
        #expect(offsets(transfer.start(at: start)) == [0, 1, 2, 3].map { $0 * mebibyte })
        #expect(transfer.handle(chunk(mebibyte, of: size), at: start).pieces.isEmpty)
        let first = transfer.handle(chunk(0, of: size), at: start)
        #expect(first.pieces.map(\.first) == [0, 1] && offsets(first) == [4 * mebibyte, 5 * mebibyte])
        #expect(transfer.handle(chunk(0, of: size), at: start).pieces.isEmpty)
        for index in [5, 4, 3] { _ = transfer.handle(chunk(index * mebibyte, of: size), at: start) }
        let last = transfer.handle(chunk(2 * mebibyte, of: size), at: start)
        #expect(last.pieces.count == 4 && last.state == .complete(byteCount: size))
    }

    @Test("It resumes from an offset, learns the size from the first chunk, and ends at once when all is here")
    func resuming() {
        var transfer = Transfer(digest: digest, byteCount: nil, from: mebibyte)
        #expect(offsets(transfer.start(at: start)) == [mebibyte])
        #expect(offsets(transfer.handle(chunk(mebibyte, of: 3 * mebibyte), at: start)) == [2 * mebibyte])
        #expect(
            transfer.handle(chunk(2 * mebibyte, of: 3 * mebibyte), at: start).state
                == .complete(byteCount: 3 * mebibyte))
        var whole = Transfer(digest: digest, byteCount: 9, from: 9)
        #expect(whole.start(at: start).state == .complete(byteCount: 9))
        var empty = Transfer(digest: digest, byteCount: nil, from: 0)
        _ = empty.start(at: start)
        #expect(empty.handle(chunk(0, of: 0), at: start).state == .complete(byteCount: 0))
    }

    @Test("What does not come is asked for again, at once on a new connection, and not for ever")
    func resending() {
        var settings = Transfer.Settings()
        settings.resendLimit = 2
        var transfer = Transfer(digest: digest, byteCount: 10, from: 0, settings: settings)
        _ = transfer.start(at: start)
        #expect(transfer.handle(.reconnected, at: start).requests.count == 1)
        #expect(transfer.handle(.wake, at: Instant(milliseconds: 9_999)).requests.isEmpty)
        #expect(transfer.handle(.wake, at: Instant(milliseconds: 10_000)).requests.count == 1)
        #expect(transfer.handle(.wake, at: Instant(milliseconds: 30_000)).requests.count == 1)
        guard case .failed = transfer.handle(.wake, at: Instant(milliseconds: 70_000)).state else {
            return #expect(Bool(false))
        }
    }

    @Test("Another blob's chunks are ignored; a missing, oversized or inconsistent one fails")
    func refusals() {
        var transfer = Transfer(digest: digest, byteCount: 10, from: 0)
        _ = transfer.start(at: start)
        #expect(transfer.handle(.message(.missing(blob("other"))), at: start).state == .pulling)
        guard case .failed = transfer.handle(chunk(0, of: 11), at: start).state else { return #expect(Bool(false)) }
        var missing = Transfer(digest: digest, byteCount: 10, from: 0)
        _ = missing.start(at: start)
        guard case .failed = missing.handle(.message(.missing(digest)), at: start).state else {
            return #expect(Bool(false))
        }
        var large = Transfer(digest: digest, byteCount: Limits.blobBytes + 1, from: 0)
        guard case .failed = large.start(at: start).state else { return #expect(Bool(false)) }
    }
}
