import Glibc
import Lottery

/// What can go wrong with files on disk, as one sentence that says where, what, and the remedy.
public enum ArtifactError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The disk, the quota or the file-size limit does not hold `byteCount` more bytes at `path`.
    case diskFull(path: String, byteCount: Int)
    case notWritable(path: String, reason: String)
    case networkFileSystem(path: String, kind: String)
    /// Another process holds the lock on `path`; nil if it did not say which.
    case locked(path: String, processID: Int32?)
    case missing(Digest, folder: String)
    /// The content of `path` is not what its name says. `remedy` is a clause.
    case damaged(path: String, reason: String, remedy: String)
    case tooLarge(path: String, byteCount: Int, limit: Int)
    /// The file was written to while it was read.
    case changing(path: String)
    /// Fewer, more or other bytes came for a part than belong to it. `remedy` is a clause.
    case badPart(path: String, reason: String, remedy: String)
    case badRange(Digest, offset: Int, count: Int)
    case failed(operation: String, path: String, reason: String)

    public var description: String {
        switch self {
        case .diskFull(let path, let byteCount):
            "no space left for \(path) (\(ByteText(byteCount)) more are needed): free disk space or raise the quota there, "
                + "then run the same command again; nothing that was stored is lost"
        case .notWritable(let path, let reason):
            "cannot write to \(path): \(reason); give this user write permission there or name another folder"
        case .networkFileSystem(let path, let kind):
            "\(path) is on \(kind), where locks and durable writes cannot be relied on: name a folder on a local disk"
        case .locked(let path, let processID?):
            "\(path) is in use by process \(processID): stop that process or name another folder"
        case .locked(let path, nil):
            "\(path) is in use by another process: stop that process or name another folder"
        case .missing(let digest, let folder):
            "artifact \(digest.hex) is missing from \(folder): bring it back from a backup, "
                + "or run the sweep again in a new store"
        case .damaged(let path, let reason, let remedy):
            "\(path) is damaged (\(reason)): \(remedy)"
        case .tooLarge(let path, let byteCount, let limit):
            "\(path) has \(ByteText(byteCount)), more than the \(ByteText(limit)) an artifact may have: make it smaller"
        case .changing(let path):
            "\(path) was written to while it was read: stop what writes it and try again"
        case .badPart(let path, let reason, let remedy):
            "\(path) cannot be completed (\(reason)): \(remedy)"
        case .badRange(let digest, let offset, let count):
            "artifact \(digest.short) has no \(count) bytes from offset \(offset): ask for a range inside it"
        case .failed(let operation, let path, let reason):
            "cannot \(operation) \(path): \(reason); check the disk and the permissions there"
        }
    }

    /// The case for a system error number.
    /// - Parameter byteCount: how many bytes the operation needed, for the sentence about a full disk.
    package init(errno code: Int32, operation: String, path: String, byteCount: Int = 0) {
        let reason = String(cString: strerror(code))
        self =
            switch code {
            // A used-up quota or file-size limit (ulimit -f) has the same remedy as a full disk.
            case ENOSPC, EDQUOT, EFBIG: .diskFull(path: path, byteCount: byteCount)
            case EACCES, EPERM, EROFS: .notWritable(path: path, reason: reason.lowercasedFirst)
            default: .failed(operation: operation, path: path, reason: reason.lowercasedFirst)
            }
    }
}

/// A byte count for people: `812 bytes`, `4.2 MB`.
package struct ByteText: CustomStringConvertible {
    package var description: String

    package init(_ byteCount: Int) {
        var value = Double(byteCount)
        var unit = 0
        let units = ["bytes", "kB", "MB", "GB", "TB"]
        while value >= 1000, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        let tenths = (value * 10).rounded() / 10
        description = unit == 0 ? "\(byteCount) bytes" : "\(tenths) \(units[unit])"
    }
}

extension String {
    /// For system messages inside a sentence of ours.
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
