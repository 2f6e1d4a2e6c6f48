import Artifacts
import Client
import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store
import Sweeps
import Testing
import Wire
import WorkerService

@Suite("What people order while a sweep is under way", .timeLimit(.minutes(2)), .serialized)
struct VerbTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    /// A client of one coordinator.
    private struct Person {
        let client: Client

        init(_ coordinator: CoordinatorService) throws { client = try Client(endpoint: coordinator.endpoint) }

        func ask<Reply: Decodable>(_ verb: ServiceVerb, _ body: some Encodable, as type: Reply.Type) throws -> Reply {
            let bytes = try client.request(verb.rawValue, body: Array(try JSONEncoder().encode(body)))
            return try JSONDecoder().decode(type, from: Data(bytes))
        }

        func submit(_ spec: String, extends: Bool = false) throws -> SubmitReply {
            let request = SubmitRequest(file: "small.yaml", spec: spec, extends: extends)
            return try ask(.submit, request, as: SubmitReply.self)
        }

        func order(_ order: OrderRequest.Order, _ target: String, priority: Int? = nil) throws -> OrderReply {
            try ask(.order, OrderRequest(order, target, priority: priority), as: OrderReply.self)
        }

        func explain(_ task: String) throws -> TaskReport {
            try ask(.explain, ExplainRequest(task: task), as: TaskReport.self)
        }

        func status() throws -> ServiceStatus {
            try JSONDecoder().decode(ServiceStatus.self, from: Data(try client.request(ServiceVerb.status.rawValue)))
        }

        /// The sentence with which a request is refused as the asker's mistake.
        func refusal(_ body: () throws -> Void) throws -> String {
            do { try body() } catch ClientError.refused(status: 2, let body) {
                return try JSONDecoder().decode(ServiceRefusal.self, from: Data(body)).error
            }
            Issue.record("it was answered")
            return ""
        }
    }

    private static let spec = SubmissionTests.spec
    /// The same points and more of them.
    private static let larger = spec.replacing("lr: [0.1, 0.2]", with: "lr: [0.1, 0.2, 0.3]")

    private func stop(_ coordinator: CoordinatorService) throws {
        coordinator.stop()
        #expect(try coordinator.run() == .stopped)
    }

    @Test("A paused sweep stands still, over a restart of its coordinator too, until it is resumed")
    func pause() throws {
        /// Its store is free once nobody holds it.
        func pauseAtFirst() throws -> Int {
            let coordinator = try bench.startCoordinator()
            let person = try Person(coordinator)
            let tasks = try person.submit(VerbTests.spec).plan.tasks
            let reply = try person.order(.pause, "small")
            #expect(reply.sweep == SweepStanding(id: SweepID("small"), isPaused: true) && reply.running == 0)
            #expect(try person.order(.priority, "small", priority: 7).sweep?.priority == 7)
            try stop(coordinator)
            return tasks
        }
        let tasks = try pauseAtFirst()

        var second: CoordinatorService?
        #expect(eventually { (try? second = bench.startCoordinator()) != nil })
        let coordinator = try #require(second)
        let again = try Person(coordinator)
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        #expect(try eventually { try again.status().workers.count == 1 && again.status().sweeps.count == 1 })
        let status = try again.status()
        #expect(status.sweeps[0].isPaused && status.sweeps[0].priority == 7)
        #expect(status.tasks.running == 0 && status.tasks.ready > 0 && status.tasks.done == 0)
        let ready = try #require(try coordinator.store.snapshot().tasks.first { $0.work.inputs.count == 1 })
        let report = try again.explain(ready.work.key.hex)
        #expect(report.explanation?.readiness?.isPaused == true && report.explanation?.readiness?.freeSlots == 2)
        #expect(report.places.first?.hasPrefix("small, ") == true)
        _ = try again.order(.resume, "small")
        #expect(try eventually { try again.status().tasks.done == tasks })
        try stop(coordinator)
    }

    @Test("A cancelled sweep ends the run without a failure, and retry brings all of it back")
    func cancel() throws {
        let coordinator = try bench.startCoordinator()
        let person = try Person(coordinator)
        let plan = try person.submit(VerbTests.spec).plan
        let cancelled = try person.order(.cancel, "small")
        #expect(cancelled.cancelled == plan.tasks && cancelled.ended == 0)
        var status = try person.status()
        #expect(status.isSettled && status.tasks.cancelled == plan.tasks && status.tasks.faulty == 0)
        #expect(status.sweeps[0].isCancelled && status.sweeps[0].levels.cancelled == plan.tasks)
        #expect(status.sweeps[0].runs.cancelled == plan.runs && status.sweeps[0].failures.isEmpty)
        #expect(status.sweeps[0].stepsGivenUp == plan.steps && status.secondsRemaining == nil)
        let hint = try person.refusal { _ = try person.order(.resume, "small") }
        #expect(hint.contains("`tombola retry small`"), "\(hint)")
        let first = try #require(try coordinator.store.snapshot().tasks.first?.work.key)
        #expect(try person.explain(String(first.hex.prefix(20))).explanation?.state == .cancelled)
        #expect(try person.order(.retry, "small").revived == plan.tasks)
        status = try person.status()
        #expect(!status.sweeps[0].isCancelled && status.tasks.cancelled == 0)
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        #expect(try eventually { try person.status().tasks.done == plan.tasks })
        let sentence = try person.refusal { _ = try person.order(.cancel, first.hex) }
        #expect(sentence.contains("is done"), "\(sentence)")
    }

    @Test("A training that runs is killed when its task is cancelled, and goes on from there when it is retried")
    func cancelRunning() throws {
        let coordinator = try bench.startCoordinator()
        let person = try Person(coordinator)
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("long", "note \(bench.path("log")) wait \(bench.path("go")) output final 1 1")])
        #expect(eventually { bench.lines("log").count == 1 })
        let child = try #require(Int32(bench.lines("log")[0].split(separator: " ")[0]))
        let reply = try person.order(.cancel, key("long").hex)
        #expect(reply.task == key("long") && reply.ended == 1 && reply.cancelled == 1)
        #expect(eventually { kill(child, 0) != 0 }, "the training that was cancelled still runs")
        bench.touch("go")
        #expect(try person.order(.retry, key("long").hex).revived == 1)
        #expect(try eventually { try person.status().tasks.done == 1 })
        #expect(try person.explain(key("long").hex).attempts.map(\.failure) == [.preempted, nil])
    }

    @Test("Extending a sweep computes only what is new; what it has no more is cancelled, and its old results stay")
    func extend() throws {
        let coordinator = try bench.startCoordinator()
        let person = try Person(coordinator)
        let plan = try person.submit(VerbTests.spec).plan
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        #expect(try eventually { try person.status().tasks.done == plan.tasks })
        let refused = try person.refusal { _ = try person.submit(VerbTests.larger) }
        #expect(refused.contains("tombola extend"), "\(refused)")

        let extended = try person.submit(VerbTests.larger, extends: true)
        // Of the new points a dense training may already be there; everything of the old ones is.
        #expect(extended.isContinued && extended.plan.points == 6 && extended.plan.tasksDone >= plan.tasks)
        #expect(extended.plan.tasks > extended.plan.tasksDone)
        #expect(try eventually { try person.status().isSettled && person.status().tasks.done >= extended.plan.tasks })
        #expect(try coordinator.store.sweeps().map(\.spec) == [VerbTests.larger])
        let attempts = try coordinator.store.snapshot().tasks.map(\.attempts)
        #expect(attempts.allSatisfy { $0 == 1 }, "something was trained twice")
        let boards = try person.ask(.leaderboard, LeaderboardRequest(sweep: "small"), as: [Leaderboard].self)
        #expect(boards.first?.rows.count == 6)

        // And back to fewer points, while what is too much has not begun.
        _ = try person.order(.pause, "small")
        let most = VerbTests.spec.replacing("lr: [0.1, 0.2]", with: "lr: [0.1, 0.5]")
        let other = try person.submit(most, extends: true)
        #expect(try person.status().tasks.cancelled == 0)
        _ = try person.submit(VerbTests.spec, extends: true)
        #expect(try person.status().tasks.cancelled == other.plan.tasks - other.plan.tasksDone)
        #expect(try person.status().sweeps[0].levels.done == plan.tasks)

        let unknown = try person.refusal {
            _ = try person.submit(VerbTests.spec.replacing("name: small", with: "name: large"), extends: true)
        }
        #expect(unknown.contains("no sweep “large”"), "\(unknown)")
    }

    @Test("A store that does not say what its sweeps want is told by their plans")
    func unknownWishes() throws {
        func submitAtFirst() throws -> Int {
            let coordinator = try bench.startCoordinator()
            let tasks = try Person(coordinator).submit(VerbTests.spec).plan.tasks
            try stop(coordinator)
            return tasks
        }
        let tasks = try submitAtFirst()
        var keys: [TaskKey] = []
        #expect(
            eventually {
                guard let store = try? Store.open(directory: bench.path("store"), mode: .coordinator) else {
                    return false
                }
                keys = (try? store.snapshot().tasks.map(\.work.key)) ?? []
                try? store.commit([.sweepDrops(SweepID("small"), keys)])
                try? store.close()
                return true
            })
        var second: CoordinatorService?
        #expect(eventually { (try? second = bench.startCoordinator()) != nil })
        // The order waits for the plan.
        #expect(try Person(#require(second)).order(.cancel, "small").cancelled == tasks && keys.count == tasks)
    }

    @Test("A coordinator that was told to stop ends once nothing runs, and says what is left")
    func drain() throws {
        let coordinator = try bench.startCoordinator()
        let person = try Person(coordinator)
        let worker = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([
            work("first", "wait \(bench.path("go")) output final 1 1", cost: 9), work("second", "output final 1 1"),
        ])
        #expect(try eventually { try person.status().tasks.running == 1 })
        let reply = try person.ask(.stop, StopRequest(endsWorkers: true), as: StopReply.self)
        #expect(reply.running == 1 && reply.left == 1)
        #expect(try person.status().isDraining)
        bench.touch("go")
        #expect(try coordinator.run() == .drained(tasksLeft: 1))
        #expect(try coordinator.store.counts() == TaskCounts(pending: 1, done: 1))
        #expect(try worker.waitForExit() == .shutdown)
    }

    @Test("A sweep that is extended while the coordinator stops is told so beside what is said of its looks")
    func extendedWhileStopping() throws {
        let coordinator = try bench.startCoordinator()
        let person = try Person(coordinator)
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("first", "wait \(bench.path("go")) output final 1 1")])
        #expect(try eventually { try person.status().tasks.running == 1 })
        #expect(try person.submit(VerbTests.spec).warning == nil)
        _ = try person.ask(.stop, StopRequest(endsWorkers: false), as: StopReply.self)
        let more = VerbTests.spec.replacing("replicates: 2", with: "replicates: 3")
        let warning = try #require(try person.submit(more, extends: true).warning)
        #expect(warning.contains("use refine: {looks: [2, 3]}"), "\(warning)")
        #expect(warning.contains("; the coordinator stops and gives out nothing more"), "\(warning)")
        bench.touch("go")
        #expect(try coordinator.run() == .drained(tasksLeft: try coordinator.store.counts().pending))
    }

    @Test("Stopped at once, workers save what they train and hand it back; the next start goes on from there")
    func stopAtOnce() throws {
        func begin() throws {
            let coordinator = try bench.startCoordinator()
            let person = try Person(coordinator)
            let worker = try bench.startWorker(at: coordinator.endpoint)
            try coordinator.add([
                work("long", "note \(bench.path("log")) wait \(bench.path("go")) output final 1 1", cost: 9),
                work("next", "output final 1 1"),
            ])
            #expect(try eventually { try person.status().workers.first?.running.first?.step ?? 0 > 3 })
            let reply = try person.ask(.stop, StopRequest(endsWorkers: false, isAtOnce: true), as: StopReply.self)
            #expect(reply.running == 1 && reply.left == 1)
            #expect(try coordinator.run() == .drained(tasksLeft: 2))
            #expect(try worker.waitForExit() == .stopped)
            let attempts = try coordinator.store.attempts(of: key("long"))
            #expect(attempts.map { $0.ending?.failure } == [.preempted])
        }
        try begin()
        bench.touch("go")
        var second: CoordinatorService?
        #expect(eventually { (try? second = bench.startCoordinator()) != nil })
        let coordinator = try #require(second)
        // Another worker, in another folder: what was saved came up.
        _ = try bench.startWorker("b", at: coordinator.endpoint)
        #expect(try eventually { try coordinator.store.counts().done == 2 })
        let begun = bench.lines("log").compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
        #expect(begun.count == 2 && begun[0] == 0 && begun[1] > 3, "\(begun)")
        try stop(coordinator)
    }

    @Test("While a coordinator works on a store, the store says where this machine reaches it")
    func endpointFile() throws {
        let coordinator = try bench.startCoordinator {
            $0.bind = "tcp://0.0.0.0:*"
            $0.protection = .none
        }
        let endpoint = try #require(EndpointFile.read(from: bench.path("store")))
        #expect(
            endpoint == coordinator.endpoint.replacing("0.0.0.0", with: "127.0.0.1") && endpoint != coordinator.endpoint
        )
        _ = try Client(endpoint: endpoint).request(ServiceVerb.status.rawValue)
        try stop(coordinator)
        #expect(EndpointFile.read(from: bench.path("store")) == nil)
    }

    @Test("Who fails three different tasks in a row is put aside, and status says so; the tasks succeed elsewhere")
    func quarantinedWorker() throws {
        let coordinator = try bench.startCoordinator { $0.settings.restMilliseconds = 60_000 }
        let person = try Person(coordinator)
        let good = try bench.startWorker("good", at: coordinator.endpoint)
        try coordinator.add([work("busy", "wait \(bench.path("go")) output final 1 1")])
        #expect(try eventually { try person.status().tasks.running == 1 })
        _ = try bench.startWorker("bad", at: coordinator.endpoint)
        try coordinator.add((1...3).map { work("t\($0)", "die-unless \(bench.path("died-\($0)")) output final 1 1") })
        #expect(
            try eventually { try person.status().workers.contains { $0.quarantinedMilliseconds ?? 0 > 0 } })
        let workers = try person.status().workers
        #expect(workers.first { $0.id.text.hasPrefix("bad") }?.quarantinedMilliseconds != nil)
        #expect(workers.first { $0.id.text.hasPrefix("good") }?.quarantinedMilliseconds == nil)
        let waiting = try person.explain(key("t2").hex)
        #expect(waiting.explanation?.readiness?.quarantinedWorkers == 1 && waiting.explanation?.childFailures == 1)
        bench.touch("go")
        #expect(try eventually { try person.status().tasks.done == 4 })
        for name in ["t1", "t2", "t3"] {
            let attempts = try coordinator.store.attempts(of: key(name))
            #expect(attempts.map(\.ending) == [.childFailed, .succeeded])
            #expect(attempts.last?.worker == good.service.worker)
        }
    }

    @Test("Of a failed task all is said: state, attempts with worker, times and outcome, last error, end of the log")
    func explain() throws {
        let coordinator = try bench.startCoordinator { $0.settings.childFailureLimit = 2 }
        let person = try Person(coordinator)
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([
            work("deadly", "complain no-memory die"),
            work("below", "output final 1 1", inputs: [WorkInput(name: "p", source: .output(key("deadly"), .final))]),
        ])
        #expect(try eventually { try person.status().isSettled })
        let report = try person.explain(String(key("deadly").hex.prefix(9)))
        #expect(report.explanation?.state == .failed && report.explanation?.attempts == 2)
        let reason = report.explanation?.failure?.reason ?? ""
        #expect(reason.contains("signal 9") && reason.contains("its last words: “no-memory”"), "\(reason)")
        #expect(report.attempts.map(\.failure) == [.failed, .failed])
        #expect(report.attempts.allSatisfy { $0.log == "no-memory\n" && $0.startedAt != nil && $0.endedAt != nil })
        let below = try person.explain(key("below").hex)
        #expect(below.explanation?.failure?.isInherited == true && below.attempts.isEmpty)
        #expect(below.explanation?.parents.map(\.task) == [key("deadly")])
        for (digits, words) in [("abc", "at least"), ("xyzzy", "hexadecimal"), ("0000000000", "begins with")] {
            let sentence = try person.refusal { _ = try person.explain(digits) }
            #expect(sentence.contains(words), "\(sentence)")
        }
        let sentence = try person.refusal { _ = try person.order(.pause, "nothing") }
        #expect(sentence.contains("no sweep “nothing”"), "\(sentence)")
    }

    @Test("A ticket's blobs come to a client byte for byte, and nothing else does")
    func blobs() throws {
        let coordinator = try bench.startCoordinator()
        let person = try Person(coordinator)
        _ = try person.submit(VerbTests.spec)
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        #expect(try eventually { try person.status().sweeps.first?.best?.ticket != nil })
        let id = try #require(try person.status().sweeps.first?.best?.ticket)
        let record = try person.ask(.ticket, TicketRequest(ticket: id), as: TicketRecord.self)
        #expect(record.key.hex.hasPrefix(id) && record.spec == VerbTests.spec && !record.places.isEmpty)
        #expect(record.dataset == Digest.of(DataAccess.bytes))
        for digest in [record.final, record.dataset] {
            let size = try coordinator.store.artifacts.byteCount(of: digest)
            var bytes: [UInt8] = []
            while bytes.count < size {
                let request = BlobRequest(digest: digest, offset: bytes.count, count: 700)
                let reply = try person.client.request("blob", body: Array(try JSONEncoder().encode(request)))
                let said = reply.prefix(8).reversed().reduce(0) { (sum: Int, byte: UInt8) in sum << 8 | Int(byte) }
                #expect(said == size)
                bytes += reply.dropFirst(8)
                try #require(reply.count > 8)
            }
            #expect(Digest.of(bytes) == digest)
        }
        for (digest, offset) in [(Digest.of("nothing".utf8), 0), (record.final, 1 << 40), (record.final, -1)] {
            let request = BlobRequest(digest: digest, offset: offset, count: 10)
            _ = try person.refusal {
                _ = try person.client.request("blob", body: Array(try JSONEncoder().encode(request)))
            }
        }
    }
}
