import ArgumentParser
import Dispatch
import Glibc
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

    @Option(help: "How many seeds to run (default: 1000).")
    var seeds: Int?

    @Option(help: "The first of them (default: 0).")
    var firstSeed: UInt64?

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

    /// For tests: has the seed after the first stop the process, as a broken invariant does.
    @Flag(help: .hidden)
    var trap = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if seed != nil, seeds != nil || firstSeed != nil {
            throw ValidationError("give either --seed, for one, or --seeds and --first-seed, for many")
        }
    }

    func run() throws {
        if let seed { return try replay(seed) }
        let seeds = seeds ?? 1_000
        let firstSeed = firstSeed ?? 0
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
        let trap = trap
        SeedsUnderWay.tellOfTraps()
        DispatchQueue.concurrentPerform(iterations: seeds) { index in
            let place = SeedsUnderWay.begin(firstSeed + UInt64(index))
            defer { SeedsUnderWay.end(place) }
            if trap, index == 1 { preconditionFailure("a trap was asked for") }
            let simulation = Simulation(seed: firstSeed + UInt64(index), scenario: scenario, bug: bug)
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
        let started = monotonicSeconds()
        let simulation = Simulation(
            seed: seed, scenario: try onlyScenario() ?? plantedBug()?.scenario, bug: try plantedBug(),
            keepsTrace: !output.json)
        if output.json {
            var summary = SimulationSummary(seeds: 1, firstSeed: seed)
            summary.add(simulation)
            summary.seconds = monotonicSeconds() - started
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

/// The seeds that are simulated now, for a handler of signals to print: a value whose invariants are broken stops the process,
/// and without its seed nobody could see that again.
private enum SeedsUnderWay {
    private static let places = 256
    /// A seed and one, so that 0 is none. Allocated once and for ever, since handlers may read it at any time.
    nonisolated(unsafe) private static let seeds: UnsafeMutablePointer<UInt64> = {
        let seeds = UnsafeMutablePointer<UInt64>.allocate(capacity: places)
        seeds.initialize(repeating: 0, count: places)
        return seeds
    }()
    private static let free = Mutex(Array(0..<places))

    static func begin(_ seed: UInt64) -> Int? {
        let place = free.withLock { $0.popLast() }
        if let place { seeds[place] = seed &+ 1 }
        return place
    }

    static func end(_ place: Int?) {
        guard let place else { return }
        seeds[place] = 0
        free.withLock { $0.append(place) }
    }

    /// The handler calls what may be called in one, and nothing else (signal-safety(7)).
    static func tellOfTraps() {
        _ = seeds
        for number in [SIGILL, SIGTRAP, SIGABRT] {
            signal(number) { _ in
                SeedsUnderWay.write("a simulated value stopped the process; one of these shows it again:")
                for place in 0..<SeedsUnderWay.places where SeedsUnderWay.seeds[place] != 0 {
                    SeedsUnderWay.write(" --seed ")
                    SeedsUnderWay.write(SeedsUnderWay.seeds[place] &- 1)
                }
                SeedsUnderWay.write("\n")
                _exit(1)
            }
        }
    }

    private static func write(_ text: StaticString) {
        _ = Glibc.write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    }

    private static func write(_ number: UInt64) {
        var divisor: UInt64 = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            var digit = UInt8(truncatingIfNeeded: number / divisor % 10) + UInt8(ascii: "0")
            _ = Glibc.write(STDERR_FILENO, &digit, 1)
            divisor /= 10
        }
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
