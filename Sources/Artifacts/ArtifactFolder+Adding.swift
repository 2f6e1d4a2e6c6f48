import Glibc
import Lottery

extension ArtifactFolder {
    /// Takes over the file at `source`, which is gone from there afterwards: renamed where both are on one disk, else
    /// copied. Durable on return. If anything fails the file stays where it was.
    public func add(movingFile source: String) throws(ArtifactError) -> (digest: Digest, byteCount: Int) {
        try checkWritable()
        let file = try File(source, O_RDONLY)
        let (digest, byteCount) = try ArtifactFolder.digest(of: file)
        try checkLength(byteCount, of: source)
        if isArtifact(source, digest) { return (digest, byteCount) }
        _ = fchmod(file.descriptor, 0o444)
        try file.synchronize()
        if try isOnOneDisk(file) { try place(source, as: digest) } else { try copy(file, as: digest) }
        // After a copy, or a rename between two names of one file, which does nothing.
        try Folder.removeFile(source)
        return (digest, byteCount)
    }

    /// Takes in the file at `source`, which stays: as a second name of the same file where the disk allows that, else
    /// as a copy. Durable on return. Whoever keeps the first name must not write to the file any more.
    public func add(linkingFile source: String) throws(ArtifactError) -> (digest: Digest, byteCount: Int) {
        try checkWritable()
        let file = try File(source, O_RDONLY)
        let (digest, byteCount) = try ArtifactFolder.digest(of: file)
        try checkLength(byteCount, of: source)
        if isArtifact(source, digest) { return (digest, byteCount) }
        let name = Folder.temporaryName(in: incoming)
        if link(source, name) == 0 {
            try file.synchronize()
            try place(name, as: digest)
            try Folder.removeFile(name)
        } else {
            try copy(file, as: digest)
        }
        return (digest, byteCount)
    }

    /// Stores `bytes`; durable on return.
    public func write(_ bytes: [UInt8]) throws(ArtifactError) -> Digest {
        var writer = try makeWriter()
        try writer.append(bytes)
        return try writer.finish().digest
    }

    /// For content that comes piece by piece and whose digest is not known beforehand.
    public func makeWriter() throws(ArtifactError) -> ArtifactWriter {
        try checkWritable()
        return try ArtifactWriter(folder: self)
    }

    /// Removes the artifact; nothing happens if it is not there.
    public func remove(_ digest: Digest) throws(ArtifactError) {
        try checkWritable()
        try Folder.removeFile(path(of: digest))
    }

    /// Bytes that may still be written to the folder's disk by this user.
    public func freeByteCount() throws(ArtifactError) -> Int {
        let status = try diskStatus()
        return Int(clamping: status.f_bavail.multipliedReportingOverflow(by: status.f_frsize).partialValue)
    }

    /// Bytes of the folder's disk, taken and free.
    public func diskByteCount() throws(ArtifactError) -> Int {
        let status = try diskStatus()
        return Int(clamping: status.f_blocks.multipliedReportingOverflow(by: status.f_frsize).partialValue)
    }

    private func diskStatus() throws(ArtifactError) -> statvfs {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else {
            throw ArtifactError(errno: errno, operation: "look at", path: directory)
        }
        return status
    }

    /// Gives the file `temporary`, whose content is synchronised and has `digest`, its name, over any file of that
    /// name: what is there already has the same content, or is damaged.
    func place(_ temporary: String, as digest: Digest) throws(ArtifactError) {
        let target = path(of: digest)
        let folder = Folder.parent(of: target)
        try Folder.make(folder)
        guard rename(temporary, target) == 0 else {
            throw ArtifactError(errno: errno, operation: "rename to its digest", path: temporary)
        }
        try Folder.synchronize(folder)
    }

    /// Whether a rename can bring `file` here.
    private func isOnOneDisk(_ file: borrowing File) throws(ArtifactError) -> Bool {
        try File(incoming, O_RDONLY | O_DIRECTORY).status().st_dev == file.status().st_dev
    }

    private func copy(_ file: borrowing File, as digest: Digest) throws(ArtifactError) {
        var writer = try makeWriter()
        _ = try file.forEachBuffer { (buffer) throws(ArtifactError) in try writer.append(buffer) }
        guard try writer.finish().digest == digest else { throw .changing(path: file.path) }
    }

    /// Whether `source` is itself the artifact's file, which neither moving nor linking may touch.
    private func isArtifact(_ source: String, _ digest: Digest) -> Bool {
        guard let given = realpath(source, nil), let held = realpath(path(of: digest), nil) else { return false }
        defer {
            free(given)
            free(held)
        }
        return strcmp(given, held) == 0
    }

    func checkWritable() throws(ArtifactError) {
        guard access == .owner else { throw .notWritable(path: directory, reason: "it was opened for reading only") }
    }

    func checkLength(_ byteCount: Int, of path: String) throws(ArtifactError) {
        guard byteCount <= maximumByteCount else {
            throw .tooLarge(path: path, byteCount: byteCount, limit: maximumByteCount)
        }
    }

    /// Removes temporary files of processes that died, parts of artifacts that came another way, and parts long given
    /// up.
    func removeLeftovers() throws(ArtifactError) {
        for name in try Folder.names(in: incoming) { try Folder.removeFile("\(incoming)/\(name)") }
        let now = Int(time(nil))
        for name in try Folder.names(in: parts) {
            let path = "\(parts)/\(name)"
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            let isWanted = Digest(hex: name.prefix(64)).map { name == "\($0.hex).part" && !contains($0) } ?? false
            if !isWanted || now - status.st_mtim.tv_sec > ArtifactFolder.partLifetimeSeconds {
                try Folder.removeFile(path)
            }
        }
    }
}

/// An artifact on its way in. Dropped without `finish`, it leaves nothing.
public struct ArtifactWriter: ~Copyable {
    private let folder: ArtifactFolder
    private let file: File
    private var hasher = ContentHasher()
    public private(set) var byteCount = 0
    private var isPlaced = false

    init(folder: ArtifactFolder) throws(ArtifactError) {
        self.folder = folder
        file = try File(temporaryIn: folder.incoming)
    }

    deinit { if !isPlaced { unlink(file.path) } }

    public mutating func append(_ bytes: [UInt8]) throws(ArtifactError) {
        try bytes.withUnsafeBufferPointer { (buffer) throws(ArtifactError) in try append(UnsafeRawBufferPointer(buffer))
        }
    }

    /// - Throws: `diskFull`, `tooLarge`; the writer is of no more use then.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) throws(ArtifactError) {
        try folder.checkLength(byteCount + bytes.count, of: file.path)
        try file.write(bytes)
        hasher.update(bufferPointer: bytes)
        byteCount += bytes.count
    }

    /// Makes the artifact durable under its digest.
    public consuming func finish() throws(ArtifactError) -> (digest: Digest, byteCount: Int) {
        let digest = hasher.finalize()
        _ = fchmod(file.descriptor, 0o444)
        try file.synchronize()
        try folder.place(file.path, as: digest)
        isPlaced = true
        return (digest, byteCount)
    }
}
