import Glibc
import Lottery

extension ArtifactFolder {
    /// Opens the part of an artifact that is being fetched. What an earlier process had got of it is kept and hashed
    /// again, so fetching goes on at `received`.
    /// - Throws: `tooLarge`; `diskFull` if the disk does not hold the rest; `locked` if another `PartFile` has it open.
    public func beginPart(_ digest: Digest, byteCount: Int) throws(ArtifactError) -> PartFile {
        try checkWritable()
        let path = "\(parts)/\(digest.hex).part"
        guard byteCount >= 0 else {
            throw .badPart(
                path: path, reason: "a length of \(byteCount) bytes was announced",
                remedy: "the sender is broken, replace it")
        }
        try checkLength(byteCount, of: path)
        return try PartFile(folder: self, path: path, digest: digest, byteCount: byteCount)
    }
}

/// An artifact that is being fetched by digest. It has one user at a time; it outlives the process, and its digest is
/// checked before it counts.
public final class PartFile {
    public let digest: Digest
    /// The length of the whole artifact.
    public let byteCount: Int
    /// Bytes there so far: the offset from which to fetch.
    public private(set) var received: Int
    public let path: String

    private let folder: ArtifactFolder
    private let file: File
    private var hasher: ContentHasher

    fileprivate init(folder: ArtifactFolder, path: String, digest: Digest, byteCount: Int) throws(ArtifactError) {
        let file = try File(path, O_RDWR | O_CREAT)
        guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 else { throw .locked(path: path, processID: nil) }
        // Longer than the whole, it is a part of something else.
        if try file.status().st_size > byteCount { ftruncate(file.descriptor, 0) }
        var hasher = ContentHasher()
        let received = try file.forEachBuffer(upTo: Int(file.status().st_size)) { hasher.update(bufferPointer: $0) }
        lseek(file.descriptor, received, SEEK_SET)
        // Asking beforehand spares sending gigabytes that would not fit.
        guard try folder.freeByteCount() >= byteCount - received else {
            throw .diskFull(path: path, byteCount: byteCount - received)
        }
        self.folder = folder
        self.path = path
        self.digest = digest
        self.byteCount = byteCount
        self.received = received
        self.file = file
        self.hasher = hasher
    }

    public var isComplete: Bool { received == byteCount }

    /// Appends what was fetched from offset `received`.
    /// - Throws: `badPart` if it is more than the artifact has; `diskFull`. The part stays as it was before and can go
    ///   on.
    public func append(_ bytes: [UInt8]) throws(ArtifactError) {
        guard bytes.count <= byteCount - received else {
            throw .badPart(
                path: path, reason: "more than its \(byteCount) bytes came",
                remedy: "fetch on from byte \(received)")
        }
        do {
            try bytes.withUnsafeBufferPointer { (buffer) throws(ArtifactError) in
                try file.write(UnsafeRawBufferPointer(buffer))
            }
        } catch {
            // What was half written goes, so that file and hash agree.
            ftruncate(file.descriptor, received)
            lseek(file.descriptor, received, SEEK_SET)
            if case .diskFull = error { throw .diskFull(path: path, byteCount: byteCount - received) }
            throw error
        }
        hasher.update(bytes)
        received += bytes.count
    }

    /// Checks the digest and makes the artifact durable under it. The part is of no more use afterwards.
    /// - Throws: `badPart` if bytes lack (the part stays) or the digest differs (the part is removed, to be fetched
    ///   anew).
    public func finish() throws(ArtifactError) {
        guard isComplete else {
            throw .badPart(
                path: path, reason: "\(received) of \(byteCount) bytes are there", remedy: "fetch the rest first")
        }
        let found = hasher.finalize()
        guard found == digest else {
            try discard()
            throw .badPart(
                path: path, reason: "what came has the digest \(found.short)", remedy: "fetch it again from the start")
        }
        _ = fchmod(file.descriptor, 0o444)
        try file.synchronize()
        try folder.place(path, as: digest)
    }

    /// Removes what is there.
    public func discard() throws(ArtifactError) { try Folder.removeFile(path) }
}
