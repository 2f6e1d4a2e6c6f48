import Coordination
import Lottery
import Testing

@Suite("Several sweeps, and what people order")
struct SweepTests {
    private let a = SweepID("a")
    private let b = SweepID("b")

    /// Whose task is given out, in order, while every task that was given out is finished at once.
    private func order(_ bench: inout Bench, _ owner: [Int: SweepID], _ count: Int) -> [SweepID?] {
        var seen: [SweepID?] = []
        while seen.count < count, let line = bench.status.running.first {
            let number = owner.keys.first { key($0) == line.task }!
            seen.append(owner[number])
            bench.finish(
                AttemptID(task: line.task, attempt: line.attempt, generation: firstGeneration), from: line.worker)
        }
        return seen
    }

    private func state(_ bench: Bench, _ number: Int) -> TaskExplanation.State? {
        bench.coordinator.explanation(of: key(number))?.state
    }

    @Test("Sweeps of equal priority share the slots evenly, whatever their chains; in each the longest goes first")
    func fairShare() {
        var bench = Bench()
        bench.add((0..<10).map { work($0, priority: 100 + $0) }, sweep: a)
        bench.add((10..<20).map { work($0, priority: $0) }, sweep: b)
        let given = bench.join("w", slots: 6)
        #expect(given.started.map(\.task) == [9, 19, 8, 18, 7, 17].map(key))
        #expect(bench.status.sweeps.map(\.running) == [3, 3])
        // What ends for one is given to that one again.
        #expect(bench.finish(attempt(19, 1), from: "w").started.map(\.task) == [key(16)])
        #expect(bench.finish(attempt(9, 1), from: "w").started.map(\.task) == [key(6)])
    }

    @Test("Where slots are fewer than sweeps, sweeps of equal priority take turns", arguments: [1, 2])
    func turns(slots: Int) {
        var bench = Bench()
        for (number, sweep) in [a, b, SweepID("c")].enumerated() {
            // The later a sweep, the shorter its chains.
            bench.add((0..<6).map { work(10 * number + $0, priority: 20 - 10 * number) }, sweep: sweep)
        }
        var given = bench.join("w", slots: slots).started
        for place in 0..<18 { given += bench.finish(given[place], from: "w").started }
        let sweeps = given.map { id in (0..<30).first { key($0) == id.task }! / 10 }
        #expect(sweeps.count == 18)
        for first in stride(from: 0, to: 18, by: 3) {
            #expect(Set(sweeps[first..<first + 3]) == [0, 1, 2], "\(sweeps)")
        }
    }

    @Test("A sweep that comes later gets its share as slots become free; what runs is not taken away")
    func latecomer() {
        var bench = Bench()
        bench.add((0..<10).map { work($0, priority: 50) }, sweep: a)
        bench.join("w", slots: 4)
        bench.add((10..<20).map { work($0) }, sweep: b)
        #expect(bench.status.sweeps.map(\.running) == [4, 0])
        let next = (0..<2).map { bench.finish(attempt($0, 1), from: "w").started.map(\.task) }
        #expect(next == [[key(10)], [key(11)]])
        #expect(bench.status.sweeps.map(\.running) == [2, 2])
    }

    @Test(
        "Of a sweep that comes in pieces workers do what is here: results, failures and beats between them count for what follows"
    )
    func pieces() {
        var bench = Bench()
        bench.join("w", slots: 2)
        bench.add([work(0), work(1)], sweep: a)
        #expect(Set(bench.status.running.map(\.task)) == [key(0), key(1)])
        bench.finish(attempt(0, 1), from: "w")
        bench.failure(attempt(1, 1), from: "w")
        bench.beat("w", holding: [RunningAttempt(id: attempt(1, 2), step: 1)], slots: 2)
        // The next piece reads what is done, what is being tried again, and what comes with the piece after it.
        bench.add([work(2, needs: [0]), work(3, needs: [1]), work(4, needs: [2])], sweep: a)
        #expect(Set(bench.status.running.map(\.task)) == [key(1), key(2)])
        bench.finish(attempt(2, 1), from: "w")
        bench.finish(attempt(1, 2), from: "w")
        bench.add([work(5, needs: [4, 3])], sweep: a)
        #expect(Set(bench.status.running.map(\.task)) == [key(3), key(4)])
        // Handed over again, as after a crash amid it, it is the same.
        let again = bench.add([work(0), work(1)], sweep: a)
        #expect(again.changes.isEmpty)
        bench.finish(attempt(3, 1), from: "w")
        bench.finish(attempt(4, 1), from: "w")
        bench.finish(attempt(5, 1), from: "w")
        #expect(bench.status.counts.done == 6)
    }

