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
import ZeroMQ

@Suite("What a peer may take of a coordinator", .timeLimit(.minutes(2)), .serialized)
struct LimitTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    @Test("A sweep of more tasks than a submission may have is refused as the user's mistake, and nothing is stored")
    func tasksPerSubmission() throws {
        let coordinator = try bench.startCoordinator { $0.tasksPerSubmission = 5 }
        do {
            _ = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
            Issue.record("it was taken on")
        } catch {
            #expect(error.exitStatus == 2 && error.description.contains("more than 5 tasks"), "\(error)")
        }
        #expect(try coordinator.store.sweeps().isEmpty)
    }

    @Test(
        "Requests that wait for their answers are limited; those beyond are told to come again, and the rest is answered"
    )
    func requestsWaiting() throws {
        let release = bench.path("release")
        let coordinator = try bench.startCoordinator {
            let access = $0.data
            $0.data = DataAccess(
                digest: { name in
                    // Holds the desk up until all requests are there.
                    _ = eventually(seconds: 60) { FileManager.default.fileExists(atPath: release) }
                    return try access.digest(name)
                }, materialise: access.materialise)
        }
        let client = try connect(to: coordinator.endpoint)
        let body = Array(try JSONEncoder().encode(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec)))
        let count = Limits.requestsWaiting + 10
        for id in 1...count {
            #expect(try client.send(Wire.encode(ClientRequest(id: UInt64(id), verb: "submit", body: body))))
        }
        var statuses: [Int: Int] = [:]
        try #require(
            try eventually {
                while let frames = try client.receive() {
                    statuses[try Wire.decodeClientReply(frames).status, default: 0] += 1
                }
                if statuses[1] == 10 { bench.touch("release") }
                return statuses.values.reduce(0, +) == count
            })
        #expect(statuses == [0: Limits.requestsWaiting, 1: 10])
    }

    @Test("A peer that asks for chunks and does not read them gets no more than its queue holds")
    func chunksQueued() throws {
        let coordinator = try bench.startCoordinator()
        let content = [UInt8](repeating: 1, count: Limits.chunkBytes)
        let digest = try coordinator.store.artifacts.write(content)
        let peer = try connect(to: try blobEndpoint(of: coordinator, "greedy"), unread: 1)
        let asked = 600
        var sent = 0
        let get = Wire.encode(BlobMessage.get(digest: digest, offset: 0, count: Limits.chunkBytes))
        try #require(
            try eventually {
                while sent < asked, try peer.send(get) { sent += 1 }
                return sent == asked
            })
        // The coordinator has answered or dropped all that came before this question by the time another peer has its
        // answer.
        let other = try connect(to: try blobEndpoint(of: coordinator, "modest"))
        for _ in 0..<8 {
            #expect(try other.send(get))
            _ = try answer(other)
        }
        var received = 0
        // What was dropped never comes, so the end is that nothing comes any more.
        while eventually(seconds: 2, { ((try? peer.receive()) ?? nil) != nil }) { received += 1 }
        // The kernel's buffers hold some megabytes beyond the queue.
        #expect(received >= 1 && received < asked / 2, "\(received) of \(asked) chunks came")
    }

    @Test("Of one worker only so many blobs are pulled at once")
    func pullsPerWorker() throws {
        let coordinator = try bench.startCoordinator()
        try coordinator.add([work("x", "nothing")])
        let worker = WorkerID("w")
        let control = try connect(to: coordinator.endpoint)
        let welcome = try welcome(control, worker, slots: 1)
        let blobs = try connect(to: "tcp://127.0.0.1:\(welcome.blobEndpointPort)")
        #expect(try blobs.send(Wire.encode(BlobMessage.hello(worker))))
        guard case .task(let task) = try Wire.decodeCoordinatorMessage(try answer(control)) else {
            return #expect(Bool(false), "no task")
        }
        let outputs = (0..<3 * Limits.pullsPerWorker).map { number in
            TaskOutput(name: OutputName("step-\(number)"), digest: Digest.of([UInt8(number)]), byteCount: 1)
        }
        let result = WorkResult(outputs: outputs, summary: [], seconds: 0)
        #expect(try control.send(Wire.encode(.result(ResultReport(worker: worker, id: task.id, result: result)))))
        var asked: Set<Digest> = []
        func ask(until count: Int) throws {
            while asked.count < count {
                guard case .get(let digest, _, _) = try Wire.decodeBlobMessage(try answer(blobs)) else { continue }
                asked.insert(digest)
            }
        }
        try ask(until: Limits.pullsPerWorker)
        // An answer makes room for one more, which shows that no other was asked for before it.
        let first = try #require(outputs.first { asked.contains($0.digest) })
        let index = try #require(outputs.firstIndex(of: first))
        #expect(
            try blobs.send(
                Wire.encode(BlobMessage.chunk(digest: first.digest, offset: 0, byteCount: 1, bytes: [UInt8(index)]))))
        try ask(until: Limits.pullsPerWorker + 1)
        #expect(!eventually(seconds: 0.5) { ((try? blobs.receive()) ?? nil) != nil })
    }

    @Test("A priority out of range is refused, whoever says it, and the coordinator goes on")
    func priorityOverTheWire() throws {
        let coordinator = try bench.startCoordinator()
        _ = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
        let name = try #require(try coordinator.store.sweeps().first).name
        let client = try connect(to: coordinator.endpoint)
        for (id, priority) in [#", "priority": 5000"#, #", "priority": -1001"#, ""].enumerated() {
            let body = Array(#"{"order": "priority", "target": "\#(name)"\#(priority)}"#.utf8)
            #expect(try client.send(Wire.encode(ClientRequest(id: UInt64(id), verb: "order", body: body))))
            let reply = try Wire.decodeClientReply(try answer(client))
            let text = String(decoding: reply.body, as: UTF8.self)
            #expect(reply.status == 2 && text.contains("must be in -1000…1000"), "\(text)")
        }
        let body = Array(#"{"order": "priority", "target": "\#(name)", "priority": 1000}"#.utf8)
        #expect(try client.send(Wire.encode(ClientRequest(id: 9, verb: "order", body: body))))
        #expect(try Wire.decodeClientReply(try answer(client)).status == 0)
    }

    @Test("A worker that says it runs another's attempt is told to drop it, and the coordinator goes on")
    func anothersAttempt() throws {
        let (a, b) = (WorkerID("a"), WorkerID("b"))
        let coordinator = try bench.startCoordinator()
        try coordinator.add([work("x", "nothing")])
        let first = try connect(to: coordinator.endpoint)
        _ = try welcome(first, a, slots: 1)
        guard case .task(let task) = try Wire.decodeCoordinatorMessage(try answer(first)) else {
            return #expect(Bool(false), "no task")
        }
        #expect(try first.send(Wire.encode(WorkerMessage.goodbye(a))))
        try #require(eventually { coordinator.status?.tasks.ready == 1 })
        let second = try connect(to: coordinator.endpoint)
        let held = RunningAttempt(id: task.id, step: 1)
        _ = try welcome(second, b, slots: 0, running: [held])
        let beat = Beat(worker: b, incarnation: 1, holding: [held], lastSequence: 0, slots: 0)
        #expect(try second.send(Wire.encode(WorkerMessage.beat(beat))))
        guard case .beatAck(let ack) = try Wire.decodeCoordinatorMessage(try answer(second)) else {
            return #expect(Bool(false), "no answer")
        }
        #expect(ack.revoked == [task.id])
        // Its own is taken back.
        let again = try connect(to: coordinator.endpoint)
        _ = try welcome(again, a, slots: 1, running: [held], incarnation: 2)
        try #require(eventually { coordinator.status?.tasks.running == 1 })
        #expect(try coordinator.store.attempts(of: task.id.task).map(\.worker) == [a])
    }

    private static let absurdResults: [[UInt8]] = [
        [1, 2, 3],
        Array(
            #"{"layers":[{"name":"a","kind":"fc","weights":9223372036854775807,"surviving":1}],"otherWeights":0}"#.utf8),
        Array(
            #"""
            {"layers":[],"otherWeights":0,"final":{"step":20,"validationLoss":0,"validationCorrect":0,"validationCount":1,\#
            "testLoss":0,"testCorrect":0,"testCount":0}}
            """#.utf8),
    ]

    @Test(
        "A result that cannot be is not counted: it fails its points, and all else is answered",
        arguments: absurdResults)
    func unreadableResult(_ summary: [UInt8]) throws {
        let coordinator = try bench.startCoordinator()
        _ = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: SubmissionTests.spec))
        let worker = WorkerID("w")
        let control = try connect(to: coordinator.endpoint)
        _ = try welcome(control, worker, slots: 1)
        guard case .task(let task) = try Wire.decodeCoordinatorMessage(try answer(control)) else {
            return #expect(Bool(false), "no task")
        }
        let rubbish = WorkResult(outputs: [], summary: summary, seconds: 0)
        #expect(try control.send(Wire.encode(.result(ResultReport(worker: worker, id: task.id, result: rubbish)))))
        try #require(eventually { coordinator.status?.tasks.done == 1 })
        let client = try connect(to: coordinator.endpoint)
        #expect(try client.send(Wire.encode(ClientRequest(id: 1, verb: "leaderboard", body: Array("{}".utf8)))))
        let reply = try Wire.decodeClientReply(try answer(client))
        let text = String(decoding: reply.body, as: UTF8.self)
        #expect(reply.status == 0 && text.contains("its result cannot be read"), "\(text)")
    }

    private func connect(to endpoint: String, unread: Int = 1_000) throws -> Socket {
        var options = SocketOptions()
        options.unreadMessages = unread
        options.maximumFrameBytes = Limits.clientBodyBytes
        let socket = try Socket(.dealer, options: options, context: try ZMQContext())
        try socket.connect(endpoint)
        return socket
    }

    private func blobEndpoint(of coordinator: CoordinatorService, _ name: String) throws -> String {
        let control = try connect(to: coordinator.endpoint)
        return "tcp://127.0.0.1:\(try welcome(control, WorkerID(name), slots: 0).blobEndpointPort)"
    }

    private func welcome(
        _ control: borrowing Socket, _ worker: WorkerID, slots: Int, running: [RunningAttempt] = [],
        incarnation: UInt64 = 1
    ) throws -> Welcome {
        let hello = Hello(
            worker: worker, incarnation: incarnation, counter: 1, slots: slots, running: running, finished: [],
            datasets: [], host: "h", processID: 1)
        #expect(try control.send(Wire.encode(.hello(hello) as WorkerMessage)))
        guard case .welcome(let welcome) = try Wire.decodeCoordinatorMessage(try answer(control)) else {
            throw NoAnswer()
        }
        return welcome
    }

    private func answer(_ socket: borrowing Socket) throws -> [[UInt8]] {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if let frames = try socket.receive() { return frames }
            var poller = Poller()
            _ = poller.watch(socket)
            _ = try poller.wait(milliseconds: 100)
        }
        throw NoAnswer()
    }

    private struct NoAnswer: Error {}
}
