import Lottery

/// A weight tensor before pruning: what it is, its trained values, and which of them survive so far.
public struct PrunableTensor: Sendable {
    public var kind: LayerKind
    /// Row-major.
    public var trained: [Float]
    public var mask: Mask

    public init(kind: LayerKind, trained: [Float], mask: Mask) {
        precondition(trained.count == mask.count, "\(trained.count) values under a mask of \(mask.count)")
        self.kind = kind
        self.trained = trained
        self.mask = mask
    }
}

extension TrainingTask.PruningStep {
    /// The masks after this step, one a tensor, in network order.
    ///
    /// Of r remaining weights exactly floor(p · r) go, `repetitions` times over, each time counted from what then remains. Under
    /// the scope `layer` r is a layer's; under `global` layers of one rate are pooled and ranked together. Of equal ranks the
    /// earlier layer and then the lower flat index goes first. Masks only shrink, but for a control, whose mask is drawn anew.
    public func masks(of tensors: [PrunableTensor], by criterion: Criterion, seed: UInt64) -> [Mask] {
        precondition(criterion.name == self.criterion, "pruned by \(criterion.name) instead of \(self.criterion)")
        var masks = tensors.map(\.mask)
        for group in groups(tensors) {
            let rate = rates[tensors[group[0]].kind]
            let remaining = group.reduce(0) { $0 + masks[$1].survivors }
            let pruned = remaining - Self.remaining(of: remaining, rate: rate, repetitions: repetitions)
            if pruned == 0 { continue }
            let survivors = group.map { masks[$0].survivingIndices }
            let keys = zip(group, survivors).map { layer, indices in
                let keys = criterion.keys(
                    .init(layer: layer, trained: tensors[layer].trained, seed: seed, level: level))
                return indices.map { keys[$0] }
            }
            for (place, positions) in PruneSelection.lowest(pruned, of: keys).enumerated() {
                for position in positions { masks[group[place]].prune(survivors[place][position]) }
            }
        }
        switch control {
        case .none: return masks
        case .randomPerLayer: return masks.enumerated().map { randomMask(like: $1, layer: $0, seed: seed) }
        }
    }

    /// What is left of `count` weights after `repetitions` prunings at `rate`.
    public static func remaining(of count: Int, rate: Ratio, repetitions: Int) -> Int {
        (0..<repetitions).reduce(count) { remaining, _ in remaining - rate.floor(of: remaining) }
    }

    /// Layers that are ranked together, in network order.
    private func groups(_ tensors: [PrunableTensor]) -> [[Int]] {
        switch scope {
        case .layer: return tensors.indices.map { [$0] }
        case .global:
            var groups: [(rate: Ratio, layers: [Int])] = []
            for (layer, tensor) in tensors.enumerated() {
                let rate = rates[tensor.kind]
                if let group = groups.firstIndex(where: { $0.rate == rate }) {
                    groups[group].layers.append(layer)
                } else {
                    groups.append((rate, [layer]))
                }
            }
            return groups.map(\.layers)
        }
    }

    /// A mask of as many survivors, drawn from all weights of the layer for (level, layer).
    private func randomMask(like mask: Mask, layer: Int, seed: UInt64) -> Mask {
        let random = CounterRandom(seed: seed, purpose: .randomMask)
        let keys = (0..<mask.count).map { random.word(epoch: level, index: UInt64(layer) << 40 | UInt64($0)) }
        var drawn = Mask(dense: mask.count)
        for index in PruneSelection.lowest(mask.count - mask.survivors, of: [keys])[0] { drawn.prune(index) }
        return drawn
    }
}
