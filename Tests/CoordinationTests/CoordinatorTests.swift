import Coordination
import Lottery
import Testing

@Suite("Coordinator")
struct CoordinatorTests {
    @Test("A task is given out with its attempt in the same outcome, and done once its blob is stored")
    func happyPath() {
        var bench = Bench()
        bench.add([work(1)])
        let joined = bench.join("a")
        let id = attempt(1, 1)
        #expect(joined.changes == [.attemptStarted(id, worker: "a")])
        #expect(
            joined.messages.map(\.message).contains { if case .task(let task) = $0 { task.id == id } else { false } })
        let offered = bench.result(id, from: "a")
        #expect(offered.changes.isEmpty)
        #expect(offered.pulls.map(\.worker) == ["a"])
        #expect(bench.status.counts.delivering == 1)
        let stored = bench.handle(.blobStored(offered.pulls[0].digest))
        #expect(stored.changes == [.taskDone(key(1), attempt: id, result(1))])
        #expect(stored.acks == [ResultAck(store: bench.store, id: id, verdict: .accepted)])
        #expect(bench.status.counts.isSettled)
    }
}

@Suite("Coordinator: tasks")
struct CoordinatorTaskTests {
    @Test("Of ready tasks the highest priority goes first, then the earliest")
    func order() {
        var bench = Bench()
        bench.add([work(1, priority: 1), work(2, priority: 5), work(3, priority: 5)])
        #expect(bench.join("a", slots: 3).tasks.map(\.id.task) == [key(2), key(3), key(1)])
    }

    @Test("Tasks spread over the workers with the most free slots, and a child goes where its parent was finished")
    func placement() {
        var bench = Bench()
        bench.join("a", slots: 2)
        bench.join("b", slots: 3)
        let given = bench.add([work(1), work(2), work(3), work(4, needs: [1])])
        #expect(given.messages.map(\.to) == [RouteID("b"), RouteID("a"), RouteID("b")])
        let done = bench.finish(attempt(1, 1), from: "b")
        #expect(done.tasks.map(\.id) == [attempt(4, 1)])
        #expect(done.messages.last?.to == RouteID("b"))
        #expect(done.tasks[0].inputs == [ResolvedInput(name: "parent-1", digest: blob("1 final"))])
    }

    @Test("A task that fails three times fails what waits for it, names the culprit, and blocks nobody else")
    func failures() {
        var bench = Bench()
        bench.add([work(1, priority: 9), work(2, needs: [1]), work(3, needs: [2]), work(4)])
        bench.join("a")
        bench.failure(attempt(1, 1), from: "a")
        bench.failure(attempt(1, 2), from: "a")
        let last = bench.failure(attempt(1, 3), from: "a")
        #expect(last.failed == [key(1), key(2), key(3)])
        #expect(last.tasks.map(\.id.task) == [key(4)])
        guard case .failed(let failure) = bench.coordinator.state(of: key(3)) else { return #expect(Bool(false)) }
        #expect(failure.name == .failed)
        #expect(failure.reason == "waits for \(key(1)), which failed: failed 3 times, at last with: it broke")
        bench.finish(attempt(4, 1), from: "a")
        #expect(bench.status.counts.isSettled)
    }

    @Test("A final failure is not tried again, and a stale one counts for nothing")
    func finalFailures() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        #expect(bench.failure(attempt(1, 7), from: "a", isFinal: true).changes.isEmpty)
        #expect(bench.failure(attempt(1, 1), from: "a", isFinal: true).failed == [key(1)])
    }

    @Test("Submitting again revives failed tasks and what waited for them")
    func revival() {
        var bench = Bench()
        bench.add([work(1), work(2, needs: [1]), work(3, needs: [2])])
        bench.join("a")
        bench.failure(attempt(1, 1), from: "a", isFinal: true)
        #expect(bench.status.counts.failed == 3)
        let again = bench.add([work(1)])
        #expect(again.changes.prefix(3) == [.taskRevived(key(1)), .taskRevived(key(2)), .taskRevived(key(3))])
        #expect(again.started == [attempt(1, 2)])
        #expect(bench.status.counts.waiting == 2)
    }

