import Glibc
import Lottery

/// Why a file could not be read or written: the path, and what the system said.
struct FileError: Error, CustomStringConvertible {
    let description: String

    init(_ action: String, _ path: String, code: Int32 = errno) {
        // A used-up quota or file-size limit (ulimit -f) has the same remedy as a full disk.
        let remedy =
            [ENOSPC, EDQUOT, EFBIG].contains(code) ? "; free disk space there, then run the same command again" : ""
        description = "cannot \(action) \(path): \(String(cString: strerror(code)))\(remedy)"
    }
}

/// Files that are either there whole or not at all.
enum DurableFile {
    /// Writes `bytes` under `path`: a temporary name beside it, fsync, rename, and fsync of the folder. A crash leaves
    /// the former file or the new one.
    static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        try write(to: path) { append throws(FileError) in try bytes.withBytes(append) }
    }

    /// Writes bytes that stay where they are while this runs.
    static func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws(FileError) {
        try write(to: path) { append throws(FileError) in try append(bytes) }
    }

    /// A file that becomes a u8 tensor of another one, whole.
    struct Part {
        let name: String
        let path: String
        let byteCount: Int

        init(name: String, path: String) throws(FileError) {
            guard let facts = DurableFile.facts(of: path) else { throw FileError("read", path) }
            (self.name, self.path, byteCount) = (name, path, facts.byteCount)
        }

        /// Has its bytes in memory for as long as `body` runs.
        func withBytes(_ body: (UnsafeRawBufferPointer) throws(FileError) -> Void) throws(FileError) {
            let file = try MappedFile(path: path)
            guard file.bytes.count == byteCount else { throw FileError("read", path, code: EIO) }
            try body(file.bytes)
        }
    }

    /// Writes safetensors tensor by tensor, without having the file in memory.
    static func write(
        _ tensors: [Safetensors.Tensor], parts: [Part] = [], metadata: [String: String] = [:], to path: String
    ) throws(FileError) {
        let forms =
            tensors.map { Safetensors.Form(name: $0.name, type: $0.type, shape: $0.shape) }
            + parts.map { Safetensors.Form(name: $0.name, type: .u8, shape: [$0.byteCount]) }
        let layout = Safetensors.layout(forms, metadata: metadata)
        try write(to: path) { append throws(FileError) in
            try layout.head.withBytes(append)
            for index in layout.order {
                if index < tensors.count {
                    try tensors[index].bytes.withBytes(append)
                } else {
                    try parts[index - tensors.count].withBytes(append)
                }
            }
        }
    }

    /// Writes what `body` appends, as above.
    private static func write(
        to path: String, _ body: ((UnsafeRawBufferPointer) throws(FileError) -> Void) throws(FileError) -> Void
    ) throws(FileError) {
        let temporary = "\(path).\(getpid()).part"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError("write", path) }
        do throws(FileError) {
            try body { bytes throws(FileError) in
                var rest = bytes
                while !rest.isEmpty {
                    let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
                    if written < 0 && errno == EINTR { continue }
                    guard written > 0 else { throw FileError("write", path) }
                    rest = UnsafeRawBufferPointer(rebasing: rest[written...])
                }
            }
            guard fsync(descriptor) == 0 else { throw FileError("write", path) }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        guard close(descriptor) == 0 else {
            let error = FileError("write", path)
            unlink(temporary)
            throw error
        }
        try rename(temporary, to: path)
    }

    /// Gives the finished file `temporary` the name `path`, durably.
    static func rename(_ temporary: String, to path: String) throws(FileError) {
        guard Glibc.rename(temporary, path) == 0 else {
            let error = FileError("write", path)
            unlink(temporary)
            throw error
        }
        let folder = open(parent(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw FileError("open the folder of", path) }
        defer { close(folder) }
        // Some file systems cannot sync a folder and say so with EINVAL; the rename stands all the same.
        guard fsync(folder) == 0 || errno == EINVAL else { throw FileError("write", path) }
    }

    /// Makes the folder `path` and those above it, as far as they are missing.
    static func makeFolder(_ path: String) throws(FileError) {
        if isFolder(path) { return }
        let above = parent(of: path)
        if above != path { try makeFolder(above) }
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw FileError("make the folder", path) }
    }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Size and time of last change, or nil if there is no such regular file.
    static func facts(of path: String) -> (byteCount: Int, changedNanoseconds: Int)? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return (Int(status.st_size), Int(status.st_mtim.tv_sec) * 1_000_000_000 + Int(status.st_mtim.tv_nsec))
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

extension [UInt8] {
    /// Hands the elements over, with the errors of `body` as they are.
    fileprivate func withBytes(_ body: (UnsafeRawBufferPointer) throws(FileError) -> Void) throws(FileError) {
        try withUnsafeBytes { bytes in Result { () throws(FileError) in try body(bytes) } }.get()
    }
}
