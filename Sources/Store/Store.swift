import Artifacts
import Coordination
import GRDB
import Lottery

/// A folder that holds all a coordinator must not forget: `tombola.sqlite`, `artifacts/`, `lock`, and beside them
/// `data/` and `workers/`, which are others'. `checkpoints/` holds those of trainings that are not done, by digest;
/// without them nothing is lost but time.
///
/// What `commit` and `addSweep` return from is on the disk: a write-ahead log, synchronised at each commit. One
/// coordinator owns a store; any number of readers, in this process or others, read beside it and see whole commits
/// only. May be used from any thread; calls run one after the other.
public final class Store: Sendable {
    public let directory: String
    public let mode: Mode
    public let id: StoreID
    public let artifacts: ArtifactFolder
    /// A coordinator's; readers have no use for it.
    public let checkpoints: ArtifactFolder?
    let database: DatabaseQueue
    private let lock: FolderLock?

    public enum Mode: Sendable {
        /// Makes the store where there is none, brings it up to date, and keeps other coordinators out.
        case coordinator
        /// Changes nothing, and waits for nobody.
        case reader
    }

    public static let databaseName = "tombola.sqlite"
    public static let lockName = "lock"
    public static let artifactsName = "artifacts"
    public static let checkpointsName = "checkpoints"
    /// How long a statement waits for another process that is at the same spot of the log.
    static let busySeconds = 10.0

    /// Opens the store in `directory`.
    /// - Throws: any `StoreError` but `sweepExists` and `contradiction`. A store that is refused is left as it was.
    public static func open(
        directory: String, mode: Mode, probe: FileSystemProbe = .system
    ) throws(StoreError) -> Store {
        do {
            // Before anything is made there.
            try NetworkFileSystem.refuse(directory, probe: probe)
            try NetworkFileSystem.refuse("\(directory)/\(artifactsName)", probe: probe)
            return try Store(directory: directory, mode: mode)
        } catch {
            throw StoreError(error, directory: directory, byteCount: 1 << 20)
        }
    }

    /// Whether there is a store in `directory`. A folder that is not there, or holds no more than what a store's folder
    /// may hold before it has one, such as data sets, has none.
    /// - Throws: `StoreError.notAStore` for a folder that holds something else.
    public static func exists(in directory: String) throws(StoreError) -> Bool {
        do { try checkFolder(directory) } catch { throw StoreError(error, directory: directory, byteCount: 0) }
        return Folder.exists("\(directory)/\(databaseName)")
    }

    private init(directory: String, mode: Mode) throws {
        let path = "\(directory)/\(Store.databaseName)"
        let database: DatabaseQueue
        let lock: FolderLock?
        switch mode {
        case .coordinator:
            try Store.checkFolder(directory)
            try Folder.make(directory)
            lock = try FolderLock(path: "\(directory)/\(Store.lockName)")
            // Through a connection that cannot write, so that a store of a newer version stays as it is.
            if Folder.exists(path) { try Store.checkSchema(Store.openToRead(path), directory, mode) }
            database = try Store.openToWrite(path)
            try Schema.migrator.migrate(database)
            // Brings the schema's version into the file itself, so that it can be told without the log.
            _ = try database.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try Folder.synchronize(directory)
        case .reader:
            guard Folder.exists(path) else {
                throw StoreError.notAStore(directory: directory, reason: "there is no \(Store.databaseName) in it")
            }
            lock = nil
            database = try Store.openToRead(path)
            try Store.checkSchema(database, directory, mode)
        }
        artifacts = try ArtifactFolder(
            directory: "\(directory)/\(Store.artifactsName)", access: mode == .coordinator ? .owner : .reader)
        checkpoints =
            switch mode {
            case .coordinator: try ArtifactFolder(directory: "\(directory)/\(Store.checkpointsName)")
            case .reader: nil
            }
        id = try database.read { database in
            guard let id = try String.fetchOne(database, sql: "SELECT id FROM store") else {
                throw StoreError.damaged(directory: directory, reason: "it has no identity")
            }
            return StoreID(id)
        }
        self.directory = directory
        self.mode = mode
        self.database = database
        self.lock = lock
    }

