import ArgumentParser
import Coordination
import Foundation
import Keys
import Logging
import Lottery
import Training
import WorkerService
import ZeroMQ

struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Train for a coordinator, on this machine.",
        discussion: """
            Ctrl-C, SIGTERM or a closed terminal ends it in order: what it trains is saved, sent to the coordinator and handed back, and \
            another worker goes on from there. So does SIGUSR1, with more time, and --drain-at before the time it names.
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

    @Option(
        help: "Seconds between checkpoints of a training on this machine's disk (TOMBOLA_SAVE_EVERY; default: 120).")
    var saveEvery: Int?

    @Option(
        help: """
            Seconds of training that are worth a checkpoint at the coordinator, besides one for each megabyte that it has \
            (TOMBOLA_SEND_AFTER; default: 240).
            """)
    var sendAfter: Int?

    @Option(
        help: """
            When the machine will be taken away: a time such as 18:30 or 2026-11-26T18:30, seconds since 1970, or a duration from \
            now such as +8h or +90m (TOMBOLA_DRAIN_AT; default: never).
            """)
    var drainAt: String?

    @Option(
        help:
            "Seconds before --drain-at, or after SIGUSR1, in which to save and hand back (TOMBOLA_MARGIN; default: 120)."
    )
    var margin: Int?

    @Option(
        help: """
            Artifacts to keep on this machine's disk beyond their use, such as 10GB, so that they need not be fetched again; the least \
            recently used go first (TOMBOLA_CACHE_LIMIT; default: 4GB).
            """)
    var cacheLimit: String?

    @Option(
        help:
            "Memory for all slots together, such as 16GB (TOMBOLA_MEMORY; default: what the machine or its control group has left)."
    )
    var memory: String?

    @Option(help: "Seconds after SIGTERM or Ctrl-C in which to do so (TOMBOLA_GRACE; default: 25).")
    var grace: Int?

    @OptionGroup var peer: PeerOptions
    @OptionGroup var log: LogOptions

    func run() throws {
        ParentDeath.follow()
        try log.start(default: .info)
        guard let endpoint = Environment.setting(connect, "CONNECT") else {
            throw Failure(.usage, "say where the coordinator is: --connect tcp://127.0.0.1:5570, or TOMBOLA_CONNECT")
        }
        let saveEvery = try Environment.setting(saveEvery, "SAVE_EVERY", in: 1...86_400) ?? 120
        var configuration = WorkerServiceConfiguration(
            endpoint: endpoint, directory: Environment.setting(directory, "DIRECTORY") ?? "tombola-worker",
            name: Environment.setting(name, "NAME") ?? WorkerCommand.hostName,
            slots: try Environment.setting(slots, "SLOTS", in: 1...1_024) ?? UsableCores.count,
            slotCommand: [ChildProcess.executable, "slot", "--save-every", String(saveEvery)],
            logger: Logger(label: "worker"))
        configuration.security = try peer.security(for: endpoint, as: .worker)
        if let seconds = try Environment.setting(idleExit, "IDLE_EXIT", in: 1...31_536_000) {
            configuration.settings.idleExitMilliseconds = Int64(seconds) * 1_000
        }
        if let seconds = try Environment.setting(sendAfter, "SEND_AFTER", in: 0...31_536_000) {
            configuration.settings.checkpointMilliseconds = Int64(seconds) * 1_000
        }
        if let seconds = try Environment.setting(margin, "MARGIN", in: 1...86_400) {
            configuration.settings.marginMilliseconds = Int64(seconds) * 1_000
        }
        if let seconds = try Environment.setting(grace, "GRACE", in: 1...86_400) {
            configuration.settings.graceMilliseconds = Int64(seconds) * 1_000
        }
        if let text = Environment.setting(drainAt, "DRAIN_AT") {
            let seconds = try Deadline(text).seconds(after: Date())
            configuration.deadlineMilliseconds = Int64(seconds * 1_000)
        }
        if let limit = try ByteCount.setting(cacheLimit, "CACHE_LIMIT") { configuration.cacheByteCount = limit }
        configuration.memoryBytes = try ByteCount.setting(memory, "MEMORY", least: 1) ?? MemoryBudget.systemBytes
        configuration.numerics = Registry.standard.numerics.values.sorted { $0.text < $1.text }
        let signals = try StopSignals()
        let preemption = try NoticeSignal(.preemption)
        let service = try WorkerService(configuration)
        switch try service.run(signals: signals, preemption: preemption) {
        case .shutdown: configuration.logger.info("the coordinator has no more work")
        case .idle: configuration.logger.info("no work for a while")
        case .stopped: configuration.logger.info("stopped; what was not handed over is kept in its folder")
        }
    }

    /// The first part of the host's name, with what a worker's name may not hold left out.
    private static var hostName: String {
        let name = SlotCommand.hostName
            .filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        return name.isEmpty ? "worker" : String(name.prefix(40))
    }
}
