import Coordination
import Lottery
import Testing

@Suite("Outputs that nobody will read")
struct RetentionTests {
    /// A level that reads the checkpoint of step 5 of task 1.
    private func level(_ number: Int) -> Work {
        Work(
            key: key(number), inputs: [WorkInput(name: "rewind", source: .output(key(1), .step(5)))], cost: 1,
            priority: 0, payload: [])
    }

    private var dense: WorkResult { result(1, outputs: [.final, .step(5)]) }
    private let retirement = Retirement(
        task: key(1), name: .step(5), remainder: TaskOutput(name: .step(5), digest: blob("weights"), byteCount: 3))

    /// Dense training and two levels, of which the first `done` are.
    private func bench(done: Int) -> Bench {
        var bench = Bench()
        bench.add([work(1), level(2), level(3)])
        bench.join("a")
        bench.finish(attempt(1, 1), from: "a", dense)
        for number in [2, 3].prefix(done) { bench.finish(attempt(number, 1), from: "a") }
        return bench
    }

    @Test("An output goes once all that read it are done, and not before; a task that was given up may be retried")
    func readers() {
        var bench = bench(done: 1)
        #expect(bench.handle(.retire([retirement])).changes.isEmpty)
        bench.handle(.taskOrdered(key(3), .cancel))
        #expect(!bench.coordinator.mayRetire(key(1), .step(5)))
        #expect(bench.handle(.retire([retirement])).changes.isEmpty)
        bench.handle(.taskOrdered(key(3), .retry([.cancelled])))
        bench.finish(attempt(3, 2), from: "a")
        #expect(bench.coordinator.mayRetire(key(1), .step(5)))
        #expect(bench.handle(.retire([retirement])).changes == [.outputRetired(retirement)])
        // It is gone, and what is done stays done, here and after a restart.
        #expect(bench.handle(.retire([retirement])).changes.isEmpty)
        #expect(bench.status.counts.done == 3)
        bench.restart()
        #expect(!bench.coordinator.mayRetire(key(1), .step(5)))
        #expect(bench.coordinator.state(of: key(1)) == .done)
        #expect(bench.disk.records[key(1)]?.state == .done(result(1)))
    }

    @Test(
        "A task that is done again and given up takes along what runs or is delivered meanwhile and reads of it",
        arguments: 4...9)
    func givenUpAgain(reader: Int) {
        for isDelivering in [false, true] {
            var settings = CoordinatorSettings()
            settings.lossLimit = 1
            var bench = Bench(settings: settings)
            bench.add([work(1), level(2), work(reader, needs: [1])])
            bench.join("a", slots: 2)
            bench.finish(attempt(1, 1), from: "a", dense)
            bench.finish(attempt(2, 1), from: "a")
            #expect(bench.handle(.retire([retirement])).changes == [.outputRetired(retirement)])
            #expect(bench.add([work(1, payload: "again"), level(3)]).started == [attempt(1, 2)])
            if isDelivering {
                bench.handle(
                    .worker(
                        RouteID("a"),
                        .result(ResultReport(worker: "a", id: attempt(reader, 1), result: result(reader)))))
            }
            let lost = bench.handle(.wake, after: 30_000)
            #expect(Set(lost.ended) == [.lost, .revoked] || Set(lost.ended) == [.lost], "\(lost.ended)")
            #expect(bench.status.counts.lost == 3 && bench.status.counts.running == 0, "\(bench.status.counts)")
        }
    }

    @Test("What is not there, or not done, does not go")
    func unknown() {
        var bench = Bench()
        bench.add([work(1)])
        #expect(!bench.coordinator.mayRetire(key(1), .final))
        #expect(!bench.coordinator.mayRetire(key(9), .final))
        bench.join("a")
        bench.finish(attempt(1, 1), from: "a")
        #expect(!bench.coordinator.mayRetire(key(1), .step(5)))
        #expect(bench.handle(.retire([Retirement(task: key(9), name: .final), retirement])).changes.isEmpty)
    }

    @Test(
        "A task that comes later and reads an output that went has it made again first, over a restart",
        arguments: [false, true])
    func again(restarts: Bool) throws {
        var bench = bench(done: 2)
        bench.handle(.retire([retirement]))
        // Another that reads nothing of it changes nothing.
        #expect(bench.add([work(1), work(4, needs: [1])]).changes.contains(.taskReopened(work(1))) == false)
        bench.finish(attempt(4, 1), from: "a")
        let added = bench.add([work(1, payload: "again"), level(5)])
        #expect(added.changes.prefix(2) == [.taskAdded(level(5)), .taskReopened(work(1, payload: "again"))])
        if restarts {
            bench.restart()
            let running = bench.disk.records.values.compactMap(\.running).map {
                RunningAttempt(id: $0.attempt, step: 1)
            }
            bench.join("a", running: running)
        }
        #expect(bench.coordinator.state(of: key(5)) == .pending)
        let redone = try #require(bench.disk.records[key(1)]?.running?.attempt)
        #expect(redone.attempt == Attempt(2))
        let finished = bench.finish(redone, from: "a", dense)
        let next = try #require(finished.tasks.first)
        #expect(next.id.task == key(5))
        #expect(next.inputs == [ResolvedInput(name: "rewind", digest: try #require(dense.output(.step(5))).digest)])
        bench.finish(next.id, from: "a", result(5))
        #expect(bench.status.counts.isSettled && bench.status.counts.done == 5)
        #expect(bench.disk.nondeterministic == 0)
    }
}
