import Kernels
import Lottery

/// Gradients of the training loss on a few images of each class, for criteria that rank by them.
///
/// The images are as they are, without augmentation; the loss has the training's label smoothing. They are taken in
/// groups of at most a training's batch, as even as may be, so that they fit where a training fits and batch-norm's
/// statistics are of batches; the mean over the images adds up in f64, group by group. All is f32, whatever precision
/// trains.
package final class LossGradient {
    private let network: Network
    private let images: UnsafePointer<UInt8>
    private let labels: UnsafePointer<UInt8>
    private let groups: [ArraySlice<Int32>]
    private let count: Int

    /// - Parameters:
    ///   - network: of f32; its parameters other than weights are those at which gradients are taken.
    ///   - images: of all images of the training set, as `labels`. Both outlive this object.
    ///   - examples: positions of the images that are looked at.
    package init(
        _ network: Network, images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, examples: [Int32]
    ) {
        precondition(!examples.isEmpty, "gradients of no images")
        self.network = network
        self.images = images
        self.labels = labels
        count = examples.count
        groups = Self.groups(of: examples, batch: network.batch)
    }

    /// As few groups of at most `batch` as there can be, as even as may be.
    package static func groups(of examples: [Int32], batch: Int) -> [ArraySlice<Int32>] {
        let count = (examples.count + batch - 1) / batch
        return (0..<count).map { examples[examples.count * $0 / count..<examples.count * ($0 + 1) / count] }
    }

    /// The mean gradient by each weight tensor, in network order; 0 where pruned. Nil where it is not finite.
    /// - Precondition: masks only shrink from call to call.
    package func callAsFunction(_ weights: [[Float]], _ masks: [Mask]) -> [[Double]]? {
        let indices = network.weightIndices
        for (layer, index) in indices.enumerated() {
            if masks[layer].survivors < masks[layer].count, network.mask(of: index) != masks[layer] {
                network.setMask(masks[layer], of: index)
            }
            network.setValues(weights[layer], of: index)
        }
        var mean = weights.map { [Double](repeating: 0, count: $0.count) }
        for group in groups {
            let share = Double(group.count) / Double(count)
            let gradients = group.withUnsafeBufferPointer {
                network.lossAndGradient(images: images, labels: labels, indices: $0)?.gradients
            }
            guard let gradients else { return nil }
            for (layer, index) in indices.enumerated() {
                for weight in mean[layer].indices { mean[layer][weight] += share * Double(gradients[index][weight]) }
            }
        }
        return mean
    }
}

extension DataOrder {
    /// Of the images trained on, `perClass` of each class, drawn for `seed` alone; the first of each class come first,
    /// then the second ones, so that any stretch of them is balanced.
    package func examples(
        perClass: Int, classes: Int, labels: UnsafePointer<UInt8>, seed: UInt64
    ) throws(TrainingError) -> [Int32] {
        var chosen: [[Int32]] = Array(repeating: [], count: classes)
        let drawn = CounterRandom(seed: seed, purpose: .pruningExamples).permutation(of: training.count, epoch: 0)
        for position in drawn {
            let image = training[Int(position)]
            let label = Int(labels[Int(image)])
            if chosen[label].count < perClass { chosen[label].append(image) }
        }
        if let short = chosen.firstIndex(where: { $0.count < perClass }) {
            throw .impossible(
                "pruning.examples is \(perClass), but of class \(short) there are \(chosen[short].count) images among the "
                    + "\(training.count) that are trained on; use fewer examples or more images")
        }
        return (0..<perClass).flatMap { place in chosen.map { $0[place] } }
    }
}
