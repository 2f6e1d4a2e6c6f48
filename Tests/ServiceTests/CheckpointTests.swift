import Artifacts
import Coordination
import CoordinatorService
import Foundation
import Glibc
import Lottery
import Store
import Testing
import WorkerService

@Suite("Checkpoints on their way between workers", .timeLimit(.minutes(2)), .serialized)
struct CheckpointTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    private func kept(_ store: Store, _ name: String) throws -> SavedCheckpoint? {
        try store.snapshot().tasks.first { $0.work.key == key(name) }?.checkpoint
    }

    /// The step at which each try of a task began.
    private func beginnings() -> [Int] {
        bench.lines("log").compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
    }

    @Test("Killed with its machine's disk, a worker's training goes on elsewhere from what it had sent up")
    func killedWorker() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let doomed = try bench.startWorkerProcess("doomed", at: coordinator.endpoint)
        defer { if doomed.isRunning { doomed.terminate() } }
        try coordinator.add([
            work("long", "saves 5 note \(bench.path("log")) wait \(bench.path("go")) output final 8 8")
        ])
        try #require(eventually { try kept(coordinator.store, "long") != nil })
        kill(doomed.processIdentifier, SIGKILL)
        doomed.waitUntilExit()
        try FileManager.default.removeItem(atPath: bench.path("worker-doomed"))
        _ = try bench.startWorker("heir", at: coordinator.endpoint)
        try #require(eventually { bench.lines("log").count == 2 })
        let checkpoint = try #require(try kept(coordinator.store, "long"))
        #expect(beginnings()[0] == 0 && beginnings()[1] == checkpoint.step, "\(beginnings())")
        #expect(checkpoint.step > 0 && checkpoint.digest == Digest.of("\(checkpoint.step)".utf8))
        bench.touch("go")
        #expect(try coordinator.run() == .done(failedTasks: 0))
        // A task that is done needs none.
        #expect(try kept(coordinator.store, "long") == nil)
        #expect(eventually { (try? coordinator.store.checkpoints?.digests()) == [] })
    }

    @Test("A drained worker hands its tasks back with what it trained, and others go on from there at once")
    func drained() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let first = try bench.startWorker("a", at: coordinator.endpoint) { $0.deadlineMilliseconds = 3_600_000 }
        try coordinator.add([work("long", "note \(bench.path("log")) wait \(bench.path("go")) output final 1 1")])
        try #require(eventually { (coordinator.status?.workers.first?.running.first?.step ?? 0) > 20 })
        _ = try bench.startWorker("b", at: coordinator.endpoint)
        try #require(eventually { coordinator.status?.workers.count == 2 })
        first.stop()
        #expect(try first.waitForExit() == .stopped)
        try #require(eventually { bench.lines("log").count == 2 })
        #expect(beginnings()[1] > 20)
        bench.touch("go")
        #expect(try coordinator.run() == .done(failedTasks: 0))
        let attempts = try coordinator.store.attempts(of: key("long"))
        #expect(attempts.map(\.ending) == [.preempted, .succeeded])
        #expect(try coordinator.store.snapshot().tasks[0].childFailures == 0)
    }

    @Test("A worker whose time is over hands back by itself and ends")
    func deadline() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        try coordinator.add([work("long", "note \(bench.path("log")) wait \(bench.path("go")) output final 1 1")])
        let first = try bench.startWorker("a", at: coordinator.endpoint) {
            $0.settings.marginMilliseconds = 30_000
            $0.deadlineMilliseconds = 31_000
        }
        #expect(try first.waitForExit() == .stopped)
        #expect(bench.lines("log").count == 1)
        bench.touch("go")
        _ = try bench.startWorker("b", at: coordinator.endpoint)
        #expect(try coordinator.run() == .done(failedTasks: 0))
        #expect(beginnings()[1] > 0)
        #expect(try coordinator.store.attempts(of: key("long")).map(\.ending) == [.preempted, .succeeded])
    }

    @Test("A worker that died and came back under its name goes on from its own file")
    func sameWorker() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let first = try bench.startWorkerProcess("a", at: coordinator.endpoint)
        defer { if first.isRunning { first.terminate() } }
        try coordinator.add([
            work("long", "saves 5 note \(bench.path("log")) wait \(bench.path("go")) output final 1 1")
        ])
        let resume = bench.path("worker-a/attempts/\(key("long").hex)/resume")
        try #require(eventually { FileManager.default.fileExists(atPath: resume) })
        kill(first.processIdentifier, SIGKILL)
        first.waitUntilExit()
        let saved = try #require(Int(String(contentsOfFile: resume, encoding: .utf8)))
        let second = try bench.startWorkerProcess("a", at: coordinator.endpoint)
        try #require(eventually { bench.lines("log").count == 2 })
        #expect(beginnings()[1] == saved)
        bench.touch("go")
        #expect(try coordinator.run() == .done(failedTasks: 0))
        second.waitUntilExit()
    }

    @Test("A checkpoint that a restored backup names and has not got stands above none that come")
    func backup() throws {
        let long = work("long", "note \(bench.path("log")) wait \(bench.path("go")) output final 1 1")
        do {
            let coordinator = try bench.startCoordinator()
            try coordinator.add([long])
            try coordinator.store.commit([
                .checkpointKept(key("long"), SavedCheckpoint(step: 1 << 40, digest: Digest.of([1]), byteCount: 1))
            ])
            coordinator.stop()
            _ = try coordinator.run()
        }
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        try coordinator.add([long])
        let first = try bench.startWorker("a", at: coordinator.endpoint) { $0.deadlineMilliseconds = 3_600_000 }
        try #require(eventually { (coordinator.status?.workers.first?.running.first?.step ?? 0) > 20 })
        first.stop()
        #expect(try first.waitForExit() == .stopped)
        _ = try bench.startWorker("b", at: coordinator.endpoint)
        try #require(eventually { bench.lines("log").count == 2 })
        #expect(beginnings()[0] == 0 && beginnings()[1] > 20, "\(beginnings())")
        bench.touch("go")
        #expect(try coordinator.run() == .done(failedTasks: 0))
    }

    @Test("Blobs of checkpoints that a crash left are swept away when the coordinator starts")
    func leftovers() throws {
        let configuration = bench.coordinatorConfiguration()
        func leave() throws {
            let store = try Store.open(directory: configuration.storeDirectory, mode: .coordinator)
            _ = try store.checkpoints?.write([1, 2, 3])
            try store.close()
        }
        try leave()
        let coordinator = try CoordinatorService(configuration)
        #expect(try coordinator.store.checkpoints?.digests() == [])
    }
}
