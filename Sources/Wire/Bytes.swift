import Lottery

/// Appends fixed-layout little-endian fields.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func integer<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func digest(_ digest: Digest) { bytes.append(contentsOf: digest.bytes) }

    /// UTF-8 behind a `u16` length.
    mutating func text(_ text: String, limit: Int) {
        let utf8 = Array(text.utf8)
        precondition(utf8.count <= limit, "a text of \(utf8.count) bytes where \(limit) are allowed: \(text)")
        integer(UInt16(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    /// A `u16` count, then each element.
    mutating func list<Element>(_ elements: [Element], limit: Int, _ write: (inout ByteWriter, Element) -> Void) {
        precondition(elements.count <= limit, "a list of \(elements.count) where \(limit) are allowed")
        integer(UInt16(elements.count))
        for element in elements { write(&self, element) }
    }
}

/// Reads fixed-layout little-endian fields from bytes that may be anything.
struct ByteReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(WireError) -> Value {
        let size = MemoryLayout<Value>.size
        let slice = try take(size)
        var value: Value = 0
        withUnsafeMutableBytes(of: &value) { $0.copyBytes(from: slice) }
        return Value(littleEndian: value)
    }

    /// A `u64` that must lie in `range`.
    mutating func count(in range: ClosedRange<Int>, _ name: StaticString) throws(WireError) -> Int {
        let value = try integer(UInt64.self)
        guard let count = Int(exactly: value), range.contains(count) else {
            throw .malformed("\(name) is \(value), not in \(range.lowerBound)…\(range.upperBound)")
        }
        return count
    }

    mutating func digest() throws(WireError) -> Digest { Digest(bytes: try take(Digest.byteCount)) }

    mutating func text(limit: Int) throws(WireError) -> String {
        let count = Int(try integer(UInt16.self))
        guard count <= limit else { throw .malformed("a text of \(count) bytes where \(limit) are allowed") }
        guard let text = String(validating: try take(count), as: UTF8.self) else {
            throw .malformed("a text is not UTF-8")
        }
        return text
    }

    mutating func list<Element>(
        limit: Int, _ read: (inout ByteReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        let count = Int(try integer(UInt16.self))
        guard count <= limit else { throw .malformed("a list of \(count) where \(limit) are allowed") }
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try read(&self)) }
        return elements
    }

    /// - Throws: if bytes are left.
    func finish() throws(WireError) {
        guard position == bytes.count else { throw .malformed("\(bytes.count - position) bytes are left over") }
    }

    private mutating func take(_ count: Int) throws(WireError) -> ArraySlice<UInt8> {
        guard count <= bytes.count - position else { throw .malformed("the frame ends too early") }
        defer { position += count }
        return bytes[position..<position + count]
    }
}
