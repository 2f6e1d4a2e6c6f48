import ArgumentParser
import Logging
import Training

struct LogOptions: ParsableArguments {
    @Option(help: "Least level of log lines: trace, debug, info, notice, warning, error (TOMBOLA_LOG).")
    var logLevel: String?

    /// Sends logs to standard error from now on; returns their least level.
    @discardableResult
    func start(default level: Logger.Level) throws(Failure) -> Logger.Level {
        var chosen = level
        if let text = logLevel ?? Environment.setting(nil, "LOG") {
            guard let level = Logger.Level(rawValue: text.lowercased()) else {
                let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                throw Failure(.usage, "unknown log level “\(text)”; it is one of \(levels)")
            }
            chosen = level
        }
        LoggingSystem.bootstrap { [chosen] label in ConsoleLog(logLevel: chosen, label: label) }
        return chosen
    }
}

struct StoreOption: ParsableArguments {
    static let defaultDirectory = "tombola-store"

    @Option(help: "The store's folder (TOMBOLA_STORE; default: \(StoreOption.defaultDirectory) in the current folder).")
    var store: String?

    var directory: String { Environment.setting(store, "STORE") ?? StoreOption.defaultDirectory }
}

struct ConnectOption: ParsableArguments {
    @Option(
        help:
            "Ask the coordinator at this address, such as tcp://127.0.0.1:5570, instead of reading a store (TOMBOLA_CONNECT)."
    )
    var connect: String?

    /// A store named on the command line wins over an address in the environment.
    func endpoint(besides store: StoreOption) throws(Failure) -> String? {
        if connect != nil, store.store != nil { throw Failure(.usage, "give either --store or --connect, not both") }
        return connect ?? (store.store == nil ? Environment.setting(nil, "CONNECT") : nil)
    }
}

struct DataOption: ParsableArguments {
    @Option(help: "Folder with mnist/, cifar-10-batches-bin/, … (TOMBOLA_DATA; then data/ in the store).")
    var data: String?

    /// Folders to look in, first to last.
    func folders(store: String) -> [String] {
        [data, Environment.text("TOMBOLA_DATA"), "\(store)/data"].compactMap(\.self).filter { !$0.isEmpty }
    }

    func catalog(store: String) -> DataCatalog { DataCatalog(registry: .standard, folders: folders(store: store)) }
}

struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON.")
    var json = false
}

struct TableOptions: ParsableArguments {
    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "Print CSV.")
    var csv = false

    func validate() throws {
        if json, csv { throw ValidationError("give either --json or --csv, not both") }
    }
}
