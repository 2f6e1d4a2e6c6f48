import Lottery

/// Where a data set comes from: the program itself, or published files that are decoded.
public struct DatasetSource: Sendable {
    public let shape: DatasetShape
    /// What the canonical file's digest must be; set for what the program makes, so that planning needs no generation.
    public let goldenDigest: Digest?
    /// The files it is decoded from, in the folder named like the data set; none if the program makes it.
    public let files: [PublishedFile]
    /// Addresses of folders that hold the files, each ending in “/”. The first that answers serves.
    public let mirrors: [String]
    /// The images, from the contents of `files` in their order.
    let decode: @Sendable ([DataFile]) throws(DataError) -> ImageSet

    /// A file as its authors published it.
    public struct PublishedFile: Hashable, Sendable {
        /// The name under which it is published: `train-images-idx3-ubyte.gz`.
        public var name: String
        public var sha256: Digest
        /// The most bytes it can decode to, one more than it should have; a longer file is not decoded further.
        var maximumDecodedBytes: Int

        /// Names under which it is accepted when placed by hand: as published, unpacked, and with the dot that some tools put
        /// before `idx`.
        var acceptedNames: [String] {
            let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
            let dotted = plain.replacing("-idx", with: ".idx")
            return [name, plain, dotted + ".gz", dotted].reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        }
    }
}

/// A file's unpacked content, and where it was found.
struct DataFile {
    var path: String
    var bytes: [UInt8]
}

/// Labelled images: `images` [count][channels][height][width], `labels` [count].
struct ImageSet {
    var trainImages: [UInt8]
    var trainLabels: [UInt8]
    var testImages: [UInt8]
    var testLabels: [UInt8]

    /// The canonical file: what workers pull, and whose digest names the data set in keys.
    ///
    /// Tensors `train.images` u8 [N, C, H, W], `train.labels` u8 [N], and the same of `test`; metadata `name`, `classes`, and
    /// the `mean` and `std` per channel of all training pixels scaled to 0…1, separated by blanks.
    func canonicalFile(_ shape: DatasetShape) -> [UInt8] {
        precondition(
            trainLabels.count == shape.trainCount && testLabels.count == shape.testCount, "\(shape.name): wrong counts")
        let image = [shape.channels, shape.height, shape.width]
        let moments = ImageSet.moments(of: trainImages, channels: shape.channels, pixels: shape.height * shape.width)
        return Safetensors.encode(
            [
                .init(name: "train.images", shape: [shape.trainCount] + image, trainImages),
                .init(name: "train.labels", trainLabels),
                .init(name: "test.images", shape: [shape.testCount] + image, testImages),
                .init(name: "test.labels", testLabels),
            ],
            metadata: [
                "name": shape.name,
                "classes": String(shape.classes),
                "mean": moments.map { String($0.mean) }.joined(separator: " "),
                "std": moments.map { String($0.deviation) }.joined(separator: " "),
            ])
    }

    /// Mean and standard deviation of each channel's pixels in 0…1, from exact integer sums.
    private static func moments(of images: [UInt8], channels: Int, pixels: Int) -> [(mean: Double, deviation: Double)] {
        var sums = [Int](repeating: 0, count: channels)
        var squares = [Int](repeating: 0, count: channels)
        images.withUnsafeBufferPointer { images in
            for plane in 0..<images.count / pixels {
                var sum = 0
                var square = 0
                for index in plane * pixels..<(plane + 1) * pixels {
                    let value = Int(images[index])
                    sum += value
                    square += value * value
                }
                sums[plane % channels] += sum
                squares[plane % channels] += square
            }
        }
        let count = Double(images.count / channels)
        return zip(sums, squares).map { sum, square in
            let mean = Double(sum) / count
            let variance = Double(square) / count - mean * mean
            return (mean / 255, variance.squareRoot() / 255)
        }
    }
}
