import ArgumentParser
import Dispatch
import Simulation
import Synchronization

/// `tombola simulate`.
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Sweeps on simulated clusters on which everything goes wrong, checked from outside.",
        discussion: """
            Each seed is one course of a sweep: the network drops, repeats, delays and cuts off; coordinator and workers die between \
            any two steps, pause, and come back; disks fill, clocks drift and jump. Then faults stop, and the sweep must end with \
            the leaderboard of a run in which nothing went wrong. The coordinator, the workers and the wire are those that ship.

            Exit status: 0 if every seed holds, 1 with the seeds that do not; --seed replays one and prints what happened.
            """)

    @Option(help: "How many seeds to run.")
    var seeds = 1_000

    @Option(help: "The first of them.")
    var firstSeed: UInt64 = 0

    @Option(help: "Run this seed alone, and print what happens, a line each.")
    var seed: UInt64?

    @Option(
        help: ArgumentHelp(
            "Let only this go wrong: \(Scenario.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "name"))
    var scenario: String?

    @Option(
        help: ArgumentHelp(
            "Break this on purpose, to see it found: \(PlantedBug.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "bug"))
    var plant: String?

    @OptionGroup var output: OutputOptions

    func run() throws {
        if let seed { return try replay(seed) }
        guard (1...100_000_000).contains(seeds) else {
            throw Failure(.usage, "--seeds must be in 1…100000000, not \(seeds)")
        }
        guard firstSeed <= UInt64.max - UInt64(seeds) else {
            throw Failure(.usage, "--first-seed \(firstSeed) is too large")
        }
        let bug = try plantedBug()
        let scenario = try onlyScenario() ?? bug?.scenario
        let started = monotonicSeconds()
        let summary = Mutex(SimulationSummary(seeds: seeds, firstSeed: firstSeed))
        let first = firstSeed
        DispatchQueue.concurrentPerform(iterations: seeds) { index in
            let simulation = Simulation(seed: first + UInt64(index), scenario: scenario, bug: bug)
            let failure = summary.withLock { $0.add(simulation) }
            if let failure { Terminal.error.write(failure + "\n") }
        }
        var found = summary.withLock { $0 }
        found.failures.sort { $0.seed < $1.seed }
        found.seconds = monotonicSeconds() - started
        if output.json { try Output.json(found) } else { Output.line(found.text) }
        guard found.failures.isEmpty else {
            throw Failure(
                .infrastructure, "\(Format.count(found.failures.count)) of \(Format.count(seeds)) seeds failed")
        }
    }

    private func replay(_ seed: UInt64) throws {
        let simulation = Simulation(
            seed: seed, scenario: try onlyScenario() ?? plantedBug()?.scenario, bug: try plantedBug(),
            keepsTrace: !output.json)
        if output.json {
            var summary = SimulationSummary(seeds: 1, firstSeed: seed)
            summary.add(simulation)
            try Output.json(summary)
        } else {
            for line in simulation.trace { Output.line(line) }
        }
        if let violation = simulation.violation { throw Failure(.infrastructure, "seed \(seed): \(violation)") }
    }

    private func onlyScenario() throws -> Scenario? {
        guard let scenario else { return nil }
        guard let found = Scenario(rawValue: scenario) else {
            let known = Scenario.allCases.map(\.rawValue).joined(separator: ", ")
            throw Failure(.usage, "no scenario is called “\(scenario)”; there are \(known)")
        }
        return found
    }

    private func plantedBug() throws -> PlantedBug? {
        guard let plant else { return nil }
        guard let bug = PlantedBug(rawValue: plant) else {
            let known = PlantedBug.allCases.map(\.rawValue).joined(separator: ", ")
            throw Failure(.usage, "no bug to plant is called “\(plant)”; there are \(known)")
        }
        return bug
    }
}

/// What many seeds came to; the JSON of `tombola simulate`.
private struct SimulationSummary: Encodable {
    struct Failed: Encodable {
        var seed: UInt64
        var violation: String
        /// Simulated time of the violation.
        var milliseconds: Int64
    }

    let seeds: Int
    let firstSeed: UInt64
    var failures: [Failed] = []
    var tasks = 0
    var attempts = 0
    var events = 0
    /// Simulated.
    var hours = 0.0
    /// Real.
    var seconds = 0.0

    init(seeds: Int, firstSeed: UInt64) {
        self.seeds = seeds
        self.firstSeed = firstSeed
    }

    /// The sentence about a seed that failed, or nil.
    @discardableResult
    mutating func add(_ simulation: Simulation) -> String? {
        tasks += simulation.tasks
        attempts += simulation.attempts
        events += simulation.events
        hours += Double(simulation.milliseconds) / 3_600_000
        guard let violation = simulation.violation else { return nil }
        failures.append(
            Failed(seed: simulation.seed, violation: violation, milliseconds: simulation.milliseconds))
        let replay =
            "tombola simulate --seed \(simulation.seed)"
            + (simulation.scenario.map { " --scenario \($0.rawValue)" } ?? "")
            + (simulation.bug.map { " --plant \($0.rawValue)" } ?? "")
        return "seed \(simulation.seed): \(violation); \(replay) shows how it came to that"
    }

    var text: String {
        let scope =
            "\(Format.count(seeds)) sweeps, \(Format.count(tasks)) tasks in \(Format.count(attempts)) attempts, "
            + "\(Format.count(Int(hours))) simulated hours, \(Format.count(events)) events in \(Format.duration(seconds: seconds))"
        return failures.isEmpty
            ? "\(scope): nothing was lost, and every leaderboard is that of an undisturbed run" : scope
    }
}