    @Test("A late result of a failed task counts, and revives what waited for it")
    func lateResultOfFailedTask() {
        var settings = CoordinatorSettings()
        settings.lossLimit = 1
        var bench = Bench(settings: settings)
        bench.add([work(1), work(2, needs: [1])])
        bench.join("a")
        #expect(bench.handle(.wake, after: 30_000).failed == [key(1), key(2)])
        let late = bench.result(attempt(1, 1), from: "a")
        #expect(late.saysHello)
        let done = bench.handle(.blobStored(blob("1 final")))
        #expect(done.changes == [.taskDone(key(1), attempt: attempt(1, 1), result(1)), .taskRevived(key(2))])
        #expect(bench.status.counts.ready == 1)
    }

    @Test("A request to merge replaces the payload of a task that is not given out, and of no other")
    func merging() {
        var bench = Bench()
        bench.add([work(1, priority: 3), work(2, needs: [1], priority: 2)])
        bench.join("a")
        let merged = bench.add([work(1, payload: "more"), work(2, needs: [1], payload: "more")])
        #expect(merged.changes == [.taskRequested(work(2, needs: [1], priority: 2, payload: "more"))])
        #expect(bench.add([work(2, needs: [1], payload: "more")]).changes.isEmpty)
    }

    @Test("Payloads go to the store and nowhere else, and what was asked is known after a restart")
    func payloads() {
        var bench = Bench()
        let added = bench.add([work(1), work(2, needs: [1])])
        let payloads = added.changes.compactMap { change -> [UInt8]? in
            if case .taskAdded(let work) = change { work.payload.bytes } else { nil }
        }
        #expect(payloads == [Array("run".utf8), Array("run".utf8)])
        #expect(bench.join("a").tasks.map(\.payload) == [[]])
        bench.restart()
        #expect(bench.add([work(1, payload: "more"), work(2, needs: [1])]).changes.isEmpty)
        let other = bench.add([work(2, needs: [1], payload: "other")])
        #expect(other.changes == [.taskRequested(work(2, needs: [1], payload: "other"))])
        #expect(bench.disk.records[key(2)]?.work.payload.bytes == Array("other".utf8))
    }

    @Test("A description above the limit fails its task, however often it is retried, before and after a restart")
    func payloadAboveTheLimit() {
        var bench = Bench()
        let long = String(repeating: "x", count: Limits.payloadBytes + 1)
        #expect(bench.add([work(1, payload: long)]).failed == [key(1)])
        #expect(bench.handle(.taskOrdered(key(1), .retry([.failed]))).failed == [key(1)])
        bench.restart()
        #expect(bench.handle(.taskOrdered(key(1), .retry([.failed]))).failed == [key(1)])
        #expect(bench.add([work(1)]).failed.isEmpty)
        #expect(bench.join("a").started.map(\.task) == [key(1)])
    }

    @Test("A task that is asked for with other parents waits for those, and for them alone")
    func otherParents() {
        var bench = Bench()
        bench.add([
            work(1, priority: 9), work(2, priority: 8), work(3, priority: 7), work(4, needs: [1, 2]),
            work(5, needs: [1]),
        ])
        bench.add([work(4, needs: [3, 2]), work(6, needs: [1, 3])])
        bench.join("a", slots: 3)
        #expect(bench.finish(attempt(1, 1), from: "a").started == [attempt(5, 1)])
        bench.finish(attempt(5, 1), from: "a")
        bench.finish(attempt(2, 1), from: "a")
        #expect(bench.finish(attempt(3, 1), from: "a").started == [attempt(4, 1), attempt(6, 1)])
        #expect(bench.coordinator.explanation(of: key(4))?.state == .running)
    }

    @Test("Who waits for one that nobody submitted is found when it comes, and may be tried again")
    func lateParent() {
        var bench = Bench()
        #expect(bench.add([work(2, needs: [1]), work(3, needs: [2])]).failed == [key(2), key(3)])
        bench.add([work(1)])
        bench.handle(.taskOrdered(key(2), .retry([.failed])))
        #expect(bench.status.counts.waiting == 2 && bench.status.counts.ready == 1)
        bench.join("a")
        #expect(bench.finish(attempt(1, 1), from: "a").started == [attempt(2, 1)])
        bench.restart()
        #expect(bench.status.counts.done == 1 && bench.status.counts.waiting == 1)
    }

