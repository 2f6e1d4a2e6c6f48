import Lottery

/// A way to rank weights: those ranked lowest are pruned.
public struct Criterion: Sendable {
    /// Registered name: `magnitude`.
    public let name: String
    public let semanticsVersion: Int
    /// The rank of each weight of a tensor as an unsigned key, so that comparison is exact and total.
    let keys: @Sendable (Context) -> [UInt64]

    /// What a criterion may look at.
    struct Context {
        /// Index of the weight tensor among those of the network.
        var layer: Int
        /// Trained values, row-major; pruned weights are 0.
        var trained: [Float]
        var seed: UInt64
        /// The level whose mask is made.
        var level: Int
    }

    /// |w| at the end of training (Han et al. 2015; P1). A NaN ranks with 0.
    public static let magnitude = Criterion(name: "magnitude", semanticsVersion: 1) { context in
        context.trained.map { Criterion.key(of: $0.magnitude) }
    }

    /// A random number, drawn for (level, layer, weight).
    public static let random = Criterion(name: "random", semanticsVersion: 1) { context in
        let random = CounterRandom(seed: context.seed, purpose: .randomPruning)
        return context.trained.indices.map {
            random.word(epoch: context.level, index: UInt64(context.layer) << 40 | UInt64($0))
        }
    }

    /// A key that orders like `value`, for values that are not negative. NaN is 0: a weight without a value is the first to go.
    static func key(of value: Float) -> UInt64 { value.isNaN ? 0 : UInt64(value.bitPattern & 0x7FFF_FFFF) }
}
