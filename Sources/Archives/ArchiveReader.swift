import CArchive

/// Reads the regular files of an archive: tar of any kind, packed by gzip or not.
public enum ArchiveReader {
    /// Hands every regular file to `body`, in the archive's order. Names are what the archive says, and never to be
    /// taken for paths.
    /// - Parameters:
    ///   - maximumByteCount: of one file; an archive with a larger one is refused before it is unpacked.
    ///   - body: false to read no further.
    public static func forEachFile(
        of path: String, maximumByteCount: Int, _ body: (_ name: String, _ bytes: [UInt8]) throws -> Bool
    ) throws {
        guard let archive = archive_read_new() else { throw ArchiveError("read", path, nil) }
        defer { archive_read_free(archive) }
        guard archive_read_support_filter_gzip(archive) == ARCHIVE_OK,
            archive_read_support_format_tar(archive) == ARCHIVE_OK,
            archive_read_open_filename(archive, path, 1 << 20) == ARCHIVE_OK
        else { throw ArchiveError("read", path, archive) }
        var entry: OpaquePointer?
        while true {
            let code = archive_read_next_header(archive, &entry)
            if code == ARCHIVE_EOF { return }
            guard code == ARCHIVE_OK, let entry else { throw ArchiveError("read", path, archive) }
            guard archive_entry_filetype(entry) == regularFile, let name = archive_entry_pathname(entry) else {
                continue
            }
            let file = String(cString: name)
            let size = Int(archive_entry_size(entry))
            guard size <= maximumByteCount else {
                throw ArchiveError("cannot read \(path): \(file) would have \(size) bytes, above \(maximumByteCount)")
            }
            guard try body(file, try bytes(of: archive, count: size, path)) else { return }
        }
    }

    private static func bytes(of archive: OpaquePointer, count size: Int, _ path: String) throws(ArchiveError)
        -> [UInt8]
    {
        var isWhole = true
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let read = archive_read_data(archive, buffer.baseAddress! + count, size - count)
                guard read > 0 else {
                    isWhole = false
                    return
                }
                count += read
            }
        }
        guard isWhole else { throw ArchiveError("read", path, archive) }
        return bytes
    }
}
