import Artifacts
import Coordination
import CoordinatorService
import Foundation
import Glibc
import Logging
import Lottery
import Store
import Synchronization
import Testing
import WorkerService
import ZeroMQ

/// One test's folder, and the services it starts there.
final class Bench {
    let folder: String

    init() throws {
        folder = NSTemporaryDirectory() + "tombola-service-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit {
        // Left for the system's own cleaning if something still writes there.
        try? FileManager.default.removeItem(atPath: folder)
    }

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    func touch(_ name: String) { close(open(path(name), O_WRONLY | O_CREAT, 0o644)) }

    /// Lines of a file that children append to.
    func lines(_ name: String) -> [Substring] {
        // Absent until the first line is written.
        (try? String(contentsOfFile: path(name), encoding: .utf8))?.split(separator: "\n") ?? []
    }

    /// A loopback address that nothing else in this machine uses, for a coordinator that is to come back: on one that is
    /// shared, its ports may belong to another test's connection by then.
    static func ownAddress() -> String {
        let parts = (0..<3).map { _ in String(Int.random(in: 1...254)) }
        return "tcp://127.\(parts.joined(separator: ".")):*"
    }

    func coordinatorConfiguration() -> CoordinatorServiceConfiguration {
        var configuration = CoordinatorServiceConfiguration(
            storeDirectory: path("store"), vocabulary: .fixture, data: .fixture, logger: Bench.logger("coordinator"))
        configuration.settings.beatMilliseconds = 100
        configuration.settings.sessionMilliseconds = 2_000
        configuration.settings.adoptionMilliseconds = 20_000
        return configuration
    }

    func startCoordinator(
        _ change: (inout CoordinatorServiceConfiguration) -> Void = { _ in }
    ) throws -> CoordinatorService {
        var configuration = coordinatorConfiguration()
        change(&configuration)
        let final = configuration
        var service: CoordinatorService?
        // One that has ended lets go of its store a moment later, with its thread.
        _ = try eventually(seconds: 5) {
            do throws(CoordinatorServiceError) { service = try CoordinatorService(final) } catch {
                guard case .store(.inUse) = error else { throw error }
                return false
            }
            return true
        }
        return try service ?? CoordinatorService(final)
    }

    /// A worker on a thread of this process; its slots' children are real processes.
    func startWorker(
        _ name: String = "a", at endpoint: String, slots: Int = 1,
        _ change: (inout WorkerServiceConfiguration) -> Void = { _ in }
    ) throws -> ThreadedWorker {
        var configuration = workerConfiguration(name, at: endpoint, slots: slots)
        change(&configuration)
        return ThreadedWorker(try WorkerService(configuration))
    }

    func workerConfiguration(_ name: String = "a", at endpoint: String, slots: Int = 1) -> WorkerServiceConfiguration {
        var configuration = WorkerServiceConfiguration(
            endpoint: endpoint, directory: path("worker-\(name)"), name: name, slots: slots,
            slotCommand: [Bench.fixture],
            logger: Bench.logger(name))
        configuration.settings.beatMilliseconds = 100
        configuration.settings.helloMilliseconds = 500
        configuration.settings.backoffMilliseconds = 50
        configuration.settings.backoffCapMilliseconds = 200
        configuration.settings.resendMilliseconds = 500
        return configuration
    }

    /// A worker that is a process of its own, to be killed.
    func startWorkerProcess(_ name: String, at endpoint: String, slots: Int = 1) throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: Bench.fixture)
        process.arguments = ["worker", endpoint, path("worker-\(name)"), String(slots)]
        try process.run()
        return process
    }

    /// Beside the test program.
    static let fixture: String = {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        let program = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        return URL(filePath: program).deletingLastPathComponent().appending(path: "SlotFixture").path()
    }()

    static func logger(_ label: String) -> Logger {
        var logger = Logger(label: label, factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = getenv("TOMBOLA_TEST_LOG") == nil ? .critical : .debug
        return logger
    }
}

final class ThreadedWorker: Sendable {
    let service: WorkerService
    private let ended = Ended()

    init(_ service: WorkerService) {
        self.service = service
        let ended = ended
        Thread.detachNewThread {
            do throws(WorkerServiceError) {
                ended.set(.success(try service.run()))
            } catch {
                ended.set(.failure(error))
            }
        }
    }

    func stop() { service.stop() }

    /// How it ended, once it has.
    var exit: Result<WorkerExit, WorkerServiceError>? { ended.value }

    func waitForExit() throws -> WorkerExit {
        try #require(eventually(seconds: 60) { exit != nil })
        return try exit!.get()
    }
}

final class Ended: Sendable {
    private let result = Mutex<Result<WorkerExit, WorkerServiceError>?>(nil)
    var value: Result<WorkerExit, WorkerServiceError>? { result.withLock { $0 } }
    func set(_ value: Result<WorkerExit, WorkerServiceError>) { result.withLock { $0 = value } }
}

/// Whether `condition` came true within a time that only a failing test uses up.
func eventually(seconds: Double = 20, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = ContinuousClock.now + .milliseconds(Int(seconds * 1_000))
    while ContinuousClock.now < deadline {
        if try condition() { return true }
        usleep(3_000)  // Between two looks at the condition; what passes or fails is the condition.
    }
    return try condition()
}

/// A task named by a word, whose payload the fixture carries out.
func work(_ name: String, _ payload: String, inputs: [WorkInput] = [], cost: Int = 1) -> Work {
    Work(key: key(name), inputs: inputs, cost: cost, priority: cost, payload: Array(payload.utf8))
}

func key(_ name: String) -> TaskKey { TaskKey(Digest.of(Array(name.utf8))) }

extension Vocabulary {
    /// One small data set, MLPs, no results of its own.
    static let fixture = Vocabulary(
        datasets: [
            DatasetShape(
                name: "dots", channels: 1, height: 4, width: 4, classes: 10, trainCount: 10_000, testCount: 1_000)
        ],
        models: ["mlp"], initialisations: ["glorot-normal"], optimizers: ["sgd", "adam"],
        criteria: ["magnitude", "random"],
        branches: ["random-reinit", "random-mask"], numerics: [.f32: NumericsID("fixture")],
        layers: { model, shape in
            [
                LayerShape(name: "fc1", kind: .fc, weights: 16 * 100, biases: 100),
                LayerShape(name: "output", kind: .output, weights: 1_000, biases: 10),
            ]
        },
        semantics: { _, _ in [:] })
}

extension DataAccess {
    static let bytes = Array("dots dots dots".utf8)

    static let fixture = DataAccess(
        digest: { _ in Digest.of(bytes) },
        materialise: { name, directory in
            let path = "\(directory)/\(name)"
            try Data(bytes).write(to: URL(filePath: path))
            return path
        })
}
