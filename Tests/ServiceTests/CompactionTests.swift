import Artifacts
import Client
import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store
import Testing
import WorkerService

@Suite("A coordinator removes what no record names", .timeLimit(.minutes(2)), .serialized)
struct CompactionTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    private func compact(_ client: Client, intermediates: Bool = false) throws -> CompactReply {
        // Nothing said is no intermediates.
        let body = try intermediates ? CompactionTests.json(CompactRequest(intermediates: true)) : []
        let reply = try client.request(ServiceVerb.compact.rawValue, body: body)
        return try JSONDecoder().decode(CompactReply.self, from: Data(reply))
    }

    private static func json(_ body: some Encodable) throws -> [UInt8] { Array(try JSONEncoder().encode(body)) }

    /// All that the records name is there, and whole.
    private func verify(_ coordinator: CoordinatorService) throws {
        for digest in try coordinator.store.references().keys { try coordinator.store.artifacts.verify(digest) }
    }

    /// With several levels its results ask for one after the other, since none of its chains ends early.
    private static func growing(_ name: String, lr: String, rate: Double = 0.5, levels: Int) -> SubmitRequest {
        let spec = """
            name: \(name)
            dataset: dots
            model: {family: mlp, hidden: [100]}
            training: {iterations: 20, batch: 10, evaluate_every: 10}
            pruning: {rate: \(rate), levels: \(levels), rewind: 5}
            data: {validation: 1000}
            replicates: 2
            \(levels > 1 ? "stop_when: {margin: 0.2, levels: 1}" : "")
            grid: {lr: [\(lr)]}
            """
        return SubmitRequest(file: "\(name).yaml", spec: spec)
    }

    @Test("Artifacts that no record names go, all others stay, and the database is rewritten once nothing runs")
    func unnamed() throws {
        let coordinator = try bench.startCoordinator { $0.unnamedSeconds = 0 }
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("x", "output final 3000 1"), work("y", "output final 2000 2")])
        #expect(eventually { coordinator.status?.tasks.done == 2 })
        let artifacts = coordinator.store.artifacts
        let stranger = try artifacts.write([UInt8](repeating: 7, count: 1_234))
        let client = try Client(endpoint: coordinator.endpoint)
        let reply = try compact(client)
        #expect(reply.removed == 1 && reply.removedBytes == 1_234 && reply.rewroteDatabase)
        #expect(!artifacts.contains(stranger))
        try verify(coordinator)
        #expect(try compact(client).removed == 0)
    }

    @Test("What came a moment ago may be a result's and stays")
    func young() throws {
        let coordinator = try bench.startCoordinator()
        let stranger = try coordinator.store.artifacts.write([1, 2, 3])
        #expect(try compact(try Client(endpoint: coordinator.endpoint)).removed == 0)
        #expect(coordinator.store.artifacts.contains(stranger))
    }

    @Test("A store is compacted before or after a sweep is planned, never amid it: no record names its data set yet")
    func planned() throws {
        let release = bench.path("release")
        let coordinator = try bench.startCoordinator {
            $0.unnamedSeconds = 0
            let access = $0.data
            $0.data = DataAccess(
                digest: { name in
                    // Holds the desk up until all requests may be there.
                    _ = eventually(seconds: 60) { exists(release) }
                    return try access.digest(name)
                }, materialise: access.materialise)
        }
        let stranger = try coordinator.store.artifacts.write([1, 2, 3])
        let answers = Answers()
        let endpoint = coordinator.endpoint
        Thread.detachNewThread {
            answers.note {
                _ = try Client(endpoint: endpoint).request(ServiceVerb.compact.rawValue, timeoutMilliseconds: 60_000)
            }
        }
        // It waits behind the submissions on either side of it.
        for name in ["a", "b"] {
            Thread.detachNewThread {
                let spec = SubmissionTests.spec.replacing("name: small", with: "name: \(name)")
                answers.note { _ = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: spec)) }
            }
        }
        bench.touch("release")
        #expect(eventually { answers.count == 3 })
        #expect(answers.failures.isEmpty, "\(answers.failures)")
        #expect(!coordinator.store.artifacts.contains(stranger))
        #expect(try coordinator.store.sweeps().map(\.isWhole) == [true, true])
        #expect(coordinator.store.artifacts.contains(Digest.of(DataAccess.bytes)))
        try verify(coordinator)
    }

    @Test("A sweep whose growth is asked for behind a survey does not count on checkpoints that go")
    func growthBehindSurvey() throws {
        let (busy, release, compacted) = (bench.path("busy"), bench.path("release"), bench.path("compacted"))
        let coordinator = try bench.startCoordinator {
            // Asked for each recipe of a plan, by the desk.
            $0.vocabulary.memoryBytes = { settings, _ in
                let rate = settings.training.learningRate
                if rate == 0.3 {
                    touch(busy)
                    _ = eventually(seconds: 60) { exists(release) }
                } else if rate == 0.2, exists(busy) {
                    // A plan that is begun too early sees one rate's checkpoints before they go.
                    _ = eventually(seconds: 30) { exists(compacted) }
                }
                return 0
            }
        }
        let endpoint = coordinator.endpoint
        _ = try coordinator.submit(CompactionTests.growing("grows", lr: "0.1, 0.2", levels: 2))
        let answers = Answers()
        let other = try CompactionTests.json(CompactionTests.growing("other", lr: "0.3", levels: 1))
        Thread.detachNewThread {
            answers.note {
                _ = try Client(endpoint: endpoint).request(
                    ServiceVerb.submit.rawValue, body: other, timeoutMilliseconds: 60_000)
            }
        }
        try #require(eventually { exists(busy) })
        let compaction = try CompactionTests.json(CompactRequest(intermediates: true))
        for _ in 1...2 {
            Thread.detachNewThread {
                answers.note {
                    _ = try Client(endpoint: endpoint).request(
                        ServiceVerb.compact.rawValue, body: compaction, timeoutMilliseconds: 60_000)
                    touch(compacted)
                }
            }
        }
        // One of them is refused: then the other waits at the desk, before any result asks for more.
        try #require(eventually { answers.count == 1 })
        try #require(answers.failures.first?.contains("compacted already") == true, "\(answers.failures)")
        _ = try bench.startWorker(at: endpoint, slots: 2)
        try #require(try eventually { try coordinator.store.counts() == TaskCounts(done: 8) })
        touch(release)
        try #require(eventually { answers.count == 3 })
        #expect(answers.failures.count == 1, "\(answers.failures)")
        // Three trainings for each of two rates and two seeds, with a replay each; and the other sweep's.
        #expect(try eventually { try coordinator.store.counts() == TaskCounts(done: 16 + 4) })
        let all = ServiceStatus.Tally(done: 16, total: 16)
        #expect(eventually { coordinator.status?.sweeps.first?.levels == all })
        #expect(coordinator.status?.tasks.failed == 0)
        try verify(coordinator)
    }

    @Test("Where tickets alone are kept, checkpoints that nobody waits for go while the sweep goes on")
    func whileItGoesOn() throws {
        let coordinator = try bench.startCoordinator {
            $0.retainsTicketsOnly = true
            $0.retentionMilliseconds = 100
            // One of two rates is more than the worker can take, so that the sweep does not end.
            $0.vocabulary.memoryBytes = { settings, _ in settings.training.learningRate == 0.2 ? 1 << 40 : 1 }
        }
        _ = try coordinator.submit(CompactionTests.growing("grows", lr: "0.1, 0.2", levels: 1))
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2) { $0.memoryBytes = 1 << 30 }
        try #require(try eventually { try coordinator.store.counts() == TaskCounts(pending: 4, done: 4) })
        let client = try Client(endpoint: coordinator.endpoint)
        #expect(
            eventually {
                let request = CompactRequest(intermediates: true, isDryRun: true)
                // Refused while it compacts.
                let reply = try? client.request(
                    ServiceVerb.compact.rawValue, body: CompactionTests.json(request), timeoutMilliseconds: 60_000)
                return (reply.flatMap { try? JSONDecoder().decode(CompactReply.self, from: Data($0)) })?.intermediates
                    == 0
            })
        try verify(coordinator)
    }

    @Test("What levels that may yet be asked for will read stays while the sweep goes on, so that nothing is replayed")
    func growsOn() throws {
        let coordinator = try bench.startCoordinator {
            $0.retainsTicketsOnly = true
            $0.retentionMilliseconds = 1
            $0.exitWhenDone = true
        }
        _ = try coordinator.submit(CompactionTests.growing("grows", lr: "0.1", levels: 5))
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 1)
        #expect(try coordinator.run() == .done(failedTasks: 0))
        // Two dense trainings and five levels of each, no replay.
        #expect(try coordinator.store.counts() == TaskCounts(done: 12))
        try verify(coordinator)
    }

    @Test("A replay that is done is done again once its checkpoint has gone and a sweep that grows reads it")
    func replayedAgain() throws {
        let coordinator = try bench.startCoordinator()
        let store = coordinator.store
        let client = try Client(endpoint: coordinator.endpoint)
        func order(_ order: OrderRequest.Order, _ task: TaskKey) throws -> OrderReply {
            let body = try CompactionTests.json(OrderRequest(order, task.hex))
            let reply = try client.request(ServiceVerb.order.rawValue, body: body)
            return try JSONDecoder().decode(OrderReply.self, from: Data(reply))
        }
        func comes(to counts: TaskCounts) throws -> Bool { try eventually { try store.counts() == counts } }

        _ = try coordinator.submit(CompactionTests.growing("first", lr: "0.1", levels: 1))
        let worker = try bench.startWorker("a", at: coordinator.endpoint, slots: 2)
        try #require(try comes(to: TaskCounts(done: 4)))
        // One of each dense training.
        #expect(try compact(client, intermediates: true).intermediates == 2)
        worker.stop()
        _ = try worker.waitForExit()

        // The same dense trainings, whose first steps are replayed for other levels.
        _ = try coordinator.submit(CompactionTests.growing("second", lr: "0.1", rate: 0.4, levels: 3))
        var levels: [(key: TaskKey, replay: TaskKey)] = []
        for task in try store.snapshot().tasks where task.state == .pending {
            let rewind = task.work.inputs.first { $0.name == TrainingRequest.Input.rewind }
            if case .output(let replay, _) = rewind?.source { levels.append((task.work.key, replay)) }
        }
        try #require(levels.count == 2 && levels[0].replay != levels[1].replay)
        #expect(try order(.cancel, levels[0].key).cancelled == 1)
        _ = try bench.startWorker("b", at: coordinator.endpoint, slots: 2)
        try #require(try comes(to: TaskCounts(done: 7, failed: 1)))
        // What the task that was cancelled reads stays: it may be tried anew.
        #expect(try compact(client, intermediates: true).intermediates == 1)

        #expect(try order(.retry, levels[0].key).revived == 1)
        #expect(try comes(to: TaskCounts(done: 12)))
        #expect(try levels.map { try store.attempts(of: $0.replay).count } == [1, 2])
        try verify(coordinator)
    }
}

private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

private func touch(_ path: String) { _ = FileManager.default.createFile(atPath: path, contents: nil) }

/// How several requests went.
final class Answers: @unchecked Sendable {
    private let lock = NSLock()
    private var all: [String?] = []

    var count: Int { lock.withLock { all.count } }
    var failures: [String] { lock.withLock { all.compactMap(\.self) } }

    func note(_ request: () throws -> Void) {
        var failure: String?
        do { try request() } catch { failure = "\(error)" }
        lock.withLock { all.append(failure) }
    }
}
