import Lottery

/// The IDX format of MNIST and its likes: a big-endian magic number, one big-endian size per dimension, then bytes.
enum IDX {
    private static let imagesMagic: UInt32 = 0x0803
    private static let labelsMagic: UInt32 = 0x0801

    static func imagesByteCount(_ count: Int, _ shape: DatasetShape) -> Int { 16 + count * shape.height * shape.width }
    static func labelsByteCount(_ count: Int) -> Int { 8 + count }

    /// The pixels of `count` images of `shape`.
    static func images(_ file: DataFile, count: Int, _ shape: DatasetShape) throws(DataError) -> [UInt8] {
        try check(file, magic: imagesMagic, "images", sizes: [count, shape.height, shape.width], shape)
        return Array(file.bytes[16...])
    }

    /// `count` labels, each below the number of classes.
    static func labels(_ file: DataFile, count: Int, _ shape: DatasetShape) throws(DataError) -> [UInt8] {
        try check(file, magic: labelsMagic, "labels", sizes: [count], shape)
        let labels = Array(file.bytes[8...])
        if let index = labels.firstIndex(where: { $0 >= shape.classes }) {
            throw malformed(
                file, shape,
                "label \(index) is \(labels[index]), but \(shape.name) has the classes 0…\(shape.classes - 1)")
        }
        return labels
    }

    private static func check(
        _ file: DataFile, magic: UInt32, _ what: String, sizes: [Int], _ shape: DatasetShape
    ) throws(DataError) {
        let headerCount = 4 + 4 * sizes.count
        guard file.bytes.count >= headerCount else {
            throw malformed(file, shape, "it has only \(file.bytes.count) bytes, too few for the header of \(what)")
        }
        let found = word(file, 0)
        guard found == magic else {
            throw malformed(
                file, shape, "it starts with \(hex(found)), but a file of \(what) starts with \(hex(magic))")
        }
        let foundSizes = sizes.indices.map { Int(word(file, 4 + 4 * $0)) }
        guard foundSizes == sizes else {
            throw malformed(
                file, shape, "it says it holds \(text(foundSizes)) \(what), but \(shape.name) has \(text(sizes))")
        }
        let expected = sizes.reduce(1, *) + headerCount
        guard file.bytes.count >= expected else {
            throw malformed(file, shape, "it is truncated: \(file.bytes.count) of \(expected) bytes")
        }
        guard file.bytes.count == expected else {
            throw malformed(file, shape, "there are bytes after the last of the \(what), at byte \(expected)")
        }
    }

    private static func word(_ file: DataFile, _ offset: Int) -> UInt32 {
        file.bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func hex(_ word: UInt32) -> String {
        let digits = String(word, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }

    private static func text(_ sizes: [Int]) -> String { sizes.map(String.init).joined(separator: "×") }

    private static func malformed(_ file: DataFile, _ shape: DatasetShape, _ fault: String) -> DataError {
        DataError(.malformed, "\(file.path): \(fault); remove it and get it again (`tombola data fetch \(shape.name)`)")
    }
}

extension DatasetSource {
    /// A data set in the four IDX files of MNIST, under MNIST's names.
    /// - Parameter sha256: of the published `.gz` files: training images and labels, test images and labels.
    public static func idx(_ shape: DatasetShape, sha256: [Digest], mirrors: [String]) -> DatasetSource {
        precondition(shape.channels == 1 && sha256.count == 4, "\(shape.name): IDX holds grey images in four files")
        let names = [
            "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
        ]
        let sizes = [
            IDX.imagesByteCount(shape.trainCount, shape), IDX.labelsByteCount(shape.trainCount),
            IDX.imagesByteCount(shape.testCount, shape), IDX.labelsByteCount(shape.testCount),
        ]
        let files = (0..<4).map {
            PublishedFile(name: names[$0], sha256: sha256[$0], decodedByteCount: sizes[$0])
        }
        return DatasetSource(shape: shape, files: files, mirrors: mirrors) {
            files throws(DataError) in
            ImageSet(
                trainImages: try IDX.images(files[0], count: shape.trainCount, shape),
                trainLabels: try IDX.labels(files[1], count: shape.trainCount, shape),
                testImages: try IDX.images(files[2], count: shape.testCount, shape),
                testLabels: try IDX.labels(files[3], count: shape.testCount, shape))
        }
    }
}
