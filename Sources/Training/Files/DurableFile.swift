import Glibc

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
    /// Writes `bytes` under `path`: a temporary name beside it, fsync, rename, and fsync of the folder. A crash leaves the
    /// former file or the new one.
    static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        let temporary = "\(path).\(getpid()).part"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError("write", path) }
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + offset, bytes.count - offset)
            }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw abandon(descriptor, temporary, "write", path) }
            offset += written
        }
        guard fsync(descriptor) == 0 else { throw abandon(descriptor, temporary, "write", path) }
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

    private static func abandon(_ descriptor: Int32, _ temporary: String, _ action: String, _ path: String) -> FileError
    {
        let error = FileError(action, path)
        close(descriptor)
        unlink(temporary)
        return error
    }
}
