import Lottery

/// Where a data set comes from: the program itself, or published files that are decoded.
public struct DatasetSource: Sendable {
    /// Of the whole data set, as published.
    public let shape: DatasetShape
    /// Whether fewer images than published are a data set as well. The counts are then those of the files that are
    /// there.
    public let mayBePartial: Bool
    /// What the canonical file's digest must be; set for what the program makes, so that planning needs no generation.
    public let goldenDigest: Digest?
    /// The folder with the files, by its name in a folder of data.
    public let folder: String
    /// The files it is decoded from; none if the program makes it.
    public let files: [PublishedFile]
    /// The tar archive with all `files`, if that is how they are published. It lies beside the place of `folder`.
    public let archive: PublishedFile?
    /// Addresses of folders that hold the files, or the archive, each ending in “/”. The first that answers serves.
    public let mirrors: [String]
    /// The images, from the contents of those of `files` that are there, in their order.
    let decode: @Sendable ([DataFile]) throws(DataError) -> ImageSet

    init(
        shape: DatasetShape, mayBePartial: Bool = false, goldenDigest: Digest? = nil, folder: String? = nil,
        files: [PublishedFile] = [], archive: PublishedFile? = nil, mirrors: [String] = [],
        decode: @escaping @Sendable ([DataFile]) throws(DataError) -> ImageSet
    ) {
        self.shape = shape
        self.mayBePartial = mayBePartial
        self.goldenDigest = goldenDigest
        self.folder = folder ?? shape.name
        self.files = files
        self.archive = archive
        self.mirrors = mirrors
        self.decode = decode
    }

    /// A file as its authors published it.
    public struct PublishedFile: Hashable, Sendable {
        /// The name under which it is published: `train-images-idx3-ubyte.gz`.
        public var name: String
        public var sha256: Digest
        /// Bytes it decodes to, at most if `mayBePartial`. A longer file is not decoded further than shows that it is
        /// longer.
        var decodedByteCount: Int
        /// Whether the data set can do without. It cannot do without all of the optional files.
        var isOptional = false

        /// Names under which it is accepted when placed by hand: as published, unpacked, and with the dot that some
        /// tools put before `idx`.
        var acceptedNames: [String] {
            let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
            let dotted = plain.replacing("-idx", with: ".idx")
            return [name, plain, dotted + ".gz", dotted].reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        }
    }

    /// The first of `files` that is not there and should be: nil if what is there is enough. Places are those of
    /// `files`.
    func lack(in isThere: [Bool]) -> String? {
        if let absent = zip(files, isThere).first(where: { !$0.isOptional && !$1 }) { return absent.0.name }
        let optional = zip(files, isThere).filter { $0.0.isOptional }
        guard !optional.isEmpty, !optional.contains(where: \.1) else { return nil }
        return "any of " + optional.map(\.0.name).joined(separator: ", ")
    }
}

/// A file's unpacked content, and where it was found.
struct DataFile {
    /// As published.
    var name: String
    var path: String
    var bytes: [UInt8]
}

/// Labelled images: `images` [count][channels][height][width], `labels` [count].
struct ImageSet {
    var trainImages: [UInt8]
    var trainLabels: [UInt8]
    var testImages: [UInt8]
    var testLabels: [UInt8]

    var trainCount: Int { trainLabels.count }
    var testCount: Int { testLabels.count }

    /// The canonical file: what workers pull, and whose digest names the data set in keys.
    ///
    /// Tensors `train.images` u8 [N, C, H, W], `train.labels` u8 [N], and the same of `test`; metadata `name`,
    /// `classes`, and the `mean` and `std` per channel of all training pixels scaled to 0…1, separated by blanks.
    /// - Parameter shape: of the images; its counts need not be theirs.
    func canonicalFile(_ shape: DatasetShape) -> [UInt8] {
        let image = [shape.channels, shape.height, shape.width]
        let pixels = image.reduce(1, *)
        precondition(
            trainImages.count == trainCount * pixels && testImages.count == testCount * pixels,
            "\(shape.name): not one label per image")
        let moments = trainImages.withUnsafeBytes {
            ImageSet.moments(of: $0, channels: shape.channels, pixels: shape.height * shape.width)
        }
        return Safetensors.encode(
            [
                .init(name: "train.images", shape: [trainCount] + image, trainImages),
                .init(name: "train.labels", trainLabels),
                .init(name: "test.images", shape: [testCount] + image, testImages),
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
    /// - Parameter images: [N][channels][pixels].
    static func moments(
        of images: UnsafeRawBufferPointer, channels: Int, pixels: Int
    ) -> [(mean: Double, deviation: Double)] {
        var sums = [Int](repeating: 0, count: channels)
        var squares = [Int](repeating: 0, count: channels)
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
        let count = Double(images.count / channels)
        return zip(sums, squares).map { sum, square in
            let mean = Double(sum) / count
            let variance = Double(square) / count - mean * mean
            return (mean / 255, variance.squareRoot() / 255)
        }
    }
}
