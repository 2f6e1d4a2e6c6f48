import Lottery

/// A canonical data set file in memory, checked for form.
final class ImageData {
    let shape: DatasetShape
    /// Mean and standard deviation per channel, of pixels in 0…1.
    let pixelMean: [Float]
    let pixelDeviation: [Float]
    private let file: TensorFile
    private let train: (images: UnsafeRawBufferPointer, labels: UnsafeRawBufferPointer)
    private let test: (images: UnsafeRawBufferPointer, labels: UnsafeRawBufferPointer)

    init(path: String) throws(TrainingError) {
        let file = try TensorFile(path: path)
        let metadata = file.header.metadata
        let sizes = file.header["train.images"]?.shape ?? []
        let testSizes = file.header["test.images"]?.shape ?? []
        guard let name = metadata["name"], let classes = metadata["classes"].flatMap({ Int($0) }),
            (1...256).contains(classes),
            sizes.count == 4, testSizes.count == 4, Array(sizes[1...]) == Array(testSizes[1...]),
            sizes.allSatisfy({ $0 > 0 }),
            testSizes[0] > 0, max(sizes[0], testSizes[0]) <= Int(Int32.max)
        else { throw .unreadable("\(path) is not a canonical data set file") }
        shape = DatasetShape(
            name: name, channels: sizes[1], height: sizes[2], width: sizes[3], classes: classes, trainCount: sizes[0],
            testCount: testSizes[0])
        func perChannel(_ key: String) throws(TrainingError) -> [Float] {
            let values = (metadata[key] ?? "").split(separator: " ").compactMap { Double($0) }.map { Float($0) }
            guard values.count == sizes[1], values.allSatisfy(\.isFinite) else {
                throw .unreadable("\(path) lacks its \(key) per channel")
            }
            return values
        }
        pixelMean = try perChannel("mean")
        pixelDeviation = try perChannel("std").map { $0 > 0 ? $0 : 1 }
        let image = Array(sizes[1...])
        train = (
            try file.bytes("train.images", .u8, shape: [sizes[0]] + image),
            try file.bytes("train.labels", .u8, shape: [sizes[0]])
        )
        test = (
            try file.bytes("test.images", .u8, shape: [testSizes[0]] + image),
            try file.bytes("test.labels", .u8, shape: [testSizes[0]])
        )
        guard train.labels.allSatisfy({ $0 < classes }), test.labels.allSatisfy({ $0 < classes }) else {
            throw .unreadable("\(path) has a label that is not below \(classes)")
        }
        self.file = file
    }

    var inputs: Int { shape.channels * shape.height * shape.width }

    // The pointers live as long as this object; callers keep it.
    var trainImages: UnsafePointer<UInt8> { ImageData.pointer(train.images) }
    var trainLabels: UnsafePointer<UInt8> { ImageData.pointer(train.labels) }
    var testImages: UnsafePointer<UInt8> { ImageData.pointer(test.images) }
    var testLabels: UnsafePointer<UInt8> { ImageData.pointer(test.labels) }

    private static func pointer(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> {
        // Counts are checked to be positive, so there is an address.
        bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
    }
}
