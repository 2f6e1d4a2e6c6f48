import CZlib
import Glibc

/// A file's content, unpacked if it is packed by gzip, piece by piece and checked to its last byte. libarchive unpacks,
/// too, but compares no checksum and passes over what follows.
final class ArchiveSource {
    private let path: String
    private let descriptor: Int32
    private let isPacked: Bool
    private let input: UnsafeMutableRawBufferPointer
    private let output: UnsafeMutableRawBufferPointer
    /// zlib remembers where it is, so it must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private var isAtEnd = false
    private var byteCount: Int64 = 0
    /// How far the content goes without the zeros that fill up a tar.
    private(set) var contentByteCount: Int64 = 0
    /// The first thing that was wrong.
    private(set) var fault: ArchiveError?

    private static let pieceBytes = 1 << 20
    /// Of zlib: the largest window, in gzip's wrapper and no other.
    private static let gzipWindow = MAX_WBITS + 16
    private static let remedy = "; take it anew from where it was made"

    init(path: String) throws(ArchiveError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ArchiveError("cannot read \(path): \(String(cString: strerror(errno)))")
        }
        var magic: [UInt8] = [0, 0]
        isPacked = pread(descriptor, &magic, 2, 0) == 2 && magic == [0x1f, 0x8b]
        input = .allocate(byteCount: ArchiveSource.pieceBytes, alignment: 16)
        output = .allocate(byteCount: ArchiveSource.pieceBytes, alignment: 16)
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard
            inflateInit2_(stream, ArchiveSource.gzipWindow, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { throw ArchiveError("read", path, nil) }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
        output.deallocate()
        close(descriptor)
    }

    /// The next piece, good until the next call; empty at the end.
    func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        do throws(ArchiveError) {
            let piece = UnsafeRawBufferPointer(try isPacked ? unpack() : read())
            if let last = piece.lastIndex(where: { $0 != 0 }) { contentByteCount = byteCount + Int64(last) + 1 }
            byteCount += Int64(piece.count)
            return piece
        } catch {
            fault = fault ?? error
            throw error
        }
    }

    /// Reads the rest.
    /// - Parameter end: where tar says that it ends, in the unpacked content. Only zeros may follow.
    func finish(after end: Int64) throws(ArchiveError) {
        while try !next().isEmpty {}
        guard contentByteCount <= end else { throw trailing }
    }

    private var trailing: ArchiveError {
        ArchiveError("cannot read \(path): more bytes follow the end of the archive\(ArchiveSource.remedy)")
    }

    private func unpack() throws(ArchiveError) -> UnsafeMutableRawBufferPointer {
        while !isAtEnd {
            if stream.pointee.avail_in == 0 {
                let packed = try read()
                guard !packed.isEmpty else {
                    throw ArchiveError("cannot read \(path): it is cut short\(ArchiveSource.remedy)")
                }
                stream.pointee.next_in = packed.bindMemory(to: UInt8.self).baseAddress
                stream.pointee.avail_in = UInt32(packed.count)
            }
            stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
            stream.pointee.avail_out = UInt32(output.count)
            let code = inflate(stream, Z_NO_FLUSH)
            // zlib compares the checksum and the length at the end.
            guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else {
                let reason = stream.pointee.msg.map { String(cString: $0) } ?? "code \(code)"
                throw ArchiveError("cannot read \(path): it is damaged (\(reason))\(ArchiveSource.remedy)")
            }
            if code == Z_STREAM_END {
                isAtEnd = true
                guard stream.pointee.avail_in == 0, try read().isEmpty else { throw trailing }
            }
            let count = output.count - Int(stream.pointee.avail_out)
            if count > 0 { return UnsafeMutableRawBufferPointer(rebasing: output[..<count]) }
        }
        return UnsafeMutableRawBufferPointer(rebasing: output[..<0])
    }

    private func read() throws(ArchiveError) -> UnsafeMutableRawBufferPointer {
        while true {
            let count = Glibc.read(descriptor, input.baseAddress, input.count)
            if count >= 0 { return UnsafeMutableRawBufferPointer(rebasing: input[..<count]) }
            guard errno == EINTR else {
                throw ArchiveError("cannot read \(path): \(String(cString: strerror(errno)))")
            }
        }
    }
}
