import Lottery

// The registered data sets, one extension each.

extension DatasetSource {
    /// Drawn strokes, made by the program: needs no download.
    public static let glyphs = DatasetSource(
        shape: DatasetShape(
            name: "glyphs", channels: 1, height: Glyphs.side, width: Glyphs.side, classes: Glyphs.classes,
            trainCount: Glyphs.trainCount, testCount: Glyphs.testCount),
        goldenDigest: Digest(hex: "5feb90251a164bd64fd53239b9df782b6361a8e0d0355109388486729231a4ea")!
    ) { _ throws(DataError) in
        let train = Glyphs.draw(part: 0, count: Glyphs.trainCount)
        let test = Glyphs.draw(part: 1, count: Glyphs.testCount)
        return ImageSet(
            trainImages: train.images, trainLabels: train.labels, testImages: test.images, testLabels: test.labels)
    }

    /// As `glyphs`, in colour and 32×32, for networks that take such images.
    public static let colouredGlyphs = colouredGlyphs(
        trainCount: ColouredGlyphs.trainCount, testCount: ColouredGlyphs.testCount,
        goldenDigest: Digest(hex: "40aee23c47f5d30d09421e46a5e233034a8530d210128c1897f49a9fc98b75ec")!)

    /// The first images of both parts of `glyphs-rgb`, for tests that want fewer.
    package static func colouredGlyphs(trainCount: Int, testCount: Int, goldenDigest: Digest? = nil) -> DatasetSource {
        DatasetSource(
            shape: DatasetShape(
                name: "glyphs-rgb", channels: 3, height: ColouredGlyphs.side, width: ColouredGlyphs.side,
                classes: GlyphShapes.classes.count, trainCount: trainCount, testCount: testCount),
            goldenDigest: goldenDigest
        ) { _ throws(DataError) in
            let train = ColouredGlyphs.draw(part: 0, count: trainCount)
            let test = ColouredGlyphs.draw(part: 1, count: testCount)
            return ImageSet(
                trainImages: train.images, trainLabels: train.labels, testImages: test.images,
                testLabels: test.labels)
        }
    }

    /// Handwritten digits (LeCun, Cortes and Burges). Digests are those of the files that their authors published.
    public static let mnist = idx(
        DatasetShape(
            name: "mnist", channels: 1, height: 28, width: 28, classes: 10, trainCount: 60_000, testCount: 10_000),
        sha256: [
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ].map { Digest(hex: $0)! },
        mirrors: [
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ])

    /// Articles of clothing (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747).
    public static let fashionMNIST = idx(
        DatasetShape(
            name: "fashion-mnist", channels: 1, height: 28, width: 28, classes: 10, trainCount: 60_000,
            testCount: 10_000),
        sha256: [
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ].map { Digest(hex: $0)! },
        mirrors: [
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ])

    /// Small photographs of ten kinds of things (Krizhevsky 2009, “Learning multiple layers of features from tiny
    /// images”). Its author published MD5 sums; the SHA-256 are those that TensorFlow Datasets and TorchVision for Ruby
    /// check.
    public static let cifar10 = cifar(
        DatasetShape(
            name: "cifar10", channels: 3, height: 32, width: 32, classes: 10, trainCount: 50_000, testCount: 10_000),
        folder: "cifar-10-batches-bin",
        train: [
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        ].enumerated().map { ("data_batch_\($0 + 1).bin", Digest(hex: $1)!) },
        test: (
            "test_batch.bin", Digest(hex: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b")!
        ),
        archive: (
            "cifar-10-binary.tar.gz",
            Digest(hex: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")!
        ),
        mirrors: ["https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"])

    /// As `cifar10`, of a hundred kinds (the fine labels).
    public static let cifar100 = cifar(
        DatasetShape(
            name: "cifar100", channels: 3, height: 32, width: 32, classes: 100, trainCount: 50_000, testCount: 10_000),
        coarseClasses: 20, folder: "cifar-100-binary",
        train: [("train.bin", Digest(hex: "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29")!)],
        test: ("test.bin", Digest(hex: "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a")!),
        archive: (
            "cifar-100-binary.tar.gz",
            Digest(hex: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec")!
        ),
        mirrors: ["https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"])
}
