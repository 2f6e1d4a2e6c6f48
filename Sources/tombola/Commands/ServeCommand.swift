import ArgumentParser
import CoordinatorService
import Logging
import Training
import ZeroMQ

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Coordinate workers on many machines, from a store on this one.",
        discussion:
            "Sweeps come by `tombola submit`. Ctrl-C or SIGTERM ends it in order; workers go on training until it is back."
    )

    static let defaultAddress = "tcp://127.0.0.1:5570"

    @Option(
        help:
            "Address for workers and clients, on this machine only (TOMBOLA_BIND; default: \(ServeCommand.defaultAddress))."
    )
    var bind: String?

    @Option(help: "Address for blobs (TOMBOLA_BLOB_BIND; default: the next port).")
    var blobBind: String?

    @OptionGroup var store: StoreOption
    @OptionGroup var data: DataOption
    @OptionGroup var log: LogOptions

    func run() throws {
        try log.start(default: .info)
        let signals = try StopSignals()
        let catalog = data.catalog(store: store.directory)
        var configuration = CoordinatorServiceConfiguration(
            storeDirectory: store.directory, vocabulary: catalog.vocabulary, data: catalog.access,
            logger: Logger(label: "coordinator"))
        configuration.bind = Environment.setting(bind, "BIND") ?? ServeCommand.defaultAddress
        configuration.blobBind = Environment.setting(blobBind, "BLOB_BIND")
        let service = try CoordinatorService(configuration, signals: signals)
        Console.shared.say("coordinator at \(service.endpoint), store \(store.directory)")
        _ = try service.run()
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
