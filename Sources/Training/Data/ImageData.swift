import Kernels
import Lottery

/// A canonical data set file in memory, checked for form, its images as the data settings want them.
final class ImageData {
    /// Of the resized images.
    let shape: DatasetShape
    /// Mean and standard deviation per channel, of pixels in 0…1.
    let pixelMean: [Float]
    let pixelDeviation: [Float]
    private let file: TensorFile
    private let train: (images: UnsafeRawBufferPointer, labels: UnsafeRawBufferPointer)
    private let test: (images: UnsafeRawBufferPointer, labels: UnsafeRawBufferPointer)
    /// What `train` and `test` point to, if images are resized. As they are, slots on one machine share the file's
    /// pages.
    private let resizedTrain: AlignedBuffer<UInt8>
    private let resizedTest: AlignedBuffer<UInt8>

    init(path: String, settings: DataSettings) throws(TrainingError) {
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
        let published = DatasetShape(
            name: name, channels: sizes[1], height: sizes[2], width: sizes[3], classes: classes, trainCount: sizes[0],
            testCount: testSizes[0])
        do { shape = try published.resized(to: settings.resize) } catch { throw .impossible("data.resize \(error)") }
        let image = Array(sizes[1...])
        let trainImages = try file.bytes("train.images", .u8, shape: [sizes[0]] + image)
        let testImages = try file.bytes("test.images", .u8, shape: [testSizes[0]] + image)
        let trainLabels = try file.bytes("train.labels", .u8, shape: [sizes[0]])
        let testLabels = try file.bytes("test.labels", .u8, shape: [testSizes[0]])
        guard trainLabels.allSatisfy({ $0 < classes }), testLabels.allSatisfy({ $0 < classes }) else {
            throw .unreadable("\(path) has a label that is not below \(classes)")
        }
        if shape == published {
            resizedTrain = AlignedBuffer(zeroed: 0)
            resizedTest = AlignedBuffer(zeroed: 0)
            train = (trainImages, trainLabels)
            test = (testImages, testLabels)
            func perChannel(_ key: String) throws(TrainingError) -> [Float] {
                let values = (metadata[key] ?? "").split(separator: " ").compactMap { Double($0) }.map { Float($0) }
                guard values.count == sizes[1], values.allSatisfy(\.isFinite) else {
                    throw .unreadable("\(path) lacks its \(key) per channel")
                }
                return values
            }
            pixelMean = try perChannel("mean")
            pixelDeviation = try perChannel("std").map { $0 > 0 ? $0 : 1 }
        } else {
            resizedTrain = ImageData.resized(trainImages, from: published, to: shape)
            resizedTest = ImageData.resized(testImages, from: published, to: shape)
            train = (ImageData.bytes(of: resizedTrain), trainLabels)
            test = (ImageData.bytes(of: resizedTest), testLabels)
            // Averages vary less than the pixels that they are of.
            let moments = ImageSet.moments(
                of: train.images, channels: shape.channels, pixels: shape.height * shape.width)
            pixelMean = moments.map { Float($0.mean) }
            pixelDeviation = moments.map { $0.deviation > 0 ? Float($0.deviation) : 1 }
        }
        self.file = file
    }

    // The pointers live as long as this object; callers keep it.
    var trainImages: UnsafePointer<UInt8> { ImageData.pointer(train.images) }
    var trainLabels: UnsafePointer<UInt8> { ImageData.pointer(train.labels) }
    var testImages: UnsafePointer<UInt8> { ImageData.pointer(test.images) }
    var testLabels: UnsafePointer<UInt8> { ImageData.pointer(test.labels) }

    /// Averages images [N][C][H][W] down to those of another shape, each pixel rounded to the nearest grey value,
    /// halves up. The sums are of integers, so the bytes are the same everywhere.
    private static func resized(
        _ images: UnsafeRawBufferPointer, from shape: DatasetShape, to small: DatasetShape
    ) -> AlignedBuffer<UInt8> {
        let planes = images.count / (shape.height * shape.width)
        let resized = AlignedBuffer<UInt8>(zeroed: planes * small.height * small.width)
        let (rows, columns) = (shape.height / small.height, shape.width / small.width)
        let area = rows * columns
        var source = pointer(images)
        var target = resized.pointer
        for _ in 0..<planes * small.height {
            for x in 0..<small.width {
                var sum = area / 2
                for row in 0..<rows {
                    let block = source + row * shape.width + x * columns
                    for column in 0..<columns { sum += Int(block[column]) }
                }
                target[x] = UInt8(sum / area)
            }
            source += rows * shape.width
            target += small.width
        }
        return resized
    }

    private static func bytes(of buffer: borrowing AlignedBuffer<UInt8>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer.pointer, count: buffer.count)
    }

    private static func pointer(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> {
        // Counts are checked to be positive, so there is an address.
        bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
    }
}
