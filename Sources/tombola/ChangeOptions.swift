import ArgumentParser
import CoordinatorService
import Foundation
import Logging
import Store
import Training
import ZeroMQ

/// Whom to tell what is to be changed: a coordinator, or a store that no coordinator works on.
struct ChangeOptions: ParsableArguments {
    @Option(help: "The coordinator's address (TOMBOLA_CONNECT; default: \(ServeCommand.defaultAddress)).")
    var connect: String?

    @Option(
        help: """
            The store's folder (TOMBOLA_STORE): its coordinator is told if one runs on this machine, such as `tombola run`; else \
            the store itself is changed.
            """)
    var store: String?

    @OptionGroup var peer: PeerOptions
    @OptionGroup var data: DataOption
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if connect != nil, store != nil { throw ValidationError("give either --store or --connect, not both") }
    }

    /// What is named on the command line wins over the environment, and there an address over a folder.
    private var directory: String? {
        store
            ?? (connect == nil && Environment.setting(nil, "CONNECT") == nil ? Environment.setting(nil, "STORE") : nil)
    }

    /// Tells the coordinator, and returns what it answers.
    func tell<Reply>(_ body: (RemoteCoordinator) throws -> Reply) throws -> Reply { try tellWhoIsThere(body).reply }

    /// As above.
    /// - Returns: as `idleStore` the store's folder, if no coordinator worked on it.
    func tellWhoIsThere<Reply>(
        _ body: (RemoteCoordinator) throws -> Reply
    ) throws -> (reply: Reply, idleStore: String?) {
        guard let directory else {
            let endpoint = Environment.setting(connect, "CONNECT") ?? ServeCommand.defaultAddress
            return (try body(RemoteCoordinator(endpoint, peer)), nil)
        }
        guard FileManager.default.fileExists(atPath: "\(directory)/\(Store.databaseName)") else {
            // Opening it would make one.
            throw StoreError.notAStore(directory: directory, reason: "there is no \(Store.databaseName) in it")
        }
        let service: CoordinatorService
        do { service = try open(directory) } catch CoordinatorServiceError.store(let error) {
            guard case .inUse = error, let endpoint = EndpointFile.read(from: directory) else { throw error }
            return (try body(RemoteCoordinator(endpoint, peer)), nil)
        }
        defer { service.stop() }
        // Without a key that the environment may name for another coordinator.
        let reply = try body(RemoteCoordinator(endpoint: service.endpoint, security: .plain))
        service.stop()
        _ = try service.run()
        return (reply, directory)
    }

    private func open(_ directory: String) throws -> CoordinatorService {
        let catalog = data.catalog(store: directory)
        var configuration = CoordinatorServiceConfiguration(
            storeDirectory: directory, vocabulary: catalog.vocabulary, data: catalog.access,
            logger: Logger(label: "coordinator") { _ in SwiftLogNoOpLogHandler() })
        configuration.interruptedStop = .isKept
        return try CoordinatorService(configuration)
    }
}
