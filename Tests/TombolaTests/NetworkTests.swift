import Foundation
import Glibc
import Testing

/// Hosts of our own: network namespaces, each with its interfaces, joined by cables that can be cut.
private struct Hosts {
    let coordinator: String
    let workers: [String]
    private let ip: String

    private static let paths = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"]

    /// Whether this process may make namespaces.
    static let arePermitted: Bool = {
        guard let ip = paths.first(where: FileManager.default.isExecutableFile) else { return false }
        let name = "tombola-probe-\(getpid())"
        guard command(ip, ["netns", "add", name]) else { return false }
        return command(ip, ["netns", "delete", name])
    }()

    init(workers count: Int) throws {
        ip = try #require(Hosts.paths.first(where: FileManager.default.isExecutableFile))
        coordinator = "tombola-c-\(getpid())"
        workers = (0..<count).map { "tombola-w\($0)-\(getpid())" }
        for name in [coordinator] + workers {
            try run("netns", "add", name)
            try run("-n", name, "link", "set", "lo", "up")
        }
        for (number, worker) in workers.enumerated() {
            try run(
                "-n", coordinator, "link", "add", "to\(number)", "type", "veth", "peer", "name", "cable", "netns",
                worker)
            try run("-n", coordinator, "address", "add", "10.77.\(number).1/24", "dev", "to\(number)")
            try run("-n", worker, "address", "add", "10.77.\(number).2/24", "dev", "cable")
            try run("-n", coordinator, "link", "set", "to\(number)", "up")
            try run("-n", worker, "link", "set", "cable", "up")
        }
    }

    /// With a namespace its cables go, too.
    func remove() {
        for name in [coordinator] + workers { _ = Hosts.command(ip, ["netns", "delete", name]) }
    }

    func launcher(_ name: String) -> [String] { [ip, "netns", "exec", name] }

    /// Where the coordinator's host is for a worker.
    func address(for worker: Int) -> String { "tcp://10.77.\(worker).1:5570" }

    func cut(_ worker: Int) throws { try run("-n", workers[worker], "link", "set", "cable", "down") }
    func join(_ worker: Int) throws { try run("-n", workers[worker], "link", "set", "cable", "up") }

    /// What can lose packets at random here.
    enum Loss: String {
        case netem = "tc netem"
        case nft
    }

