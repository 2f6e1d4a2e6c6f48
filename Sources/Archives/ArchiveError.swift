import CArchive

/// What is wrong with an archive: its path, and what the library says.
public struct ArchiveError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ action: String, _ path: String, _ archive: OpaquePointer?) {
        let reason = archive.map { archive_error_string($0).map { String(cString: $0) } ?? "it is damaged" }
        description = "cannot \(action) \(path): \(reason ?? "out of memory")"
    }

    init(_ description: String) { self.description = description }
}

/// `AE_IFREG`, a macro that Swift does not see: the type of a regular file.
let regularFile: UInt32 = 0o100000
/// `AE_IFDIR`.
let folder: UInt32 = 0o040000
/// `AE_IFLNK`.
let symbolicLink: UInt32 = 0o120000
