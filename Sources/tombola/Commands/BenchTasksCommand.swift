import ArgumentParser
import Coordination
import CoordinatorService
import Foundation
import Logging
import Lottery
import Store
import Training
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
            """)

    @Option(help: "Tasks.")
    var count = 100_000

    @Option(help: "Worker processes.")
    var workers = 2

    @Option(help: "Tasks that a worker holds at once; 1 measures round trips.")
    var prefetch = 256

    @Option(help: "Folder on the disk to be measured; a store is made in it and removed (default: the current folder).")
    var folder = "."

    @OptionGroup var output: OutputOptions
    @OptionGroup var log: LogOptions

    private static let pollMilliseconds: Int64 = 50

    func run() throws {
        guard (1...100_000_000).contains(count) else {
            throw Failure(.usage, "--count must be in 1…100000000, not \(count)")
        }
        guard (1...64).contains(workers) else { throw Failure(.usage, "--workers must be in 1…64, not \(workers)") }
        guard (1...Limits.slotsPerWorker).contains(prefetch) else {
            throw Failure(.usage, "--prefetch must be in 1…\(Limits.slotsPerWorker), not \(prefetch)")
        }
        try log.start(default: .warning)
        let directory = "\(folder)/tombola-bench-\(UInt64.random(in: 0 ... .max))"
        // What is left behind by a crash is named so that it can be recognised.
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let catalog = DataCatalog(registry: .standard, folders: [])
        var configuration = CoordinatorServiceConfiguration(
            storeDirectory: "\(directory)/store", vocabulary: catalog.vocabulary, data: catalog.access,
            logger: Logger(label: "coordinator"))
        configuration.exitWhenDone = true
        let coordinator = try CoordinatorService(configuration)
        let planned = monotonicSeconds()
        for first in stride(from: 0, to: count, by: 10_000) {
            try coordinator.add((first..<min(first + 10_000, count)).map(BenchTasksCommand.work))
        }
        let added = monotonicSeconds()
        var processes = try LocalWorkers(
            (1...workers).map { number in
                [
                    "bench", "tasks-worker", "--connect", coordinator.endpoint, "--directory",
                    "\(directory)/worker-\(number)", "--prefetch", String(prefetch),
                ]
            })
        defer { processes.kill() }
        var course = Course()
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
        let result = TasksMeasurement(
            count: count, workers: workers, prefetch: prefetch, course: course, secondsToAdd: added - planned,
            coordinatorBytes: ProcessMemory.peakBytes())
        if output.json { return try Output.json(result) }
        Output.facts(result.facts)
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
        _ = try WorkerService(configuration).run()
    }
}

/// How many tasks were done when.
private struct Course {
    private var points: [(seconds: Double, done: Int)] = []

    mutating func note(done: Int, at seconds: Double) {
        if points.last?.done != done { points.append((seconds, done)) }
    }

    /// Tasks per second between two numbers of tasks done, by the nearest observations around them.
    func rate(from first: Int, to last: Int) -> Double {
        guard let begin = points.last(where: { $0.done <= first }), let end = points.first(where: { $0.done >= last }),
            end.seconds > begin.seconds
        else { return 0 }
        return Double(end.done - begin.done) / (end.seconds - begin.seconds)
    }
}

/// The JSON of `tombola bench tasks`.
private struct TasksMeasurement: Encodable {
    let count: Int
    let workers: Int
    let prefetch: Int
    /// From the workers' start to the last result, their start included.
    let tasksPerSecond: Double
    let tasksPerSecondOfFirstTenth: Double
    let tasksPerSecondOfLastTenth: Double
    /// To make all tasks durable before any was given out.
    let secondsToAdd: Double
    /// The most that the coordinator's process held.
    let coordinatorBytes: Int

    init(count: Int, workers: Int, prefetch: Int, course: Course, secondsToAdd: Double, coordinatorBytes: Int) {
        self.count = count
        self.workers = workers
        self.prefetch = prefetch
        tasksPerSecond = course.rate(from: 0, to: count)
        tasksPerSecondOfFirstTenth = course.rate(from: 0, to: count / 10)
        tasksPerSecondOfLastTenth = course.rate(from: count - count / 10, to: count)
        self.secondsToAdd = secondsToAdd
        self.coordinatorBytes = coordinatorBytes
    }

    var facts: [(name: String, value: String)] {
        [
            ("rate", "\(Format.rate(tasksPerSecond)) tasks/s, \(Format.count(count)) tasks on \(workers) workers"),
            ("first tenth", "\(Format.rate(tasksPerSecondOfFirstTenth)) tasks/s"),
            ("last tenth", "\(Format.rate(tasksPerSecondOfLastTenth)) tasks/s"),
            ("adding", "\(Format.duration(seconds: secondsToAdd)) until all tasks were durable"),
            ("memory", "\(Format.bytes(coordinatorBytes)) at the most in the coordinator"),
        ]
    }
}
