import Glibc
import Lottery

/// Files named by the SHA-256 of their content, under `ab/abcdef…` of one folder. A name is there only if all its
/// content is there and durable: content is written under a temporary name, hashed on the way, synchronised, renamed,
/// and the folder synchronised. Artifacts are never changed, so any number of threads and processes may read and add;
/// one process owns the folder and cleans up what a crash left.
public struct ArtifactFolder: Sendable {
    public let directory: String
    public let access: Access
    /// The most bytes one artifact may have.
    public let maximumByteCount: Int

    public enum Access: Sendable {
        /// Makes the folder where it lacks and removes what a crash left, so a process opens it once, and under a lock.
        case owner
        /// Changes nothing.
        case reader
    }

    public static let defaultMaximumByteCount = 64 << 30
    /// A part that nobody went on with for so long is removed when the folder is opened.
    public static let partLifetimeSeconds = 7 * 24 * 3600

    var incoming: String { directory + "/incoming" }
    var parts: String { directory + "/parts" }

    /// - Throws: `notWritable`, `diskFull` or `failed` where an owner cannot make the folder.
    public init(
        directory: String, access: Access = .owner, maximumByteCount: Int = ArtifactFolder.defaultMaximumByteCount
    ) throws(ArtifactError) {
        self.directory = directory
        self.access = access
        self.maximumByteCount = maximumByteCount
        guard access == .owner else { return }
        try Folder.make(incoming)
        try Folder.make(parts)
        try removeLeftovers()
    }

    /// Where the artifact is, or would be.
    public func path(of digest: Digest) -> String { "\(directory)/\(digest.hex.prefix(2))/\(digest.hex)" }

    public func contains(_ digest: Digest) -> Bool { Folder.exists(path(of: digest)) }

    /// The artifact's length.
    /// - Throws: `missing`.
    public func byteCount(of digest: Digest) throws(ArtifactError) -> Int {
        var status = stat()
        guard stat(path(of: digest), &status) == 0 else { throw absence(of: digest, errno) }
        return Int(status.st_size)
    }

    /// Seconds since the artifact came.
    /// - Throws: `missing`.
    public func age(of digest: Digest) throws(ArtifactError) -> Int {
        var status = stat()
        guard stat(path(of: digest), &status) == 0 else { throw absence(of: digest, errno) }
        // A link or a rename changes this time, and the content's own time may be older.
        return time(nil) - status.st_ctim.tv_sec
    }

    /// Every artifact there is, sorted.
    public func digests() throws(ArtifactError) -> [Digest] {
        var digests: [Digest] = []
        for prefix in try Folder.names(in: directory) where prefix.utf8.count == 2 {
            digests += try Folder.names(in: "\(directory)/\(prefix)").compactMap { Digest(hex: $0) }
        }
        return digests.sorted()
    }

    /// At most `count` bytes from `offset`; fewer where the artifact ends. Opens the file each time, so it costs some
    /// microseconds beyond the copying.
    /// - Throws: `missing`; `badRange` for an offset that is negative or past the end.
    public func read(_ digest: Digest, offset: Int, count: Int) throws(ArtifactError) -> [UInt8] {
        guard contains(digest) else { throw .missing(digest, folder: directory) }
        let file = try File(path(of: digest), O_RDONLY)
        let length = Int(try file.status().st_size)
        guard offset >= 0, count >= 0, offset <= length else { throw .badRange(digest, offset: offset, count: count) }
        let wanted = min(count, length - offset)
        var failure: ArtifactError?
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            do throws(ArtifactError) {
                filled = try file.read(into: UnsafeMutableRawBufferPointer(buffer), offset: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Hashes the artifact again.
    /// - Throws: `missing`; `damaged` if its content is not what its name says.
    public func verify(_ digest: Digest) throws(ArtifactError) {
        guard contains(digest) else { throw .missing(digest, folder: directory) }
        let (found, _) = try ArtifactFolder.digest(ofFile: path(of: digest))
        guard found == digest else {
            throw .damaged(
                path: path(of: digest), reason: "its content has the digest \(found.short)",
                remedy: "bring it back from a backup, or run the sweep again in a new store")
        }
    }

    /// The digest and length of any file.
    /// - Throws: `changing` if its length or time of change moved meanwhile.
    public static func digest(ofFile path: String) throws(ArtifactError) -> (digest: Digest, byteCount: Int) {
        let file = try File(path, O_RDONLY)
        return try digest(of: file)
    }

    static func digest(of file: borrowing File) throws(ArtifactError) -> (digest: Digest, byteCount: Int) {
        let before = try file.status()
        var hasher = ContentHasher()
        let byteCount = try file.forEachBuffer { hasher.update(bufferPointer: $0) }
        let after = try file.status()
        guard before.st_size == byteCount, after.st_size == byteCount, before.st_mtim == after.st_mtim else {
            throw .changing(path: file.path)
        }
        return (hasher.finalize(), byteCount)
    }

    /// The error for an artifact that could not be looked at.
    func absence(of digest: Digest, _ code: Int32) -> ArtifactError {
        code == ENOENT || code == ENOTDIR
            ? .missing(digest, folder: directory)
            : ArtifactError(errno: code, operation: "look at", path: path(of: digest))
    }
}

extension timespec {
    static func == (left: timespec, right: timespec) -> Bool {
        left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec
    }
}
