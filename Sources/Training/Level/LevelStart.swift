import Kernels
import Lottery

/// A task's network as it is before the first step: the model, the masks and the weights it starts from.
struct LevelStart {
    let network: Network
    /// One per weight tensor, in network order.
    let masks: [Mask]
    /// Set if the trajectory it rewinds to had diverged before the step it rewinds to.
    let divergedAt: Int?

    /// - Parameter rewind: path of the checkpoint θk, for a task that starts from one.
    init(
        _ task: TrainingTask, data: ImageData, registry: Registry, engine: Engine,
        memory: MemoryBudget, masks chosen: (Network) throws(TrainingError) -> [Mask], rewind: String?
    ) throws(TrainingError) {
        network = try LevelStart.network(task, data: data, registry: registry, engine: engine, memory: memory)
        let masks = try chosen(network)
        self.masks = masks
        let initialisation = try registry.initialisation(named: task.model.initialisation)
        switch task.start {
        case .initialisation:
            divergedAt = nil
            draw(initialisation, .first, for: task)
        case .reinitialised(let level, let draw):
            divergedAt = nil
            self.draw(initialisation, .fresh(level: level, draw: draw), for: task)
        case .rewound(_, let step, let optimizer):
            guard let rewind else { throw .unreadable("the checkpoint of step \(step) is not among the inputs") }
            let checkpoint = try Checkpoint(TensorFile(path: rewind), for: network)
            guard checkpoint.step == step || checkpoint.divergedAt != nil else {
                throw .unreadable("\(rewind) is of step \(checkpoint.step), not \(step)")
            }
            checkpoint.restore(network)
            switch optimizer {
            case .restore: break
            case .fresh: network.resetOptimizer()
            }
            divergedAt = checkpoint.divergedAt
        }
        for (index, mask) in zip(network.weightIndices, masks) where mask.survivors < mask.count {
            network.setMask(mask, of: index)
        }
    }

    private static func network(
        _ task: TrainingTask, data: ImageData, registry: Registry, engine: Engine, memory: MemoryBudget
    ) throws(TrainingError) -> Network {
        guard let family = registry.models.first(where: { $0.name == task.model.family }) else {
            throw .unsupported("this build has no model family “\(task.model.family)”")
        }
        guard registry.optimizers.contains(where: { $0.name == task.training.optimizer.name }) else {
            throw .unsupported("this build has no optimizer “\(task.training.optimizer.name)”")
        }
        let description: NetworkDescription
        do { description = try family.describe(task.model, data.shape) } catch { throw .impossible("model: \(error)") }
        // Before its masks are set the network is dense.
        try memory.require(
            description, batch: task.training.batch, precision: task.training.precision,
            stateCount: Optimizer(task.training.optimizer).slots.count)
        var engine = engine
        engine.precision = task.training.precision
        return Network(
            description, optimizer: task.training.optimizer, batch: task.training.batch, pixelMean: data.pixelMean,
            pixelDeviation: data.pixelDeviation, labelSmoothing: task.training.labelSmoothing,
            clipping: GradientClipping(task.training), engine: engine)
    }

    /// Draws every weight and scales it as the task's pruning says, once the masks are known. Dense levels are never scaled.
    private func draw(_ initialisation: Initialisation, _ address: Initialisation.Address, for task: TrainingTask) {
        for (layer, index) in network.weightIndices.enumerated() {
            let drawn = initialisation.weights(
                layer: layer, shape: network.parameters[index].shape, seed: task.seeds.initialisation, address)
            let scale = task.pruning?.initialisationScale ?? .none
            network.setValues(scale.scaled(drawn, under: masks[layer]), of: index)
        }
    }

    /// The masks of a task: dense, or its pruning step applied to the parent's trained weights and masks.
    /// - Parameter parent: path of the parent's `final`.
    static func masks(
        _ task: TrainingTask, of network: Network, registry: Registry, parent: String?
    ) throws(TrainingError) -> [Mask] {
        guard let pruning = task.pruning else {
            return network.weightIndices.map { Mask(dense: network.parameters[$0].count) }
        }
        guard let criterion = registry.criteria.first(where: { $0.name == pruning.criterion }) else {
            throw .unsupported("this build has no pruning criterion “\(pruning.criterion)”")
        }
        guard let parent else { throw .unreadable("the parent's final weights are not among the inputs") }
        let file = try TensorFile(path: parent)
        var tensors: [PrunableTensor] = []
        for index in network.weightIndices {
            let parameter = network.parameters[index]
            tensors.append(
                PrunableTensor(
                    kind: parameter.kind, trained: try file.values("trained", of: parameter),
                    mask: try file.mask(of: parameter)))
        }
        return pruning.masks(of: tensors, by: criterion, seed: task.seeds.initialisation)
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
    var weightIndices: [Int] { parameters.indices.filter { parameters[$0].isWeight } }
}

extension Registry {
    func initialisation(named name: String) throws(TrainingError) -> Initialisation {
        guard let initialisation = initialisations.first(where: { $0.name == name }) else {
            throw .unsupported("this build has no initialisation “\(name)”")
        }
        return initialisation
    }
}