    /// Lets go of the database and then of the lock. The store is of no more use afterwards. Happens by itself at the
    /// end of its life.
    public func close() throws(StoreError) {
        defer { lock?.release() }
        do { try database.close() } catch { throw StoreError(error, directory: directory, byteCount: 0) }
    }

    /// How the connection writes: SQLite's `journal_mode`, and `synchronous` (2 is FULL).
    package func durability() throws(StoreError) -> (journal: String, synchronous: Int, foreignKeys: Bool) {
        try read { database in
            (
                try String.fetchOne(database, sql: "PRAGMA journal_mode") ?? "",
                try Int.fetchOne(database, sql: "PRAGMA synchronous") ?? -1,
                try Bool.fetchOne(database, sql: "PRAGMA foreign_keys") ?? false
            )
        }
    }

    /// A folder without a database becomes a store only if it holds nothing of anyone else's.
    private static func checkFolder(_ directory: String) throws {
        guard Folder.exists(directory), !Folder.exists("\(directory)/\(databaseName)") else { return }
        guard Folder.isFolder(directory) else {
            throw StoreError.notAStore(directory: directory, reason: "it is not a folder")
        }
        let ours: Set = [
            lockName, artifactsName, checkpointsName, "data", "endpoint", "keys", "workers", "logs",
            "lost+found",
        ]
        let strange = try Folder.names(in: directory).first {
            !ours.contains($0) && !$0.hasPrefix(".") && !$0.hasPrefix(databaseName) && !$0.hasSuffix(".log")
        }
        if let strange {
            throw StoreError.notAStore(
                directory: directory, reason: "it has no \(databaseName), but holds “\(strange)”")
        }
    }

    private static func checkSchema(_ database: DatabaseQueue, _ directory: String, _ mode: Mode) throws {
        let (application, version, tables) = try database.read { database in
            (
                try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0,
                try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0,
                try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") ?? 0
            )
        }
        // A crash while the store was made leaves an empty database, or one with the migrator's own empty table.
        let isEmpty = application == 0 && version == 0 && tables <= 2
        guard application == Schema.applicationID || isEmpty else {
            throw StoreError.notAStore(directory: directory, reason: "\(databaseName) belongs to another program")
        }
        if version > Schema.version {
            throw StoreError.newerSchema(directory: directory, found: version, known: Schema.version)
        }
        if mode == .reader, version < Schema.version {
            throw StoreError.olderSchema(directory: directory, found: version, known: Schema.version)
        }
    }

    /// A `DatabaseQueue`, not a `DatabasePool`: the pool, and GRDB's own WAL setting, put `synchronous` back to NORMAL,
    /// under which a power failure takes the last commits along.
    private static func openToWrite(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = "tombola.store"
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(busySeconds)
        configuration.prepareDatabase { database in
            let journal = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
            guard journal == "wal" else {
                throw DatabaseError(message: "this disk cannot keep a write-ahead log, only “\(journal ?? "")”")
            }
            try database.execute(
                sql: """
                    PRAGMA synchronous = FULL;
                    PRAGMA cache_size = -65536;
                    PRAGMA journal_size_limit = 67108864;
                    """)
        }
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    private static func openToRead(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = "tombola.store.reader"
        configuration.readonly = true
        configuration.busyMode = .timeout(busySeconds)
        do {
            let database = try DatabaseQueue(path: path, configuration: configuration)
            // Opening reads nothing yet.
            _ = try database.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
            return database
        } catch let error as DatabaseError where canBeReadAsItIs(error, path) {
            // This user may not write beside the file, so SQLite cannot make its index of the log. But there is no log:
            // nobody has the store open, and the file is all. Should a coordinator start meanwhile, this connection
            // would not see what it commits; a command that reads and ends can bear that. Debian builds SQLite so that
            // it takes URIs for paths.
            return try DatabaseQueue(path: "file:\(uriEscaped(path))?immutable=1", configuration: configuration)
        }
    }

    private static func canBeReadAsItIs(_ error: DatabaseError, _ path: String) -> Bool {
        [.SQLITE_CANTOPEN, .SQLITE_READONLY].contains(error.resultCode) && !Folder.exists(path + "-wal")
    }

    private static func uriEscaped(_ path: String) -> String {
        path.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"):
                String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }.joined()
    }
}
