import Kernels
import Lottery

extension TrainingTask.WeightVariant {
    /// The values of one layer, flat and row-major, before any scaling. What stands for pruned weights does not matter.
    /// - Parameter address: of the random numbers.
    func weights(
        _ layer: DrawnLayer, under mask: Mask, by initialisation: Initialisation, seed: UInt64,
        _ address: Initialisation.Address
    ) -> [Float] {
        let first = initialisation.weights(layer, seed: seed, .first)
        switch self {
        case .signedReinit:
            let fresh = initialisation.weights(layer, seed: seed, address)
            return zip(fresh, first).map { $0.magnitude.signed(like: $1) }
        case .permuted:
            return permuted(first, layer, under: mask, seed: seed, address)
        case .signedPermuted:
            return zip(permuted(first, layer, under: mask, seed: seed, address), first).map {
                $0.magnitude.signed(like: $1)
            }
        case .signedConstant:
            let size = rootMeanSquare(first)
            return first.map { size.signed(like: $0) }
        case .constant:
            let size = rootMeanSquare(first)
            let random = CounterRandom(seed: seed, purpose: .signs)
            return first.indices.map {
                let word = random.word(epoch: address.epoch, index: UInt64(layer.index) << 40 | UInt64($0))
                return word >> 63 == 0 ? size : -size
            }
        }
    }

    private func permuted(
        _ values: [Float], _ layer: DrawnLayer, under mask: Mask, seed: UInt64, _ address: Initialisation.Address
    ) -> [Float] {
        let survivors = mask.survivingIndices
        let order = CounterRandom(seed: seed, purpose: .weightPermutation).permutation(
            of: survivors.count, epoch: address.epoch, first: UInt64(layer.index) << 40)
        var permuted = values
        for (place, other) in zip(survivors, order) { permuted[place] = values[survivors[Int(other)]] }
        return permuted
    }

    /// A sequential f64 sum, rounded once.
    private func rootMeanSquare(_ values: [Float]) -> Float {
        guard !values.isEmpty else { return 0 }
        let sum = values.reduce(0.0) { $0 + Double($1) * Double($1) }
        return Float(Reproducible.sqrt(sum / Double(values.count)))
    }
}

extension Float {
    /// With the sign of `other`; that of 0 is positive.
    fileprivate func signed(like other: Float) -> Float { other < 0 ? -self : self }
}
