/// The safetensors format: an 8-byte little-endian header length, a JSON header, and the tensors' little-endian bytes.
///
/// Equal tensors and metadata encode to equal bytes: tensors are ordered by falling element size, then by name, as the
/// reference implementation does (which also aligns each tensor to its element), and metadata by key.
public enum Safetensors {
    public enum ElementType: String, Hashable, Sendable, CaseIterable {
        case u8 = "U8"
        case i32 = "I32"
        case i64 = "I64"
        case f32 = "F32"
        case f64 = "F64"

        public var byteCount: Int {
            switch self {
            case .u8: 1
            case .i32, .f32: 4
            case .i64, .f64: 8
            }
        }
    }

    /// A named array in row-major order.
    public struct Tensor: Hashable, Sendable {
        public var name: String
        public var type: ElementType
        public var shape: [Int]
        /// Little-endian elements.
        public var bytes: [UInt8]

        /// - Precondition: `bytes` holds exactly the elements of `shape`.
        public init(name: String, type: ElementType, shape: [Int], bytes: [UInt8]) {
            precondition(
                bytes.count == shape.reduce(type.byteCount, *),
                "\(name): \(bytes.count) bytes for \(shape) of \(type.rawValue)")
            self.name = name
            self.type = type
            self.shape = shape
            self.bytes = bytes
        }

        public init(name: String, shape: [Int]? = nil, _ values: [UInt8]) {
            self.init(name: name, type: .u8, shape: shape ?? [values.count], bytes: values)
        }

        public init(name: String, shape: [Int]? = nil, _ values: [Float]) {
            self.init(
                name: name, type: .f32, shape: shape ?? [values.count],
                bytes: Safetensors.littleEndian(values.lazy.map(\.bitPattern)))
        }

        public init(name: String, shape: [Int]? = nil, _ values: [Int32]) {
            self.init(
                name: name, type: .i32, shape: shape ?? [values.count],
                bytes: Safetensors.littleEndian(values.lazy.map { UInt32(bitPattern: $0) }))
        }

        public init(name: String, shape: [Int]? = nil, _ values: [Double]) {
            self.init(
                name: name, type: .f64, shape: shape ?? [values.count],
                bytes: Safetensors.littleEndian(values.lazy.map(\.bitPattern)))
        }

        public init(name: String, shape: [Int]? = nil, _ values: [Int]) {
            self.init(
                name: name, type: .i64, shape: shape ?? [values.count],
                bytes: Safetensors.littleEndian(values.lazy.map { UInt64(bitPattern: Int64($0)) }))
        }

        /// The elements, or nil if they are not of type `u8`.
        public var uint8Values: [UInt8]? { type == .u8 ? bytes : nil }

        /// The elements, or nil if they are not of type `i32`.
        public var int32Values: [Int32]? {
            type == .i32 ? Safetensors.words(bytes, as: UInt32.self).map(Int32.init(bitPattern:)) : nil
        }

        /// The elements, or nil if they are not of type `f32`.
        public var floatValues: [Float]? {
            type == .f32 ? Safetensors.words(bytes, as: UInt32.self).map(Float.init(bitPattern:)) : nil
        }

        /// The elements, or nil if they are not of type `f64`.
        public var doubleValues: [Double]? {
            type == .f64 ? Safetensors.words(bytes, as: UInt64.self).map(Double.init(bitPattern:)) : nil
        }

        /// The elements, or nil if they are not of type `i64`.
        public var intValues: [Int]? {
            type == .i64 ? Safetensors.words(bytes, as: UInt64.self).map { Int(Int64(bitPattern: $0)) } : nil
        }
    }

    /// What the header says of one tensor.
    public struct Entry: Hashable, Sendable {
        public var name: String
        public var type: ElementType
        public var shape: [Int]
        /// The tensor's bytes, counted from the start of the file.
        public var range: Range<Int>
    }

    public struct Header: Hashable, Sendable {
        /// In the order of their bytes.
        public var entries: [Entry]
        public var metadata: [String: String]

        public subscript(name: String) -> Entry? { entries.first { $0.name == name } }
    }

    /// What is wrong with a file, as the end of a sentence: “is not a safetensors file: …”.
    public struct FormatError: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// A longer header than any of ours; refused before it is read.
    public static let maximumHeaderBytes = 16 * 1024 * 1024

    /// The file that holds `tensors` and `metadata`.
    /// - Precondition: names are distinct and none is `__metadata__`.
    public static func encode(_ tensors: [Tensor], metadata: [String: String] = [:]) -> [UInt8] {
        let layout = layout(tensors.map { Form(name: $0.name, type: $0.type, shape: $0.shape) }, metadata: metadata)
        var file: [UInt8] = []
        file.reserveCapacity(layout.head.count + tensors.reduce(0) { $0 + $1.bytes.count })
        file += layout.head
        for index in layout.order { file += tensors[index].bytes }
        return file
    }

    /// A tensor but for its elements.
    public struct Form: Hashable, Sendable {
        public var name: String
        public var type: ElementType
        public var shape: [Int]

        public init(name: String, type: ElementType, shape: [Int]) {
            self.name = name
            self.type = type
            self.shape = shape
        }

        var byteCount: Int { shape.reduce(type.byteCount, *) }
    }

