import CArchive
import Glibc

/// Writes a `.tar.gz` (POSIX pax interchange format, RFC 1952) that is there whole or not at all. Equal files under
/// equal names make equal archives: no entry has a time or an owner.
public final class ArchiveWriter {
    private let path: String
    private let temporary: String
    private let descriptor: Int32
    private let archive: OpaquePointer
    private var isOpen = true

    /// - Parameter path: of the archive to be.
    public init(path: String) throws(ArchiveError) {
        self.path = path
        temporary = "\(path).\(getpid()).part"
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ArchiveError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        guard let archive = archive_write_new() else {
            close(descriptor)
            unlink(temporary)
            throw ArchiveError("write", path, nil)
        }
        self.archive = archive
        guard archive_write_set_format_pax_restricted(archive) == ARCHIVE_OK,
            archive_write_add_filter_gzip(archive) == ARCHIVE_OK,
            // The time in the header of gzip would make each archive another.
            archive_write_set_filter_option(archive, "gzip", "timestamp", nil) == ARCHIVE_OK,
            archive_write_open_fd(archive, descriptor) == ARCHIVE_OK
        else { throw failure() }
    }

    deinit { abandon() }

    public func add(_ name: String, _ bytes: [UInt8]) throws(ArchiveError) {
        guard let entry = archive_entry_new() else { throw ArchiveError("write", path, nil) }
        defer { archive_entry_free(entry) }
        archive_entry_set_pathname(entry, name)
        archive_entry_set_size(entry, Int64(bytes.count))
        archive_entry_set_filetype(entry, regularFile)
        archive_entry_set_perm(entry, 0o644)
        archive_entry_set_mtime(entry, 0, 0)
        guard archive_write_header(archive, entry) == ARCHIVE_OK else { throw failure() }
        let written = bytes.withUnsafeBytes { archive_write_data(archive, $0.baseAddress, $0.count) }
        guard written == bytes.count else { throw failure() }
    }

    /// The archive is on disk under its name.
    public func finish() throws(ArchiveError) {
        guard archive_write_close(archive) == ARCHIVE_OK else { throw failure() }
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            let reason = String(cString: strerror(errno))
            abandon()
            throw ArchiveError("cannot write \(path): \(reason)")
        }
        release()
    }

    private func failure() -> ArchiveError {
        let error = ArchiveError("write", path, archive)
        abandon()
        return error
    }

    private func abandon() {
        guard isOpen else { return }
        unlink(temporary)
        release()
    }

    private func release() {
        isOpen = false
        archive_write_free(archive)
        close(descriptor)
    }
}