    @Test("A duplicate is compared with what is kept, restarted or not")
    func duplicates() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.finish(attempt(1, 1), from: "a", result(1, outputs: [.final, .step(5)]))
        // Sent again by the winner.
        #expect(bench.result(attempt(1, 1), from: "a").acks.map(\.verdict) == [.accepted])
        for restarts in 0..<2 {
            if restarts > 0 { bench.restart() }
            let found = bench.disk.nondeterministic
            bench.result(attempt(1, 2 + 5 * restarts), from: "b", result(1, outputs: [.final, .metrics]))
            #expect(bench.disk.nondeterministic == found)
            bench.result(attempt(1, 3 + 5 * restarts), from: "b", result(1, variant: "!"))
            #expect(bench.disk.nondeterministic == found + 1)
            var other = result(1)
            other.summary = [1]
            bench.result(attempt(1, 4 + 5 * restarts), from: "b", other)
            #expect(bench.disk.nondeterministic == found + 2)
        }
    }

    @Test("An output that its parent did not keep fails the task alone")
    func absentOutput() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.finish(attempt(1, 1), from: "a")
        var child = work(2)
        child.inputs = [WorkInput(name: "rewind", source: .output(key(1), .step(500)))]
        #expect(bench.add([child, work(3)]).failed == [key(2)])
        #expect(bench.status.counts.running == 1)
    }

    @Test("Twenty thousand tasks are placed and finished in moments")
    func many() {
        var coordinator = Coordinator(
            restoring: Snapshot(store: StoreID("s"), tasks: []), generation: firstGeneration,
            settings: CoordinatorSettings(),
            at: Instant(milliseconds: 0))
        let now = Instant(milliseconds: 1)
        let works = (0..<20_000).map { number in
            Work(
                key: TaskKey(Digest.of([UInt8(number & 255), UInt8(number >> 8 & 255), UInt8(number >> 16)])),
                inputs: [], cost: 1,
                priority: number % 7, payload: [])
        }
        _ = coordinator.handle(.tasksAdded(works), at: now)
        var outcome = coordinator.handle(
            .worker(
                RouteID("a"),
                .hello(
                    Hello(
                        worker: "a", incarnation: 1, counter: 1, slots: 1, running: [], finished: [], datasets: [],
                        host: "h",
                        processID: 1))), at: now)
        var done = 0
        while let task = outcome.tasks.first {
            outcome = coordinator.handle(
                .worker(
                    RouteID("a"),
                    .result(
                        ResultReport(worker: "a", id: task.id, result: WorkResult(outputs: [], summary: [], seconds: 0))
                    )),
                at: now)
            done += 1
        }
        #expect(done == 20_000)
        coordinator.checkInvariants()
    }
}

