import ArgumentParser
import Client
import CoordinatorService
import Dispatch
import Logging
import Sweeps
import Synchronization
import ZeroMQ

/// `tombola bench sweep`.
struct BenchSweepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "What a large sweep costs its coordinator: time until all of it is durable, and memory.",
        discussion: """
            A sweep of so many runs is submitted to a coordinator, and nothing is trained. Meanwhile a client asks for the status again \
            and again: how long its answer takes at the most is how long workers may have to wait for theirs. Memory is what the \
            coordinator's process has more once all is taken on, up to 64 MiB of the database's cache included.
            """)

    @Option(help: "Runs: points times replicates.")
    var runs = 100_000

    @Option(help: "Prunings of each run.")
    var levels = 1

    @Option(help: "Replicates of each point.")
    var replicates = 1

    @Option(help: "Folder on the disk to be measured; a store is made in it and removed (default: the current folder).")
    var folder = "."

    @OptionGroup var output: OutputOptions
    @OptionGroup var log: LogOptions

    /// Values of an axis.
    private static let ratesAtMost = 1_000
    private static let timeoutMilliseconds: Int64 = 600_000

    func run() throws {
        guard (1...Sweep.runsAtMost).contains(runs) else {
            throw Failure(.usage, "--runs must be in 1…\(Sweep.runsAtMost), not \(runs)")
        }
        guard (0...20).contains(levels) else { throw Failure(.usage, "--levels must be in 0…20, not \(levels)") }
        guard (1...1_000).contains(replicates), runs % replicates == 0 else {
            throw Failure(.usage, "--replicates must be in 1…1000 and divide the \(runs) runs, not \(replicates)")
        }
        let points = runs / replicates
        guard let rates = (1...BenchSweepCommand.ratesAtMost).last(where: { points % $0 == 0 }),
            points / rates <= 50_000
        else {
            throw Failure(.usage, "\(points) points are no grid of two axes; take a round number of --runs")
        }
        try log.start(default: .warning)
        let bench = BenchStore(in: folder)
        defer { bench.remove() }
        var configuration = bench.configuration
        configuration.tasksPerSubmission = Plan.tasksAtMost
        let coordinator = try CoordinatorService(configuration)
        // The data set is made before, which is no matter of the sweep.
        _ = try coordinator.submit(SubmitRequest(file: "bench", spec: spec("first", rates: 1, warmups: 1)))
        let before = try ProcessMemory.residentBytes()
        let isOver = Atomic(false)
        let longestWait = Mutex(0.0)
        let watcher = DispatchGroup()
        let endpoint = coordinator.endpoint
        DispatchQueue.global().async(group: watcher) {
            // Without a client nothing is measured, which shows.
            guard let client = try? Client(endpoint: endpoint) else { return }
            repeat {
                let asked = monotonicSeconds()
                guard
                    (try? client.request(
                        ServiceVerb.status.rawValue, timeoutMilliseconds: BenchSweepCommand.timeoutMilliseconds)) != nil
                else { return }
                let took = monotonicSeconds() - asked
                longestWait.withLock { $0 = max($0, took) }
            } while !isOver.load(ordering: .relaxed)
        }
        let submitted = monotonicSeconds()
        let request = SubmitRequest(
            file: "bench", spec: spec("large", rates: rates, warmups: points / rates), consents: true)
        let reply = try coordinator.submit(request)
        let seconds = monotonicSeconds() - submitted
        isOver.store(true, ordering: .relaxed)
        watcher.wait()
        let bytes = max(0, try ProcessMemory.residentBytes() - before)
        coordinator.stop()
        _ = try coordinator.run()
        let result = SweepMeasurement(
            runs: runs, tasks: reply.plan.tasks, secondsToSubmit: seconds,
            secondsOfLongestWait: longestWait.withLock { $0 },
            bytesPerRun: bytes / runs, bytesPerTask: bytes / reply.plan.tasks,
            coordinatorBytes: ProcessMemory.peakBytes())
        if output.json { return try Output.json(result) }
        Output.facts(result.facts)
    }

    private func spec(_ name: String, rates: Int, warmups: Int) -> String {
        """
        name: \(name)
        dataset: glyphs
        model: {family: lenet-300-100}
        training: {iterations: 100000, batch: 60}
        pruning: {levels: \(levels), rate: 0.2}
        replicates: \(replicates)
        grid:
          lr: [\((1...rates).map { "0.\(100_000 + $0)" }.joined(separator: ", "))]
          warmup: [\((0..<warmups).map(String.init).joined(separator: ", "))]
        """
    }
}

/// The JSON of `tombola bench sweep`.
private struct SweepMeasurement: Encodable {
    let runs: Int
    let tasks: Int
    /// From the spec to the answer that all of it is durable.
    let secondsToSubmit: Double
    /// Of a client's question for the status.
    let secondsOfLongestWait: Double
    /// What the process has more than before; with the tasks that are ready.
    let bytesPerRun: Int
    let bytesPerTask: Int
    /// The most that the coordinator's process held.
    let coordinatorBytes: Int

    var facts: [(name: String, value: String)] {
        [
            ("sweep", "\(Format.count(runs)) runs, \(Format.count(tasks)) tasks"),
            ("submission", "\(Format.fixed(secondsToSubmit, 1)) s until all of it was durable"),
            ("longest wait", "\(Format.fixed(secondsOfLongestWait, 2)) s for an answer meanwhile"),
            (
                "memory",
                "\(Format.count(bytesPerRun)) bytes a run, \(Format.count(bytesPerTask)) a task; "
                    + "\(Format.bytes(coordinatorBytes)) at the most in the coordinator"
            ),
        ]
    }
}
