import Crypto

/// A SHA-256 digest: the name of content. Ordered by its bytes; written as 64 lowercase hexadecimal digits.
public struct Digest: Hashable, Sendable, Comparable {
    /// The 32 bytes, first to last, as four big-endian words (a fixed-size value hashes and compares fast).
    private let words: (UInt64, UInt64, UInt64, UInt64)

    public static let byteCount = 32

    /// - Precondition: `bytes.count == 32`.
    public init(bytes: some Collection<UInt8>) {
        precondition(bytes.count == Digest.byteCount, "a digest has 32 bytes, not \(bytes.count)")
        var iterator = bytes.makeIterator()
        func word() -> UInt64 {
            var value: UInt64 = 0
            for _ in 0..<8 { value = value << 8 | UInt64(iterator.next()!) }
            return value
        }
        words = (word(), word(), word(), word())
    }

    /// The digest written as 64 hexadecimal digits, or nil if `hex` is anything else.
    public init?(hex: some StringProtocol) {
        let digits = Array(hex.utf8)
        guard digits.count == 2 * Digest.byteCount else { return nil }
        func nibble(_ digit: UInt8) -> UInt8? {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = nibble(digits[index]), let low = nibble(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        self.init(bytes: bytes)
    }

    /// The digest of `bytes`.
    public static func of(_ bytes: some Sequence<UInt8>) -> Digest {
        var hasher = ContentHasher()
        hasher.update(Array(bytes))
        return hasher.finalize()
    }

    public static func == (left: Digest, right: Digest) -> Bool { left.words == right.words }
    public static func < (left: Digest, right: Digest) -> Bool { left.words < right.words }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }

    public var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Digest.byteCount) { bytes, count in
            let all = UnsafeMutableRawBufferPointer(bytes)
            all.storeBytes(of: words.0.bigEndian, toByteOffset: 0, as: UInt64.self)
            all.storeBytes(of: words.1.bigEndian, toByteOffset: 8, as: UInt64.self)
            all.storeBytes(of: words.2.bigEndian, toByteOffset: 16, as: UInt64.self)
            all.storeBytes(of: words.3.bigEndian, toByteOffset: 24, as: UInt64.self)
            count = Digest.byteCount
        }
    }

    /// The first 8 bytes as a big-endian number: enough to tell a few contents apart.
    public var head: UInt64 { words.0 }

    /// 64 lowercase hexadecimal digits.
    public var hex: String {
        String(unsafeUninitializedCapacity: 2 * Digest.byteCount) { digits in
            func write(_ word: UInt64, at place: Int) {
                for digit in 0..<16 {
                    let nibble = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * digit)) & 15
                    digits[place + digit] = nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
                }
            }
            write(words.0, at: 0)
            write(words.1, at: 16)
            write(words.2, at: 32)
            write(words.3, at: 48)
            return 2 * Digest.byteCount
        }
    }

    /// The first 12 hexadecimal digits, for people; unique in any store of realistic size.
    public var short: String { String(hex.prefix(12)) }
}

extension Digest: CustomStringConvertible {
    public var description: String { short }
}

extension Digest: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let digest = Digest(hex: text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "a digest is 64 lowercase hexadecimal digits, not “\(text)”")
        }
        self = digest
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }
}

/// Hashes content piece by piece, so that a file need not be in memory.
public struct ContentHasher: Sendable {
    private var function = SHA256()

    public init() {}

    public mutating func update(_ bytes: [UInt8]) {
        function.update(data: bytes)
    }

    public mutating func update(bufferPointer: UnsafeRawBufferPointer) {
        function.update(bufferPointer: bufferPointer)
    }

    /// Goes on with the text's UTF-8.
    public mutating func update(_ text: String) {
        var text = text
        text.withUTF8 { update(bufferPointer: UnsafeRawBufferPointer($0)) }
    }

    /// The digest of all bytes so far. The hasher may go on afterwards.
    public func finalize() -> Digest {
        function.finalize().withUnsafeBytes { Digest(bytes: $0) }
    }
}
