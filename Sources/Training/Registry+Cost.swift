import Lottery

extension Registry {
    /// What one step of `task` costs on the data set named `dataset`, with these counts of survivors; nil for a network
    /// or a data set that this build does not have.
    @Sendable public func stepCost(of task: TrainingTask, dataset: String, survivors: [LayerCount]) -> StepCost? {
        guard let family = models.first(where: { $0.name == task.model.family }),
            let shape = try? datasets.first(where: { $0.shape.name == dataset })?.shape.resized(to: task.data.resize),
            let network = try? family.describe(task.model, shape)
        else { return nil }
        let surviving = Dictionary(uniqueKeysWithValues: survivors.map { ($0.name, $0.surviving) })
        // Layers that are never pruned are not among those counted.
        let counts = network.parameters.filter(\.isWeight).map { surviving[$0.name] ?? $0.count }
        return StepCost(
            flops: network.flopsPerStep(batch: task.training.batch, survivors: counts),
            bytes: network.bytesPerStep(
                batch: task.training.batch, precision: task.training.precision,
                stateCount: Optimizer(task.training.optimizer).slots.count, survivors: counts))
    }
}
