import Artifacts
import Client
import Coordination
import CoordinatorService
import Foundation
import Glibc
import Keys
import Lottery
import Store
import Testing
import Wire
import WorkerService
import ZeroMQ

@Suite("A coordinator that lets in keys only, on the loopback address", .timeLimit(.minutes(2)), .serialized)
struct KeysTests {
    let bench: Bench
    let folder: KeyFolder

    init() throws {
        bench = try Bench()
        folder = KeyFolder(directory: bench.path("keys"))
    }

    private func key(_ name: String, _ role: Role) throws -> KeyFile {
        try KeyFile(path: try folder.generate(KeyName(name), role))
    }

    private func startCoordinator(
        _ change: (inout CoordinatorServiceConfiguration) -> Void = { _ in }
    ) throws -> CoordinatorService {
        try bench.startCoordinator {
            $0.protection = .keys(folder)
            change(&$0)
        }
    }

    /// That nothing was given out, and nobody is in.
    private func expectUntouched(_ coordinator: CoordinatorService, _ location: SourceLocation = #_sourceLocation)
        throws
    {
        let snapshot = try coordinator.store.snapshot()
        #expect(
            snapshot.tasks.map(\.attempts) == [0] && snapshot.tasks[0].running == nil
                && snapshot.tasks[0].state == .pending,
            sourceLocation: location)
        #expect(coordinator.status?.workers.isEmpty ?? true, sourceLocation: location)
    }

