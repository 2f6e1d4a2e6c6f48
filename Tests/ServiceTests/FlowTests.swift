import Artifacts
import Coordination
import CoordinatorService
import Foundation
import Glibc
import Lottery
import Store
import Testing
import WorkerService

@Suite("Coordinator and workers together", .timeLimit(.minutes(2)), .serialized)
struct FlowTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    @Test("Tasks flow from parents to children over two workers until all are done")
    func flow() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let workers = try ["a", "b"].map { try bench.startWorker($0, at: coordinator.endpoint, slots: 2) }
        var works = (0..<10).map { work("root \($0)", "output final \($0) 7") }
        works += (0..<10).map {
            work(
                "child \($0)", "copy parent final",
                inputs: [WorkInput(name: "parent", source: .output(key("root \($0)"), .final))])
        }
        try coordinator.add(works)
        #expect(try coordinator.run() == .done(failedTasks: 0))
        for index in 0..<10 {
            let root = try #require(try coordinator.store.result(of: key("root \(index)")))
            let child = try #require(try coordinator.store.result(of: key("child \(index)")))
            #expect(root.outputs.map(\.byteCount) == [index])
            #expect(child.outputs == root.outputs)
            #expect(root.summary == Array("done".utf8))
        }
        // The coordinator has no more work, and says so.
        for worker in workers { #expect(try worker.waitForExit() == .shutdown) }
        // Delivered results leave nothing behind.
        for name in ["a", "b"] {
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.path("worker-\(name)/attempts")).isEmpty)
        }
    }

    @Test("Blobs of several megabytes go up to the store and down to another worker, byte for byte")
    func blobs() throws {
        let coordinator = try bench.startCoordinator()
        let first = try bench.startWorker("a", at: coordinator.endpoint)
        let size = 5 << 20 | 77
        try coordinator.add([work("big", "output final \(size) 3 output metrics 0 0")])
        try #require(eventually { coordinator.status?.tasks.done == 1 })
        first.stop()
        #expect(try first.waitForExit() == .stopped)
        _ = try bench.startWorker("b", at: coordinator.endpoint)
        try coordinator.add([
            work("copy", "copy parent final", inputs: [WorkInput(name: "parent", source: .output(key("big"), .final))])
        ])
        try #require(eventually { coordinator.status?.tasks.done == 2 })
        let digest = Digest.of([UInt8](repeating: 3, count: size))
        for name in ["big", "copy"] {
            #expect(try coordinator.store.outputs(of: key(name)).first { $0.name == .final }?.digest == digest)
        }
        #expect(throws: Never.self) { try coordinator.store.artifacts.verify(digest) }
    }

    @Test("A part with wrong bytes is thrown away, and the blob comes anew")
    func damagedPart() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let bytes = [UInt8](repeating: 9, count: 3 << 20)
        // What an earlier try left, but damaged on the disk since.
        let folder = coordinator.store.artifacts
        do {
            try folder.beginPart(Digest.of(bytes), byteCount: bytes.count).append([UInt8](repeating: 1, count: 1 << 20))
        }
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("big", "output final \(bytes.count) 9")])
        #expect(try coordinator.run() == .done(failedTasks: 0))
        #expect(throws: Never.self) { try folder.verify(Digest.of(bytes)) }
    }

    @Test("A child that dies is replaced and its task tried again")
    func deadChild() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([
            work("fragile", "note \(bench.path("log")) die-unless \(bench.path("died")) output final 3 1")
        ])
        #expect(try coordinator.run() == .done(failedTasks: 0))
        let processes = bench.lines("log").map { $0.split(separator: " ")[0] }
        #expect(processes.count == 2 && processes[0] != processes[1])
    }

    @Test(
        "A task whose child dies again and again is failed, and so is what waits for it; others go on in the same process"
    )
    func deadlyTask() throws {
        let coordinator = try bench.startCoordinator {
            $0.exitWhenDone = true
            $0.settings.childFailureLimit = 3
        }
        _ = try bench.startWorker(at: coordinator.endpoint)
        let log = bench.path("log")
        try coordinator.add([
            work("deadly", "note \(bench.path("deaths")) die", cost: 9),
            work(
                "waits", "output final 1 1", inputs: [WorkInput(name: "parent", source: .output(key("deadly"), .final))]
            ),
            work("first", "note \(log) output final 1 1"), work("second", "note \(log) output final 2 1"),
        ])
        #expect(try coordinator.run() == .done(failedTasks: 2))
        #expect(bench.lines("deaths").count == 3)
        #expect(bench.lines("log").count == 2)
        guard case .failed(let failure) = try coordinator.store.task(key("deadly"))?.state else {
            Issue.record("the deadly task is not failed")
            return
        }
        // On one worker alone it may be the worker's fault.
        #expect(failure.name == .failed)
        #expect(failure.reason.contains("signal 9"), "\(failure.reason)")
    }

    @Test("The end of what a child wrote before it failed is kept with its attempt, with worker and times")
    func logTail() throws {
        let coordinator = try bench.startCoordinator {
            $0.exitWhenDone = true
            $0.settings.childFailureLimit = 2
        }
        _ = try bench.startWorker(at: coordinator.endpoint)
        let long = String(repeating: "x", count: 3 * Limits.logTailBytes)
        let began = Date().timeIntervalSince1970
        try coordinator.add([
            work("quiet", "output final 1 1", cost: 9),
            work("loud", "complain \(long) complain layer-3:NaN print no-memory die", cost: 1),
        ])
        #expect(try coordinator.run() == .done(failedTasks: 1))
        let attempts = try coordinator.store.attempts(of: key("loud"))
        #expect(attempts.map(\.number) == [1, 2])
        for attempt in attempts {
            #expect(attempt.worker.text.hasPrefix("a"))
            #expect(attempt.ending == .childFailed && attempt.ending?.failure == .failed)
            #expect(attempt.reason?.contains("signal 9") == true)
            let log = try #require(attempt.log)
            #expect(log.hasSuffix("xxx\nlayer-3:NaN\nno-memory\n"), "\(log.suffix(100))")
            #expect(log.utf8.count <= Limits.logTailBytes && log.utf8.count > Limits.logTailBytes / 2)
            let (start, end) = (try #require(attempt.startedAt), try #require(attempt.endedAt))
            #expect(began - 1 <= start && start <= end && end <= Date().timeIntervalSince1970 + 1)
        }
        let quiet = try coordinator.store.attempts(of: key("quiet"))
        #expect(quiet.map(\.ending) == [.succeeded] && quiet[0].log == nil)
    }

    @Test("A training whose step stands still is killed by its worker and done anew, in another process")
    func hang() throws {
        let coordinator = try bench.startCoordinator {
            $0.exitWhenDone = true
            $0.settings.stallMilliseconds = 700
            $0.settings.startMilliseconds = 700
        }
        _ = try bench.startWorker(at: coordinator.endpoint)
        let log = bench.path("log")
        try coordinator.add([
            work("hangs", "note \(log) complain waiting-for-a-lock hang-unless \(bench.path("hung")) output final 3 1"),
            work("next", "note \(log) output final 4 1", cost: 0),
        ])
        #expect(try coordinator.run() == .done(failedTasks: 0))
        #expect(try coordinator.store.attempts(of: key("hangs")).map(\.ending) == [.stalled, .succeeded])
        #expect(try coordinator.store.attempts(of: key("hangs")).map(\.log) == ["waiting-for-a-lock\n", nil])
        let processes = bench.lines("log").map { $0.split(separator: " ")[0] }
        #expect(processes.count == 3 && processes[0] != processes[1])
        let hung = try #require(Int32(processes[0]))
        #expect(eventually { kill(hung, 0) != 0 }, "the child that hung still runs")
    }

    @Test("A failure that the task itself is at fault for is final at once")
    func rejected() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("bad", "note \(bench.path("log")) reject nonsense")])
        #expect(try coordinator.run() == .done(failedTasks: 1))
        #expect(bench.lines("log").count == 1)
        #expect(try coordinator.store.task(key("bad"))?.state == .failed(TaskFailure(.failed, "nonsense")))
    }

    @Test("What a child prints does not disturb its talk with the worker")
    func printing() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("chatty", "print \u{0}\u{0}\u{0}\u{7f}noise steps 3 1 output final 4 4")])
        #expect(try coordinator.run() == .done(failedTasks: 0))
    }

    @Test("When a worker is killed its children die and another worker does its tasks")
    func killedWorker() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let doomed = try bench.startWorkerProcess("doomed", at: coordinator.endpoint)
        defer { if doomed.isRunning { doomed.terminate() } }
        try coordinator.add([work("long", "note \(bench.path("log")) wait \(bench.path("go")) output final 8 8")])
        try #require(eventually { bench.lines("log").count == 1 })
        kill(doomed.processIdentifier, SIGKILL)
        let child = try #require(pid_t(bench.lines("log")[0].split(separator: " ")[0]))
        #expect(eventually { kill(child, 0) == -1 }, "child \(child) has outlived its worker")
        bench.touch("go")
        _ = try bench.startWorker("heir", at: coordinator.endpoint)
        #expect(try coordinator.run() == .done(failedTasks: 0))
        #expect(bench.lines("log").count == 2)
    }

    @Test("A coordinator started anew on its store takes back the worker that went on, and nothing is done twice")
    func restart() throws {
        let log = bench.path("log")
        var configuration = bench.coordinatorConfiguration()
        configuration.bind = Bench.ownAddress()
        var endpoint = ""
        func runFirst() throws -> ThreadedWorker {
            let coordinator = try CoordinatorService(configuration)
            endpoint = coordinator.endpoint
            let worker = try bench.startWorker(at: endpoint, slots: 2)
            try coordinator.add([
                work("short", "note \(log) output final 1 1"),
                work("long", "note \(log) wait \(bench.path("go")) output final 2 2"),
                work(
                    "later", "note \(log) copy parent final",
                    inputs: [WorkInput(name: "parent", source: .output(key("long"), .final))]),
            ])
            try #require(eventually { coordinator.status?.tasks.done == 1 && bench.lines("log").count == 2 })
            coordinator.stop()
            #expect(try coordinator.run() == .stopped)
            return worker
        }
        let worker = try runFirst()
        // Finished while there is no coordinator.
        bench.touch("go")
        var again = configuration
        again.bind = endpoint
        again.exitWhenDone = true
        // The first one's store is let go of with it.
        var second: CoordinatorService?
        #expect(eventually { (try? second = CoordinatorService(again)) != nil })
        let coordinator = try #require(second)
        try coordinator.add([])
        #expect(try coordinator.run() == .done(failedTasks: 0))
        #expect(bench.lines("log").count == 3, "\(bench.lines("log"))")
        #expect(try coordinator.store.counts().done == 3)
        #expect(try worker.waitForExit() == .shutdown)
    }

    @Test("What a worker finished without a coordinator outlives its process: it is handed over, not trained again")
    func outbox() throws {
        let log = bench.path("log")
        var configuration = bench.coordinatorConfiguration()
        configuration.bind = Bench.ownAddress()
        var endpoint = ""
        func runFirst() throws -> Process {
            let coordinator = try CoordinatorService(configuration)
            endpoint = coordinator.endpoint
            let worker = try bench.startWorkerProcess("a", at: endpoint)
            try coordinator.add([work("long", "note \(log) wait \(bench.path("go")) output final 1 1")])
            try #require(eventually { bench.lines("log").count == 1 })
            coordinator.stop()
            #expect(try coordinator.run() == .stopped)
            return worker
        }
        let worker = try runFirst()
        bench.touch("go")
        func kept() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: bench.path("worker-a/outbox"))
        }
        try #require(eventually { try kept().contains { $0.hasPrefix(key("long").hex) } })
        kill(worker.processIdentifier, SIGKILL)
        worker.waitUntilExit()
        // What was half written when it died is swept away.
        bench.touch("worker-a/outbox/1-half")

        var again = configuration
        again.bind = endpoint
        again.exitWhenDone = true
        var second: CoordinatorService?
        #expect(eventually { (try? second = CoordinatorService(again)) != nil })
        let coordinator = try #require(second)
        let successor = try bench.startWorkerProcess("a", at: endpoint)
        try coordinator.add([])
        #expect(try coordinator.run() == .done(failedTasks: 0))
        successor.waitUntilExit()
        #expect(bench.lines("log").count == 1, "\(bench.lines("log"))")
        #expect(try coordinator.store.counts().done == 1)
        #expect(try kept().isEmpty)
    }

    @Test("A stopped worker leaves a resume file, from which the same task goes on in the same folder")
    func resume() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let first = try bench.startWorker(at: coordinator.endpoint)
        let name = first.service.worker
        try coordinator.add([
            work("long", "note \(bench.path("log")) wait \(bench.path("go")) output final 1 1", cost: 1_000_000)
        ])
        try #require(eventually { (coordinator.status?.workers.first?.running.first?.step ?? 0) > 5 })
        first.stop()
        #expect(try first.waitForExit() == .stopped)
        let second = try bench.startWorker(at: coordinator.endpoint)
        #expect(second.service.worker == name)
        try #require(eventually { bench.lines("log").count == 2 })
        bench.touch("go")
        #expect(try coordinator.run() == .done(failedTasks: 0))
        let resumedAt = try #require(Int(bench.lines("log")[1].split(separator: " ")[1]))
        #expect(resumedAt > 5)
    }

    @Test("A worker without work ends after its idle time")
    func idle() throws {
        let coordinator = try bench.startCoordinator()
        let worker = try bench.startWorker(at: coordinator.endpoint) { $0.settings.idleExitMilliseconds = 50 }
        #expect(try worker.waitForExit() == .idle)
    }

    @Test("A worker's cache gives way when it is full, but never what is still needed")
    func cache() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        _ = try bench.startWorker(at: coordinator.endpoint) { $0.cacheByteCount = 2_500 }
        var works = [work("0", "output final 1000 0")]
        works += (1..<8).map {
            work(
                "\($0)", "copy parent before output final 1000 \($0)",
                inputs: [WorkInput(name: "parent", source: .output(key("\($0 - 1)"), .final))])
        }
        try coordinator.add(works)
        #expect(try coordinator.run() == .done(failedTasks: 0))
        let folder = try ArtifactFolder(directory: bench.path("worker-a/artifacts"), access: .reader)
        #expect(eventually { ((try? folder.digests().count) ?? 8) <= 2 })
    }

    @Test("A commit that fails ends the coordinator with the store's sentence; nothing was sent and nothing is lost")
    func failedCommit() throws {
        func fail() throws {
            let coordinator = try bench.startCoordinator()
            _ = try bench.startWorker(at: coordinator.endpoint)
            try coordinator.add([work("before", "output final 1 1")])
            try #require(eventually { coordinator.status?.tasks.done == 1 })
            try coordinator.store.close()
            #expect(throws: SubmissionError.self) { try coordinator.add([work("after", "note \(bench.path("log"))")]) }
            #expect(throws: CoordinatorServiceError.self) { try coordinator.run() }
        }
        try fail()
        #expect(bench.lines("log").isEmpty)
        let store = try Store.open(directory: bench.path("store"), mode: .reader)
        #expect(try store.counts() == TaskCounts(done: 1))
    }
}
