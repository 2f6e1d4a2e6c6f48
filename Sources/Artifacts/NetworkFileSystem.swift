import Glibc

/// Tells network file systems from local ones. SQLite's log needs memory shared by all its users and locks that hold; a
/// file that was synchronised must be there after a crash. No network or cluster file system promises all three.
public enum NetworkFileSystem {
    /// Throws `ArtifactError.networkFileSystem` if `path`, or the nearest folder above it that exists, is on one.
    public static func refuse(_ path: String, probe: FileSystemProbe = .system) throws(ArtifactError) {
        if let kind = try kind(of: path, probe: probe) { throw .networkFileSystem(path: path, kind: kind) }
    }

    /// The name of the network file system that `path`, or the nearest folder above it that exists, is on; nil if it is
    /// local.
    public static func kind(of path: String, probe: FileSystemProbe = .system) throws(ArtifactError) -> String? {
        var existing = path
        while !Folder.exists(existing), existing != "/", existing != "." { existing = Folder.parent(of: existing) }
        let magic = try probe.magic(existing)
        if let kind = kinds[magic] { return kind }
        guard magic == fuse else { return nil }
        let type = mountType(of: canonical(existing), in: probe.mountInfo())
        return type.map { localFUSE.contains($0) } ?? false ? nil : "FUSE (\(type ?? "of unknown kind"))"
    }

    /// `f_type` of statfs(2), from linux/magic.h and the file systems' own sources.
    private static let kinds: [UInt32: String] = [
        0x6969: "NFS", 0x517B: "SMB", 0xFF53_4D42: "CIFS", 0xFE53_4D42: "SMB2", 0x0BD0_0BD0: "Lustre",
        0x4750_4653: "GPFS",
        0x00C3_6400: "CephFS", 0x0102_1997: "9p", 0x5346_414F: "AFS", 0x6B41_4653: "AFS", 0x7375_7245: "Coda",
        0x564C: "NCP",
        0x7461_636F: "OCFS2", 0x0116_1970: "GFS2", 0x1983_0326: "BeeGFS", 0xAAD7_AAEA: "PanFS", 0x2003_0528: "OrangeFS",
        0x6163_6673: "ACFS", 0xBEEF_DEAD: "StorNext", 0x0131_11A8: "IBRIX", 0x786F_4256: "a VirtualBox share",
        0xBACB_ACBC: "a VMware share", 0x7C7C_6673: "a Parallels share",
    ]

    private static let fuse: UInt32 = 0x6573_5546

    /// FUSE says nothing of what is behind it, and most of what is (sshfs, rclone, s3fs, glusterfs, a share of the
    /// host's) is remote. So of its kinds, as /proc/self/mountinfo names them, only those known to keep their files on
    /// a local disk pass.
    private static let localFUSE: Set<String> = [
        "fuseblk", "fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.ext2", "fuse.ext4", "fuse.fuse2fs",
        "fuse.zfs",
    ]

    private static func canonical(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The type of the mount that `path` is on: the last of those whose mount point is its longest prefix (proc(5)).
    static func mountType(of path: String, in mountInfo: String) -> String? {
        var best: (length: Int, type: String)?
        for line in mountInfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), dash + 1 < fields.count else {
                continue
            }
            let point = unescaped(fields[4])
            guard path == point || point == "/" || path.hasPrefix(point + "/") else { continue }
            if point.utf8.count >= best?.length ?? 0 { best = (point.utf8.count, String(fields[dash + 1])) }
        }
        return best?.type
    }

    /// Space, tab, newline and backslash stand as `\040` and so on in mountinfo.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// How a path's file system is looked up; tests put their own in its place.
public struct FileSystemProbe: Sendable {
    /// The low 32 bits of statfs's `f_type` for a path that exists.
    public var magic: @Sendable (_ path: String) throws(ArtifactError) -> UInt32
    /// The text of /proc/self/mountinfo.
    public var mountInfo: @Sendable () -> String

    public init(
        magic: @escaping @Sendable (_ path: String) throws(ArtifactError) -> UInt32,
        mountInfo: @escaping @Sendable () -> String
    ) {
        self.magic = magic
        self.mountInfo = mountInfo
    }

    public static let system = FileSystemProbe(
        magic: { (path) throws(ArtifactError) in
            // Swift's Glibc module leaves sys/statfs.h out, so the function is looked up by name. Its struct is 120
            // bytes on 64-bit Linux and begins with f_type, a word.
            typealias Statfs = @convention(c) (UnsafePointer<CChar>, UnsafeMutableRawPointer) -> Int32
            guard let symbol = dlsym(nil, "statfs") else {
                throw ArtifactError(errno: ENOSYS, operation: "look at the file system of", path: path)
            }
            var status = [Int](repeating: 0, count: 64)
            guard unsafeBitCast(symbol, to: Statfs.self)(path, &status) == 0 else {
                throw ArtifactError(errno: errno, operation: "look at the file system of", path: path)
            }
            return UInt32(truncatingIfNeeded: status[0])
        },
        mountInfo: {
            // Where /proc is not mounted a FUSE mount stays of unknown kind, and is refused.
            guard let file = fopen("/proc/self/mountinfo", "re") else { return "" }
            defer { fclose(file) }
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 64 * 1024)
            while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
            return String(decoding: bytes, as: UTF8.self)
        })
}
