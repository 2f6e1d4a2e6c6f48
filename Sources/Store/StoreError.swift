import Artifacts
import GRDB
import Glibc

/// What keeps a store from being opened, read or written, as one sentence that says where, what, and the remedy.
public enum StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    case newerSchema(directory: String, found: Int, known: Int)
    /// Nobody with the right to change it has opened it with this version yet.
    case olderSchema(directory: String, found: Int, known: Int)
    /// Another coordinator owns it; its process, if it said so.
    case inUse(directory: String, processID: Int32?)
    case networkFileSystem(directory: String, kind: String)
    case notAStore(directory: String, reason: String)
    case notWritable(directory: String, reason: String)
    case diskFull(directory: String, byteCount: Int)
    case damaged(directory: String, reason: String)
    /// Another program holds the database for longer than anyone of ours would.
    case busy(directory: String)
    /// A sweep of that name, but of another spec, is there.
    case sweepExists(name: String)
    /// Changes that contradict what is stored: a bug of ours. Nothing of the change set was stored.
    case contradiction(String)
    case artifact(ArtifactError)
    case failed(directory: String, reason: String)

    public var description: String {
        switch self {
        case .newerSchema(let directory, let found, let known):
            "the store \(directory) was made by a newer version of tombola (its schema is \(found), this version knows "
                + "\(known)): update tombola on this machine; the store was not touched"
        case .olderSchema(let directory, let found, let known):
            "the store \(directory) is new or from an older version of tombola (its schema is \(found), this version reads "
                + "\(known)): start a coordinator on it once, which brings it up to date"
        case .inUse(let directory, let processID):
            "the store \(directory) is in use by another coordinator"
                + (processID.map { " (process \($0))" } ?? "")
                + ": submit to that one, stop it first, or name another folder with --store"
        case .networkFileSystem(let directory, let kind):
            "the store \(directory) is on \(kind), where a database cannot be kept safe: "
                + "name a folder on a local disk with --store"
        case .notAStore(let directory, let reason):
            "\(directory) is not a tombola store (\(reason)): name an empty or new folder, or an existing store, with --store"
        case .notWritable(let directory, let reason):
            "cannot write to the store \(directory) (\(reason)): give this user write permission there "
                + "or name another folder with --store"
        case .diskFull(let directory, let byteCount):
            "no space left for the store \(directory) (about \(ByteText(byteCount)) more are needed): free disk space or raise "
                + "the quota there, then run the same command again; nothing that was stored is lost"
        case .damaged(let directory, let reason):
            "the database of the store \(directory) is damaged (\(reason)): check the disk and bring the store back from a backup"
        case .busy(let directory):
            "the database of the store \(directory) is held by another program: "
                + "end what has \(Store.databaseName) open, such as a sqlite3 shell, and try again"
        case .sweepExists(let name):
            "a sweep named “\(name)” with another spec is in the store: give the changed spec another name"
        case .contradiction(let text):
            "\(text): this is a bug in tombola, please report it; the store was not changed"
        case .artifact(let error): error.description
        case .failed(let directory, let reason):
            "the database of the store \(directory) cannot be used (\(reason)): check the disk and the permissions there"
        }
    }

    /// The case for an error that came up while the store in `directory` was used.
    /// - Parameter byteCount: about what was to be written, for the sentence about a full disk.
    init(_ error: any Error, directory: String, byteCount: Int) {
        switch error {
        case let error as StoreError: self = error
        case let error as ArtifactError: self.init(error, directory: directory)
        case let error as DatabaseError: self.init(error, directory: directory, byteCount: byteCount)
        default: self = .failed(directory: directory, reason: "\(error)")
        }
    }

    init(_ error: ArtifactError, directory: String) {
        switch error {
        case .diskFull(_, let byteCount): self = .diskFull(directory: directory, byteCount: byteCount)
        case .notWritable(_, let reason): self = .notWritable(directory: directory, reason: reason)
        case .networkFileSystem(_, let kind): self = .networkFileSystem(directory: directory, kind: kind)
        case .locked(_, let processID): self = .inUse(directory: directory, processID: processID)
        default: self = .artifact(error)
        }
    }

    private init(_ error: DatabaseError, directory: String, byteCount: Int) {
        let reason = error.message ?? "\(error.resultCode)"
        switch error.resultCode {
        case .SQLITE_FULL: self = .diskFull(directory: directory, byteCount: byteCount)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH: self = .notWritable(directory: directory, reason: reason)
        case .SQLITE_NOTADB: self = .notAStore(directory: directory, reason: "\(Store.databaseName) is not a database")
        case .SQLITE_CORRUPT: self = .damaged(directory: directory, reason: reason)
        case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy(directory: directory)
        case .SQLITE_IOERR where StoreError.isReadOnly(directory):
            self = .notWritable(directory: directory, reason: "read-only file system")
        case .SQLITE_IOERR where StoreError.isShortage(error.extendedResultCode):
            self = .diskFull(directory: directory, byteCount: byteCount)
        default: self = .failed(directory: directory, reason: reason)
        }
    }

    /// Whether its disk has become read-only under a database that is open, as after an error of the disk: then SQLite says that
    /// writing failed, and not why.
    private static func isReadOnly(_ directory: String) -> Bool {
        let probe = "\(directory)/probe.\(getpid())"
        if mkdir(probe, 0o700) == 0 { rmdir(probe) } else { return errno == EROFS }
        return false
    }

    /// SQLite says “full” for ENOSPC only. A used-up quota (EDQUOT) and a file-size limit (EFBIG) come as I/O errors of
    /// these operations, which broken hardware hardly ever gives on writing: it gives them on reading.
    private static func isShortage(_ code: ResultCode) -> Bool {
        [.SQLITE_IOERR_WRITE, .SQLITE_IOERR_SHMSIZE, .SQLITE_IOERR_TRUNCATE].contains(code)
    }
}
