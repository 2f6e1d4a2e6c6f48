import Lottery

// The registered data sets, one extension each.

extension DatasetSource {
    /// Drawn strokes, made by the program: needs no download.
    public static let glyphs = DatasetSource(
        shape: DatasetShape(
            name: "glyphs", channels: 1, height: Glyphs.side, width: Glyphs.side, classes: Glyphs.classes,
            trainCount: Glyphs.trainCount, testCount: Glyphs.testCount),
        goldenDigest: Digest(hex: "5feb90251a164bd64fd53239b9df782b6361a8e0d0355109388486729231a4ea")!,
        files: [], mirrors: []
    ) { _ throws(DataError) in
        let train = Glyphs.draw(part: 0, count: Glyphs.trainCount)
        let test = Glyphs.draw(part: 1, count: Glyphs.testCount)
        return ImageSet(
            trainImages: train.images, trainLabels: train.labels, testImages: test.images, testLabels: test.labels)
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
}
