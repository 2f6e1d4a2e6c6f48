/// What a training was measured to reach. It holds nothing that may differ between two workers, such as times.
public struct LevelSummary: Hashable, Sendable, Codable {
    /// Weights per prunable layer, in network order.
    public var layers: [LayerCount]
    /// Weights that are never pruned: biases, and layers of a kind that is exempt.
    public var otherWeights: Int
    /// Evaluation after the last step; nil if the training diverged or was a replay.
    public var final: Evaluation?
    /// The evaluation of least validation loss, the earliest on ties; nil if there is none.
    public var earlyStop: Evaluation?
    /// The step at which a loss or gradient ceased to be finite. A diverged level is a result, not a failure.
    public var divergedAt: Int?
    /// Of a training that was compared with another one; nil if it diverged.
    public var connectivity: Connectivity?

    public init(
        layers: [LayerCount], otherWeights: Int, final: Evaluation?, earlyStop: Evaluation?, divergedAt: Int?,
        connectivity: Connectivity? = nil
    ) {
        self.layers = layers
        self.otherWeights = otherWeights
        self.final = final
        self.earlyStop = earlyStop
        self.divergedAt = divergedAt
        self.connectivity = connectivity
    }

    /// Whether a training can have come to it: counts are of something, shares are shares, losses are finite. What came over
    /// a wire may say anything.
    public var isPossible: Bool {
        let counts = layers.flatMap { [$0.weights, $0.surviving] } + [otherWeights]
        return counts.allSatisfy((0...Int(Int32.max)).contains) && layers.allSatisfy { $0.surviving <= $0.weights }
            && (final?.isPossible ?? true) && (earlyStop?.isPossible ?? true)
            && (connectivity?.errors ?? []).allSatisfy((0...1).contains)
    }

    /// Surviving over all weights of `layers`; 1 for a network that has none.
    public var density: Double { layers.density(prunedAt: nil) }
}

public struct LayerCount: Hashable, Sendable, Codable {
    /// PyTorch name of the weight tensor: `fc1.weight`.
    public var name: String
    public var kind: LayerKind
    public var weights: Int
    public var surviving: Int

    public init(name: String, kind: LayerKind, weights: Int, surviving: Int) {
        self.name = name
        self.kind = kind
        self.weights = weights
        self.surviving = surviving
    }
}

extension Sequence<LayerCount> {
    /// Surviving over prunable weights: those of layers that `rates` prunes, or of all layers if nil. 1 if there are
    /// none.
    public func density(prunedAt rates: PruneRates?) -> Double {
        let prunable = filter { layer in rates.map { $0[layer.kind] > .zero } ?? true }
        let weights = prunable.reduce(0) { $0 + $1.weights }
        return weights == 0 ? 1 : Double(prunable.reduce(0) { $0 + $1.surviving }) / Double(weights)
    }
}

/// One evaluation on the validation and the test set. Losses are mean cross-entropies in nats.
public struct Evaluation: Hashable, Sendable, Codable {
    /// Training steps done.
    public var step: Int
    public var validationLoss: Double
    public var validationCorrect: Int
    public var validationCount: Int
    public var testLoss: Double
    public var testCorrect: Int
    public var testCount: Int

    public init(
        step: Int, validationLoss: Double, validationCorrect: Int, validationCount: Int, testLoss: Double,
        testCorrect: Int,
        testCount: Int
    ) {
        self.step = step
        self.validationLoss = validationLoss
        self.validationCorrect = validationCorrect
        self.validationCount = validationCount
        self.testLoss = testLoss
        self.testCorrect = testCorrect
        self.testCount = testCount
    }

    fileprivate var isPossible: Bool {
        step >= 0 && validationLoss.isFinite && testLoss.isFinite && validationCount > 0 && testCount > 0
            && (0...validationCount).contains(validationCorrect) && (0...testCount).contains(testCorrect)
    }

    public var testAccuracy: Double { Double(testCorrect) / Double(testCount) }
    public var validationAccuracy: Double { Double(validationCorrect) / Double(validationCount) }
}

/// An artifact that a task left.
public struct TaskOutput: Hashable, Sendable, Codable {
    public var name: OutputName
    public var digest: Digest
    public var byteCount: Int

    public init(name: OutputName, digest: Digest, byteCount: Int) {
        self.name = name
        self.digest = digest
        self.byteCount = byteCount
    }
}
