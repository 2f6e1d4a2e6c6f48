/// Reads tar archives: the ustar format and what older tars wrote before it (POSIX.1-2017, pax, “ustar Interchange
/// Format”).
enum Tar {
    /// A regular file in an archive.
    struct Entry {
        /// Without the folders that it is in.
        var name: String
        var range: Range<Int>
    }

    private static let blockSize = 512

    /// The regular files of the archive `bytes`, in its order.
    /// - Parameter path: what errors call the archive.
    static func entries(of bytes: [UInt8], path: String) throws(DataError) -> [Entry] {
        var entries: [Entry] = []
        var offset = 0
        while offset < bytes.count {
            guard offset + blockSize <= bytes.count else { throw truncated(path) }
            let header = bytes[offset..<offset + blockSize]
            // A block of zeros ends the archive.
            if header.allSatisfy({ $0 == 0 }) { return entries }
            guard let size = size(in: header), hasItsChecksum(header) else {
                throw DataError(
                    .malformed, "\(path): there is no tar header at byte \(offset); remove it and get it again")
            }
            let start = offset + blockSize
            let kind = header[offset + 156]
            // Links, devices and folders may name a size, but have no content.
            let count = (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(kind) ? 0 : size
            guard count <= bytes.count - start else { throw truncated(path) }
            if kind == 0 || kind == UInt8(ascii: "0") || kind == UInt8(ascii: "7") {
                let name = String(decoding: header.prefix(100).prefix { $0 != 0 }, as: UTF8.self)
                entries.append(
                    Entry(name: name.split(separator: "/").last.map(String.init) ?? "", range: start..<start + count))
            }
            offset = start + (count + blockSize - 1) / blockSize * blockSize
        }
        return entries
    }

    /// The size of the entry, in octal digits or, with the highest bit set, in base 256.
    private static func size(in header: ArraySlice<UInt8>) -> Int? {
        let field = header.dropFirst(124).prefix(12)
        guard let first = field.first else { return nil }
        guard first & 0x80 == 0 else {
            let digits = field.dropFirst()
            // More than seven bytes of size would not fit into an Int, and no file is that large.
            guard first == 0x80, digits.dropLast(7).allSatisfy({ $0 == 0 }) else { return nil }
            return digits.reduce(0) { $0 << 8 | Int($1) }
        }
        return octal(field)
    }

    /// The sum of the header's bytes, its own field counted as blanks, is what it says.
    private static func hasItsChecksum(_ header: ArraySlice<UInt8>) -> Bool {
        let field = header.dropFirst(148).prefix(8)
        let blanks = 8 * Int(UInt8(ascii: " "))
        let sum = header.reduce(0) { $0 + Int($1) } - field.reduce(0) { $0 + Int($1) } + blanks
        return octal(field) == sum
    }

    /// A number of at most eleven octal digits between blanks, ended by a blank or NUL; nil if it is none.
    private static func octal(_ field: ArraySlice<UInt8>) -> Int? {
        let blank = UInt8(ascii: " ")
        let digits = field.drop { $0 == blank }.prefix { $0 != blank && $0 != 0 }
        return digits.isEmpty
            ? nil : Int(String(decoding: digits, as: UTF8.self), radix: 8).flatMap { $0 < 0 ? nil : $0 }
    }

    private static func truncated(_ path: String) -> DataError {
        DataError(.malformed, "\(path): the archive is truncated; remove it and get it again")
    }
}
