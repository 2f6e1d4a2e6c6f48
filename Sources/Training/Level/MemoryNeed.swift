import Lottery

/// What a piece of work with a network holds in memory at the most, without the images of the data set, and how to say
/// so.
public struct MemoryNeed: Sendable {
    public let bytes: Int
    /// `training in batches of 60`
    let work: String
    let remedy: String

    private init(bytes: Int, work: String, remedy: String) {
        self.bytes = bytes
        self.work = work
        self.remedy = remedy
    }

    /// Of a weight, while a criterion ranks it: its value twice, a key; where it survived so far its place and its key
    /// again; and, where it goes, its place once more.
    private static let bytesPerRankedWeight = 4 + 4 + 8 + 8 + 8 + 8
    /// Of a weight ranked by its gradient, besides: the gradient in f32, and the mean over groups of images in f64.
    private static let bytesPerGradient = 4 + 8

    /// Of a weight ranked by the curvature, besides: its value, the gradient and the product, in f64, and its mask.
    private static let bytesPerCurvature = 8 + 8 + 8 + 1

    /// Of a weight of a ticket, pruned or not: where it began and what it became, as values and as tensors of an
    /// exported file, and its place in the mask.
    private static let bytesPerTicketWeight = 2 * (4 + 4) + 1

    /// Training by `settings`, and saving it: then values and optimizer state are there once more, as tensors. Beside
    /// them are lists of survivors, and the largest tensor three times, on its way from one form to another.
    /// - Parameter survivors: by weight tensor, in network order; nil where all survive.
    public static func training(
        _ network: NetworkDescription, _ settings: TrainingSettings, survivors: [Int]? = nil
    ) -> MemoryNeed {
        let states = Optimizer(settings.optimizer).slots.count
        let weights = network.parameters.filter(\.isWeight)
        let counts = survivors ?? weights.map(\.count)
        let others = network.parameters.reduce(0) { $1.isWeight ? $0 : $0 + $1.count }
        let values = 4 * (others + counts.reduce(0, +))
        // Where nothing is pruned there is no list.
        let listed = zip(counts, weights).reduce(0) { $1.0 < $1.1.count ? $0 + $1.0 : $0 }
        let steps = steps(
            network, batch: settings.batch, precision: settings.precision, optimizer: settings.optimizer,
            survivors: counts)
        let best = settings.test == .best ? 1 : 0
        let saving = values * (1 + states + best) + best * values + 4 * 4 * listed
        let masks = weights.reduce(0) { $0 + $1.count } / 8
        let passing = 3 * 4 * (network.parameters.map(\.count).max() ?? 0)
        return MemoryNeed(bytes: steps.bytes + saving + masks + passing, work: steps.work, remedy: steps.remedy)
    }

    /// Training steps alone.
    /// - Parameter survivors: by weight tensor, in network order; nil where all survive.
    public static func steps(
        _ network: NetworkDescription, batch: Int, precision: Precision, optimizer: OptimizerSettings,
        survivors: [Int]? = nil
    ) -> MemoryNeed {
        MemoryNeed(
            bytes: network.memoryBytes(
                batch: batch, precision: precision, stateCount: Optimizer(optimizer).slots.count, survivors: survivors),
            work: "training in batches of \(batch)",
            remedy: "use a smaller batch or network, fewer slots, or a machine with more memory")
    }

    /// Choosing the weights that are pruned by what they are.
    package static func ranking(_ network: NetworkDescription) -> MemoryNeed {
        MemoryNeed(
            bytes: bytesPerRankedWeight * network.parameters.reduce(0) { $0 + $1.count }, work: "ranking weights",
            remedy: "use a smaller network, fewer slots, or a machine with more memory")
    }

    /// Choosing them by their gradients, which are of f32.
    package static func rankingByGradients(_ network: NetworkDescription, batch: Int) -> MemoryNeed {
        let weights = network.parameters.reduce(0) { $0 + $1.count }
        return MemoryNeed(
            bytes: ranking(network).bytes + bytesPerGradient * weights
                + network.memoryBytes(batch: batch, precision: .f32, stateCount: 0),
            work: "ranking weights by gradients in batches of \(batch)",
            remedy: "use a smaller batch or network, another criterion, fewer slots, or a machine with more memory")
    }

    /// Choosing them by the curvature of the loss of `examples` images in batches of `batch`, all of it in f64.
    package static func rankingByCurvature(_ network: NetworkDescription, examples: Int, batch: Int) -> MemoryNeed {
        let weights = network.parameters.reduce(0) { $0 + $1.count }
        let tensors = (0...network.nodes.count).map { network.shape(of: $0).values }
        // Of all batches the images and what layers choose: a gate of each value that they rectify, and at most a place for
        // each of those without parameters, which pool; of one batch all values, and some of the largest tensor's size:
        // gradients, and what a layer makes of them.
        let lanes = ExactBatch(images: batch).lanes
        let groups = (examples + batch - 1) / batch
        let chosen = zip(network.nodes, tensors.dropFirst()).reduce(0) { sum, node in
            sum + node.1 * ((node.0.layer.rectifies ? 1 : 0) + (node.0.parameters.isEmpty ? 4 : 0))
        }
        let values = lanes * (groups * (8 * tensors[0] + chosen) + 8 * tensors.reduce(0, +))
        let passing = 8 * 6 * lanes * (tensors.max() ?? 0)
        // Of the largest weight its value, its gradient, and both again on their way.
        let largest = 8 * 4 * (network.parameters.map(\.count).max() ?? 0)
        return MemoryNeed(
            bytes: ranking(network).bytes + bytesPerCurvature * weights + values + passing + largest,
            work: "ranking weights by curvature in batches of \(batch)",
            remedy: "use a smaller batch or network, another criterion, fewer slots, or a machine with more memory")
    }

    /// Measuring a ticket on the test set, in f32, and exporting it.
    static func measuring(_ network: NetworkDescription, survivors: [Int]) -> MemoryNeed {
        MemoryNeed(
            bytes: network.memoryBytes(batch: 1, precision: .f32, stateCount: 0, survivors: survivors)
                + bytesPerTicketWeight * network.parameters.reduce(0) { $0 + $1.count },
            work: "measuring the ticket", remedy: "do it on a machine with more memory")
    }

    /// This and, at the same time, `other`.
    func and(_ other: MemoryNeed) -> MemoryNeed {
        MemoryNeed(bytes: bytes + other.bytes, work: "\(work) and \(other.work)", remedy: remedy)
    }
}
