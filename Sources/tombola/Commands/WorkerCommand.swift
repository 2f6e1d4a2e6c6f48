import ArgumentParser
import Coordination
import Foundation
import Keys
import Logging
import WorkerService
import ZeroMQ

struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Train for a coordinator, on this machine.",
        discussion: """
            Ctrl-C or SIGTERM ends it in order: what it trains leaves a checkpoint in its folder, and a worker started there again \
            goes on from it.
            """)

    @Option(help: "The coordinator's address, such as tcp://127.0.0.1:5570 (TOMBOLA_CONNECT).")
    var connect: String?

    @Option(help: "Trainings at once (TOMBOLA_SLOTS; default: the cores that affinity and cgroup allow).")
    var slots: Int?

    @Option(
        help:
            "The worker's own folder, on a local disk (TOMBOLA_DIRECTORY; default: tombola-worker in the current folder)."
    )
    var directory: String?

    @Option(help: "First part of the worker's name (TOMBOLA_NAME; default: the host's name).")
    var name: String?

    @Option(help: "End after this many seconds without work (TOMBOLA_IDLE_EXIT; default: never).")
    var idleExit: Int?

    @OptionGroup var peer: PeerOptions
    @OptionGroup var log: LogOptions

    func run() throws {
        ParentDeath.follow()
        try log.start(default: .info)
        guard let endpoint = Environment.setting(connect, "CONNECT") else {
            throw Failure(.usage, "say where the coordinator is: --connect tcp://127.0.0.1:5570, or TOMBOLA_CONNECT")
        }
        var configuration = WorkerServiceConfiguration(
            endpoint: endpoint, directory: Environment.setting(directory, "DIRECTORY") ?? "tombola-worker",
            name: Environment.setting(name, "NAME") ?? WorkerCommand.hostName,
            slots: try Environment.setting(slots, "SLOTS", in: 1...1_024) ?? UsableCores.count,
            slotCommand: [ChildProcess.executable, "slot"], logger: Logger(label: "worker"))
        configuration.security = try peer.security(for: endpoint, as: .worker)
        if let seconds = try Environment.setting(idleExit, "IDLE_EXIT", in: 1...31_536_000) {
            configuration.settings.idleExitMilliseconds = Int64(seconds) * 1_000
        }
        let signals = try StopSignals()
        let service = try WorkerService(configuration)
        switch try service.run(signals: signals) {
        case .shutdown: configuration.logger.info("the coordinator has no more work")
        case .idle: configuration.logger.info("no work for a while")
        case .stopped: configuration.logger.info("stopped; checkpoints are kept")
        }
    }

    /// The first part of the host's name, with what a worker's name may not hold left out.
    private static var hostName: String {
        let name = ProcessInfo.processInfo.hostName.prefix { $0 != "." }
            .filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        return name.isEmpty ? "worker" : String(name.prefix(40))
    }
}
