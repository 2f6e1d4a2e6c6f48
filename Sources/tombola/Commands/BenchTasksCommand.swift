import ArgumentParser
import Coordination
import CoordinatorService
import Foundation
import Logging
import Lottery
import Store
import Synchronization
import Wire
import WorkerService
import ZeroMQ

/// `tombola bench tasks`.
struct BenchTasksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "Durable tasks per second: a coordinator, its store, and workers that do nothing.",
        discussion: """
            Every task is given out over ZeroMQ by an attempt that is on disk before, and its result is on disk before it is \
            acknowledged. Workers are processes of their own and come to an empty result at once, without a child.

            Memory is that of the coordinator's process, up to 64 MiB of the database's cache included: what it has more once all \
            tasks are ready, and once it is started anew with all of them done.
            """)

    @Option(help: "Tasks.")
    var count = 100_000

    @Option(help: "Worker processes.")
    var workers = 2

    @Option(help: "Tasks that a worker holds at once; 1 measures round trips.")
    var prefetch = 256

    @Option(help: "Workers beside them that beat and take no tasks.")
    var idleWorkers = 0

    @Option(help: "Folder on the disk to be measured; a store is made in it and removed (default: the current folder).")
    var folder = "."

    @OptionGroup var output: OutputOptions
    @OptionGroup var log: LogOptions

    private static let pollMilliseconds: Int64 = 50
    private static let secondsToEnd = 10.0

    private func workerDirectories(_ directory: String) -> [String] {
        (1...workers).map { "\(directory)/worker-\($0)" }
    }

    func run() throws {
        guard (1...100_000_000).contains(count) else {
            throw Failure(.usage, "--count must be in 1…100000000, not \(count)")
        }
        guard (1...64).contains(workers) else { throw Failure(.usage, "--workers must be in 1…64, not \(workers)") }
        guard (1...Limits.slotsPerWorker).contains(prefetch) else {
            throw Failure(.usage, "--prefetch must be in 1…\(Limits.slotsPerWorker), not \(prefetch)")
        }
        guard (0...1_000).contains(idleWorkers) else {
            throw Failure(.usage, "--idle-workers must be in 0…1000, not \(idleWorkers)")
        }
        try log.start(default: .warning)
        let bench = BenchStore(in: folder)
        defer { bench.remove() }
        var configuration = bench.configuration
        configuration.exitWhenDone = true
        let (course, secondsToAdd, readyBytes) = try course(configuration, in: bench.directory)
        let peakBytes = ProcessMemory.peakBytes()
        let before = try ProcessMemory.residentBytes()
        let stopped = monotonicSeconds()
        let second = try CoordinatorService(configuration)
        let restarted = monotonicSeconds()
        let doneBytes = max(0, try ProcessMemory.residentBytes() - before)
        second.stop()
        _ = try second.run()
        let result = TasksMeasurement(
            count: count, workers: workers, idleWorkers: idleWorkers, prefetch: prefetch, course: course,
            secondsToAdd: secondsToAdd, secondsToRestart: restarted - stopped,
            secondsToSync: DiskSync.median(in: bench.directory),
            trips: prefetch == 1 ? RoundTrips(workers: workerDirectories(bench.directory)) : nil,
            coordinatorBytes: peakBytes,
            bytesPerReadyTask: readyBytes / count, bytesPerDoneTask: doneBytes / count)
        if output.json { return try Output.json(result) }
        Output.facts(result.facts)
    }

    /// Has all tasks done by workers.
    private func course(
        _ configuration: CoordinatorServiceConfiguration, in directory: String
    ) throws -> (TaskCourse, secondsToAdd: Double, readyBytes: Int) {
        let coordinator = try CoordinatorService(configuration)
        let before = try ProcessMemory.residentBytes()
        let planned = monotonicSeconds()
        for first in stride(from: 0, to: count, by: 10_000) {
            try coordinator.add((first..<min(first + 10_000, count)).map(BenchTasksCommand.work))
        }
        let added = monotonicSeconds()
        let readyBytes = max(0, try ProcessMemory.residentBytes() - before)
        let idle =
            idleWorkers == 0
            ? [] : [["bench", "idle-workers", "--connect", coordinator.endpoint, "--count", String(idleWorkers)]]
        var processes = try LocalWorkers(
            idle
                + (1...workers).map { number in
                    [
                        "bench", "tasks-worker", "--connect", coordinator.endpoint, "--directory",
                        workerDirectories(directory)[number - 1], "--prefetch", String(prefetch),
                    ]
                })
        defer { processes.kill() }
        var course = TaskCourse()
        course.note(done: 0, at: monotonicSeconds())
        while true {
            var poller = Poller()
            for descriptor in processes.descriptors { _ = poller.watch(readable: descriptor) }
            _ = try poller.wait(milliseconds: BenchTasksCommand.pollMilliseconds)
            try processes.tend(at: monotonicSeconds()) { Console.shared.say($0) }
            let done = coordinator.status?.tasks.done ?? 0
            course.note(done: done, at: monotonicSeconds())
            if done >= count { break }
        }
        _ = try coordinator.run()
        if prefetch == 1 {
            // Written as a worker ends, which it was told to.
            let deadline = monotonicSeconds() + BenchTasksCommand.secondsToEnd
            while !RoundTrips.areWritten(by: workerDirectories(directory)), monotonicSeconds() < deadline {
                var nothing = Poller()
                _ = try nothing.wait(milliseconds: BenchTasksCommand.pollMilliseconds)
            }
        }
        try coordinator.store.close()
        return (course, added - planned, readyBytes)
    }

    private static func work(_ number: Int) -> Work {
        Work(
            key: TaskKey(Digest.of("bench \(number)".utf8)), inputs: [], cost: 1, priority: 0, payload: [])
    }
}

