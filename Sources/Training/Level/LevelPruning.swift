import Kernels
import Lottery

/// The pruning before a level: the weights that are ranked, and what the criterion may ask of their network.
struct LevelPruning {
    let task: TrainingTask
    let step: TrainingTask.PruningStep
    let description: NetworkDescription
    let data: ImageData
    let registry: Registry
    let engine: Engine
    let memory: MemoryBudget
    /// All parameters of the network whose weights are ranked.
    private let values: [[Float]]
    /// By weight tensor, before pruning.
    private let before: [Mask]
    private let parameters: [Network.Parameter]

    /// The masks of a task: dense, or its pruning step applied to what it prunes.
    /// - Parameter parent: path of the file that is pruned, if one is.
    static func masks(
        _ task: TrainingTask, _ description: NetworkDescription, data: ImageData, registry: Registry, engine: Engine,
        memory: MemoryBudget, parent: String?
    ) throws(TrainingError) -> [Mask] {
        guard let step = task.pruning else {
            return description.parameters.filter(\.isWeight).map { Mask(dense: $0.count) }
        }
        try memory.require(.ranking(description))
        return try LevelPruning(
            task, step, description, data: data, registry: registry, engine: engine, memory: memory, parent: parent
        ).masks()
    }

    /// The masks after `step`.
    func masks() throws(TrainingError) -> [Mask] {
        guard let criterion = registry.criteria.first(where: { $0.name == step.criterion }) else {
            throw .unsupported("this build has no pruning criterion “\(step.criterion)”")
        }
        return try step.masks(of: tensors, by: criterion, seed: task.seeds.initialisation, network: rankedNetwork())
    }

    /// The pruning of what `network` is in the middle of its training.
    init(
        _ task: TrainingTask, _ step: TrainingTask.PruningStep, of network: Network, under masks: [Mask],
        data: ImageData,
        registry: Registry, engine: Engine, memory: MemoryBudget
    ) {
        self.task = task
        self.step = step
        description = network.description
        self.data = data
        self.registry = registry
        self.engine = engine
        self.memory = memory
        parameters = network.parameters
        values = network.parameters.indices.map { network.values(of: $0) }
        before = masks
    }

    private init(
        _ task: TrainingTask, _ step: TrainingTask.PruningStep, _ description: NetworkDescription, data: ImageData,
        registry: Registry, engine: Engine, memory: MemoryBudget, parent: String?
    ) throws(TrainingError) {
        self.task = task
        self.step = step
        self.description = description
        self.data = data
        self.registry = registry
        self.engine = engine
        self.memory = memory
        let parameters = description.parameters
        self.parameters = parameters
        let weights = parameters.weightIndices
        let dense = weights.map { Mask(dense: parameters[$0].count) }
        if step.at == 0 {
            var values = parameters.map { Array(repeating: $0.initialValue, count: $0.count) }
            let initialisation = try registry.initialisation(named: task.model.initialisation)
            for (layer, index) in weights.enumerated() {
                values[index] = initialisation.weights(
                    layer: layer, shape: parameters[index].shape, seed: task.seeds.initialisation, .first)
            }
            self.values = values
            before = dense
            return
        }
        guard let parent else { throw .unreadable("the weights to prune are not among the inputs") }
        let file = try TensorFile(path: parent)
        var values: [[Float]] = []
        for parameter in parameters {
            values.append(try file.values(step.at == nil ? "trained" : "weight", of: parameter))
        }
        self.values = values
        if let at = step.at {
            let found = try file.integers("step", shape: [])[0]
            // A training that diverged before has left its last state in the place of each later one.
            guard found == at || file.header.metadata["diverged_at"] != nil else {
                throw .unreadable("\(parent) is of step \(found), not \(at)")
            }
            before = dense
        } else {
            var masks: [Mask] = []
            for index in weights { masks.append(try file.mask(of: parameters[index])) }
            before = masks
        }
    }

