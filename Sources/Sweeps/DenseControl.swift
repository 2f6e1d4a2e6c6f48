import Lottery

/// A level, as controls that are dense networks look at it.
struct DenseControl {
    /// The level's; pruning resolved.
    let settings: Settings
    let level: Int
    /// Survivors of the level among the weights that are ever pruned.
    let surviving: Int
    /// Of the level's network, in network order.
    let layers: [LayerShape]
    /// The layers of other networks on the same images.
    let layersOf: (ModelSettings) -> [LayerShape]?

    /// The dense network trained for as many steps as all trainings of the chain up to this level take together, the
    /// dense one included. The schedule is stretched: decays come at the same share of the training, and the warmup is
    /// as long as it was.
    var trainedForTheBudget: Settings? {
        let (training, pruning) = (settings.training, settings.pruning)
        let perLevel = training.iterations - pruning.rewind
        let steps =
            switch (pruning.at, pruning.schedule) {
            case (.end, .iterative), (.published, .iterative): training.iterations + level * perLevel
            case (.end, .oneShot), (.published, .oneShot): training.iterations + perLevel
            // The dense network was trained as far as its weights are needed.
            case (.step(let step), _): max(step, pruning.rewind) + perLevel
            }
        var longer = settings
        longer.training.iterations = steps
        longer.training.decay = training.decay.map { Decay(at: $0.at * steps / training.iterations, by: $0.by) }
        return longer
    }

    /// The largest network of the same layers, each hidden one made smaller by the same factor, that has no more
    /// weights than survive in all; nil if even the smallest has more.
    var withAsManyWeights: Settings? {
        let unpruned = layers.filter { settings.pruning.rate[$0.kind] == .zero }.reduce(0) { $0 + $1.weights }
        let weights = unpruned + surviving
        var (fits, tooLarge) = (0, DenseControl.steps)
        func count(_ step: Int) -> Int { layersOf(narrowed(step))?.reduce(0) { $0 + $1.weights } ?? .max }
        while tooLarge - fits > 1 {
            let middle = (fits + tooLarge) / 2
            if count(middle) <= weights { fits = middle } else { tooLarge = middle }
        }
        guard fits > 0 else { return nil }
        var smaller = settings
        smaller.model = narrowed(fits)
        return smaller
    }

    /// Factors are multiples of 1 / steps.
    private static let steps = 4_096

    private func narrowed(_ step: Int) -> ModelSettings {
        let factor = Double(step) / Double(DenseControl.steps)
        var model = settings.model
        guard layers.contains(where: { $0.kind == .conv }) else {
            // A network of dense layers alone is the mlp of its units.
            model.family = "mlp"
            (model.depth, model.width) = (nil, nil)
            model.hidden = layers.filter { $0.kind == .fc }.map { max(1, Int((factor * Double($0.biases)).rounded())) }
            return model
        }
        model.width = (model.width ?? 1) * factor
        return model
    }
}
