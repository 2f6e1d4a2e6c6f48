import Glibc
import Lottery

/// An open file that closes at the end of its life. Not inherited by child processes.
package struct File: ~Copyable, Sendable {
    package let descriptor: Int32
    package let path: String

    package static let bufferBytes = 1024 * 1024

    package init(_ path: String, _ flags: Int32, mode: mode_t = 0o644, operation: String = "open") throws(ArtifactError)
    {
        let descriptor = open(path, flags | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw ArtifactError(errno: errno, operation: operation, path: path) }
        self.descriptor = descriptor
        self.path = path
    }

    /// A new file in `folder`, of a name drawn so that nobody has it.
    package init(temporaryIn folder: String) throws(ArtifactError) {
        try self.init(
            Folder.temporaryName(in: folder), O_RDWR | O_CREAT | O_EXCL, mode: 0o600, operation: "make the file")
    }

    deinit {
        // A lock on it goes now, although a child process between its fork and its exec still shares the descriptor.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    package borrowing func status() throws(ArtifactError) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw ArtifactError(errno: errno, operation: "look at", path: path)
        }
        return status
    }

    /// Writes all of `bytes` at the current position; after an error some of them may be there.
    package borrowing func write(_ bytes: UnsafeRawBufferPointer) throws(ArtifactError) {
        var rest = bytes
        while let base = rest.baseAddress, !rest.isEmpty {
            let count = Glibc.write(descriptor, base, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw ArtifactError(errno: errno, operation: "write", path: path, byteCount: rest.count)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Fills `buffer` from `offset` and returns how many bytes there were; fewer only at the end of the file.
    package borrowing func read(into buffer: UnsafeMutableRawBufferPointer, offset: Int) throws(ArtifactError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = pread(descriptor, buffer.baseAddress! + filled, buffer.count - filled, offset + filled)
            if count < 0 {
                if errno == EINTR { continue }
                throw ArtifactError(errno: errno, operation: "read", path: path)
            }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// Hands the file's bytes from the start, at most `limit`, to `body`, a buffer at a time, and returns how many
    /// there were.
    package borrowing func forEachBuffer(
        upTo limit: Int = .max, _ body: (UnsafeRawBufferPointer) throws(ArtifactError) -> Void
    ) throws(ArtifactError) -> Int {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: File.bufferBytes, alignment: 64)
        defer { buffer.deallocate() }
        var offset = 0
        while offset < limit {
            let count = try read(
                into: UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(limit - offset)), offset: offset)
            if count == 0 { break }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += count
        }
        return offset
    }

    /// Puts the file's content on the disk.
    package borrowing func synchronize() throws(ArtifactError) {
        guard fsync(descriptor) == 0 else { throw ArtifactError(errno: errno, operation: "write", path: path) }
    }
}

/// Folders and names.
package enum Folder {
    /// Puts the names in the folder on the disk: new, renamed and removed files.
    package static func synchronize(_ path: String) throws(ArtifactError) {
        try File(path, O_RDONLY | O_DIRECTORY).synchronize()
    }

    /// Makes `path` and the folders above it where they lack, each durable.
    package static func make(_ path: String) throws(ArtifactError) {
        if exists(path) { return }
        let above = parent(of: path)
        try make(above)
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw ArtifactError(errno: errno, operation: "make the folder", path: path)
        }
        try synchronize(above)
    }

    /// Names in the folder but for `.` and `..`, sorted.
    package static func names(in path: String) throws(ArtifactError) -> [String] {
        guard let folder = opendir(path) else { throw ArtifactError(errno: errno, operation: "list", path: path) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: entry.pointee.d_name)) {
                    String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package static func temporaryName(in path: String) -> String {
        "\(path)/\(getpid())-\(String(UInt64.random(in: 0 ... .max), radix: 36))"
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Whether `path` is a folder, or a link to one.
    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The folder that holds `path`, by the text of the path.
    package static func parent(of path: String) -> String {
        let trimmed = path.reversed().drop { $0 == "/" }
        guard let slash = trimmed.firstIndex(of: "/") else { return path.hasPrefix("/") ? "/" : "." }
        let parent = String(trimmed[trimmed.index(after: slash)...].reversed())
        return parent.isEmpty ? "/" : parent
    }

    /// Removes the file `path`; nothing happens if there is none.
    package static func removeFile(_ path: String) throws(ArtifactError) {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw ArtifactError(errno: errno, operation: "remove", path: path)
        }
    }
}
