import Coordination
import Lottery
import Testing

private let f32 = NumericsID.f32Lanes16, bf16 = NumericsID.bf16Tiles16

private func work(
    _ number: Int, needs parents: [Int] = [], priority: Int = 0, memory: Int = 0, numerics: NumericsID? = nil
) -> Work {
    var work = CoordinationTests.work(number, needs: parents, priority: priority)
    work.needs = Work.Needs(memoryBytes: memory, numerics: numerics)
    return work
}

extension Bench {
    @discardableResult
    fileprivate mutating func join(
        _ worker: WorkerID, slots: Int, memory: Int?, numerics: [NumericsID] = [], datasets: [Digest] = []
    ) -> Coordinator.Outcome {
        counters[worker, default: 0] += 1
        return handle(
            .worker(
                RouteID(worker),
                .hello(
                    Hello(
                        worker: worker, incarnation: 1, counter: counters[worker]!, slots: slots, running: [],
                        finished: [], datasets: datasets, host: "host", processID: 1, memoryBytes: memory,
                        numerics: numerics))))
    }
}

extension Coordinator.Outcome {
    /// Which task goes to which worker.
    fileprivate var given: [String] {
        messages.compactMap { envelope in
            guard case .task(let task) = envelope.message else { return nil }
            let number = (0..<100).first { key($0) == task.id.task }!
            return "\(number) \(String(decoding: envelope.to.bytes, as: UTF8.self))"
        }
    }
}

