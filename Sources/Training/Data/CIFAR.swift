import Lottery

/// The binary format of CIFAR-10 and CIFAR-100: records of one byte per label, then the pixels of one image, [C][H][W].
struct CIFAR {
    let shape: DatasetShape
    /// Classes of each label of a record. CIFAR-100 has a coarse label before the fine one; the last is what is learnt.
    let labelClasses: [Int]

    private var pixels: Int { shape.channels * shape.height * shape.width }
    var recordByteCount: Int { labelClasses.count + pixels }

    /// The images and labels of `files`, one after the other.
    /// - Parameter most: images that a file may hold. It may hold fewer: a part of a data set is one as well.
    func read(_ files: [DataFile], most: Int) throws(DataError) -> (images: [UInt8], labels: [UInt8]) {
        var counts: [Int] = []
        for file in files { counts.append(try imageCount(of: file, most: most)) }
        let count = counts.reduce(0, +)
        var labels: [UInt8] = []
        labels.reserveCapacity(count)
        var images: [UInt8] = []
        images.reserveCapacity(count * pixels)
        for (file, count) in zip(files, counts) {
            for image in 0..<count {
                let record = file.bytes[image * recordByteCount..<(image + 1) * recordByteCount]
                for (label, classes) in zip(record, labelClasses) where label >= classes {
                    throw malformed(
                        file, "a label of image \(image) is \(label), but must be in 0…\(classes - 1)")
                }
                let pixels = record.dropFirst(labelClasses.count)
                labels.append(record[pixels.startIndex - 1])
                images.append(contentsOf: pixels)
            }
        }
        return (images, labels)
    }

    private func imageCount(of file: DataFile, most: Int) throws(DataError) -> Int {
        let (count, rest) = file.bytes.count.quotientAndRemainder(dividingBy: recordByteCount)
        guard count > 0, rest == 0 else {
            throw malformed(
                file, "its \(file.bytes.count) bytes are no whole number of images of \(recordByteCount) bytes each")
        }
        guard count <= most else {
            throw malformed(file, "it holds more than the \(most) images that such a file of \(shape.name) has")
        }
        return count
    }

    private func malformed(_ file: DataFile, _ fault: String) -> DataError {
        DataError(.malformed, "\(file.path): \(fault); remove it and get it again (`tombola data fetch \(shape.name)`)")
    }
}

extension DatasetSource {
    /// A data set in the binary format of CIFAR. Any part of it will do: some of the training files, and files with
    /// fewer images than published.
    /// - Parameters:
    ///   - shape: of the whole data set. Its training images are spread evenly over the files `train`.
    ///   - coarseClasses: of the coarse label before each label, if there is one.
    ///   - folder: the name of the folder that the archive holds.
    ///   - train: names of the training files, and the SHA-256 of each as published.
    ///   - test: of the test file, likewise.
    ///   - archive: of the .tar.gz that holds them all, likewise.
    public static func cifar(
        _ shape: DatasetShape, coarseClasses: Int? = nil, folder: String, train: [(name: String, sha256: Digest)],
        test: (name: String, sha256: Digest), archive: (name: String, sha256: Digest), mirrors: [String]
    ) -> DatasetSource {
        let format = CIFAR(shape: shape, labelClasses: [coarseClasses, shape.classes].compactMap(\.self))
        let imagesPerFile = shape.trainCount / train.count
        precondition(imagesPerFile * train.count == shape.trainCount, "\(shape.name): uneven training files")
        let files =
            train.map {
                PublishedFile(
                    name: $0.name, sha256: $0.sha256, decodedByteCount: imagesPerFile * format.recordByteCount,
                    isOptional: true)
            } + [
                PublishedFile(
                    name: test.name, sha256: test.sha256, decodedByteCount: shape.testCount * format.recordByteCount)
            ]
        // Beside the files are names of classes and a page of text, and each has a header.
        let contents = files.reduce(0) { $0 + $1.decodedByteCount } + (1 << 20)
        return DatasetSource(
            shape: shape, mayBePartial: true, folder: folder, files: files,
            archive: PublishedFile(name: archive.name, sha256: archive.sha256, decodedByteCount: contents),
            mirrors: mirrors
        ) { found throws(DataError) in
            let train = try format.read(found.filter { $0.name != test.name }, most: imagesPerFile)
            let test = try format.read(found.filter { $0.name == test.name }, most: shape.testCount)
            return ImageSet(
                trainImages: train.images, trainLabels: train.labels, testImages: test.images, testLabels: test.labels)
        }
    }
}