    /// For a file that is written piece by piece: the bytes it begins with, and the indices of `tensors` in the order
    /// in which their elements follow.
    /// - Precondition: names are distinct and none is `__metadata__`.
    public static func layout(_ tensors: [Form], metadata: [String: String] = [:]) -> (head: [UInt8], order: [Int]) {
        precondition(
            Set(tensors.map(\.name)).union(["__metadata__"]).count == tensors.count + 1, "tensors share a name")
        let order = tensors.indices.sorted {
            (tensors[$1].type.byteCount, tensors[$0].name) < (tensors[$0].type.byteCount, tensors[$1].name)
        }
        var members: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map {
                "\(JSONText.quote($0.key)):\(JSONText.quote($0.value))"
            }
            members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var offset = 0
        for tensor in order.map({ tensors[$0] }) {
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            members.append(
                "\(JSONText.quote(tensor.name)):{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(offset),\(offset + tensor.byteCount)]}")
            offset += tensor.byteCount
        }
        var header = Array("{\(members.joined(separator: ","))}".utf8)
        while !header.count.isMultiple(of: 8) { header.append(UInt8(ascii: " ")) }
        return (littleEndian([UInt64(header.count)]) + header, order)
    }

    /// The header of `file`, checked: tensors lie inside the file, without gaps or overlaps, and fit their shapes.
    public static func header(of file: UnsafeRawBufferPointer) throws(FormatError) -> Header {
        guard file.count >= 8 else { throw FormatError(description: "it has only \(file.count) bytes") }
        let length = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
        guard length <= maximumHeaderBytes else { throw FormatError(description: "its header claims \(length) bytes") }
        let dataStart = 8 + Int(length)
        guard dataStart <= file.count else {
            throw FormatError(description: "it ends inside its header, after \(file.count) of \(dataStart) bytes")
        }
        guard case .object(let members)? = JSONText.parse(Array(file[8..<dataStart])) else {
            throw FormatError(description: "its header is not a JSON object")
        }
        var header = Header(entries: [], metadata: [:])
        for (name, value) in members {
            guard case .object(let fields) = value else {
                throw FormatError(description: "“\(name)” is not described by an object")
            }
            if name == "__metadata__" {
                for (key, value) in fields {
                    guard case .string(let text) = value else {
                        throw FormatError(description: "metadata “\(key)” is not text")
                    }
                    header.metadata[key] = text
                }
            } else {
                header.entries.append(try entry(name, fields, dataStart: dataStart))
            }
        }
        header.entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        var position = dataStart
        for entry in header.entries {
            guard entry.range.lowerBound == position else {
                throw FormatError(description: "“\(entry.name)” leaves a gap or overlaps")
            }
            position = entry.range.upperBound
        }
        guard position == file.count else {
            throw FormatError(description: "it has \(file.count) bytes where its header describes \(position)")
        }
        guard Set(header.entries.map(\.name)).count == header.entries.count else {
            throw FormatError(description: "two tensors share a name")
        }
        return header
    }

    /// Tensors and metadata of a whole file in memory.
    public static func decode(_ file: [UInt8]) throws(FormatError) -> (
        tensors: [String: Tensor], metadata: [String: String]
    ) {
        let header = try file.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try Safetensors.header(of: bytes) }
        }.get()
        var tensors: [String: Tensor] = [:]
        for entry in header.entries {
            tensors[entry.name] = Tensor(
                name: entry.name, type: entry.type, shape: entry.shape, bytes: Array(file[entry.range]))
        }
        return (tensors, header.metadata)
    }

    private static func entry(_ name: String, _ fields: [(String, JSONText)], dataStart: Int) throws(FormatError)
        -> Entry
    {
        func field(_ key: String) -> JSONText? { fields.first { $0.0 == key }?.1 }
        guard case .string(let typeName)? = field("dtype"), let type = ElementType(rawValue: typeName) else {
            let known = ElementType.allCases.map(\.rawValue).joined(separator: ", ")
            throw FormatError(description: "“\(name)” has no element type among \(known)")
        }
        guard case .array(let dimensions)? = field("shape"), case .array(let offsets)? = field("data_offsets") else {
            throw FormatError(description: "“\(name)” lacks its shape or offsets")
        }
        var shape: [Int] = []
        var byteCount = type.byteCount
        for dimension in dimensions {
            guard case .integer(let size) = dimension, size >= 0 else {
                throw FormatError(description: "“\(name)” has a bad shape")
            }
            let (product, overflow) = byteCount.multipliedReportingOverflow(by: size)
            guard !overflow else { throw FormatError(description: "“\(name)” is larger than any file") }
            byteCount = product
            shape.append(size)
        }
        guard offsets.count == 2, case .integer(let begin) = offsets[0], case .integer(let end) = offsets[1],
            begin >= 0,
            begin <= end, end - begin == byteCount, end <= Int.max - dataStart
        else { throw FormatError(description: "the offsets of “\(name)” do not fit its shape") }
        return Entry(name: name, type: type, shape: shape, range: dataStart + begin..<dataStart + end)
    }

    private static func littleEndian<Word: FixedWidthInteger>(_ words: some Collection<Word>) -> [UInt8] {
        let size = MemoryLayout<Word>.size
        return [UInt8](unsafeUninitializedCapacity: words.count * size) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            for word in words {
                raw.storeBytes(of: word.littleEndian, toByteOffset: count, as: Word.self)
                count += size
            }
        }
    }

    private static func words<Word: FixedWidthInteger>(_ bytes: [UInt8], as type: Word.Type) -> [Word] {
        bytes.withUnsafeBytes { raw in
            stride(from: 0, to: raw.count, by: MemoryLayout<Word>.size).map {
                Word(littleEndian: raw.loadUnaligned(fromByteOffset: $0, as: Word.self))
            }
        }
    }
}