    @Test("The higher priority goes first, and the rest when it has nothing ready")
    func priorities() {
        var bench = Bench()
        var owner: [Int: SweepID] = [:]
        for number in 0..<6 { owner[number] = number < 3 ? a : b }
        bench.add((0..<3).map { work($0, priority: 100) }, sweep: a)
        bench.add((3..<6).map { work($0) }, sweep: b)
        bench.handle(.sweepOrdered(b, .prioritise(1)))
        bench.join("w")
        #expect(order(&bench, owner, 6) == [b, b, b, a, a, a])
    }

    @Test("A task that sweeps share counts for each, and goes out by the higher priority of them")
    func sharedTask() {
        var bench = Bench()
        bench.add([work(0), work(1, priority: 9)], sweep: a)
        bench.add([work(0), work(2, priority: 9), work(3)], sweep: b)
        bench.handle(.sweepOrdered(b, .prioritise(5)))
        let given = bench.join("w", slots: 3)
        #expect(given.started.map(\.task) == [key(2), key(0), key(3)])
        #expect(bench.status.sweeps.map(\.running) == [1, 3])
    }

    @Test("A paused sweep gets no new task and loses none; a task that another wants goes out for that one")
    func pause() {
        var bench = Bench()
        bench.add([work(0), work(1), work(2)], sweep: a)
        bench.add([work(2), work(3)], sweep: b)
        bench.handle(.sweepOrdered(a, .pause))
        #expect(bench.disk.sweeps.first { $0.id == a }?.isPaused == true)
        #expect(bench.join("w", slots: 4).started.map(\.task) == [key(2), key(3)])
        #expect(bench.handle(.sweepOrdered(b, .pause)).changes.count == 1, "what runs goes on")
        #expect(bench.status.sweeps.map(\.running) == [1, 2])
        let resumed = bench.handle(.sweepOrdered(a, .resume))
        #expect(resumed.started.map(\.task) == [key(0), key(1)])
        #expect(bench.handle(.sweepOrdered(a, .resume)).changes.isEmpty)
    }

    @Test("Pause, priority and cancellation outlive the coordinator")
    func restart() {
        var bench = Bench()
        bench.add([work(0), work(1, needs: [0])], sweep: a)
        bench.add([work(2)], sweep: b)
        bench.add([work(3)], sweep: SweepID("c"))
        bench.handle(.sweepOrdered(a, .pause))
        bench.handle(.sweepOrdered(b, .cancel))
        bench.handle(.sweepOrdered(SweepID("c"), .prioritise(-4)))
        let before = bench.status.sweeps
        bench.restart()
        #expect(bench.status.sweeps == before)
        #expect(bench.join("w", slots: 4).started.map(\.task) == [key(3)])
        #expect(state(bench, 0) == .ready && state(bench, 1) == .waiting && state(bench, 2) == .cancelled)
    }

