import Lottery
import Testing

@Suite("Safetensors")
struct SafetensorsTests {
    private let tensors: [Safetensors.Tensor] = [
        .init(name: "mask", shape: [2, 3], [1, 0, 1, 1, 0, 1] as [UInt8]),
        .init(name: "weight", shape: [2, 2], [1.5, -0.0, .infinity, .nan] as [Float]),
        .init(name: "step", shape: [], [-7]),
        .init(name: "loss", [0.1, 1e-300] as [Double]),
        .init(name: "empty", shape: [0, 4], [] as [Float]),
    ]

    @Test("What is encoded is decoded, bit for bit")
    func roundTrip() throws {
        let metadata = ["spec": "name: \"a\"\n\tβ\u{1}", "empty": ""]
        let (decoded, found) = try Safetensors.decode(Safetensors.encode(tensors, metadata: metadata))
        #expect(found == metadata)
        #expect(decoded.count == tensors.count)
        for tensor in tensors { #expect(decoded[tensor.name] == tensor, "\(tensor.name)") }
        #expect(
            decoded["weight"]?.floatValues?.map(\.bitPattern)
                == [1.5, -0.0, .infinity, .nan].map { (f: Float) in f.bitPattern })
        #expect(decoded["step"]?.intValues == [-7])
        #expect(decoded["loss"]?.doubleValues == [0.1, 1e-300])
        #expect(decoded["mask"]?.uint8Values == [1, 0, 1, 1, 0, 1])
        #expect(decoded["mask"]?.floatValues == nil)
    }

    @Test("Equal content has equal bytes, in whatever order it is given; elements are aligned")
    func canonical() throws {
        let file = Safetensors.encode(tensors, metadata: ["a": "1", "b": "2"])
        #expect(file == Safetensors.encode(tensors.reversed(), metadata: ["b": "2", "a": "1"]))
        let header = try file.withUnsafeBytes { try Safetensors.header(of: $0) }
        for entry in header.entries {
            #expect(entry.range.lowerBound.isMultiple(of: entry.type.byteCount), "\(entry.name)")
        }
    }

    @Test("The bytes are those of the format's description")
    func format() {
        let file = Safetensors.encode([.init(name: "x", [258] as [Int])])
        let header = #"{"x":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#
        let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        #expect(
            file == [UInt8(padded.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(padded.utf8) + [2, 1, 0, 0, 0, 0, 0, 0])
    }

    @Test("A file cut anywhere is refused, and so is one with a byte too many")
    func truncation() {
        let file = Safetensors.encode(tensors, metadata: ["a": "1"])
        for count in 0..<file.count {
            #expect(throws: Safetensors.FormatError.self) { try Safetensors.decode(Array(file[..<count])) }
        }
        #expect(throws: Safetensors.FormatError.self) { try Safetensors.decode(file + [0]) }
    }

    @Test(
        "A header that does not describe the bytes is refused",
        arguments: [
            "", "[]", "{", "{} x", #"{"x":1}"#, #"{"x":{"dtype":"U8","shape":[1]}}"#,
            #"{"x":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#,
            #"{"x":{"dtype":"U8","shape":[3],"data_offsets":[0,4]}}"#,
            #"{"x":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}"#,
            #"{"x":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}"#,
            #"{"x":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}"#,
            #"{"x":{"dtype":"U8","shape":[4],"data_offsets":[9223372036854775800,9223372036854775804]}}"#,
            #"{"x":{"dtype":"I64","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}}"#,
            #"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
            #"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"x":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
            #"{"__metadata__":{"a":1}}"#, #"{"x":[[[[[[[[[[1]]]]]]]]]]}"#, #"{"\ud800":1}"#,
        ])
    func badHeaders(header: String) {
        let length = header.utf8.count
        let file = [UInt8(length), 0, 0, 0, 0, 0, 0, 0] + Array(header.utf8) + [1, 2, 3, 4]
        #expect(throws: Safetensors.FormatError.self) { try Safetensors.decode(file) }
    }

    @Test("Headers written by other programs are read: other orders, white space, escapes")
    func foreign() throws {
        let header = "{ \"a\\u00e9\\ud83c\\udf9f\" : {\"shape\": [ 2 ],\n\"data_offsets\":[0, 2] , \"dtype\":\"U8\"}}\t"
        let file = [UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(header.utf8) + [5, 6]
        #expect(try Safetensors.decode(file).tensors["aé🎟"]?.uint8Values == [5, 6])
    }
}