@Suite("Coordinator: sessions")
struct CoordinatorSessionTests {
    @Test("Assigned but absent is sent again once it is late; held but not assigned is revoked until it is gone")
    func beats() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        #expect(bench.beat("a", lastSequence: 0).tasks.isEmpty)
        #expect(bench.beat("a", lastSequence: 1).tasks.map(\.sequence) == [2])
        bench.now = bench.now.advanced(byMilliseconds: 5_000)
        #expect(bench.beat("a", lastSequence: 0).tasks.map(\.sequence) == [3])
        let stray = RunningAttempt(id: attempt(9, 1), step: 3)
        let held = RunningAttempt(id: attempt(1, 1), step: 3)
        #expect(bench.beat("a", holding: [held, stray], lastSequence: 3).revoked == [stray.id])
        #expect(bench.beat("a", holding: [held, stray], lastSequence: 3).revoked == [stray.id])
        #expect(bench.beat("a", holding: [held], lastSequence: 3).revoked.isEmpty)
    }

    @Test("Thirty silent seconds end the session; the task goes to another, and the returner is revoked")
    func silence() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        #expect(bench.handle(.wake, after: 29_999).changes.isEmpty)
        #expect(bench.handle(.wake, after: 1).ended == [.lost])
        #expect(bench.join("b").started == [attempt(1, 2)])
        let old = RunningAttempt(id: attempt(1, 1), step: 50)
        #expect(bench.join("a", running: [old]).started.isEmpty)
        #expect(bench.beat("a", holding: [old]).revoked == [attempt(1, 1)])
    }

    @Test("A lost attempt whose worker comes back first is taken back rather than begun anew")
    func readoption() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.handle(.wake, after: 30_000)
        let back = bench.join("a", running: [RunningAttempt(id: attempt(1, 1), step: 50)])
        #expect(back.changes == [.attemptStarted(attempt(1, 1), worker: "a")])
        #expect(back.tasks.isEmpty)
        #expect(bench.status.running.map(\.step) == [50])
    }

    @Test("An attempt of a number from which nobody could count on is not taken back")
    func implausibleAttempt() {
        var bench = Bench()
        bench.add([work(1)])
        let absurd = RunningAttempt(id: attempt(1, Int(Int32.max)), step: 0)
        #expect(bench.join("a", running: [absurd]).started == [attempt(1, 1)])
        #expect(bench.beat("a", holding: [absurd]).revoked == [absurd.id])
    }

    @Test("A higher counter supersedes the connection; a lower one is a late frame")
    func superseding() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        let second = RouteID(bytes: [2])
        let back = bench.join("a", running: [RunningAttempt(id: attempt(1, 1), step: 1)], route: second)
        #expect(back.messages.map(\.to) == [second])
        #expect(bench.beat("a").saysHello)
        bench.counters["a"] = 0
        #expect(bench.join("a", route: RouteID(bytes: [3])).messages.isEmpty)
    }

    @Test("A new incarnation ends the old one at once, keeping what its outbox announces")
    func incarnations() {
        var bench = Bench()
        bench.add([work(1), work(2)])
        bench.join("a", slots: 2)
        let back = bench.join("a", slots: 2, incarnation: 2, finished: [attempt(1, 1)], route: RouteID(bytes: [2]))
        #expect(back.changes == [.attemptEnded(attempt(2, 1), .lost), .attemptStarted(attempt(2, 2), worker: "a")])
    }

    @Test("Of two live processes of one name the second to come back is refused")
    func twins() {
        var bench = Bench()
        bench.join("a", incarnation: 1)
        let second = RouteID(bytes: [2])
        bench.join("a", incarnation: 2, route: second)
        for _ in 1...2 { bench.beat("a", incarnation: 2, route: second) }
        let refused = bench.join("a", incarnation: 1)
        guard case .refused? = refused.messages.first?.message else { return #expect(Bool(false)) }
        #expect(refused.messages.map(\.to) == [RouteID("a")])
    }

    @Test("A late HELLO of a process that is gone ends nothing of its successor's; one that lives says it again")
    func lateHello() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a", incarnation: 1)
        let second = RouteID(bytes: [2])
        #expect(bench.join("a", incarnation: 2, route: second).started == [attempt(1, 2)])
        let late = bench.join("a", incarnation: 1)
        #expect(late.messages.isEmpty && late.changes.isEmpty)
        // The other frames of the dead process prove nothing either.
        #expect(bench.beat("a", incarnation: 1).saysHello)
        #expect(bench.join("a", incarnation: 1).started == [attempt(1, 3)])
    }

    @Test("A step that stands still past the limit ends the attempt; one that moves does not")
    func stalls() {
        var settings = CoordinatorSettings()
        settings.stallMilliseconds = 20_000
        settings.startMilliseconds = 20_000
        var bench = Bench(settings: settings)
        bench.add([work(1), work(2)])
        bench.join("a", slots: 2)
        bench.now = bench.now.advanced(byMilliseconds: 19_000)
        bench.beat(
            "a", holding: [RunningAttempt(id: attempt(1, 1), step: 8), RunningAttempt(id: attempt(2, 1), step: 0)],
            slots: 2)
        let late = bench.handle(.wake, after: 1_000)
        #expect(late.changes.first == .attemptEnded(attempt(2, 1), .stalled))
        #expect(bench.status.incidents.stalls == 1)
        // Its worker is told why, before anything else, and again until it has heard.
        #expect(
            late.messages.first?.message
                == .beatAck(
                    BeatAck(
                        store: bench.store, generation: firstGeneration, revoked: [attempt(2, 1)],
                        stalled: [attempt(2, 1)])))
        func stalled(_ outcome: Coordinator.Outcome) -> [AttemptID] {
            outcome.messages.flatMap { if case .beatAck(let ack) = $0.message { ack.stalled } else { [AttemptID]() } }
        }
        let held = [RunningAttempt(id: attempt(2, 1), step: 0)]
        #expect(stalled(bench.beat("a", holding: held, slots: 2)) == [attempt(2, 1)])
        #expect(stalled(bench.beat("a", slots: 2)).isEmpty)
        let strange = RunningAttempt(id: attempt(2, 9), step: 0)
        #expect(stalled(bench.beat("a", holding: [strange] + held, slots: 2)).isEmpty)
    }

    @Test(
        "What a training that hung wrote last is kept with its attempt, by whatever process hears it; an empty one is not"
    )
    func stalledLog() {
        var settings = CoordinatorSettings()
        settings.stallMilliseconds = 20_000
        settings.startMilliseconds = 20_000
        var bench = Bench(settings: settings)
        bench.add([work(1)])
        bench.join("a")
        bench.handle(.wake, after: 20_000)
        func report(_ log: String) -> Coordinator.Event {
            .worker(
                RouteID("a"),
                .failure(
                    FailureReport(
                        worker: "a", id: attempt(1, 1), reason: "stood still", log: log, isFinal: false, isStalled: true
                    )))
        }
        #expect(bench.handle(report("")).changes.isEmpty)
        #expect(bench.handle(report("at a lock")).changes == [.attemptLogged(attempt(1, 1), log: "at a lock")])
        bench.restart()
        bench.join("a")
        #expect(bench.handle(report("at a lock")).changes == [.attemptLogged(attempt(1, 1), log: "at a lock")])
        #expect(bench.disk.records[key(1)]?.childFailures == 1)
    }

    @Test("A gap of over two seconds in the loop extends every deadline by itself; a shorter one none")
    func loopStalls() {
        var bench = Bench()
        bench.join("a")
        bench.handle(.loopStalled(milliseconds: 10_000), after: 10_000)
        bench.handle(.loopStalled(milliseconds: 2_000), after: 2_000)
        #expect(bench.handle(.wake, after: 27_999).notices.isEmpty)
        #expect(!bench.handle(.wake, after: 1).notices.isEmpty)
    }

    @Test("Goodbye gives back at once and counts as no loss")
    func goodbye() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.join("b")
        let left = bench.handle(.worker(RouteID("a"), .goodbye("a")))
        #expect(left.ended == [.preempted] && left.started == [attempt(1, 2)])
        #expect(bench.disk.records[key(1)]?.losses == 0)
    }

    @Test("Who is expelled is sent nothing more, its task goes to another at once, and its results do not count")
    func expelled() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.join("b")
        let outcome = bench.handle(.expelled(RouteID("a")))
        #expect(outcome.ended == [.released] && outcome.started == [attempt(1, 2)])
        #expect(outcome.messages.allSatisfy { $0.to == RouteID("b") })
        #expect(!bench.coordinator.hasSession(RouteID("a")) && bench.coordinator.hasSession(RouteID("b")))
        #expect(bench.disk.records[key(1)]?.losses == 0)
        // Nobody was there: nothing happens.
        #expect(bench.handle(.expelled(RouteID("c"))).notices.isEmpty)
    }

    @Test("A worker beyond the limit is refused with a sentence, and has room once another has left")
    func tooManyWorkers() {
        var bench = Bench()
        func hello(_ number: Int) -> [CoordinatorMessage] {
            let worker = WorkerID("w\(number)")
            let hello = Hello(
                worker: worker, incarnation: 1, counter: 1, slots: 1, running: [], finished: [], datasets: [],
                host: "h",
                processID: 1)
            return bench.coordinator.handle(.worker(RouteID(worker), .hello(hello)), at: bench.now).messages.map(
                \.message)
        }
        for number in 0..<Limits.workers { _ = hello(number) }
        #expect(hello(-1) == [.refused(reason: "the coordinator has its \(Limits.workers) workers already")])
        bench.handle(.worker(RouteID("w7"), .goodbye("w7")))
        guard case .welcome? = hello(-1).first else { return #expect(Bool(false), "no room") }
    }

    @Test("A route without anybody gets no tasks, and its worker resumes on another")
    func unreachable() {
        var bench = Bench()
        bench.join("a")
        bench.handle(.unreachable(RouteID("a")))
        #expect(bench.add([work(1)]).messages.isEmpty)
        #expect(bench.join("a", route: RouteID(bytes: [2])).tasks.count == 1)
    }

    @Test("Stopping tells every worker, gives out nothing more, and tells latecomers")
    func stopping() {
        var bench = Bench()
        bench.join("a")
        #expect(bench.handle(.stopWorkers).messages.map(\.message) == [.shutdown])
        #expect(bench.add([work(1)]).messages.isEmpty)
        #expect(bench.join("b").messages.map(\.message) == [.shutdown])
    }
}