    @Test("Tasks, blobs of megabytes, status and results go through with keys")
    func flow() throws {
        let worker = try key("gpu", .worker)
        let client = try key("laptop", .client)
        let coordinator = try startCoordinator()
        _ = try bench.startWorker(at: coordinator.endpoint) { $0.security = worker.security }
        let size = 3 << 20 | 5
        try coordinator.add([work("x", "output final \(size) 3")])
        try #require(eventually { coordinator.status?.tasks.done == 1 })
        let asking = try Client(endpoint: coordinator.endpoint, security: client.security)
        let status = try JSONDecoder().decode(ServiceStatus.self, from: Data(try asking.request("status")))
        #expect(status.tasks.done == 1)
        #expect(throws: Never.self) {
            try coordinator.store.artifacts.verify(Digest.of([UInt8](repeating: 3, count: size)))
        }
    }

    @Test(
        "A worker under a wrong, revoked or absent key gets no task, changes nothing, and ends with a sentence",
        arguments: ["absent", "unknown", "other coordinator", "revoked"])
    func refusedWorker(kind: String) throws {
        let known = try key("known", .worker)
        let security: SocketSecurity
        let expected: ConnectionRefusal
        switch kind {
        case "absent": (security, expected) = (.plain, .keyWanted)
        case "unknown":
            let pair = try CurveKeyPair.generate()
            (security, expected) = (.curveClient(pair, server: known.server), .keyNotAuthorised(pair.publicKey))
        case "revoked":
            try folder.revoke(KeyName("known"))
            (security, expected) = (known.security, .keyNotAuthorised(known.pair.publicKey))
        default:
            (security, expected) = (
                .curveClient(known.pair, server: try CurveKeyPair.generate().publicKey), .otherCoordinator
            )
        }
        let coordinator = try startCoordinator()
        try coordinator.add([work("x", "output final 1 1")])
        let worker = try bench.startWorker(at: coordinator.endpoint) { $0.security = security }
        #expect(throws: WorkerServiceError.notLetIn(expected, coordinator.endpoint)) { try worker.waitForExit() }
        #expect(expected.sentence(about: coordinator.endpoint).contains("tombola keys"))
        #expect(expected.sentence(about: coordinator.endpoint).contains(coordinator.endpoint))
        try expectUntouched(coordinator)
    }

    @Test("A worker with a key does not talk to a coordinator that uses none")
    func plainCoordinator() throws {
        let key = try key("gpu", .worker)
        let coordinator = try bench.startCoordinator()
        try coordinator.add([work("x", "output final 1 1")])
        let worker = try bench.startWorker(at: coordinator.endpoint) { $0.security = key.security }
        do {
            _ = try worker.waitForExit()
            Issue.record("it ended in good order")
        } catch WorkerServiceError.notLetIn(let refusal, _) {
            // The coordinator may be the first to see that the two do not fit, and then only closes the connection.
            #expect([.noKeysThere, .otherCoordinator].contains(refusal))
        }
        try expectUntouched(coordinator)
    }

    @Test("A client without a key, or with one that is not authorised, is told so at once")
    func refusedClient() throws {
        let known = try key("known", .client)
        let coordinator = try startCoordinator()
        let pair = try CurveKeyPair.generate()
        for (security, refusal): (SocketSecurity, ConnectionRefusal) in [
            (.plain, .keyWanted), (.curveClient(pair, server: known.server), .keyNotAuthorised(pair.publicKey)),
            (.curveClient(known.pair, server: pair.publicKey), .otherCoordinator),
        ] {
            let client = try Client(endpoint: coordinator.endpoint, security: security)
            #expect(throws: ClientError.notLetIn(refusal, coordinator.endpoint)) {
                _ = try client.request("status", timeoutMilliseconds: 20_000)
            }
        }
    }

    @Test("A client's key runs no tasks, and a worker's asks nothing: both are told what their key is for")
    func roles() throws {
        let workerKey = try key("gpu", .worker)
        let clientKey = try key("laptop", .client)
        let coordinator = try startCoordinator()
        try coordinator.add([work("x", "output final 1 1")])
        let worker = try bench.startWorker(at: coordinator.endpoint) { $0.security = clientKey.security }
        do {
            _ = try worker.waitForExit()
            Issue.record("it ended in good order")
        } catch WorkerServiceError.refused(let reason) {
            #expect(reason.contains("“laptop” has the role client") && reason.contains("--role worker"), "\(reason)")
        }
        try expectUntouched(coordinator)
        let client = try Client(endpoint: coordinator.endpoint, security: workerKey.security)
        do {
            _ = try client.request("submit", body: Array("{}".utf8))
            Issue.record("it was answered")
        } catch ClientError.notServed(_, let reason) {
            #expect(reason.contains("“gpu” has the role worker") && reason.contains("--role client"), "\(reason)")
        }
    }

    @Test("The blob socket gives a client's key nothing and takes nothing from it")
    func rolesOnBlobs() throws {
        let workerKey = try key("gpu", .worker)
        let clientKey = try key("laptop", .client)
        let coordinator = try startCoordinator()
        let digest = try coordinator.store.artifacts.write([1, 2, 3])
        let endpoint = try blobEndpoint(of: coordinator, clientKey, workerKey)
        let get = Wire.encode(BlobMessage.get(digest: digest, offset: 0, count: 3))
        let context = try ZMQContext()
        let client = try connect(to: endpoint, clientKey.security, context)
        #expect(try client.send(get))
        let worker = try connect(to: endpoint, workerKey.security, context)
        #expect(try worker.send(get))
        var answer: [[UInt8]]?
        #expect(
            try eventually {
                answer = try worker.receive()
                return answer != nil
            })
        #expect(
            try Wire.decodeBlobMessage(try #require(answer))
                == .chunk(digest: digest, offset: 0, byteCount: 3, bytes: [1, 2, 3]))
        // The client asked first, so its answer would be here.
        #expect(try client.receive() == nil)
    }

    private func connect(to endpoint: String, _ security: SocketSecurity, _ context: ZMQContext) throws -> Socket {
        var options = SocketOptions()
        options.security = security
        let socket = try Socket(.dealer, options: options, context: context)
        try socket.connect(endpoint)
        return socket
    }

    /// As WELCOME tells it.
    private func blobEndpoint(of coordinator: CoordinatorService, _ client: KeyFile, _ worker: KeyFile) throws -> String
    {
        let socket = try connect(to: coordinator.endpoint, worker.security, try ZMQContext())
        let hello = Hello(
            worker: WorkerID("w"), incarnation: 1, counter: 1, slots: 0, running: [], finished: [], datasets: [],
            host: "h",
            processID: 1)
        #expect(try socket.send(Wire.encode(.hello(hello) as WorkerMessage)))
        var answer: [[UInt8]]?
        try #require(
            try eventually {
                answer = try socket.receive()
                return answer != nil
            })
        guard case .welcome(let welcome) = try Wire.decodeCoordinatorMessage(answer!) else {
            Issue.record("no welcome")
            return ""
        }
        return "tcp://127.0.0.1:\(welcome.blobEndpointPort)"
    }

    @Test("A key that is revoked while its worker trains loses the task at the next reload, and the worker is told")
    func revoked() throws {
        let first = try key("first", .worker)
        let second = try key("second", .worker)
        let coordinator = try startCoordinator { $0.exitWhenDone = true }
        let worker = try bench.startWorker("a", at: coordinator.endpoint) { $0.security = first.security }
        try coordinator.add([work("x", "wait \(bench.path("go")) output final 1 1")])
        #expect(try eventually { try coordinator.store.counts().running == 1 })
        try folder.revoke(KeyName("first"))
        coordinator.reloadKeys()
        do {
            _ = try worker.waitForExit()
            Issue.record("it ended in good order")
        } catch WorkerServiceError.refused(let reason) {
            #expect(
                reason.contains(first.pair.publicKey.text) && reason.contains("tombola keys authorize"), "\(reason)")
        }
        // Given back at once, without its being counted as the task's fault.
        try #require(eventually { try coordinator.store.snapshot().tasks[0].running == nil })
        let task = try coordinator.store.snapshot().tasks[0]
        #expect(task.losses == 0 && task.childFailures == 0)
        bench.touch("go")
        _ = try bench.startWorker("b", at: coordinator.endpoint) { $0.security = second.security }
        #expect(try coordinator.run() == .done(failedTasks: 0))
    }

    @Test("A revoked key's old connection changes nothing, whatever it says")
    func oldConnection() throws {
        let key = try key("gpu", .worker)
        let coordinator = try startCoordinator()
        try coordinator.add([work("x", "output final 1 1")])
        // A peer that goes on after it was refused, as no worker of ours does.
        let socket = try connect(to: coordinator.endpoint, key.security, try ZMQContext())
        var hello = Hello(
            worker: WorkerID("w"), incarnation: 1, counter: 1, slots: 0, running: [], finished: [], datasets: [],
            host: "h",
            processID: 1)
        #expect(try socket.send(Wire.encode(.hello(hello) as WorkerMessage)))
        guard case .welcome(let welcome) = try answer(socket) else { return #expect(Bool(false), "no welcome") }
        try folder.revoke(KeyName("gpu"))
        coordinator.reloadKeys()
        guard case .refused = try answer(socket) else { return #expect(Bool(false), "not told") }
        let id = AttemptID(task: ServiceTests.key("x"), attempt: Attempt(1), generation: welcome.generation)
        let result = WorkResult(outputs: [], summary: [], seconds: 0)
        hello.counter = 2
        hello.slots = 1
        for message: WorkerMessage in [
            .hello(hello), .beat(Beat(worker: WorkerID("w"), incarnation: 1, holding: [], lastSequence: 0, slots: 1)),
            .result(ResultReport(worker: WorkerID("w"), id: id, result: result)),
            .failure(FailureReport(worker: WorkerID("w"), id: id, reason: "r", isFinal: true)),
        ] {
            #expect(try socket.send(Wire.encode(message)))
            guard case .refused = try answer(socket) else { return #expect(Bool(false), "\(message) was answered") }
        }
        try expectUntouched(coordinator)
    }

    private func answer(_ socket: borrowing Socket) throws -> CoordinatorMessage {
        var answer: [[UInt8]]?
        let deadline = ContinuousClock.now + .seconds(20)
        while answer == nil, ContinuousClock.now < deadline {
            var poller = Poller()
            _ = poller.watch(socket)
            _ = try poller.wait(milliseconds: 100)
            answer = try socket.receive()
        }
        return try Wire.decodeCoordinatorMessage(try #require(answer))
    }

    @Test("A client whose key is revoked while it is connected gets no more answers")
    func revokedClient() throws {
        let key = try key("laptop", .client)
        let coordinator = try startCoordinator()
        let client = try Client(endpoint: coordinator.endpoint, security: key.security)
        _ = try client.request("status", timeoutMilliseconds: 20_000)
        try folder.revoke(KeyName("laptop"))
        coordinator.reloadKeys()
        // The reload is a command, which may be taken just after a request that came with it.
        #expect(
            try eventually {
                do {
                    _ = try client.request("status", timeoutMilliseconds: 20_000)
                    return false
                } catch ClientError.notServed(_, let reason) {
                    return reason.contains("not authorised any more")
                }
            })
    }

    @Test("A list that does not parse leaves the old one in force; one that cannot be read at the start is refused")
    func badList() throws {
        let key = try key("gpu", .worker)
        let coordinator = try startCoordinator()
        let good = try String(contentsOfFile: folder.allowListFile, encoding: .utf8)
        try Data("\(good)\nworker\n".utf8).write(to: URL(filePath: folder.allowListFile))
        coordinator.reloadKeys()
        _ = try bench.startWorker(at: coordinator.endpoint) { $0.security = key.security }
        try coordinator.add([work("x", "output final 1 1")])
        #expect(eventually { coordinator.status?.tasks.done == 1 })
        do {
            _ = try bench.startCoordinator {
                $0.storeDirectory = bench.path("other")
                $0.protection = .keys(folder)
            }
            Issue.record("it started")
        } catch let error as CoordinatorServiceError {
            #expect(error.description.contains("\(folder.allowListFile):"), "\(error)")
        }
        #expect(!FileManager.default.fileExists(atPath: bench.path("other")))
    }

    @Test("A key that is authorised later comes in after a reload, without a restart")
    func authorisedLater() throws {
        _ = try key("first", .worker)
        let coordinator = try startCoordinator()
        let late = try key("late", .worker)
        coordinator.reloadKeys()
        try coordinator.add([work("x", "output final 1 1")])
        // Reloaded before it was added, since commands are taken in order.
        _ = try bench.startWorker(at: coordinator.endpoint) { $0.security = late.security }
        #expect(eventually { coordinator.status?.tasks.done == 1 })
    }

    @Test("A coordinator that is down is no refusal: a worker with a key waits for it")
    func down() throws {
        let key = try key("gpu", .worker)
        let first = try startCoordinator { $0.bind = Bench.ownAddress() }
        let endpoint = first.endpoint
        let worker = try bench.startWorker(at: endpoint) { $0.security = key.security }
        try #require(eventually { first.status?.workers.count == 1 })
        first.stop()
        _ = try first.run()
        try first.store.close()
        #expect(!eventually(seconds: 2) { worker.exit != nil })
        let second = try startCoordinator { $0.bind = endpoint }
        try second.add([work("x", "output final 1 1")])
        #expect(eventually { second.status?.tasks.done == 1 })
    }
}
