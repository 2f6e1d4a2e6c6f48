import ArgumentParser
import Coordination
import CoordinatorService
import Keys
import Logging
import Synchronization
import Training
import ZeroMQ

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Coordinate workers on many machines, from a store on this one.",
        discussion:
            """
            Sweeps come by `tombola submit`. Ctrl-C or SIGTERM ends it in order; workers go on training until it is \
            back. On an address that other machines can reach it lets in only those with a key: see `tombola keys`. \
            SIGHUP has it read the allow-list again. If it was told to stop (`tombola stop`) and died before it had, it goes on stopping \
            when it is started again, unless --go-on is given.
            """
    )

    static let defaultAddress = "tcp://127.0.0.1:5570"

    @Option(help: "Address for workers and clients (TOMBOLA_BIND; default: \(ServeCommand.defaultAddress)).")
    var bind: String?

    @Option(help: "Address for blobs (TOMBOLA_BLOB_BIND; default: the next port).")
    var blobBind: String?

    @Flag(help: "Let in keys only, also on this machine. So it is anyway on addresses that others can reach.")
    var curve = false

    @Flag(help: "Let in everyone who can reach the address, in the clear, with all rights.")
    var insecure = false

    @Flag(help: "Give out tasks also where a `tombola stop` was interrupted by a crash.")
    var goOn = false

    @OptionGroup var keyFolder: KeyFolderOption
    @OptionGroup var data: DataOption
    @OptionGroup var timing: TimingOptions
    @OptionGroup var room: RoomOption
    @OptionGroup var retention: RetentionOption
    @OptionGroup var log: LogOptions

    private var store: StoreOption { keyFolder.store }

    func validate() throws {
        if curve, insecure { throw ValidationError("give either --curve or --insecure, not both") }
    }

    func run() throws {
        try log.start(default: .info)
        let signals = try StopSignals(hangup: false)
        let catalog = data.catalog(store: store.directory)
        var configuration = CoordinatorServiceConfiguration(
            storeDirectory: store.directory, vocabulary: catalog.vocabulary, data: catalog.access,
            logger: Logger(label: "coordinator"))
        configuration.bind = Environment.setting(bind, "BIND") ?? ServeCommand.defaultAddress
        try timing.apply(to: &configuration.settings)
        configuration.minimumFreeBytes = try room.bytes()
        configuration.retainsTicketsOnly = try retention.keepsTicketsOnly()
        configuration.interruptedStop = goOn ? .isForgotten : .goesOn
        configuration.blobBind = Environment.setting(blobBind, "BLOB_BIND")
        configuration.protection = try protection(
            of: [configuration.bind] + [configuration.blobBind].compactMap(\.self))
        let hangup = try NoticeSignal(.hangup)
        let unmet = UnmetLog(configuration.logger)
        configuration.onStatus = { unmet.note($0) }
        let service = try CoordinatorService(configuration, signals: signals, hangup: hangup)
        Console.shared.say("coordinator at \(service.endpoint), store \(store.directory)")
        if case .drained(let left) = try service.run() {
            Console.shared.say("stopped with \(OrderText.tasks(left)) left; start it again to go on")
        }
    }

    private func protection(of addresses: [String]) throws -> Protection {
        let isOpen = !addresses.allSatisfy(Loopback.contains)
        if insecure {
            if isOpen { Insecure.warn("whoever can reach this coordinator may do everything") }
            return .none
        }
        let folder = keyFolder.folder
        guard curve || isOpen && folder.hasServerKey else { return .loopback }
        if try folder.allowList().entries.isEmpty {
            Console.shared.say(
                "no key is authorised yet, so nobody will come in: `tombola keys generate NAME --role worker`")
        }
        return .keys(folder)
    }
}

/// Says of each need that no worker meets, once until it is met, that tasks wait.
private final class UnmetLog: Sendable {
    private let logger: Logger
    private let said = Mutex<Set<Work.Needs>>([])

    init(_ logger: Logger) { self.logger = logger }

    func note(_ status: ServiceStatus) {
        // Without workers nothing is known of what they have.
        guard !status.workers.isEmpty else { return }
        let unsaid = said.withLock { said in
            defer { said = Set(status.unmet.map(\.needs)) }
            return status.unmet.filter { !said.contains($0.needs) }
        }
        for unmet in unsaid { logger.warning("\(UnmetText.sentence(unmet)) until one comes") }
    }
}

extension DataCatalog {
    /// The catalog as the coordinator sees it.
    var access: DataAccess {
        DataAccess(
            digest: { name in try self.digest(of: name) },
            materialise: { name, folder in try self.materialise(name, into: folder).path })
    }
}
