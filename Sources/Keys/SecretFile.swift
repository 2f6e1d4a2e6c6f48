import Artifacts
import Glibc

/// Files that only their owner may read.
enum SecretFile {
    /// Of any file that is read here.
    static let maximumBytes = 4 << 20
    static let mode: mode_t = 0o600

    /// The text of a file that belongs to this user and that nobody else can read.
    /// - Throws: `missing`, `exposed`, `foreign`, `damaged`, `disk`.
    static func read(_ path: String) throws(KeyError) -> String {
        try read(path) { (status) throws(KeyError) in
            guard status.st_uid == geteuid() else { throw .foreign(path) }
            guard status.st_mode & 0o077 == 0 else { throw .exposed(path, mode: UInt32(status.st_mode & 0o777)) }
        }
    }

    /// As above, of a file that others may read but not write.
    static func readTrusted(_ path: String) throws(KeyError) -> String {
        try read(path) { (status) throws(KeyError) in
            guard status.st_uid == geteuid() else { throw .foreign(path) }
            guard status.st_mode & 0o022 == 0 else { throw .exposed(path, mode: UInt32(status.st_mode & 0o777)) }
        }
    }

    /// As above, of a file that may be anyone's.
    static func readUnchecked(_ path: String) throws(KeyError) -> String {
        try read(path) { (_) throws(KeyError) in }
    }

    /// Writes a file anew for its owner alone: complete and durable under its name, or not at all.
    static func write(_ text: String, to path: String) throws(KeyError) {
        do throws(ArtifactError) {
            let folder = Folder.parent(of: path)
            let file = try File(temporaryIn: folder)
            // The umask may have taken from the mode, never added to it.
            fchmod(file.descriptor, mode)
            do throws(ArtifactError) {
                try Array(text.utf8).withUnsafeBufferPointer { (bytes) throws(ArtifactError) in
                    try file.write(UnsafeRawBufferPointer(bytes))
                }
                try file.synchronize()
                guard rename(file.path, path) == 0 else {
                    throw ArtifactError(errno: errno, operation: "write", path: path)
                }
            } catch {
                unlink(file.path)
                throw error
            }
            try Folder.synchronize(folder)
        } catch { throw .disk(error) }
    }

    /// - Parameter check: looks at the very file that is read, so that none can be put in its place in between.
    private static func read(_ path: String, _ check: (stat) throws(KeyError) -> Void) throws(KeyError) -> String {
        guard Folder.exists(path) else { throw .missing(path) }
        do {
            // Not to wait for a writer, should it be a pipe.
            let file = try File(path, O_RDONLY | O_NONBLOCK)
            let status = try file.status()
            guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= maximumBytes else {
                throw KeyError.damaged(path, "it is no file of keys")
            }
            try check(status)
            var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
            let count = try bytes.withUnsafeMutableBytes { (buffer) throws(ArtifactError) in
                try file.read(into: buffer, offset: 0)
            }
            guard let text = String(validating: bytes.prefix(count), as: UTF8.self) else {
                throw KeyError.damaged(path, "it is no text")
            }
            return text
        } catch let error as KeyError {
            throw error
        } catch let error as ArtifactError {
            // What this user may not even read is another's.
            if case .notWritable = error { throw .foreign(path) }
            throw .disk(error)
        } catch {
            preconditionFailure("reading \(path) threw \(error)")
        }
    }
}