@Suite("Coordinator: placement")
struct PlacementTests {
    @Test("A task goes where its memory fits beside what is there, and to nobody where it does not")
    func memory() {
        var bench = Bench()
        bench.add([
            work(1, priority: 9, memory: 6), work(2, priority: 8, memory: 3), work(3, memory: 3), work(4, memory: 1),
        ])
        // Too small for the first, and for the second and third together.
        #expect(bench.join("small", slots: 4, memory: 4).given == ["2 small", "4 small"])
        #expect(
            bench.status.unmet == [.init(needs: Work.Needs(memoryBytes: 6), tasks: 1, largestMemoryBytes: 4)])
        let readiness = bench.coordinator.explanation(of: key(3))?.readiness
        #expect(readiness?.ableWorkers == 1 && readiness?.freeSlots == 0 && readiness?.crampedSlots == 2)
        #expect(bench.finish(attempt(2, 1), from: "small").given == ["3 small"])
        #expect(bench.join("large", slots: 1, memory: 6).given == ["1 large"])
        #expect(bench.status.unmet.isEmpty)
    }

    @Test("What failed on the only worker that can take it is not said to go to another")
    func failedOnLargest() {
        var bench = Bench()
        bench.add([work(1, memory: 6)], sweep: SweepID("a"))
        bench.join("large", slots: 1, memory: 6)
        bench.join("small", slots: 1, memory: 4)
        bench.handle(.sweepOrdered(SweepID("a"), .pause))
        bench.failure(attempt(1, 1), from: "large")
        let explanation = bench.coordinator.explanation(of: key(1))
        #expect(explanation?.failedOn == ["large"] && explanation?.readiness?.workers == 2)
        #expect(explanation?.readiness?.ableWorkers == 1 && explanation?.readiness?.freshWorkers == 0)
    }

    @Test("A task that fits nowhere keeps no smaller one waiting")
    func noBlocking() {
        var bench = Bench()
        bench.add((1...20).map { work($0, priority: 100 - $0, memory: 9) } + [work(30, memory: 1), work(31)])
        #expect(bench.join("small", slots: 2, memory: 2).given == ["30 small", "31 small"])
        #expect(
            bench.status.unmet == [.init(needs: Work.Needs(memoryBytes: 9), tasks: 20, largestMemoryBytes: 2)])
        let readiness = bench.coordinator.explanation(of: key(1))?.readiness
        #expect(readiness?.ableWorkers == 0 && readiness?.largestMemoryBytes == 2)
    }

    @Test("A task goes only to workers that compute its numerics; one that does not say may have any")
    func numerics() {
        var bench = Bench()
        bench.add([work(1, priority: 9, numerics: bf16), work(2, numerics: f32)])
        #expect(bench.join("a", slots: 2, memory: nil, numerics: [f32]).given == ["2 a"])
        #expect(
            bench.status.unmet == [.init(needs: Work.Needs(numerics: bf16), tasks: 1, largestMemoryBytes: nil)])
        #expect(bench.join("b", slots: 1, memory: nil).given == ["1 b"])
    }

    @Test("Of a need for memory and numerics, what those have counts that compute the numerics")
    func largestOfThoseThatCompute() {
        var bench = Bench()
        bench.add([work(1, memory: 6, numerics: bf16)])
        bench.join("large", slots: 1, memory: 9, numerics: [f32])
        #expect(bench.status.unmet.map(\.largestMemoryBytes) == [nil])
        bench.join("small", slots: 1, memory: 4, numerics: [f32, bf16])
        bench.join("tiny", slots: 1, memory: 2, numerics: [bf16])
        #expect(bench.status.unmet.map(\.largestMemoryBytes) == [4])
        #expect(bench.coordinator.explanation(of: key(1))?.readiness?.largestMemoryBytes == 4)
    }

    @Test(
        "A coordinator is stuck once what is left is unmet or waits for that, and goes on when a worker comes that can")
    func stuck() {
        var bench = Bench()
        bench.add([work(1), work(2, memory: 6), work(3, needs: [2], memory: 1)])
        #expect(!bench.status.isStuck, "nobody is here, and anybody may come")
        bench.join("small", slots: 2, memory: 4)
        #expect(!bench.status.isStuck, "what fits is trained first")
        bench.finish(attempt(1, 1), from: "small")
        #expect(bench.status.isStuck)
        #expect(bench.status.unmet.map(\.tasks) == [1] && bench.status.counts.left == 2)
        #expect(bench.join("large", slots: 1, memory: 6).given == ["2 large"])
        #expect(!bench.status.isStuck)
        bench.finish(attempt(2, 1), from: "large")
        bench.finish(attempt(3, 1), from: "large")
        #expect(!bench.status.isStuck && bench.status.counts.isSettled, "nothing is left")
    }

    @Test("What is paused could not be given out, and keeps no coordinator from being stuck")
    func pausedBesideStuck() {
        var bench = Bench()
        bench.add([work(1, memory: 6)], sweep: SweepID("a"))
        bench.add([work(2)], sweep: SweepID("b"))
        bench.handle(.sweepOrdered(SweepID("b"), .pause))
        bench.join("small", slots: 1, memory: 4)
        #expect(bench.status.isStuck)
        bench.handle(.sweepOrdered(SweepID("a"), .pause))
        #expect(!bench.status.isStuck, "nothing that is unmet is to be given out")
        bench.handle(.sweepOrdered(SweepID("b"), .resume))
        #expect(!bench.status.isStuck && bench.status.counts.running == 1)
    }

    @Test("A task whose child failed waits for another worker that is able, and not for one that is not")
    func failedAndAble() {
        var bench = Bench()
        bench.add([work(1, memory: 5)])
        bench.join("able", slots: 1, memory: 9)
        bench.join("small", slots: 1, memory: 1)
        #expect(bench.failure(attempt(1, 1), from: "able").given == ["1 able"])
        bench.join("other", slots: 1, memory: 9)
        #expect(bench.failure(attempt(1, 2), from: "able").given == ["1 other"])
    }

    @Test("A task whose child failed waits for a worker that rests for a short while, and not for a longer one")
    func failedAndResting() {
        var bench = Bench()
        bench.join("good", slots: 1)
        bench.add([work(0)])
        bench.join("bad", slots: 1)
        bench.add((1...4).map { work($0) })
        for number in 1...3 { bench.failure(attempt(number, 1), from: "bad") }
        func rest() -> Int64? { bench.status.workers.first { $0.worker == "bad" }?.quarantinedMilliseconds }
        #expect(rest() == 30_000)
        // Of those that it has not failed there are three.
        #expect(bench.failure(attempt(0, 1), from: "good").given == ["1 good"])
        bench.handle(.wake, after: 29_000)
        bench.beat("good", holding: [RunningAttempt(id: attempt(1, 2), step: 1)])
        bench.beat("bad")
        #expect(bench.handle(.wake, after: 1_000).given == ["0 bad"])
        bench.failure(attempt(0, 2), from: "bad")
        #expect(rest() == 60_000)
        #expect(bench.finish(attempt(1, 2), from: "good").given == ["0 good"])
    }

    @Test("Where the last one at work fails all it gets, nobody rests, and tasks are given up on both")
    func failedOnTheLast() {
        var bench = Bench()
        bench.join("a", slots: 1)
        bench.join("b", slots: 1)
        bench.add((1...20).map { work($0) })
        func fail(on worker: WorkerID) {
            let running = bench.status.running.first { $0.worker == worker }!
            bench.failure(
                AttemptID(task: running.task, attempt: running.attempt, generation: firstGeneration), from: worker)
        }
        func isResting(_ worker: WorkerID) -> Bool {
            bench.status.workers.first { $0.worker == worker }?.quarantinedMilliseconds != nil
        }
        for _ in 1...3 { fail(on: "b") }
        #expect(isResting("b") && !isResting("a"))
        // Its own, and one that has failed on both and may be tried anywhere.
        for _ in 1...4 where isResting("b") { fail(on: "a") }
        #expect(!isResting("b") && !isResting("a"))
        #expect(bench.status.counts.faulty == 1 && bench.status.running.count == 2, "\(bench.status.counts)")
        while let running = bench.status.running.first { fail(on: running.worker) }
        #expect(bench.status.counts.quarantined == 20, "\(bench.status.counts)")
    }

    @Test("Levels follow their parents to the worker that has the artifacts, though slots become free one at a time")
    func locality() {
        var bench = Bench()
        bench.add([work(1, priority: 2), work(2, priority: 2), work(11, needs: [1]), work(12, needs: [2])])
        bench.join("a", slots: 1)
        bench.join("b", slots: 1)
        // Both are busy with something longer when the levels become ready.
        bench.add([work(3, priority: 9), work(4, priority: 9)])
        #expect(bench.finish(attempt(1, 1), from: "a").given == ["3 a"])
        #expect(bench.finish(attempt(2, 1), from: "b").given == ["4 b"])
        // The first in line is 11, whose parent is on the other machine.
        #expect(bench.finish(attempt(4, 1), from: "b").given == ["12 b"])
        #expect(bench.finish(attempt(3, 1), from: "a").given == ["11 a"])
    }

    @Test("No slot waits for a worker that has the artifacts, and a more urgent task goes first wherever its are")
    func noIdling() {
        var bench = Bench()
        bench.add([work(1, priority: 9), work(2, priority: 9), work(11, needs: [1], priority: 5), work(12, needs: [2])])
        bench.join("a", slots: 1)
        bench.join("b", slots: 1)
        bench.add([work(3, priority: 8)])
        #expect(bench.finish(attempt(1, 1), from: "a").given == ["3 a"])
        #expect(bench.finish(attempt(2, 1), from: "b").given == ["11 b"])
        #expect(bench.finish(attempt(3, 1), from: "a").given == ["12 a"])
    }

    @Test("What a worker announces, and what it fetched for a task, count as there; a worker that is gone has nothing")
    func holdings() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a", slots: 1)
        bench.finish(attempt(1, 1), from: "a")
        bench.handle(.worker(RouteID("a"), .goodbye("a")))
        // Of those with a free slot the one with the most would get it.
        bench.join("b", slots: 3)
        bench.join("c", slots: 1, memory: nil, datasets: [blob("1 final")])
        #expect(bench.add([work(2, needs: [1])]).given == ["2 c"])
        #expect(bench.add([work(3, needs: [1])]).given == ["3 b"])
        bench.finish(attempt(3, 1), from: "b")
        bench.join("d", slots: 9)
        // It fetched its parent's artifact for the one before.
        #expect(bench.add([work(4, needs: [1])]).given == ["4 b"])
    }

    @Test(
        "Of each worker only so many artifacts are remembered, the latest; what is forgotten costs a transfer and nothing else"
    )
    func holdingsAreBounded() {
        var bench = Bench()
        bench.add([work(1), work(2)])
        bench.join("maker", slots: 2)
        for number in [1, 2] { bench.finish(attempt(number, 1), from: "maker") }
        bench.handle(.worker(RouteID("maker"), .goodbye("maker")))
        bench.join("wide", slots: 9)
        bench.join("near", slots: 4, memory: nil, datasets: [blob("1 final")])
        #expect(bench.add([work(3, needs: [1])]).given == ["3 near"])
        bench.finish(attempt(3, 1), from: "near")
        // A worker that says ever more is not believed to have all of it: that would be memory without end.
        let strange = (0..<3 * Limits.datasetsPerWorker).map { blob("strange \($0)") }
        for start in stride(from: 0, to: strange.count, by: Limits.datasetsPerWorker - 1) {
            let said = Array(strange[start..<min(strange.count, start + Limits.datasetsPerWorker - 1)])
            bench.join("near", slots: 4, memory: nil, datasets: said + [blob("2 final")])
        }
        #expect(strange.count > Limits.holdingsPerWorker)
        #expect(bench.add([work(4, needs: [1])]).given == ["4 wide"])
        bench.join("near", slots: 4, memory: nil, datasets: [blob("2 final"), blob("1 final")])
        #expect(bench.add([work(5, needs: [1])]).given == ["5 near"])
    }

    @Test("A request with other needs takes the place of the first")
    func changedNeeds() {
        var bench = Bench()
        bench.add([work(1, memory: 9)])
        #expect(bench.join("a", slots: 1, memory: 5).given.isEmpty)
        #expect(bench.add([work(1, memory: 4)]).given == ["1 a"])
        #expect(bench.disk.records[key(1)]?.work.needs == Work.Needs(memoryBytes: 4))
        bench.restart()
        #expect(bench.join("a", slots: 1, memory: 5).given == ["1 a"])
    }
}
