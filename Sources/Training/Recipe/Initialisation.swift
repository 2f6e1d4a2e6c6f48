import Kernels
import Lottery

/// A way to draw a layer's first weights: normal with mean 0. Biases start at 0.
public struct Initialisation: Sendable {
    /// Registered name: `glorot-normal`.
    public let name: String
    public let semanticsVersion: Int
    /// The standard deviation of the weights of a layer.
    let deviation: @Sendable (_ fanIn: Int, _ fanOut: Int) -> Double

    /// √(2 / (fan in + fan out)), not truncated (Glorot and Bengio 2010; P1's “Gaussian Glorot”).
    public static let glorotNormal = Initialisation(name: "glorot-normal", semanticsVersion: 1) { fanIn, fanOut in
        Reproducible.sqrt(2 / Double(fanIn + fanOut))
    }

    /// √(2 / fan in) (He et al. 2015; PyTorch's `kaiming_normal_` for ReLU).
    public static let kaimingNormal = Initialisation(name: "kaiming-normal", semanticsVersion: 1) { fanIn, _ in
        Reproducible.sqrt(2 / Double(fanIn))
    }

    /// What a draw is addressed by.
    package enum Address {
        /// θ0.
        case first
        /// Fresh weights for (level, draw).
        case fresh(level: Int, draw: Int)
    }

    /// The values of layer `layer`'s weight [fanOut, fanIn], row-major. Each pair of weights is drawn at an address of its own.
    package func weights(layer: Int, fanIn: Int, fanOut: Int, seed: UInt64, _ address: Address) -> [Float] {
        let random: CounterRandom
        let epoch: Int
        switch address {
        case .first:
            random = CounterRandom(seed: seed, purpose: .initialisation)
            epoch = 0
        case .fresh(let level, let draw):
            precondition(level < 1 << 16 && draw < 1 << 16, "level \(level), draw \(draw)")
            random = CounterRandom(seed: seed, purpose: .reinitialisation)
            epoch = level << 16 | draw
        }
        let deviation = deviation(fanIn, fanOut)
        let count = fanIn * fanOut
        var values: [Float] = []
        values.reserveCapacity(count)
        for pair in 0..<(count + 1) / 2 {
            let words = random.words(epoch: epoch, index: UInt64(layer) << 40 | UInt64(pair))
            let draws = Initialisation.normals(words)
            values.append(Float(deviation * draws.0))
            if values.count < count { values.append(Float(deviation * draws.1)) }
        }
        return values
    }

    /// Two independent standard normal draws (Box and Muller 1958) from 128 random bits.
    private static func normals(_ words: SIMD4<UInt32>) -> (Double, Double) {
        func uniform(_ high: UInt32, _ low: UInt32) -> Double {
            Double((UInt64(high) << 32 | UInt64(low)) >> 11) * 0x1p-53
        }
        // 1 − u lies in 0 < … ≤ 1, where the logarithm is finite.
        let radius = Reproducible.sqrt(-2 * Reproducible.log(1 - uniform(words[0], words[1])))
        let angle = 2 * Double.pi * uniform(words[2], words[3])
        return (radius * Reproducible.cos(angle), radius * Reproducible.sin(angle))
    }
}
