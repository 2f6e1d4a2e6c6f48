/// The JSON that safetensors headers are made of: objects in file order, arrays, text and whole numbers.
///
/// Foundation's coders keep neither the order of members nor say what is wrong in bytes from elsewhere, and this room
/// imports none of Foundation.
enum JSONText {
    case object([(String, JSONText)])
    case array([JSONText])
    case string(String)
    case integer(Int)

    /// Deeper nesting than any header has; it bounds the recursion on bytes from elsewhere.
    static let maximumDepth = 8

    /// The one value that `bytes` spell, or nil if they spell anything else.
    static func parse(_ bytes: [UInt8]) -> JSONText? {
        var parser = Parser(bytes: bytes)
        guard let value = parser.value(depth: 0) else { return nil }
        parser.skipSpace()
        return parser.isAtEnd ? value : nil
    }

    /// `text` between quotation marks, escaped as RFC 8259 asks.
    static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\u{0}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private struct Parser {
        let bytes: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func skipSpace() {
            while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
        }

        /// Whether the next byte after white space is `character`, which is then consumed.
        mutating func consume(_ character: Unicode.Scalar) -> Bool {
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func value(depth: Int) -> JSONText? {
            guard depth < maximumDepth else { return nil }
            if consume("{") { return object(depth: depth) }
            if consume("[") { return array(depth: depth) }
            if consume("\"") { return string().map(JSONText.string) }
            return integer().map(JSONText.integer)
        }

        private mutating func object(depth: Int) -> JSONText? {
            var members: [(String, JSONText)] = []
            if consume("}") { return .object(members) }
            repeat {
                guard consume("\""), let name = string(), consume(":"), let value = value(depth: depth + 1) else {
                    return nil
                }
                members.append((name, value))
            } while consume(",")
            return consume("}") ? .object(members) : nil
        }

        private mutating func array(depth: Int) -> JSONText? {
            var items: [JSONText] = []
            if consume("]") { return .array(items) }
            repeat {
                guard let value = value(depth: depth + 1) else { return nil }
                items.append(value)
            } while consume(",")
            return consume("]") ? .array(items) : nil
        }

        private mutating func integer() -> Int? {
            let start = position
            if position < bytes.count, bytes[position] == UInt8(ascii: "-") { position += 1 }
            while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
                position += 1
            }
            return Int(String(decoding: bytes[start..<position], as: UTF8.self))
        }

        /// The text up to the closing quotation mark; the opening one is consumed already.
        private mutating func string() -> String? {
            var text: [UInt8] = []
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                switch byte {
                case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
                case UInt8(ascii: "\\"):
                    guard let scalar = escape() else { return nil }
                    text += Array(String(scalar).utf8)
                case 0..<0x20: return nil
                default: text.append(byte)
                }
            }
            return nil
        }

        private mutating func escape() -> Unicode.Scalar? {
            guard position < bytes.count else { return nil }
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
            case UInt8(ascii: "b"): return "\u{8}"
            case UInt8(ascii: "f"): return "\u{C}"
            case UInt8(ascii: "n"): return "\n"
            case UInt8(ascii: "r"): return "\r"
            case UInt8(ascii: "t"): return "\t"
            case UInt8(ascii: "u"): return unicodeEscape()
            default: return nil
            }
        }

        private mutating func unicodeEscape() -> Unicode.Scalar? {
            guard let first = hexWord() else { return nil }
            guard (0xD800..<0xDC00).contains(first) else { return Unicode.Scalar(first) }
            guard consume("\\"), consume("u"), let second = hexWord(), (0xDC00..<0xE000).contains(second) else {
                return nil
            }
            return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        }

        private mutating func hexWord() -> UInt32? {
            guard position + 4 <= bytes.count else { return nil }
            let digits = bytes[position..<position + 4]
            position += 4
            guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
            return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        }
    }
}