@Suite("Coordinator: results and restarts")
struct CoordinatorResultTests {
    @Test(
        "The first complete result wins though its attempt was lost; the running one is revoked and its result compared"
    )
    func firstWins() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.handle(.wake, after: 30_000)
        bench.join("b")
        let done = bench.finish(attempt(1, 1), from: "a")
        #expect(
            done.changes == [
                .attemptEnded(attempt(1, 2), .revoked), .taskDone(key(1), attempt: attempt(1, 1), result(1)),
            ])
        #expect(done.revoked == [attempt(1, 2)])
        let same = bench.result(attempt(1, 2), from: "b")
        #expect(same.changes.isEmpty && same.acks.map(\.verdict) == [.discarded])
        let other = bench.result(attempt(1, 2), from: "b", result(1, variant: "!"))
        #expect(other.acks.map(\.verdict) == [.discarded])
        guard case .nondeterminism? = other.changes.first else { return #expect(Bool(false)) }
        #expect(bench.result(attempt(1, 2), from: "b", result(1, variant: "!")).changes.isEmpty)
    }

    @Test("Results of unknown tasks are discarded, so that outboxes drain")
    func unknown() {
        var bench = Bench()
        let answer = bench.result(attempt(1, 1), from: "a")
        #expect(answer.acks.map(\.verdict) == [.discarded] && answer.saysHello)
    }

    @Test("A blob that cannot be had, or a worker lost while delivering, makes the task ready again")
    func undelivered() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.result(attempt(1, 1), from: "a")
        let gone = bench.handle(.blobUnavailable(blob("1 final"), "a"))
        #expect(gone.ended == [.lost] && gone.started == [attempt(1, 2)])
        bench.result(attempt(1, 2), from: "a")
        let silent = bench.handle(.wake, after: 30_000)
        #expect(silent.ended == [.lost])
        #expect(silent.droppedPulls == [BlobPull(worker: "a", digest: blob("1 final"), byteCount: 10)])
        #expect(bench.status.counts.ready == 1)
    }

    @Test("A result whose blob its worker has lost is given up for good, and the task done anew")
    func lostBlob() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.result(attempt(1, 1), from: "a")
        let gone = bench.handle(.blobGone(blob("1 final"), "a"))
        #expect(gone.acks.map(\.id) == [attempt(1, 1)] && gone.acks.map(\.verdict) == [.discarded])
        #expect(gone.ended == [.lost] && gone.started == [attempt(1, 2)])
    }

    @Test("A task waits for a busy worker rather than go back to the one on which it failed")
    func otherWorker() {
        var bench = Bench()
        bench.add([work(0), work(1)])
        bench.join("good")
        bench.join("bad")
        #expect(bench.status.running.map(\.task) == [key(1), key(0)])
        #expect(bench.failure(attempt(1, 1), from: "bad").started.isEmpty)
        // Another task may go there meanwhile.
        #expect(bench.add([work(2)]).tasks.map(\.id) == [attempt(2, 1)])
        let freed = bench.finish(attempt(0, 1), from: "good")
        #expect(freed.started == [attempt(1, 2)])
        #expect(
            bench.failure(attempt(1, 2), from: "good").started == [attempt(1, 3)], "all have failed it: any will do")
    }

    @Test("A worker that fails all it gets rests, ever longer, and does not take the sweep with it")
    func blackHole() {
        var bench = Bench()
        bench.join("good")
        bench.add([work(0)])
        bench.join("bad")
        var rests: [Int64] = []
        func note(_ outcome: Coordinator.Outcome) {
            for case .workerQuarantined("bad", _, let milliseconds) in outcome.notices { rests.append(milliseconds) }
        }
        bench.add((1...20).map { work($0) })
        for number in 1...3 { note(bench.failure(attempt(number, 1), from: "bad")) }
        #expect(rests == [30_000] && bench.status.counts.failed == 0)
        #expect(bench.status.running.map(\.worker) == ["good"])
        bench.beat("good", holding: [RunningAttempt(id: attempt(0, 1), step: 1)])
        bench.beat("bad")
        bench.handle(.wake, after: 29_000)
        #expect(bench.status.running.count == 1)
        bench.beat("good", holding: [RunningAttempt(id: attempt(0, 1), step: 2)])
        bench.beat("bad")
        #expect(bench.handle(.wake, after: 1_000).started == [attempt(4, 1)])
        note(bench.failure(attempt(4, 1), from: "bad"))
        #expect(rests == [30_000, 60_000])
        // The last worker left never rests.
        let alone = bench.handle(.worker(RouteID("good"), .goodbye("good")))
        #expect(alone.started.count == 1 && bench.status.running.map(\.worker) == ["bad"])
    }

    /// A worker that was put aside, and another that works.
    private func quarantined() -> Bench {
        var bench = Bench()
        bench.join("good")
        bench.add([work(0)])
        bench.join("bad")
        bench.add((1...20).map { work($0) })
        for number in 1...3 { bench.failure(attempt(number, 1), from: "bad") }
        return bench
    }

    @Test(
        "A quarantine outlives the coordinator, also where its worker is the first to come back, and ends in its time")
    func quarantineOutlives() {
        var bench = quarantined()
        #expect(bench.disk.quarantines == ["bad": Quarantine(incarnation: 1, count: 1, milliseconds: 30_000)])
        bench.restart()
        #expect(bench.join("bad").started.isEmpty)
        #expect(bench.status.workers.first { $0.worker == "bad" }?.quarantinedMilliseconds == 30_000)
        bench.join("good", running: [RunningAttempt(id: attempt(0, 1), step: 1)])
        for _ in 0..<2 {
            bench.handle(.wake, after: 10_000)
            for worker in ["good", "bad"] as [WorkerID] {
                let held = worker == "good" ? [RunningAttempt(id: attempt(0, 1), step: 2)] : []
                bench.beat(worker, holding: held)
            }
        }
        #expect(bench.status.running.map(\.worker) == ["good"])
        #expect(bench.handle(.wake, after: 10_000).started.count == 1)
        // It is over, and the next one is longer, also after another restart.
        #expect(bench.disk.quarantines["bad"]?.milliseconds == 0)
        bench.restart(generation: Generation(nonce: 3))
        bench.join("good")
        bench.join(
            "bad",
            running: bench.disk.records.values.compactMap(\.running).filter { $0.worker == "bad" }.map {
                RunningAttempt(id: $0.attempt, step: 1)
            })
        for running in bench.status.running where running.worker == "bad" {
            bench.failure(
                bench.disk.records[running.task]!.running!.attempt, from: "bad")
        }
        while bench.disk.quarantines["bad"]?.count == 1,
            let running = bench.status.running.first(where: { $0.worker == "bad" })
        {
            bench.failure(bench.disk.records[running.task]!.running!.attempt, from: "bad")
        }
        #expect(bench.disk.quarantines["bad"]?.milliseconds == 60_000)
    }

    @Test("A quarantine ends with the process that it is of, with a result, and when nobody else comes back")
    func quarantineEnds() {
        var bench = quarantined()
        bench.restart()
        #expect(bench.join("bad", incarnation: 2).started.count == 1)
        #expect(bench.disk.quarantines.isEmpty)

        bench = quarantined()
        bench.restart()
        bench.join("bad")
        #expect(bench.result(attempt(19, 1, Generation(nonce: 9)), from: "bad").started.count == 1)
        #expect(bench.disk.quarantines.isEmpty)

        var settings = CoordinatorSettings()
        settings.restMilliseconds = 600_000
        bench = Bench(settings: settings)
        bench.join("good")
        bench.join("bad")
        bench.add((1...20).map { work($0) })
        while bench.disk.quarantines.isEmpty {
            bench.failure(
                bench.disk.records[bench.status.running.first { $0.worker == "bad" }!.task]!.running!.attempt,
                from: "bad")
        }
        bench.restart()
        bench.join("bad")
        for _ in 0..<6 {
            #expect(bench.status.running.allSatisfy { $0.worker != "bad" })
            bench.beat("bad")
            bench.handle(.wake, after: 10_000)
        }
        #expect(bench.status.running.contains { $0.worker == "bad" }, "the last worker left never rests")
    }

    @Test("A worker that falls silent while it is quarantined goes on with its rest when it comes back")
    func quarantineOutlivesSession() {
        var settings = CoordinatorSettings()
        settings.restMilliseconds = 120_000
        var bench = Bench(settings: settings)
        bench.join("good")
        bench.add([work(0)])
        bench.join("bad")
        bench.add((1...20).map { work($0) })
        for number in 1...3 { bench.failure(attempt(number, 1), from: "bad") }
        let kept = bench.disk.quarantines
        #expect(kept["bad"]?.milliseconds == 120_000)
        for step in 1...4 {
            bench.handle(.wake, after: 10_000)
            bench.beat("good", holding: [RunningAttempt(id: attempt(0, 1), step: step)])
        }
        #expect(bench.status.workers.map(\.worker) == ["good"])
        #expect(bench.join("bad").started.isEmpty && bench.disk.quarantines == kept)
        #expect(bench.join("bad", incarnation: 2).started.count == 1)
        #expect(bench.disk.quarantines.isEmpty)
    }

    @Test("A result made for a request of fewer outputs than are waited for is discarded and made anew")
    func olderRequest() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.handle(.wake, after: 30_000)
        var child = work(2)
        child.inputs = [WorkInput(name: "rewind", source: .output(key(1), .step(5)))]
        bench.add([work(1, payload: "keep 5"), child])
        #expect(bench.result(attempt(1, 1), from: "a").acks.map(\.verdict) == [.discarded])
        #expect(bench.join("b").started == [attempt(1, 2)])
        bench.finish(attempt(1, 2), from: "b", result(1, outputs: [.final, .step(5)]))
        #expect(bench.status.counts.done == 1 && bench.status.counts.running == 1)
    }

    @Test("Restored attempts wait sixty seconds for their worker and go to nobody else before")
    func adoption() {
        var bench = Bench()
        bench.add([work(1), work(2)])
        bench.join("a", slots: 2)
        bench.restart()
        #expect(bench.join("b", slots: 2).tasks.isEmpty)
        let back = bench.join("a", slots: 2, running: [RunningAttempt(id: attempt(1, 1), step: 4)])
        #expect(back.ended == [.released])
        #expect(back.started == [attempt(2, 2, Generation(nonce: 2))])
        bench.restart(generation: Generation(nonce: 3))
        bench.join("b", slots: 2)
        bench.now = bench.now.advanced(byMilliseconds: 40_000)
        bench.beat("b")
        #expect(bench.handle(.wake, after: 10_000).started.isEmpty)
        bench.beat("b", slots: 2)
        let over = bench.handle(.wake, after: 10_000)
        #expect(over.ended == [.released, .released])
        #expect(over.started.map(\.task).sorted() == [key(1), key(2)].sorted())
        #expect(bench.disk.records[key(1)]?.losses == 0)
    }

    @Test("What is done stays done, what is failed stays failed, and attempt numbers go on")
    func restoring() {
        var bench = Bench()
        bench.add([work(1), work(2), work(3)])
        bench.join("a")
        bench.finish(attempt(1, 1), from: "a")
        bench.failure(attempt(2, 1), from: "a", isFinal: true)
        bench.restart()
        #expect(bench.status.counts.done == 1 && bench.status.counts.failed == 1 && bench.status.counts.running == 1)
        #expect(bench.join("a").started == [attempt(3, 2, Generation(nonce: 2))])
    }
}
