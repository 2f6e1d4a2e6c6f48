import Glibc

/// Where a file is to be written under a temporary name and renamed, which would put it in the place of whatever is there.
enum OutputPath {
    /// - Throws: `Failure` if what is there is a folder, a device or a pipe, which nobody wants replaced.
    static func check(_ path: String) throws(Failure) {
        var status = stat()
        // `/dev/stdout` leads to a file where that is what output goes to, and is a link that nobody wants replaced either.
        let isSpecial = path.hasPrefix("/dev/") && !path.hasPrefix("/dev/shm/") || path.hasPrefix("/proc/")
        guard isSpecial || stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG else { return }
        throw Failure(.usage, "--out \(path) is no file that could be replaced: name another one")
    }
}
