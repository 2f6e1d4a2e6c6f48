import Coordination
import Lottery
import Testing

@Suite("Failures have names")
struct FailureNameTests {
    private func failure(_ bench: Bench, _ number: Int) -> TaskFailure? {
        guard case .failed(let failure) = bench.coordinator.state(of: key(number)) else { return nil }
        return failure
    }

    @Test("A task whose children fail on several workers is quarantined, and what waits for it bears the name")
    func quarantinedTask() {
        var bench = Bench()
        bench.add([work(1), work(2, needs: [1])])
        bench.join("a")
        bench.join("b")
        bench.failure(attempt(1, 1), from: "a")
        bench.failure(attempt(1, 2), from: "b")
        bench.failure(attempt(1, 3), from: "a")
        #expect(failure(bench, 1) == TaskFailure(.quarantined, "failed 3 times on 2 workers, at last with: it broke"))
        #expect(failure(bench, 2)?.name == .quarantined && failure(bench, 2)?.isInherited == true)
        #expect(bench.status.counts.quarantined == 2 && bench.status.counts.isSettled)
        // On which workers it failed survives a restart, like the count.
        #expect(bench.disk.records[key(1)]?.failedOn == ["a", "b"])
    }

    @Test("On which workers a task has failed outlives the coordinator, which sends it to others and counts on")
    func restartBetweenFailures() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        bench.failure(attempt(1, 1), from: "a")
        let second = Generation(nonce: 2)
        bench.restart(generation: second)
        bench.join("b")
        bench.join("a", running: [RunningAttempt(id: attempt(1, 2), step: 1)])
        bench.failure(attempt(1, 2), from: "a")
        #expect(bench.status.running.map(\.worker) == ["b"], "a worker on which it has not failed comes first")
        bench.failure(attempt(1, 3, second), from: "b")
        #expect(failure(bench, 1)?.name == .quarantined)
    }

    @Test("Failing again and again on the only worker, and an error that is final, are called failed")
    func failedTask() {
        var bench = Bench()
        bench.add([work(1, priority: 1), work(2)])
        bench.join("a")
        for number in 1...3 { bench.failure(attempt(1, number), from: "a") }
        bench.failure(attempt(2, 1), from: "a", isFinal: true)
        #expect(failure(bench, 1) == TaskFailure(.failed, "failed 3 times, at last with: it broke"))
        #expect(failure(bench, 2) == TaskFailure(.failed, "it broke"))
    }

    @Test("An error that only reads like another task's is the task's own")
    func misleadingWords() {
        for reason in [
            "waits for a GPU, which is lost", "waits for ", "waits for abc", "it waits for abc, which failed",
        ] {
            #expect(!TaskFailure(.failed, reason).isInherited, "\(reason)")
        }
        #expect(TaskFailure(.lost, "waits for \(key(1)), which is lost: was lost 10 times").isInherited)
    }

    @Test("A task that is lost with its worker too often is called lost")
    func lostTask() {
        var settings = CoordinatorSettings()
        settings.lossLimit = 2
        var bench = Bench(settings: settings)
        bench.add([work(1)])
        for _ in 1...2 {
            bench.join("a", incarnation: UInt64(bench.now.milliseconds))
            #expect(bench.handle(.wake, after: 30_000).ended.map(\.name) == [.lost])
        }
        #expect(failure(bench, 1)?.name == .lost)
        #expect(bench.status.counts.lost == 1 && bench.status.counts.faulty == 1)
    }

    @Test("What ends through nobody's fault is preempted, and counts towards nothing")
    func preempted() {
        var bench = Bench()
        bench.add([work(1)])
        bench.join("a")
        let gone = bench.handle(.worker(RouteID("a"), .goodbye("a")))
        #expect(gone.ended.map(\.name) == [.preempted])
        #expect(bench.disk.records[key(1)]?.childFailures == 0 && bench.disk.records[key(1)]?.losses == 0)
    }

    @Test("A step that stands still is a failure of the task and of its worker, with a sentence")
    func stalled() {
        var settings = CoordinatorSettings()
        settings.childFailureLimit = 1
        settings.sessionMilliseconds = settings.startMilliseconds * 2
        var bench = Bench(settings: settings)
        bench.add([work(1)])
        bench.join("a")
        #expect(bench.handle(.wake, after: settings.stallMilliseconds).ended.isEmpty)
        bench.beat("a", holding: [RunningAttempt(id: attempt(1, 1), step: 1)])
        #expect(bench.handle(.wake, after: settings.stallMilliseconds - 1).ended.isEmpty)
        #expect(bench.handle(.wake, after: 1).ended.map(\.name) == [.failed])
        let reason = "failed 1 times; at last its step stood still for too long (`--stall` of serve and run)"
        #expect(failure(bench, 1)?.reason == reason)
    }

    @Test("Before its first step a training has longer, and not for ever")
    func hangsAtOnce() {
        var settings = CoordinatorSettings()
        settings.sessionMilliseconds = settings.startMilliseconds * 2
        var bench = Bench(settings: settings)
        bench.add([work(1)])
        bench.join("a")
        #expect(bench.handle(.wake, after: settings.startMilliseconds - 1).ended.isEmpty)
        #expect(bench.handle(.wake, after: 1).ended.map(\.name) == [.failed])
    }

    @Test("One task that fails again and again does not quarantine its worker; different ones do, and status says so")
    func quarantinedWorker() {
        var settings = CoordinatorSettings()
        settings.childFailureLimit = 10
        var bench = Bench(settings: settings)
        bench.join("busy")
        bench.add([work(0)])
        bench.join("a")
        bench.add([work(1)])
        for number in 1...4 {
            // Only “a” is left to fail it: the other's failure is not needed to be tried there again.
            bench.failure(attempt(1, number), from: bench.status.running.last { $0.task == key(1) }?.worker ?? "a")
            if bench.status.running.allSatisfy({ $0.task != key(1) }) { bench.finish(attempt(0, 1), from: "busy") }
        }
        #expect(bench.status.workers.allSatisfy { $0.quarantinedMilliseconds == nil })

        var other = Bench()
        other.join("good")
        other.add([work(0)])
        other.join("bad")
        other.add((1...3).map { work($0) })
        let notices = (1...3).flatMap { other.failure(attempt($0, 1), from: "bad").notices }
        #expect(notices == [.workerQuarantined("bad", tasks: 3, milliseconds: 30_000)])
        #expect(other.status.workers.map(\.quarantinedMilliseconds) == [30_000, nil])
    }
}
