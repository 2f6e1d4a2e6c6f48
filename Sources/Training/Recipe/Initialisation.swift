import Kernels
import Lottery

/// A weight tensor whose values are drawn: its index among those of the network, and its shape.
struct DrawnLayer {
    var index: Int
    var shape: [Int]
}

/// A way to draw a layer's first weights, with mean 0. Biases start at 0.
public struct Initialisation: Sendable {
    /// Registered name: `glorot-normal`.
    public let name: String
    public let semanticsVersion: Int
    /// What the weights of a layer are drawn from.
    let distribution: @Sendable (_ fanIn: Int, _ fanOut: Int) -> Distribution

    enum Distribution {
        case normal(deviation: Double)
        /// From −limit up to and without limit.
        case uniform(limit: Double)
        /// Orthonormal rows, or columns where there are more rows.
        case orthogonal
    }

    /// √(2 / (fan in + fan out)), not truncated (Glorot and Bengio 2010; P1's “Gaussian Glorot”).
    public static let glorotNormal = Initialisation(name: "glorot-normal", semanticsVersion: 1) { fanIn, fanOut in
        .normal(deviation: Reproducible.sqrt(2 / Double(fanIn + fanOut)))
    }

    /// √(2 / fan in) (He et al. 2015; PyTorch's `kaiming_normal_` for ReLU).
    public static let kaimingNormal = Initialisation(name: "kaiming-normal", semanticsVersion: 1) { fanIn, _ in
        .normal(deviation: Reproducible.sqrt(2 / Double(fanIn)))
    }

    /// Between ±√(6 / (fan in + fan out)) (Glorot and Bengio 2010; PyTorch's `xavier_uniform_`).
    public static let glorotUniform = Initialisation(name: "glorot-uniform", semanticsVersion: 1) { fanIn, fanOut in
        .uniform(limit: Reproducible.sqrt(6 / Double(fanIn + fanOut)))
    }

    /// Between ±√(6 / fan in) (He et al. 2015; PyTorch's `kaiming_uniform_` for ReLU).
    public static let kaimingUniform = Initialisation(name: "kaiming-uniform", semanticsVersion: 1) { fanIn, _ in
        .uniform(limit: Reproducible.sqrt(6 / Double(fanIn)))
    }

    /// The orthogonal factor of a normal draw (Saxe et al. 2014; PyTorch's `orthogonal_` with gain 1): of the matrix
    /// [out, in · k · k] the rows are orthonormal, or the columns where there are more rows than columns.
    public static let orthogonal = Initialisation(name: "orthogonal", semanticsVersion: 1) { _, _ in .orthogonal }

    /// What a draw is addressed by.
    package enum Address {
        /// θ0.
        case first
        /// Fresh weights for (level, draw).
        case fresh(level: Int, draw: Int)

        /// Where random numbers for it are.
        var epoch: Int {
            switch self {
            case .first: return 0
            case .fresh(let level, let draw):
                precondition(level < 1 << 16 && draw < 1 << 16, "level \(level), draw \(draw)")
                return level << 16 | draw
            }
        }
    }

    func weights(_ layer: DrawnLayer, seed: UInt64, _ address: Address) -> [Float] {
        weights(layer: layer.index, shape: layer.shape, seed: seed, address)
    }

    /// The values of a dense layer's weight [fanOut, fanIn].
    package func weights(layer: Int, fanIn: Int, fanOut: Int, seed: UInt64, _ address: Address) -> [Float] {
        weights(layer: layer, shape: [fanOut, fanIn], seed: seed, address)
    }

    /// The values of layer `layer`'s weight, [outputs, inputs] or [outputs, inputs, k, k], row-major; a fan counts
    /// every tap of the kernel. Each pair of weights is drawn at an address of its own.
    package func weights(layer: Int, shape: [Int], seed: UInt64, _ address: Address) -> [Float] {
        let epoch = address.epoch
        let random: CounterRandom
        switch address {
        case .first: random = CounterRandom(seed: seed, purpose: .initialisation)
        case .fresh: random = CounterRandom(seed: seed, purpose: .reinitialisation)
        }
        precondition(shape.count >= 2, "weights of shape \(shape)")
        let taps = shape[2...].reduce(1, *)
        let (rows, columns) = (shape[0], shape[1] * taps)
        func draw(_ scaled: (SIMD4<UInt32>) -> (Double, Double)) -> [Double] {
            let count = rows * columns
            var values: [Double] = []
            values.reserveCapacity(count + 1)
            for pair in 0..<(count + 1) / 2 {
                let draws = scaled(random.words(epoch: epoch, index: UInt64(layer) << 40 | UInt64(pair)))
                values.append(draws.0)
                values.append(draws.1)
            }
            values.removeLast(values.count - count)
            return values
        }
        switch distribution(columns, rows * taps) {
        case .normal(let deviation):
            return draw(Initialisation.normals).map { Float(deviation * $0) }
        case .uniform(let limit):
            return draw(Initialisation.uniforms).map { Float(limit * (2 * $0 - 1)) }
        case .orthogonal:
            return Orthonormal.vectors(of: draw(Initialisation.normals), rows: rows, columns: columns).map { Float($0) }
        }
    }

    /// A uniform draw from 0 up to and without 1.
    private static func uniform(_ high: UInt32, _ low: UInt32) -> Double {
        Double((UInt64(high) << 32 | UInt64(low)) >> 11) * 0x1p-53
    }

    private static func uniforms(_ words: SIMD4<UInt32>) -> (Double, Double) {
        (uniform(words[0], words[1]), uniform(words[2], words[3]))
    }

    /// Two independent standard normal draws (Box and Muller 1958) from 128 random bits.
    private static func normals(_ words: SIMD4<UInt32>) -> (Double, Double) {
        // 1 − u lies in 0 < … ≤ 1, where the logarithm is finite.
        let radius = Reproducible.sqrt(-2 * Reproducible.log(1 - uniform(words[0], words[1])))
        let angle = 2 * Double.pi * uniform(words[2], words[3])
        return (radius * Reproducible.cos(angle), radius * Reproducible.sin(angle))
    }
}