    private var tensors: [PrunableTensor] {
        zip(parameters.weightIndices, before).map { index, mask in
            PrunableTensor(kind: parameters[index].kind, weights: values[index], mask: mask)
        }
    }

    /// What is dear to make is made once, when the criterion asks for it first.
    private func rankedNetwork() -> RankedNetwork {
        var gradient: LossGradient?
        var curvature: LossCurvature?
        var flow: SynapticFlow?
        func finite(_ derivatives: [[Double]]?) throws(TrainingError) -> [[Double]] {
            if let derivatives { return derivatives }
            // No learning rate has a part in what is drawn.
            let remedy = step.at == 0 ? "use another model.initialisation" : "lower training.learning_rate"
            throw .impossible("\(step.criterion) ranks by gradients, and those of \(place) are not finite; \(remedy)")
        }
        return RankedNetwork(
            initial: { () throws(TrainingError) in try initial() },
            gradient: { (weights, masks) throws(TrainingError) in
                if gradient == nil { gradient = try lossGradient() }
                return try finite(gradient?(weights, masks))
            },
            curvature: { (weights, masks) throws(TrainingError) in
                if curvature == nil { curvature = try lossCurvature() }
                return try finite(curvature?(weights, masks))
            },
            flowGradient: { (weights) throws(TrainingError) in
                var made = flow ?? SynapticFlow(description, values: values)
                let gradients = made.gradient(weights)
                flow = made
                guard let gradients else {
                    throw .impossible(
                        "the synaptic flow of this network at \(place) is beyond f64; use fewer or narrower layers, or another criterion"
                    )
                }
                return gradients
            })
    }

    private var place: String { step.at.map { "step \($0)" } ?? "the trained weights" }

    /// θ0 as it is drawn, whatever `initialisation_scale` made of it.
    private func initial() throws(TrainingError) -> [[Float]] {
        let initialisation = try registry.initialisation(named: task.model.initialisation)
        return parameters.weightIndices.enumerated().map { layer, index in
            initialisation.weights(
                layer: layer, shape: parameters[index].shape, seed: task.seeds.initialisation, .first)
        }
    }

    /// The images whose loss is looked at, and the most of them that go together.
    private func examples() throws(TrainingError) -> (images: [Int32], batch: Int) {
        guard let perClass = step.examples else {
            throw .impossible("\(step.criterion) ranks by gradients, and the task does not say on how many images")
        }
        let order = try DataOrder(
            imageCount: data.shape.trainCount, data: task.data, batch: task.training.batch, seed: task.seeds.dataOrder)
        // By the seed that a training and its sibling have in common, so that they have one mask.
        let examples = try order.examples(
            perClass: perClass, classes: data.shape.classes, labels: data.trainLabels, seed: task.seeds.initialisation)
        return (examples, min(task.training.batch, examples.count))
    }

    private func lossCurvature() throws(TrainingError) -> LossCurvature {
        let (examples, batch) = try examples()
        try memory.require(.rankingByCurvature(description, examples: examples.count, batch: batch))
        return LossCurvature(
            description, values: values, pixelMean: data.pixelMean, pixelDeviation: data.pixelDeviation,
            labelSmoothing: task.training.labelSmoothing, images: data.trainImages, labels: data.trainLabels,
            groups: LossGradient.groups(of: examples, batch: batch))
    }

    private func lossGradient() throws(TrainingError) -> LossGradient {
        let (examples, batch) = try examples()
        try memory.require(.rankingByGradients(description, batch: batch))
        var engine = engine
        engine.precision = .f32
        var plain = OptimizerSettings()
        plain.name = "sgd"
        let network = Network(
            description, optimizer: plain, batch: batch, pixelMean: data.pixelMean, pixelDeviation: data.pixelDeviation,
            labelSmoothing: task.training.labelSmoothing, engine: engine)
        for index in parameters.indices { network.setValues(values[index], of: index) }
        return LossGradient(network, images: data.trainImages, labels: data.trainLabels, examples: examples)
    }
}