/// A worker of `tombola bench tasks`.
struct BenchTasksWorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tasks-worker", shouldDisplay: false)

    @Option var connect: String
    @Option var directory: String
    @Option var prefetch: Int

    func run() throws {
        ParentDeath.follow()
        LoggingSystem.bootstrap { label in ConsoleLog(logLevel: .warning, label: label) }
        var configuration = WorkerServiceConfiguration(
            endpoint: connect, directory: directory, name: "bench", slots: prefetch,
            slotCommand: [ChildProcess.executable, "slot"], logger: Logger(label: "worker"))
        configuration.answersAtOnce = true
        let times = Mutex<[Double]>([])
        if prefetch == 1 { configuration.onAnswer = { times.withLock { $0.append(monotonicSeconds()) } } }
        _ = try WorkerService(configuration).run()
        if prefetch == 1 { try RoundTrips.write(times.withLock { $0 }, worker: directory) }
    }
}

/// How long one-at-a-time tasks take, each from its coming to a worker to the next one's: its result on disk, the next attempt on
/// disk, and the way there and back.
struct RoundTrips: Encodable {
    let count: Int
    let secondsAtMedian: Double
    /// 99 % take at most this.
    let secondsAt99: Double

    private static func file(_ worker: String) -> String { "\(worker)/task-times" }

    /// - Parameter times: at which the tasks of a worker came.
    static func write(_ times: [Double], worker directory: String) throws {
        let bytes = times.withUnsafeBytes { Data($0) }
        try bytes.write(to: URL(filePath: file(directory)), options: .atomic)
    }

    static func areWritten(by workers: [String]) -> Bool {
        workers.allSatisfy { FileManager.default.fileExists(atPath: file($0)) }
    }

    /// - Parameter directories: of the workers that have ended. Nil where none of them had two tasks.
    init?(workers directories: [String]) {
        let trips = directories.flatMap { directory -> [Double] in
            // Absent where a worker was killed: its tasks went to others.
            guard let data = FileManager.default.contents(atPath: RoundTrips.file(directory)) else { return [] }
            let times = data.withUnsafeBytes { Array($0.bindMemory(to: Double.self)) }
            return zip(times.dropFirst(), times).map { $0 - $1 }
        }.sorted()
        guard !trips.isEmpty else { return nil }
        count = trips.count
        secondsAtMedian = trips[trips.count / 2]
        secondsAt99 = trips[min(trips.count - 1, trips.count * 99 / 100)]
    }
}

/// Idle workers of `tombola bench tasks`: each with a connection of its own, from which it beats.
struct BenchIdleWorkersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "idle-workers", shouldDisplay: false)

    @Option var connect: String
    @Option var count: Int

    private static let pollMilliseconds: Int64 = 100

    func run() throws {
        ParentDeath.follow()
        FileLimit.raise()
        let context = try ZMQContext()
        let beats = 5.0
        var workers: [IdleWorker] = []
        for number in 0..<count {
            // Spread over the time between beats, as those of many machines are.
            let first = monotonicSeconds() + beats * Double(number) / Double(count)
            workers.append(try IdleWorker(WorkerID("idle-\(number)"), connect, context, firstBeat: first))
        }
        while true {
            var nothing = Poller()
            _ = try nothing.wait(milliseconds: BenchIdleWorkersCommand.pollMilliseconds)
            for worker in workers { try worker.tend(at: monotonicSeconds(), every: beats) }
        }
    }
}

private final class IdleWorker {
    private let id: WorkerID
    private let socket: Socket
    private var nextBeat: Double

    init(_ id: WorkerID, _ endpoint: String, _ context: ZMQContext, firstBeat: Double) throws {
        self.id = id
        nextBeat = firstBeat
        socket = try Socket(.dealer, context: context)
        try socket.connect(endpoint)
        let hello = Hello(
            worker: id, incarnation: 1, counter: 1, slots: 0, running: [], finished: [], datasets: [], host: "bench",
            processID: 0)
        _ = try socket.send(Wire.encode(WorkerMessage.hello(hello)))
    }

    func tend(at seconds: Double, every interval: Double) throws {
        while try socket.receive() != nil {}
        guard seconds >= nextBeat else { return }
        nextBeat += interval
        let beat = Beat(worker: id, incarnation: 1, holding: [], lastSequence: 0, slots: 0)
        _ = try socket.send(Wire.encode(WorkerMessage.beat(beat)))
    }
}
