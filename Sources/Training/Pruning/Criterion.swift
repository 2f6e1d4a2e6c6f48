import Lottery

/// A way to rank weights: those ranked lowest are pruned.
public struct Criterion: Sendable {
    /// Registered name: `magnitude`.
    public let name: String
    public let semanticsVersion: Int
    public let traits: CriterionTraits
    /// The rank of each weight, one list a weight tensor, as unsigned keys, so that comparison is exact and total. What
    /// stands for pruned weights does not matter.
    let keys: @Sendable (Context) throws(TrainingError) -> [[UInt64]]

    init(
        name: String, semanticsVersion: Int = 1, traits: CriterionTraits = CriterionTraits(),
        keys: @escaping @Sendable (Context) throws(TrainingError) -> [[UInt64]]
    ) {
        self.name = name
        self.semanticsVersion = semanticsVersion
        self.traits = traits
        self.keys = keys
    }

    /// What a criterion may look at. All lists have one item a weight tensor, in network order.
    struct Context {
        /// Row-major; pruned weights are 0.
        var weights: [[Float]]
        var masks: [Mask]
        var seed: UInt64
        /// The level whose mask is made.
        var level: Int
        var network: RankedNetwork
    }

    /// |w| (Han et al. 2015; P1). A NaN ranks with 0.
    public static let magnitude = Criterion(name: "magnitude") { context in
        context.weights.map { weights in weights.map { Criterion.key(ofMagnitude: $0) } }
    }

    /// A random number, drawn for (level, layer, weight).
    public static let random = Criterion(name: "random") { context in
        let random = CounterRandom(seed: context.seed, purpose: .randomPruning)
        return context.weights.enumerated().map { layer, weights in
            weights.indices.map { random.word(epoch: context.level, index: UInt64(layer) << 40 | UInt64($0)) }
        }
    }

    /// A key that orders like the magnitude of `value`. NaN is 0: a weight without a value is the first to go.
    static func key(ofMagnitude value: Float) -> UInt64 { value.isNaN ? 0 : UInt64(value.magnitude.bitPattern) }

    /// A key that orders like `value`, of any sign; both zeros are one. NaN is 0, below all else.
    static func key(of value: Double) -> UInt64 {
        if value.isNaN { return 0 }
        let bits = (value + 0).bitPattern
        return bits >> 63 == 1 ? ~bits : bits | 1 << 63
    }
}

/// What a criterion may ask of the network whose weights it ranks, beside these.
package struct RankedNetwork {
    /// θ0 of each weight tensor.
    var initial: () throws(TrainingError) -> [[Float]]
    /// The gradient of the mean training loss of the examples by each weight, at the given weights under the given
    /// masks; 0 where pruned.
    var gradient: (_ weights: [[Float]], _ masks: [Mask]) throws(TrainingError) -> [[Double]]
    /// The Hessian of that loss times its gradient, likewise (`LossCurvature`).
    var curvature: (_ weights: [[Float]], _ masks: [Mask]) throws(TrainingError) -> [[Double]]
    /// The gradient of the synaptic flow by the magnitude of each weight, at the given weights.
    var flowGradient: (_ weights: [[Float]]) throws(TrainingError) -> [[Double]]

    package init(
        initial: @escaping () throws(TrainingError) -> [[Float]],
        gradient: @escaping (_ weights: [[Float]], _ masks: [Mask]) throws(TrainingError) -> [[Double]],
        curvature: @escaping (_ weights: [[Float]], _ masks: [Mask]) throws(TrainingError) -> [[Double]],
        flowGradient: @escaping (_ weights: [[Float]]) throws(TrainingError) -> [[Double]]
    ) {
        self.initial = initial
        self.gradient = gradient
        self.curvature = curvature
        self.flowGradient = flowGradient
    }
}
