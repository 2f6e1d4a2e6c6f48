import Glibc
import Synchronization

/// An exclusive hold on a folder, by flock on a file in it that says whose it is. The system lets go of it when the
/// process ends, however that happens. Child processes that were started by exec do not inherit it.
public final class FolderLock: Sendable {
    public let path: String
    private let descriptor: Mutex<Int32?>

    /// Takes the lock at once or throws `ArtifactError.locked`.
    /// - Parameter path: the lock file; made where it lacks.
    public init(path: String) throws(ArtifactError) {
        self.path = path
        let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard opened >= 0 else { throw ArtifactError(errno: errno, operation: "open", path: path) }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            let holder = FolderLock.processID(in: opened)
            close(opened)
            guard code == EWOULDBLOCK else { throw ArtifactError(errno: code, operation: "lock", path: path) }
            throw .locked(path: path, processID: holder)
        }
        descriptor = Mutex(opened)
        // The number is only for the sentence that a second comer gets, so a full disk must not keep anyone from
        // reading what is there: a failed write is no error.
        let text = "\(getpid())\n"
        if ftruncate(opened, 0) == 0 { _ = pwrite(opened, text, text.utf8.count, 0) }
    }

    deinit { release() }

    /// Lets go. May be called more than once.
    public func release() {
        descriptor.withLock { held in
            if let descriptor = held {
                // Closing is not enough: a child process between its fork and its exec still shares the lock.
                flock(descriptor, LOCK_UN)
                close(descriptor)
            }
            held = nil
        }
    }

    private static func processID(in descriptor: Int32) -> Int32? {
        let bytes = [UInt8](unsafeUninitializedCapacity: 16) { buffer, count in
            count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, 0))
        }
        return Int32(String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }
}
