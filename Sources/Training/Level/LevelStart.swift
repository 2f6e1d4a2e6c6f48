import CLinux
import Kernels
import Lottery

/// A task's network as it is before the first step: the model, the masks and the weights it starts from.
struct LevelStart {
    let network: Network
    /// One per weight tensor, in network order.
    let masks: [Mask]
    /// Set if the trajectory it rewinds to had diverged before the step it rewinds to.
    let divergedAt: Int?

    /// - Parameters:
    ///   - need: what of memory the caller is going to need for the network under these masks.
    ///   - chosen: the masks, for the description of the network.
    ///   - rewind: path of the checkpoint θk or of the parent's `final`, for a task that starts from one.
    init(
        _ task: TrainingTask, data: ImageData, registry: Registry, engine: Engine, memory: MemoryBudget,
        need: (NetworkDescription, [Mask]) -> MemoryNeed,
        masks chosen: (NetworkDescription) throws(TrainingError) -> [Mask], rewind: String?
    ) throws(TrainingError) {
        let description = try LevelStart.description(task, data: data, registry: registry)
        masks = try chosen(description)
        // What it took to choose them is to be gone before the network takes its memory; the allocator would keep it.
        linux_trim_memory()
        try memory.require(need(description, masks))
        var engine = engine
        engine.precision = task.training.precision
        network = Network(
            description, masks: masks, optimizer: task.training.optimizer, batch: task.training.batch,
            pixelMean: data.pixelMean, pixelDeviation: data.pixelDeviation,
            labelSmoothing: task.training.labelSmoothing,
            clipping: GradientClipping(task.training), engine: engine)
        let initialisation = try registry.initialisation(named: task.model.initialisation)
        switch task.start {
        case .initialisation:
            divergedAt = nil
            draw(for: task) { initialisation.weights($0, seed: task.seeds.initialisation, .first) }
        case .reinitialised(let level, let draw):
            divergedAt = nil
            self.draw(for: task) {
                initialisation.weights($0, seed: task.seeds.initialisation, .fresh(level: level, draw: draw))
            }
        case .varied(let variant, let level, let draw):
            divergedAt = nil
            self.draw(for: task) {
                variant.weights(
                    $0, under: masks[$0.index], by: initialisation, seed: task.seeds.initialisation,
                    .fresh(level: level, draw: draw))
            }
        case .retrained:
            guard let rewind else { throw .unreadable("the parent's trained weights are not among the inputs") }
            let file = try TensorFile(path: rewind)
            for (index, parameter) in network.parameters.enumerated() {
                network.setValues(try file.values("trained", of: parameter), of: index)
            }
            divergedAt = nil
        case .rewound(_, let step, let optimizer):
            guard let rewind else { throw .unreadable("the checkpoint of step \(step) is not among the inputs") }
            let checkpoint = try Checkpoint(
                TensorFile(path: rewind), for: network, weightsAlone: optimizer == .fresh)
            guard checkpoint.step == step || checkpoint.divergedAt != nil else {
                throw .unreadable("\(rewind) is of step \(checkpoint.step), not \(step)")
            }
            try checkpoint.restore(network)
            switch optimizer {
            case .restore: break
            case .fresh: network.resetOptimizer()
            }
            divergedAt = checkpoint.divergedAt
        }
        // So has reading left more than a sparse network takes.
        linux_trim_memory()
    }

    private static func description(
        _ task: TrainingTask, data: ImageData, registry: Registry
    ) throws(TrainingError) -> NetworkDescription {
        guard let family = registry.models.first(where: { $0.name == task.model.family }) else {
            throw .unsupported("this build has no model family “\(task.model.family)”")
        }
        guard registry.optimizers.contains(where: { $0.name == task.training.optimizer.name }) else {
            throw .unsupported("this build has no optimizer “\(task.training.optimizer.name)”")
        }
        do { return try family.describe(task.model, data.shape) } catch { throw .impossible("model: \(error)") }
    }

    /// Draws every weight and scales it as the task's pruning says, once the masks are known. Dense levels are never
    /// scaled.
    private func draw(for task: TrainingTask, _ weights: (DrawnLayer) -> [Float]) {
        let scale = task.pruning?.initialisationScale ?? .none
        for (layer, index) in network.weightIndices.enumerated() {
            let drawn = weights(DrawnLayer(index: layer, shape: network.parameters[index].shape))
            network.setValues(scale.scaled(drawn, under: masks[layer]), of: index)
        }
    }
}

extension InitialisationScale {
    /// The weights of one layer, multiplied in f64 and rounded once. A mask without survivors leaves them as they are.
    func scaled(_ weights: [Float], under mask: Mask) -> [Float] {
        switch self {
        case .none: return weights
        case .density:
            guard mask.survivors > 0 else { return weights }
            let factor = Reproducible.sqrt(Double(mask.count) / Double(mask.survivors))
            return weights.map { Float(Double($0) * factor) }
        }
    }
}

extension Network {
    /// Indices of the weight tensors among the parameters, in network order.
    var weightIndices: [Int] { parameters.weightIndices }
}

extension [Network.Parameter] {
    /// Indices of the weight tensors, in network order.
    var weightIndices: [Int] { indices.filter { self[$0].isWeight } }
}

extension Registry {
    func initialisation(named name: String) throws(TrainingError) -> Initialisation {
        guard let initialisation = initialisations.first(where: { $0.name == name }) else {
            throw .unsupported("this build has no initialisation “\(name)”")
        }
        return initialisation
    }
}
