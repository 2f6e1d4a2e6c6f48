import Foundation
import Glibc
import Testing

/// Whole clusters of processes that are disturbed: one after the other, so that none is disturbed by the next one's
/// load.
@Suite(.serialized) enum DisturbedProcesses {}

/// Draws that a seed repeats (Steele, Lea and Flood 2014, SplitMix64).
struct SeededDraws: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

/// The same for every run unless TOMBOLA_SEED says another.
let testSeed = ProcessInfo.processInfo.environment["TOMBOLA_SEED"].flatMap(UInt64.init) ?? 1

/// Whether repetitions run at their full counts.
let isSoak = ProcessInfo.processInfo.environment["TOMBOLA_SOAK"] != nil

/// Prints what a test of many repetitions has done, in a line of its own that can be quoted, with how long it took.
func report(_ what: String, since start: ContinuousClock.Instant, _ counts: String) {
    let seconds = Int((ContinuousClock.now - start).components.seconds)
    print("soak: \(what): \(counts); \(seconds / 60) min \(seconds % 60) s")
}

/// A loopback address that nothing else in this machine uses, for a coordinator that is to come back: on one that is
/// shared, its port may belong to another test's connection by then.
func ownAddress() -> String {
    let parts = (0..<3).map { _ in String(Int.random(in: 1...254)) }
    return "tcp://127.\(parts.joined(separator: ".")):*"
}

/// A coordinator and workers as processes of their own, with timings of a second instead of half a minute.
final class Cluster {
    let folder: URL
    let store: String
    private(set) var coordinator: Program
    private(set) var workers: [Program] = []
    private(set) var address: String

    static let timings = ["--beat", "0.2", "--session", "1.5", "--adoption", "3"]
    private let timings: [String]
    private let workerOptions: [String]

    init(
        in folder: URL, store: String, workers count: Int, serving options: [String] = [], working: [String] = [],
        timings: [String] = Cluster.timings
    ) async throws {
        self.folder = folder
        self.store = store
        self.timings = timings
        workerOptions = working
        coordinator = try Program(
            ["serve", "--store", store, "--bind", ownAddress()] + timings + options, in: folder)
        address = try await Cluster.address(of: coordinator)
        for number in 0..<count { workers.append(try worker(number)) }
    }

    private static func address(of coordinator: Program) async throws -> String {
        try await until("the coordinator says where it is") {
            guard coordinator.isRunning else { throw Late(description: "it ended:\n\(coordinator.errors)") }
            return coordinator.errors.contains("coordinator at tcp://")
        }
        return try #require(coordinator.errors.firstMatch(of: #/coordinator at (\S+),/#).map { String($0.1) })
    }

    private func worker(_ number: Int) throws -> Program {
        try Program(
            ["worker", "--connect", address, "--directory", "\(store)-worker-\(number)", "--slots", "1"]
                + workerOptions, in: folder)
    }

    func submit(_ spec: String) async throws {
        let submitted = try await Program.run(["submit", spec, "--connect", address], in: folder)
        #expect(submitted.status == 0, "\(submitted.errors)")
    }

    /// Ends a worker's process at once and starts another in its folder.
    func replaceWorker(_ number: Int) async throws {
        workers[number].send(SIGKILL)
        try await workers[number].end()
        workers[number] = try worker(number)
    }

    /// Ends the coordinator by `signal` and starts another at its address, after a while.
    /// - Parameter whileGone: what is to have happened before the other one is started.
    func replaceCoordinator(
        by signal: Int32, after downtime: Duration = .zero, whileGone: () async throws -> Void = {}
    ) async throws {
        coordinator.send(signal)
        try await coordinator.end()
        try await whileGone()
        // That nobody is there for so long is what is tried.
        if downtime > .zero { try await Task.sleep(for: downtime) }
        coordinator = try Program(
            ["serve", "--store", store, "--bind", address] + timings,
            in: folder)
        address = try await Cluster.address(of: coordinator)
    }

    var attempts: Attempts? { try? Attempts(store: folder.appending(path: store)) }  // no store yet

    func leaderboard() async throws -> String {
        try await Program.run(["leaderboard", "--json", "--store", store], in: folder).output
    }

    /// Ends all in order.
    func end() async throws {
        for (number, worker) in workers.enumerated() {
            // One that was started a moment ago does not listen to signals yet.
            try await until("worker \(number) starts") { worker.errors.contains(" starts with ") || !worker.isRunning }
            worker.send(SIGTERM)
            let status = try await worker.end()
            #expect(status == 0, "worker \(number): \(worker.errors)")
        }
        coordinator.send(SIGTERM)
        let status = try await coordinator.end()
        #expect(status == 0, "\(coordinator.errors)")
    }

    func kill() {
        for program in workers + [coordinator] where program.isRunning {
            program.send(SIGKILL)
            program.send(SIGCONT)
        }
    }
}
