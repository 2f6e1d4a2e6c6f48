import Lottery
import Training

/// A data set small enough for tests: 6×6 images of four classes, each a bright quarter in noise.
enum TinyData {
    static let shape = DatasetShape(
        name: "tiny", channels: 1, height: 6, width: 6, classes: 4, trainCount: 300, testCount: 90)

    static func registry(
        mirrors: [String] = [], sha256: [Digest]? = nil, shape: DatasetShape = shape
    ) -> Registry {
        var registry = Registry.standard
        let digests = sha256 ?? Array(repeating: Digest.of([]), count: 4)
        registry.datasets = [.idx(shape, sha256: digests, mirrors: mirrors)]
        return registry
    }

    /// The four IDX files, unpacked, by name.
    static func files(shape: DatasetShape = shape) -> [(name: String, bytes: [UInt8])] {
        precondition(shape.height == 6 && shape.width == 6, "images here have 6×6 pixels")
        let train = part(0, shape.trainCount, classes: shape.classes)
        let test = part(1, shape.testCount, classes: shape.classes)
        return [
            ("train-images-idx3-ubyte", header(0x803, [shape.trainCount, 6, 6]) + train.images),
            ("train-labels-idx1-ubyte", header(0x801, [shape.trainCount]) + train.labels),
            ("t10k-images-idx3-ubyte", header(0x803, [shape.testCount, 6, 6]) + test.images),
            ("t10k-labels-idx1-ubyte", header(0x801, [shape.testCount]) + test.labels),
        ]
    }

    /// Writes the files into `parent`/tiny.
    static func place(
        in folder: TemporaryFolder, parent: String = "data", shape: DatasetShape = shape
    ) throws -> String {
        let place = try folder.folder("\(parent)/tiny")
        for file in files(shape: shape) { try write(file.bytes, to: "\(place)/\(file.name)") }
        return "\(folder.path)/\(parent)"
    }

    /// The canonical file.
    static func dataset(
        in folder: TemporaryFolder, shape: DatasetShape = shape
    ) throws -> (path: String, digest: Digest) {
        let catalog = DataCatalog(registry: registry(shape: shape), folders: [try place(in: folder, shape: shape)])
        let made = try catalog.materialise("tiny", into: folder.path)
        return (made.path, made.digest)
    }

    private static func part(_ part: Int, _ count: Int, classes: Int) -> (images: [UInt8], labels: [UInt8]) {
        let random = CounterRandom(seed: 3, purpose: .glyphs)
        let labels = (0..<count).map { UInt8($0 % classes) }
        var images: [UInt8] = []
        for image in 0..<count {
            for pixel in 0..<36 {
                let quarter = pixel / 18 * 2 + pixel % 6 / 3
                let noise = random.integer(below: 200, epoch: part, index: UInt64(image * 36 + pixel))
                images.append(UInt8(noise + (quarter == Int(labels[image]) ? 55 : 0)))
            }
        }
        return (images, labels)
    }

    static func header(_ magic: UInt32, _ sizes: [Int]) -> [UInt8] {
        ([magic] + sizes.map { UInt32($0) }).flatMap { word in
            (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * $0)) }
        }
    }
}
