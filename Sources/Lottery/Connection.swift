extension TrainingTask {
    /// A comparison of where a training ends with where another one did, along the line between their weights: linear
    /// mode connectivity (Frankle et al. 2020, “Linear Mode Connectivity and the Lottery Ticket Hypothesis”, section
    /// 2). The two differ in nothing but their noise, which is the order of the batches and the changes to the images.
    public struct Connection: Hashable, Sendable, Codable {
        /// The other training, whose trained weights are read from the input `peer` (its output `final`).
        public var peer: TaskKey
        /// Values of α, evenly spaced from 0 to 1, both of them included; at least 3.
        public var points: Int
        public var batchNorm: BatchNormPolicy

        public init(peer: TaskKey, points: Int, batchNorm: BatchNormPolicy) {
            self.peer = peer
            self.points = points
            self.batchNorm = batchNorm
        }
    }
}

/// Which statistics batch-norm has between two networks. The paper does not say; networks without batch-norm do not
/// care.
public enum BatchNormPolicy: String, Hashable, Sendable, Codable, CaseIterable {
    /// The running statistics of the two, interpolated as the weights are.
    case interpolated
    /// Those of the network between, moved by `recomputedBatches` batches of the training set with the usual momentum:
    /// what was interpolated belongs to no network that was trained (Jordan et al. 2023, “REPAIR”, section 3).
    case recomputed

    /// After so many, what was there before has a weight of 0.9³⁰, 4 %.
    public static let recomputedBatches = 30
}

/// Errors along the line between two trained networks.
public struct Connectivity: Hashable, Sendable, Codable {
    /// Share of the test images that are wrong at (1 − α) · own + α · peer, for α from 0 to 1. A network that is not
    /// finite gets none right.
    public var errors: [Double]

    public init(errors: [Double]) { self.errors = errors }

    /// The largest error on the line less the mean of those at its ends: never below 0. Below 0.02 the paper calls the
    /// two stable.
    public var barrier: Double {
        guard let first = errors.first, let last = errors.last, let largest = errors.max() else { return 0 }
        return largest - (first + last) / 2
    }

    /// A barrier below this, as a share of the test images, is none (the paper, section 3).
    public static let stableBelow = 0.02
}

extension Seeds {
    /// The same initialisation under other noise: another order of the batches, and other changes to the images.
    public var withOtherNoise: Seeds {
        // An odd constant far from small numbers, so that no other replicate has the noise (Steele et al. 2014,
        // “SplitMix”).
        let offset: UInt64 = 0x9E37_79B9_7F4A_7C15
        return Seeds(
            initialisation: initialisation, dataOrder: dataOrder &+ offset, augmentation: augmentation &+ offset)
    }
}