    @Test("To cancel a sweep ends what runs for it alone, tells the worker, and cancels all that is not done")
    func cancelSweep() {
        var bench = Bench()
        bench.add([work(0), work(1, needs: [0]), work(2), work(3)], sweep: a)
        bench.add([work(3), work(4, needs: [3])], sweep: b)
        bench.join("w", slots: 2)
        bench.finish(attempt(0, 1), from: "w")
        #expect(bench.status.running.map(\.task).sorted() == [key(2), key(3)].sorted())
        let cancelled = bench.handle(.sweepOrdered(a, .cancel))
        #expect(cancelled.revoked == [attempt(2, 1)])
        #expect(cancelled.ended.map(\.name) == [.preempted])
        #expect(cancelled.failed.sorted() == [key(1), key(2)].sorted())
        #expect(state(bench, 0) == .done && state(bench, 3) == .running && state(bench, 4) == .waiting)
        guard case .failed(let failure) = bench.coordinator.state(of: key(1)) else { return #expect(Bool(false)) }
        #expect(failure == TaskFailure(.cancelled, "the sweep “a” was cancelled"))
        #expect(bench.status.counts.cancelled == 2 && bench.status.counts.faulty == 0)
        // The slot is free for the other sweep, and a late result of what was cancelled is let go.
        #expect(bench.finish(attempt(3, 1), from: "w").started.map(\.task) == [key(4)])
        #expect(bench.result(attempt(2, 1), from: "w").acks.map(\.verdict) == [.discarded])
        #expect(state(bench, 2) == .cancelled)
        // When the other goes too, so does what was shared.
        #expect(bench.handle(.sweepOrdered(b, .cancel)).failed == [key(4)])
        #expect(bench.status.counts.isSettled)
    }

    @Test("A sweep that was paused before it was cancelled goes on when it is tried anew")
    func cancelPaused() {
        var bench = Bench()
        bench.add([work(0)], sweep: a)
        bench.handle(.sweepOrdered(a, .pause))
        bench.handle(.sweepOrdered(a, .cancel))
        bench.handle(.sweepOrdered(a, .retry([.cancelled])))
        #expect(bench.disk.sweeps.first { $0.id == a } == SweepStanding(id: a))
        #expect(bench.join("w").started.map(\.task) == [key(0)])
    }

    @Test("A result that is being delivered when its sweep is cancelled is let go, and its outbox drains")
    func cancelDelivering() {
        var bench = Bench()
        bench.add([work(0)], sweep: a)
        bench.join("w")
        #expect(bench.result(attempt(0, 1), from: "w").pulls.count == 1)
        let cancelled = bench.handle(.sweepOrdered(a, .cancel))
        #expect(cancelled.acks.map(\.verdict) == [.discarded] && cancelled.droppedPulls.count == 1)
        #expect(cancelled.ended == [.revoked])
        #expect(state(bench, 0) == .cancelled)
        bench.handle(.blobStored(blob("0 final")))
        #expect(state(bench, 0) == .cancelled)
    }

    @Test("To cancel a task cancels what waits for it, and nothing else; what is done stays done")
    func cancelTask() {
        var bench = Bench()
        bench.add([work(0, priority: 9), work(1, needs: [0]), work(2), work(3)], sweep: a)
        bench.join("w")
        let cancelled = bench.handle(.taskOrdered(key(0), .cancel))
        #expect(cancelled.revoked == [attempt(0, 1)] && cancelled.failed == [key(0), key(1)])
        #expect(bench.coordinator.explanation(of: key(1))?.failure?.isInherited == true)
        #expect(cancelled.started.map(\.task) == [key(2)])
        bench.finish(attempt(2, 1), from: "w")
        #expect(bench.handle(.taskOrdered(key(2), .cancel)).changes.isEmpty)
        #expect(bench.handle(.taskOrdered(key(77), .cancel)).changes.isEmpty)
    }

    @Test("A cancelled sweep is brought back by retry, and by submitting it again")
    func retryCancelled() {
        var bench = Bench()
        let works = [work(0), work(1, needs: [0]), work(2)]
        bench.add(works, sweep: a)
        bench.handle(.sweepOrdered(a, .cancel))
        bench.handle(.sweepOrdered(a, .retry([.failed])))
        #expect(bench.status.counts.cancelled == 3 && bench.status.sweeps[0].standing.isCancelled)
        bench.handle(.sweepOrdered(a, .retry([.cancelled])))
        #expect(bench.status.counts.ready == 2 && bench.status.counts.waiting == 1)
        #expect(!bench.status.sweeps[0].standing.isCancelled)
        bench.handle(.sweepOrdered(a, .cancel))
        bench.add(works, sweep: a)
        #expect(bench.status.counts.ready == 2 && bench.status.counts.cancelled == 0)
    }

    @Test("Retry begins the count anew, takes only the names it was told, and brings back what had waited")
    func retry() {
        var bench = Bench()
        bench.add([work(0, priority: 9), work(1, needs: [0]), work(2, priority: 5), work(3)], sweep: a)
        bench.join("w")
        for number in 1...3 { bench.failure(attempt(0, number), from: "w") }
        bench.failure(attempt(2, 1), from: "w", isFinal: true)
        bench.handle(.taskOrdered(key(3), .cancel))
        #expect(bench.status.counts.failed == 3 && bench.status.counts.cancelled == 1)
        let again = bench.handle(.sweepOrdered(a, .retry([.failed])))
        #expect(again.started == [attempt(0, 4)])
        #expect(state(bench, 1) == .waiting && state(bench, 2) == .ready && state(bench, 3) == .cancelled)
        #expect(bench.disk.records[key(0)]?.childFailures == 0)
        bench.failure(attempt(0, 4), from: "w")
        #expect(state(bench, 0) != .failed, "one failure is not three")
        let one = bench.handle(.taskOrdered(key(3), .retry([.cancelled, .failed])))
        #expect(one.changes.first == .taskRevived(key(3)))
        #expect(bench.handle(.taskOrdered(key(3), .retry([.cancelled]))).changes.isEmpty)
    }

    @Test(
        "A task whose parent stays given up is not retried; one cancelled by itself does not come back with its parent")
    func retryBelow() {
        var bench = Bench()
        bench.add([work(0), work(1, needs: [0]), work(2, needs: [0])], sweep: a)
        bench.handle(.taskOrdered(key(2), .cancel))
        bench.join("w")
        bench.failure(attempt(0, 1), from: "w", isFinal: true)
        #expect(bench.handle(.taskOrdered(key(1), .retry([.failed]))).changes.isEmpty)
        bench.handle(.taskOrdered(key(0), .retry([.failed])))
        #expect(state(bench, 1) == .waiting && state(bench, 2) == .cancelled)
    }

    @Test("A sweep of another plan keeps what both have, ends what it has no more, and adds what is new")
    func extend() {
        var bench = Bench()
        bench.add([work(0, priority: 9), work(1, needs: [0]), work(2, priority: 5)], sweep: a)
        bench.add([work(2, priority: 5)], sweep: b)
        bench.join("w", slots: 2)
        bench.finish(attempt(0, 1), from: "w")
        #expect(bench.status.running.map(\.task).sorted() == [key(1), key(2)].sorted())
        bench.add([work(3, needs: [0])], sweep: a)
        let extended = bench.handle(.sweepNarrowed(a, to: [key(3)]))
        #expect(extended.failed == [key(1)] && extended.revoked == [attempt(1, 1)])
        #expect(extended.started.map(\.task) == [key(3)])
        #expect(state(bench, 0) == .done && state(bench, 2) == .running)
        #expect(bench.disk.records[key(2)]?.sweeps == [b])
        #expect(bench.coordinator.explanation(of: key(1))?.failure?.reason == "no sweep wants it any more")
        // A later sweep that wants it again has it again.
        bench.add([work(1, needs: [0])], sweep: b)
        #expect(state(bench, 1) == .ready)
    }

    @Test("What a sweep wants that a store did not know of is said once")
    func planned() {
        var bench = Bench()
        bench.add([work(0), work(1)])
        bench.join("w")
        bench.finish(attempt(0, 1), from: "w")
        bench.add([], sweep: a)
        let said = bench.handle(.sweepPlanned(a, [key(0), key(1), key(9)]))
        #expect(said.changes == [.sweepWants(a, [key(1)])])
        #expect(bench.status.sweeps.map(\.running) == [1])
        #expect(bench.handle(.sweepPlanned(a, [key(0), key(1), key(9)])).changes.isEmpty)
        #expect(bench.handle(.sweepPlanned(b, [key(1)])).changes.isEmpty, "an unknown sweep wants nothing")
        #expect(bench.handle(.sweepOrdered(b, .pause)).changes.isEmpty)
    }

    @Test(
        "What a sweep's results ask for joins it; a cancelled sweep gets nothing, and what was given up is not tried again"
    )
    func grows() {
        var bench = Bench()
        bench.add([work(0), work(5)], sweep: a)
        bench.join("w")
        bench.finish(attempt(0, 1), from: "w")
        bench.handle(.taskOrdered(key(5), .cancel))
        let grown = bench.handle(.sweepGrew(a, [work(1, needs: [0]), work(5), work(0)]))
        #expect(grown.started.map(\.task) == [key(1)])
        #expect(grown.changes.contains(.sweepWants(a, [key(1)])))
        #expect(state(bench, 5) == .cancelled)
        #expect(bench.handle(.sweepGrew(a, [work(1, needs: [0])])).changes.isEmpty, "said twice is said once")
        #expect(bench.handle(.sweepGrew(b, [work(7)])).changes.isEmpty, "an unknown sweep does not grow")

        bench.handle(.sweepOrdered(a, .cancel))
        #expect(bench.handle(.sweepGrew(a, [work(2)])).changes.isEmpty)
        #expect(bench.status.sweeps.map(\.standing.isCancelled) == [true])
        #expect(state(bench, 2) == nil)
    }

    @Test("A coordinator that drains gives out nothing more, to newcomers neither, and takes what is delivered")
    func drain() {
        var bench = Bench()
        bench.add([work(0), work(1)], sweep: a)
        bench.join("w")
        bench.handle(.drain(Drain(isAtOnce: false)))
        #expect(bench.join("other").started.isEmpty)
        #expect(bench.finish(attempt(0, 1), from: "w").started.isEmpty)
        #expect(bench.status.isDraining && bench.status.counts.left == 1 && bench.status.counts.done == 1)
        bench.restart()
        #expect(bench.join("w").started.isEmpty, "a process that died before it had ended goes on ending")
        #expect(bench.handle(.drainEnded).changes == [.drainChanged(nil)], "and gives out nothing in its last moment")
        bench.restart(generation: Generation(nonce: 3))
        #expect(bench.join("w").started.count == 1, "the next start goes on")
        bench.handle(.drain(Drain(isAtOnce: false)))
        bench.restart(generation: Generation(nonce: 4))
        bench.join("w")
        #expect(bench.handle(.drainForgotten).started.count == 1, "unless people have changed their minds")
    }

    @Test("What a stop asks for adds up, is durable once, and ends with the process that obeys it")
    func drainAddsUp() {
        var bench = Bench()
        bench.add([work(0)], sweep: a)
        bench.join("w")
        #expect(bench.handle(.drain(Drain(isAtOnce: false, endsWorkers: true))).changes.count == 1)
        #expect(bench.handle(.drain(Drain(isAtOnce: false))).changes.isEmpty)
        let both = Drain(isAtOnce: true, endsWorkers: true)
        let told = bench.handle(.drain(Drain(isAtOnce: true)))
        #expect(told.changes == [.drainChanged(both)] && told.messages.contains { $0.message == .drain })
        bench.restart()
        #expect(bench.coordinator.drain == both)
        // Workers that come back are told again.
        bench.join("w", running: [RunningAttempt(id: attempt(0, 1), step: 1)])
        let beat = bench.beat("w", holding: [RunningAttempt(id: attempt(0, 1), step: 1)])
        #expect(beat.messages.contains { $0.message == .drain })
        bench.handle(.drainEnded)
        #expect(bench.handle(.drainEnded).changes.isEmpty && bench.disk.snapshot.drain == nil)
    }

    @Test(
        "A coordinator that is to end at once tells its workers, with each beat until they take no more, and newcomers")
    func drainAtOnce() {
        var bench = Bench()
        bench.add([work(0), work(1)], sweep: a)
        bench.join("w")
        func isTold(_ outcome: Coordinator.Outcome) -> Bool { outcome.messages.contains { $0.message == .drain } }
        #expect(isTold(bench.handle(.drain(Drain(isAtOnce: true)))))
        let held = [RunningAttempt(id: attempt(0, 1), step: 1)]
        #expect(isTold(bench.beat("w", holding: held, lastSequence: 1)))
        #expect(!isTold(bench.beat("w", holding: held, lastSequence: 1, slots: 0)))
        bench.join("other")
        #expect(isTold(bench.beat("other")))
        let gone = bench.handle(.worker(RouteID("w"), .goodbye("w")))
        #expect(gone.ended.map(\.name) == [.preempted] && bench.status.counts.running == 0)
    }

    @Test("While the store's disk is short of room nothing is given out; what runs is taken, and then it goes on")
    func shortOfRoom() {
        var bench = Bench()
        bench.add([work(0), work(1)], sweep: a)
        bench.join("w")
        bench.handle(.roomChanged(isShort: true))
        #expect(bench.finish(attempt(0, 1), from: "w").started.isEmpty)
        #expect(bench.status.isShortOfRoom && bench.status.counts.done == 1)
        #expect(bench.coordinator.explanation(of: key(1))?.readiness?.isShortOfRoom == true)
        #expect(bench.join("other").started.isEmpty)
        #expect(bench.handle(.roomChanged(isShort: false)).started.count == 1)
    }

    @Test("Of a task that waits, it is said for what, and what goes before it")
    func explanations() throws {
        var bench = Bench()
        bench.add([work(0, priority: 3), work(1, needs: [0]), work(2, priority: 2), work(3, priority: 1)], sweep: a)
        func explain(_ number: Int) throws -> TaskExplanation {
            try #require(bench.coordinator.explanation(of: key(number)))
        }
        #expect(try explain(3).readiness?.workers == 0)
        bench.join("w")
        #expect(try explain(0).running?.worker == "w")
        let parents = try explain(1).parents
        #expect(parents.map(\.task) == [key(0)] && parents.map(\.state) == [.running])
        var ready = try #require(try explain(3).readiness)
        #expect(ready.workers == 1 && ready.freeSlots == 0 && ready.aheadByChain == 1 && ready.aheadByPriority == 0)
        bench.add([work(4), work(5)], sweep: b)
        bench.handle(.sweepOrdered(b, .prioritise(2)))
        ready = try #require(try explain(3).readiness)
        #expect(ready.aheadByPriority == 2 && ready.aheadByChain == 1 && !ready.isPaused)
        bench.handle(.sweepOrdered(a, .pause))
        #expect(try explain(3).readiness?.isPaused == true)
        #expect(try explain(3).sweeps == [SweepStanding(id: a, isPaused: true)])
        bench.failure(attempt(0, 1), from: "w")
        let failed = try explain(0)
        #expect(failed.failedOn == ["w"] && failed.readiness?.freshWorkers == 0)
        bench.handle(.drain(Drain(isAtOnce: false)))
        #expect(try explain(3).readiness?.isDraining == true)
        #expect(bench.coordinator.explanation(of: key(99)) == nil)
    }

    @Test("Among a hundred sweeps each gets its share", arguments: [1, 7])
    func manySweeps(slots: Int) {
        var bench = Bench()
        for sweep in 0..<100 {
            bench.add((0..<3).map { work(3 * sweep + $0, priority: sweep) }, sweep: SweepID("sweep \(sweep)"))
        }
        for number in 0..<100 / slots { bench.join(WorkerID("w\(number)"), slots: slots) }
        #expect(bench.status.sweeps.allSatisfy { $0.running <= 1 })
        #expect(bench.status.counts.running == 100 / slots * slots)
    }
}