    /// Loses that share of the packets in either direction, by `tc netem` where the kernel has it, else by a rule of
    /// nftables for what comes in at each end; nil where neither can.
    func lose(percent: Int) -> Loss? {
        let tc = ip.replacing(#/ip$/#, with: "tc")
        let ends = workers.indices.map { (coordinator, "to\($0)") } + workers.map { ($0, "cable") }
        let hasNetem = ends.allSatisfy { name, device in
            Hosts.command(
                ip,
                ["netns", "exec", name, tc, "qdisc", "add", "dev", device, "root", "netem", "loss", "\(percent)%"])
        }
        if hasNetem { return .netem }
        guard let nft = Hosts.nft else { return nil }
        let rules =
            "add table inet lossy; add chain inet lossy in { type filter hook input priority 0; }; "
            + "add rule inet lossy in iifname != lo counter; "
            + "add rule inet lossy in iifname != lo numgen random mod 100 < \(percent) counter drop"
        let isSet = ([coordinator] + workers).allSatisfy {
            Hosts.command(ip, ["netns", "exec", $0, nft, rules])
        }
        return isSet ? .nft : nil
    }

    /// How many packets came to all ends, and how many of them were lost.
    func packets(lostBy loss: Loss) throws -> (all: Int, lost: Int) {
        let tool = loss == .nft ? Hosts.nft! : ip.replacing(#/ip$/#, with: "tc")
        var (all, lost) = (0, 0)
        for name in [coordinator] + workers {
            let text = try Hosts.output(
                ip,
                ["netns", "exec", name, tool] + (loss == .nft ? ["list", "table", "inet", "lossy"] : ["-s", "qdisc"]))
            switch loss {
            case .nft:
                let counts = text.matches(of: #/counter packets (\d+)/#).map { Int($0.1)! }
                all += try #require(counts.first)
                lost += try #require(counts.last)
            case .netem:
                for line in text.matches(of: #/Sent \d+ bytes (\d+) pkt \(dropped (\d+)/#) {
                    all += Int(line.1)! + Int(line.2)!
                    lost += Int(line.2)!
                }
            }
        }
        return (all, lost)
    }

    private static let nft = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].first(
        where: FileManager.default.isExecutableFile)

    private func run(_ arguments: String...) throws {
        guard Hosts.command(ip, arguments) else {
            throw Late(description: "ip \(arguments.joined(separator: " ")) failed")
        }
    }

    private static func output(_ path: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text
    }

    private static func command(_ path: String, _ arguments: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }  // it was there a moment ago
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}

extension DisturbedProcesses {
    /// A coordinator and workers on hosts of their own, whose network fails.
    @Suite(.serialized, .enabled(if: Hosts.arePermitted, "network namespaces need root and iproute2"))
    struct NetworkTests {
        private static let rounds = isSoak ? 20 : 1
        private static let lossyRounds = isSoak ? 5 : 1
        private static let timings = ["--beat", "0.2", "--session", "1.5", "--adoption", "3"]

        @Test(
            "Workers cut off, the coordinator cut off, packets lost: once the network heals, the leaderboard is the same"
        )
        func partitions() async throws {
            let start = ContinuousClock.now
            let hosts = try Hosts(workers: 2)
            defer { hosts.remove() }
            try await withFolder { folder in
                let spec = try TestSweep.write(TestSweep.tiny(iterations: 1_000), in: folder)
                let undisturbed = try await Program.run(
                    ["run", spec, "--json", "--store", "undisturbed"], in: folder, within: 300)
                #expect(undisturbed.status == 0, "\(undisturbed.errors)")
                for round in 0..<NetworkTests.rounds {
                    let store = "store-\(round)"
                    try await disturb(hosts, spec, store: store, in: folder)
                    let disturbed = try await Program.run(["leaderboard", "--json", "--store", store], in: folder)
                    #expect(disturbed.output == undisturbed.output, "round \(round)")
                }
                guard let loss = hosts.lose(percent: 20) else {
                    return print("network: neither tc netem nor nft can lose packets at random here, so none were")
                }
                for round in 0..<NetworkTests.lossyRounds {
                    let store = "lossy-\(round)"
                    for worker in hosts.workers.indices {
                        // The data set is there: 30 MB over TCP that loses a fifth take minutes, and show nothing more.
                        let directory = folder.appending(path: "\(store)-\(worker)")
                        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
                        try FileManager.default.copyItem(
                            at: folder.appending(path: "undisturbed/workers/1/artifacts"),
                            to: directory.appending(path: "artifacts"))
                    }
                    try await run(
                        hosts, spec, store: store, in: folder,
                        timings: ["--beat", "0.5", "--session", "10", "--adoption", "15"]
                    ) { _, done in
                        try await until("the sweep ends though packets are lost", within: 300) { done() == 16 }
                    }
                    let disturbed = try await Program.run(["leaderboard", "--json", "--store", store], in: folder)
                    #expect(disturbed.output == undisturbed.output, "round \(round)")
                }
                let packets = try hosts.packets(lostBy: loss)
                #expect(packets.lost > packets.all / 10, "\(packets)")
                report(
                    "network", since: start,
                    """
                    \(NetworkTests.rounds) sweeps in which workers were cut off three times, and \(NetworkTests.lossyRounds) more while \
                    \(loss.rawValue) lost \(packets.lost) of \(packets.all) packets, same leaderboards
                    """)
            }
        }

        /// Cuts workers off and joins them again.
        private func disturb(_ hosts: Hosts, _ spec: String, store: String, in folder: URL) async throws {
            try await run(hosts, spec, store: store, in: folder, timings: NetworkTests.timings) { coordinator, done in
                func advance(_ claim: String) async throws {
                    let before = done()
                    try await until("another task is done \(claim)", within: 90) { done() > before || done() == 16 }
                }
                try await advance("at first")
                try hosts.cut(0)
                try await until("the worker that was cut off is lost", within: 60) {
                    coordinator.errors.contains(#/w0-.*(lost|silent)/#) || done() == 16
                }
                try await advance("by the worker that is left")
                try hosts.join(0)
                try hosts.cut(1)
                try await advance("by the worker that is back")
                try hosts.cut(0)
                // Nobody is left who could make a condition true; longer than a session.
                try await Task.sleep(for: .seconds(2))
                try hosts.join(0)
                try hosts.join(1)
                try await until("the sweep ends", within: 120) { done() == 16 }
            }
        }

        /// Runs a sweep on the hosts, while `body` waits for its end.
        private func run(
            _ hosts: Hosts, _ spec: String, store: String, in folder: URL, timings: [String],
            _ body: (_ coordinator: Program, _ done: () -> Int) async throws -> Void
        ) async throws {
            let coordinator = try Program(
                ["serve", "--store", store, "--bind", "tcp://0.0.0.0:5570", "--insecure"] + timings,
                in: folder,
                launcher: hosts.launcher(hosts.coordinator))
            let workers = try hosts.workers.enumerated().map { number, host in
                try Program(
                    [
                        "worker", "--connect", hosts.address(for: number), "--directory", "\(store)-\(number)",
                        "--name",
                        "w\(number)", "--slots", "1", "--insecure",
                    ], in: folder, launcher: hosts.launcher(host))
            }
            defer { for program in workers + [coordinator] where program.isRunning { program.send(SIGKILL) } }
            try await until("the coordinator is there") {
                guard coordinator.isRunning else { throw Late(description: "it ended:\n\(coordinator.errors)") }
                return coordinator.errors.contains("coordinator at tcp://")
            }
            let submitted = try await Program.run(
                ["submit", spec, "--connect", "tcp://127.0.0.1:5570"], in: folder,
                launcher: hosts.launcher(hosts.coordinator))
            #expect(submitted.status == 0, "\(submitted.errors)")

            // No store yet.
            func done() -> Int { (try? Attempts(store: folder.appending(path: store)))?.done.count ?? 0 }
            try await body(coordinator, done)
            for worker in workers {
                worker.send(SIGTERM)
                let status = try await worker.end()
                #expect(status == 0, "\(worker.errors)")
            }
            coordinator.send(SIGTERM)
            let status = try await coordinator.end()
            #expect(status == 0, "\(coordinator.errors)")
        }
    }
}
