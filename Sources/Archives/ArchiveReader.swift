import CArchive

/// Reads the regular files of an archive: tar of any kind, packed by gzip or not.
public enum ArchiveReader {
    /// Hands every regular file to `body`, in the archive's order. Names are what the archive says, and never to be
    /// taken for paths. An archive that is damaged anywhere, cut or followed by anything throws, though its files may
    /// have been handed over by then.
    /// - Parameters:
    ///   - maximumByteCount: of one file; an archive with a larger one is refused before it is unpacked.
    ///   - other: takes what is no regular file and no folder, such as `a symbolic link`; there is nothing to read of it.
    ///   - body: false to read no further, and check no further.
    public static func forEachFile(
        of path: String, maximumByteCount: Int, other: (_ name: String, _ kind: String) throws -> Void = { _, _ in },
        _ body: (_ name: String, _ bytes: [UInt8]) throws -> Bool
    ) throws {
        let source = try ArchiveSource(path: path)
        guard let archive = archive_read_new() else { throw ArchiveError("read", path, nil) }
        defer {
            archive_read_free(archive)
            withExtendedLifetime(source) {}
        }
        func failure() -> ArchiveError { source.fault ?? ArchiveError("read", path, archive) }
        guard archive_read_support_format_tar(archive) == ARCHIVE_OK,
            archive_read_open(archive, Unmanaged.passUnretained(source).toOpaque(), nil, nextPiece, nil) == ARCHIVE_OK
        else { throw failure() }
        var entry: OpaquePointer?
        while true {
            let code = archive_read_next_header(archive, &entry)
            if code == ARCHIVE_EOF { return try source.finish(after: archive_filter_bytes(archive, 0)) }
            guard code == ARCHIVE_OK, let entry else { throw failure() }
            guard let name = archive_entry_pathname(entry) else { throw failure() }
            let file = String(cString: name)
            if let kind = kind(of: entry) {
                try other(file, kind)
                continue
            }
            guard archive_entry_filetype(entry) == regularFile else { continue }
            let size = Int(archive_entry_size(entry))
            guard size <= maximumByteCount else {
                throw ArchiveError("cannot read \(path): \(file) would have \(size) bytes, above \(maximumByteCount)")
            }
            guard let bytes = bytes(of: archive, count: size) else { throw failure() }
            guard try body(file, bytes) else { return }
        }
    }

    /// What an entry is that is neither a regular file nor a folder; nil for one that is.
    private static func kind(of entry: OpaquePointer) -> String? {
        if archive_entry_hardlink(entry) != nil { return "a hard link" }
        switch archive_entry_filetype(entry) {
        case regularFile, folder: return nil
        case symbolicLink: return "a symbolic link"
        default: return "a device or pipe"
        }
    }

    /// Nil if they are not all there.
    private static func bytes(of archive: OpaquePointer, count size: Int) -> [UInt8]? {
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
        return isWhole ? bytes : nil
    }
}

/// libarchive's way to ask for more: a piece of the source that it was opened with.
private func nextPiece(
    _: OpaquePointer?, source: UnsafeMutableRawPointer?, piece: UnsafeMutablePointer<UnsafeRawPointer?>?
) -> Int {
    let source = Unmanaged<ArchiveSource>.fromOpaque(source!).takeUnretainedValue()
    // No error passes through C: what was wrong is `source.fault`.
    guard let bytes = try? source.next() else { return Int(ARCHIVE_FATAL) }
    piece!.pointee = bytes.baseAddress
    return bytes.count
}
