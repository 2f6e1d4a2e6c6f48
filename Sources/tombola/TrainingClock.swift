import Foundation
import Lottery
import Sweeps
import Training

/// Predicts how long trainings take on one core of this machine, from steps that it trains on random images and times.
struct TrainingClock {
    /// What a step's time depends on.
    private struct Subject: Hashable {
        var model: ModelSettings
        var dataset: String
        var resize: Int?
        var batch: Int
        var optimizer: OptimizerSettings
        var precision: Precision
        /// Halvings of the weights, rounded: 0 is dense, 3 about one eighth.
        var halvings = 0
    }

    private static let leastDensity = 1.0 / 128
    private static let windows = 3
    private static let windowSeconds = 0.1
    /// A step goes through the network forward, and back for weights and inputs; an evaluation forward alone.
    private static let passesPerStep = 3.0

    private let registry: Registry
    private var timed: [Subject: Double] = [:]

    init(registry: Registry) { self.registry = registry }

    /// Core-seconds of a training: its steps and its evaluations.
    /// - Parameter density: of its network, which a control that is a dense network ignores.
    mutating func seconds(of planned: PlannedTask, dataset: String, density: Double) throws -> Double {
        let task = planned.task
        guard let family = registry.models.first(where: { $0.name == task.model.family }),
            let shape = try registry.datasets.first(where: { $0.shape.name == dataset })?.shape.resized(
                to: task.data.resize)
        else { preconditionFailure("\(task.model.family) on \(dataset) was planned and is not there") }
        let training = task.training
        var subject = Subject(
            model: task.model, dataset: dataset, resize: task.data.resize, batch: training.batch,
            optimizer: training.optimizer, precision: training.precision)
        // How weights are drawn takes no time.
        subject.model.initialisation = ModelSettings().initialisation
        if task.pruning != nil { subject.halvings = Int(-log2(max(density, TrainingClock.leastDensity)).rounded()) }
        let step: Double
        if let known = timed[subject] {
            step = known
        } else {
            let network = try family.describe(task.model, shape)
            try MemoryBudget.system.require(
                .steps(network, batch: training.batch, precision: training.precision, optimizer: training.optimizer))
            var measurement = TrainingMeasurement(network: network, batch: training.batch)
            measurement.densities = [1 / Double(1 << subject.halvings)]
            measurement.optimizer = training.optimizer
            measurement.engine.precision = training.precision
            measurement.windows = TrainingClock.windows
            measurement.windowSeconds = TrainingClock.windowSeconds
            step = 1 / measurement.rate().stepsPerSecond
            timed[subject] = step
        }
        let image = step / TrainingClock.passesPerStep / Double(training.batch)
        return Double(planned.cost) * step + Double(evaluatedImages(planned, task, shape)) * image
    }

    /// Images that are looked at besides those of training steps.
    private func evaluatedImages(_ planned: PlannedTask, _ task: TrainingTask, _ shape: DatasetShape) -> Int {
        guard task.stopAfter == nil else { return 0 }
        let evaluations = 1 + planned.cost / task.training.evaluateEvery
        let tests = task.training.test == .best ? min(2, evaluations) : evaluations
        let compared = task.connection.map { $0.points * shape.testCount } ?? 0
        return evaluations * task.data.validation + tests * shape.testCount + compared
    }
}
