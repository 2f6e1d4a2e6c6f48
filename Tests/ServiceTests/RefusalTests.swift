import Artifacts
import Client
import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store
import Testing
import Wire
import WorkerService
import ZeroMQ

@Suite("What services refuse, and what does not hurt them", .timeLimit(.minutes(2)), .serialized)
struct RefusalTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    @Test("Frames that are no frames are dropped, and the coordinator goes on")
    func malformedFrames() throws {
        let coordinator = try bench.startCoordinator { $0.exitWhenDone = true }
        let context = try ZMQContext()
        let rude = try Socket(.dealer, context: context)
        try rude.connect(coordinator.endpoint)
        let hello = Wire.encode(
            .hello(
                Hello(
                    worker: WorkerID("x"), incarnation: 1, counter: 1, slots: 1, running: [], finished: [],
                    datasets: [], host: "h",
                    processID: 1)) as WorkerMessage)
        let rudeness: [[[UInt8]]] = [
            [[]], [[1]], [[], []], [hello[0]], [hello[0], [0xff]], Array(repeating: [0], count: 50),
            [hello[0], Array("{}".utf8)],
            [[UInt8](repeating: 0x5a, count: 1 << 20)], hello.dropLast() + [hello.last!.dropLast()],
        ]
        for frames in rudeness { #expect(try rude.send(frames)) }
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("x", "output final 1 1")])
        #expect(try coordinator.run() == .done(failedTasks: 0))
    }

    @Test(
        "A peer of another protocol version, older or newer, is told so in words that it can read", arguments: [-1, 1])
    func otherVersion(_ difference: Int) throws {
        let coordinator = try bench.startCoordinator()
        let context = try ZMQContext()
        let dealer = try Socket(.dealer, context: context)
        try dealer.connect(coordinator.endpoint)
        var frames = Wire.encode(WorkerMessage.goodbye(WorkerID("x")))
        let theirs = Int(Wire.major) + difference
        frames[0][1] = UInt8(theirs)
        #expect(try dealer.send(frames))
        var answer: [[UInt8]]?
        #expect(
            try eventually {
                try answer = dealer.receive(); return answer != nil
            })
        guard case .refused(let reason) = try Wire.decodeCoordinatorMessage(try #require(answer)) else {
            Issue.record("it was not refused")
            return
        }
        #expect(
            reason.contains("version \(theirs)") && reason.contains("install the same tombola"), "\(reason)")
    }

    @Test("A worker that is refused ends with the coordinator's sentence")
    func refusedWorker() throws {
        let context = try ZMQContext()
        let router = try Socket(.router, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let worker = try bench.startWorker(at: endpoint)
        var hello: [[UInt8]]?
        try #require(
            try eventually {
                try hello = router.receive(); return hello != nil
            })
        #expect(try router.send([hello![0]] + Wire.encodeRefusal(reason: "we are closed")))
        #expect(throws: WorkerServiceError.refused("we are closed")) { try worker.waitForExit() }
    }

    @Test("A control port in use, and a blob port in use, are named")
    func portsInUse() throws {
        let first = try bench.startCoordinator()
        #expect(throws: CoordinatorServiceError.portInUse(first.endpoint, isDerived: false)) {
            _ = try bench.startCoordinator {
                $0.storeDirectory = bench.path("other")
                $0.bind = first.endpoint
            }
        }
        #expect(throws: CoordinatorServiceError.portInUse(first.endpoint, isDerived: false)) {
            _ = try bench.startCoordinator {
                $0.storeDirectory = bench.path("another")
                $0.blobBind = first.endpoint
            }
        }
    }

    @Test(
        "Without keys, only loopback addresses are listened at",
        arguments: [
            "tcp://0.0.0.0:5570", "tcp://*:5570", "tcp://192.168.1.1:*", "tcp://[::]:5570", "tcp://eth0:*",
            "tcp://127.0.0.1.evil:1",
        ])
    func unprotected(_ address: String) throws {
        #expect(throws: CoordinatorServiceError.unprotected(address)) {
            _ = try bench.startCoordinator { $0.bind = address }
        }
    }

    @Test(
        "An address that cannot be read is refused",
        arguments: [
            "127.0.0.1:5570", "tcp://127.0.0.1", "tcp://127.0.0.1:0", "tcp://127.0.0.1:65536", "tcp://:5570",
            "ipc:///tmp/x",
        ])
    func badAddress(_ address: String) throws {
        do {
            _ = try bench.startCoordinator { $0.bind = address }
            Issue.record("“\(address)” was accepted")
        } catch let error as CoordinatorServiceError {
            guard case .badAddress(address, _) = error else {
                Issue.record("“\(address)”: \(error)")
                return
            }
        }
        #expect(throws: WorkerServiceError.self) { _ = try WorkerService(bench.workerConfiguration(at: address)) }
    }

    @Test("localhost and [::1] are loopback", arguments: ["tcp://localhost:*", "tcp://[::1]:*"])
    func loopback(_ address: String) throws {
        do { _ = try bench.startCoordinator { $0.bind = address } } catch CoordinatorServiceError.badAddress(
            _, let reason)
        {
            // Containers without IPv6 do not have the address.
            #expect(address.contains("::1") && reason.contains("this machine"), "\(reason)")
        }
    }

    @Test("A store in use by another coordinator is refused, and so is a worker's folder in use")
    func inUse() throws {
        let coordinator = try bench.startCoordinator()
        do {
            _ = try CoordinatorService(bench.coordinatorConfiguration())
            Issue.record("two coordinators opened one store")
        } catch {
            guard case .store(.inUse) = error else {
                Issue.record("\(error)")
                return
            }
        }
        let worker = try WorkerService(bench.workerConfiguration(at: coordinator.endpoint))
        do {
            _ = try WorkerService(bench.workerConfiguration(at: coordinator.endpoint))
            Issue.record("two workers share a folder")
        } catch {
            #expect(
                error.description.contains("another worker") && error.description.contains("folder of its own"),
                "\(error)")
        }
        _ = worker
    }

    @Test("A slot's program that is not there ends the worker with a sentence, and fails no task")
    func missingProgram() throws {
        let coordinator = try bench.startCoordinator()
        let worker = try bench.startWorker(at: coordinator.endpoint) { $0.slotCommand = ["/nonexistent/program"] }
        try coordinator.add([work("x", "output final 1 1")])
        do {
            _ = try worker.waitForExit()
            Issue.record("it ended in good order")
        } catch let error as WorkerServiceError {
            #expect(error.description.contains("/nonexistent/program"), "\(error)")
        }
        #expect(try coordinator.store.counts().failed == 0)
    }

    @Test("A worker on whose disk nothing can be written ends with a sentence, gives its task back and blames it not")
    func fullDisk() throws {
        let coordinator = try bench.startCoordinator()
        let worker = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("x", "steps 2 1 unable no-space")])
        do {
            _ = try worker.waitForExit()
            Issue.record("it ended in good order")
        } catch let error as WorkerServiceError {
            #expect(error.description.contains("folder") && error.description.contains("no-space"), "\(error)")
        }
        #expect(try eventually { try coordinator.store.snapshot().tasks[0].running == nil })
        let task = try coordinator.store.snapshot().tasks[0]
        #expect(task.state == .pending && task.attempts == 1 && task.childFailures == 0 && task.losses == 0)
    }

    @Test("A worker whose folder was emptied under it ends with a sentence, and blames no task")
    func emptiedFolder() throws {
        let coordinator = try bench.startCoordinator()
        let worker = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("x", "wait \(bench.path("go")) output final 1 1")])
        #expect(try eventually { try coordinator.store.counts().running == 1 })
        try FileManager.default.removeItem(atPath: bench.path("worker-a/artifacts"))
        bench.touch("go")
        do {
            _ = try worker.waitForExit()
            Issue.record("it ended in good order")
        } catch let error as WorkerServiceError {
            #expect(error.description.contains("worker-a/artifacts"), "\(error)")
        }
        #expect(try eventually { try coordinator.store.snapshot().tasks[0].running == nil })
        #expect(try coordinator.store.snapshot().tasks[0].childFailures == 0)
    }

    @Test(
        "Names that cannot name a worker are refused",
        arguments: ["", "a b", "a/b", String(repeating: "a", count: 65), "ü"])
    func badName(_ name: String) throws {
        var configuration = bench.workerConfiguration(at: "tcp://127.0.0.1:1")
        configuration.name = name
        #expect(throws: WorkerServiceError.badName(name)) { _ = try WorkerService(configuration) }
    }

    @Test("Where no coordinator answers, the client says so, and asks whether one is running")
    func noAnswer() throws {
        let client = try Client(endpoint: "tcp://127.0.0.1:1")
        #expect(throws: ClientError.noAnswer("tcp://127.0.0.1:1", seconds: 0.1)) {
            _ = try client.request("status", timeoutMilliseconds: 100)
        }
        #expect(
            ClientError.noAnswer("tcp://h:1", seconds: 5).description
                == "no coordinator answers at tcp://h:1 within 5 s: is `tombola serve` running there?")
    }
}
