import Kernels
import Lottery

/// A weight tensor before pruning: what it is, its values, and which of them survive so far.
public struct PrunableTensor: Sendable {
    public var kind: LayerKind
    /// Row-major; trained ones, or those of the step that the criterion looks at.
    public var weights: [Float]
    public var mask: Mask

    public init(kind: LayerKind, weights: [Float], mask: Mask) {
        precondition(weights.count == mask.count, "\(weights.count) values under a mask of \(mask.count)")
        self.kind = kind
        self.weights = weights
        self.mask = mask
    }
}

extension TrainingTask.PruningStep {
    /// The masks after this step, one a tensor, in network order.
    ///
    /// Of r remaining weights exactly floor(p · r) go, `repetitions` times over, each time counted from what then
    /// remains. Under the scope `layer` r is a layer's; under `global` layers of one rate are pooled and ranked
    /// together. Of equal ranks the earlier layer and then the lower flat index goes first. Masks only shrink, but for
    /// a control, whose mask is drawn anew.
    ///
    /// That is one stage; `stages` of them follow each other, as if each were a level of its own. Each comes to its
    /// count in `rounds`, after each of which the criterion ranks the survivors anew (`count`).
    package func masks(
        of tensors: [PrunableTensor], by criterion: Criterion, seed: UInt64, network: RankedNetwork
    ) throws(TrainingError) -> [Mask] {
        precondition(criterion.name == self.criterion, "pruned by \(criterion.name) instead of \(self.criterion)")
        var masks = tensors.map(\.mask)
        for stage in 1...stages {
            var context = Criterion.Context(
                weights: tensors.map(\.weights), masks: masks, seed: seed, level: level - stages + stage,
                network: network)
            try prune(&context, tensors.map(\.kind), by: criterion)
            masks = context.masks
        }
        switch control {
        case .none: return masks
        case .randomPerLayer: return masks.indices.flatMap { randomMasks(like: masks, layers: [$0], seed: seed) }
        case .randomGlobal:
            let pruned = masks.indices.filter { rates[tensors[$0].kind] > .zero }
            for (layer, mask) in zip(pruned, randomMasks(like: masks, layers: pruned, seed: seed)) {
                masks[layer] = mask
            }
            return masks
        }
    }

    /// One stage.
    private func prune(
        _ context: inout Criterion.Context, _ kinds: [LayerKind], by criterion: Criterion
    ) throws(TrainingError) {
        let groups = groups(kinds).compactMap { layers -> (layers: [Int], start: Int, end: Int)? in
            let start = layers.reduce(0) { $0 + context.masks[$1].survivors }
            let end = Self.remaining(of: start, rate: rates[kinds[layers[0]]], repetitions: repetitions)
            return start == end ? nil : (layers, start, end)
        }
        guard !groups.isEmpty else { return }
        for round in 1...rounds {
            context.clearPruned()
            let ranks = try criterion.keys(context)
            for group in groups {
                let remaining = group.layers.reduce(0) { $0 + context.masks[$1].survivors }
                let count = Self.count(after: round, of: rounds, from: group.start, to: group.end)
                let survivors = group.layers.map { context.masks[$0].survivingIndices }
                let keys = zip(group.layers, survivors).map { layer, indices in indices.map { ranks[layer][$0] } }
                let lowest = PruneSelection.lowest(max(0, remaining - count), of: keys)
                for (place, positions) in lowest.enumerated() {
                    for position in positions { context.masks[group.layers[place]].prune(survivors[place][position]) }
                }
            }
        }
    }

    /// What is left of `count` weights after `repetitions` prunings at `rate`.
    public static func remaining(of count: Int, rate: Ratio, repetitions: Int) -> Int {
        (0..<repetitions).reduce(count) { remaining, _ in remaining - rate.floor(of: remaining) }
    }

    /// What is left after `round` of `rounds`: start · (end / start)^(round / rounds) to the nearest, the schedule of
    /// Tanaka et al. 2020; after the last one exactly `end`.
    package static func count(after round: Int, of rounds: Int, from start: Int, to end: Int) -> Int {
        guard round < rounds, end > 0 else { return end }
        let progress = Double(round) / Double(rounds)
        let logarithm =
            (1 - progress) * Reproducible.log(Double(start)) + progress * Reproducible.log(Double(end))
        return max(end, min(start, Int(Reproducible.exp(logarithm).rounded())))
    }

    /// Layers that are ranked together, in network order.
    private func groups(_ kinds: [LayerKind]) -> [[Int]] {
        switch scope {
        case .layer: return kinds.indices.map { [$0] }
        case .global:
            var groups: [(rate: Ratio, layers: [Int])] = []
            for (layer, kind) in kinds.enumerated() {
                let rate = rates[kind]
                if let group = groups.firstIndex(where: { $0.rate == rate }) {
                    groups[group].layers.append(layer)
                } else {
                    groups.append((rate, [layer]))
                }
            }
            return groups.map(\.layers)
        }
    }

    /// Masks of `layers` with as many survivors in all of them together, drawn from all their weights for (level,
    /// layer).
    private func randomMasks(like masks: [Mask], layers: [Int], seed: UInt64) -> [Mask] {
        let random = CounterRandom(seed: seed, purpose: .randomMask)
        let keys = layers.map { layer in
            (0..<masks[layer].count).map { random.word(epoch: level, index: UInt64(layer) << 40 | UInt64($0)) }
        }
        let pruned = layers.reduce(0) { $0 + masks[$1].count - masks[$1].survivors }
        return zip(layers, PruneSelection.lowest(pruned, of: keys)).map { layer, lowest in
            var drawn = Mask(dense: masks[layer].count)
            for index in lowest { drawn.prune(index) }
            return drawn
        }
    }
}

extension Criterion.Context {
    /// Sets the weights that the masks prune to 0.
    fileprivate mutating func clearPruned() {
        for (layer, mask) in masks.enumerated() where mask.survivors < mask.count {
            let survives = mask.survives
            for index in survives.indices where !survives[index] { weights[layer][index] = 0 }
        }
    }
}
