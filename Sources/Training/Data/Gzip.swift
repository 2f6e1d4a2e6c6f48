import CZlib
import Glibc
import Lottery

/// Reads files that may be packed by gzip.
enum Gzip {
    /// The content of `path`, unpacked if it is packed; at most `maximumByteCount` bytes of it.
    static func contents(of path: String, maximumByteCount: Int) throws(DataError) -> [UInt8] {
        errno = 0
        guard let file = gzopen(path, "rb") else {
            throw DataError(FileError("read", path, code: errno == 0 ? ENOMEM : errno))
        }
        defer { gzclose_r(file) }
        gzbuffer(file, 1 << 17)
        var fault: String?
        let bytes = [UInt8](unsafeUninitializedCapacity: maximumByteCount) { buffer, count in
            while count < maximumByteCount {
                let wanted = UInt32(min(maximumByteCount - count, 1 << 24))
                let got = gzread(file, buffer.baseAddress! + count, wanted)
                guard got > 0 else { break }
                count += Int(got)
            }
            var code: Int32 = Z_OK
            let message = gzerror(file, &code)
            if code == Z_BUF_ERROR {
                fault = "it is truncated"
            } else if code != Z_OK && code != Z_STREAM_END {
                let reason =
                    code == Z_ERRNO
                    ? String(cString: strerror(errno)) : message.map { String(cString: $0) } ?? "code \(code)"
                fault = "it cannot be unpacked (\(reason))"
            }
        }
        if let fault {
            throw DataError(.malformed, "\(path): \(fault); remove it and get it again")
        }
        return bytes
    }
}
