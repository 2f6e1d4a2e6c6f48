import Lottery

/// Which images each step trains on. An epoch is floor(N / batch) batches of a permutation drawn for that epoch; step t
/// is batch t mod (N / batch) of epoch t / (N / batch). A rewound or resumed training so meets the batches it met
/// before.
package struct DataOrder {
    /// Images of the training set that are held out and those that are trained on, each ascending.
    package let validation: [Int32]
    package let training: [Int32]
    private let batch: Int
    private let random: CounterRandom
    private var epoch = -1
    private var order: [Int32] = []

    /// The split's seed. It is no replicate's: all replicates and grid points validate on the same images, as with a
    /// held-out set that was published.
    private static let splitSeed: UInt64 = 0

    package init(imageCount: Int, data: DataSettings, batch: Int, seed: UInt64) throws(TrainingError) {
        let used = data.train ?? imageCount
        guard used <= imageCount else {
            throw .impossible("data.train is \(used), but the training set has \(imageCount) images; use fewer")
        }
        guard used - data.validation >= batch, data.validation >= 1 else {
            throw .impossible(
                "\(used) training images less \(data.validation) for validation leave no batch of \(batch); "
                    + "lower data.validation or training.batch")
        }
        let split = DataOrder.split(imageCount)
        validation = split[..<data.validation].sorted()
        training = split[data.validation..<used].sorted()
        self.batch = batch
        random = CounterRandom(seed: seed, purpose: .dataOrder)
    }

    /// All images, in an order in which those held out come first and those trained on follow: they stay the same when
    /// `data.train` changes.
    private static func split(_ imageCount: Int) -> [Int32] {
        CounterRandom(seed: splitSeed, purpose: .validationSplit).permutation(of: imageCount, epoch: 0)
    }

    /// Of which class the fewest images are trained on, as far as the labels go; nil where none are.
    static func rarestClass(labels: [UInt8], classes: Int, data: DataSettings) -> ClassCount? {
        let used = data.train ?? labels.count
        guard used <= labels.count, (0..<used).contains(data.validation) else { return nil }
        var counts = Array(repeating: 0, count: classes)
        for image in split(labels.count)[data.validation..<used] { counts[Int(labels[Int(image)])] += 1 }
        return counts.indices.min { counts[$0] < counts[$1] }.map { ClassCount(label: $0, count: counts[$0]) }
    }

    /// The epoch of the step after `step` steps are done.
    package func epoch(of step: Int) -> Int { step / (training.count / batch) }

    /// Whether the step after `step` steps are done is the first of an epoch.
    package func beginsEpoch(at step: Int) -> Bool { step.isMultiple(of: training.count / batch) }

    /// The images of the step after `step` steps are done.
    package mutating func batch(at step: Int) -> ArraySlice<Int32> {
        if self.epoch(of: step) != epoch {
            epoch = self.epoch(of: step)
            order = random.permutation(of: training.count, epoch: epoch).map { training[Int($0)] }
        }
        let first = step % (training.count / batch) * batch
        return order[first..<first + batch]
    }
}
