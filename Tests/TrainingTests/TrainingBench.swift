import Foundation
import Kernels
import Lottery
import Training

/// Trains tasks on the tiny data set in a folder of its own, and keeps their outputs by task key.
final class TrainingBench {
    let folder: TemporaryFolder
    let dataset: (path: String, digest: Digest)
    let registry: Registry

    init(shape: DatasetShape = TinyData.shape) throws {
        folder = try TemporaryFolder()
        registry = TinyData.registry(shape: shape)
        dataset = try TinyData.dataset(in: folder, shape: shape)
    }

    /// On coloured glyphs, as many for training as for the test.
    init(colouredGlyphs count: Int) throws {
        folder = try TemporaryFolder()
        var registry = Registry.standard
        registry.datasets = [.colouredGlyphs(trainCount: count, testCount: count)]
        self.registry = registry
        let made = try DataCatalog(registry: registry, folders: []).materialise("glyphs-rgb", into: folder.path)
        dataset = (made.path, made.digest)
    }

    /// A dense training of 40 steps of 16 images on an MLP with hidden layers of 12 and 9 units.
    func dense(_ change: (inout TrainingTask) -> Void = { _ in }) -> TrainingTask {
        var data = DataSettings()
        data.validation = 60
        var model = ModelSettings()
        model.family = "mlp"
        model.hidden = [12, 9]
        var training = TrainingSettings()
        training.iterations = 40
        training.batch = 16
        training.learningRate = 0.01
        training.evaluateEvery = 10
        var task = TrainingTask(
            numerics: .f32Lanes16, dataset: dataset.digest, data: data, model: model, training: training,
            seeds: Seeds(base: 7, replicate: 0), pruning: nil, start: .initialisation)
        change(&task)
        return task
    }

    /// `task` again under the mask got from `parent`.
    func pruned(
        _ task: TrainingTask, parent: TrainingTask, level: Int = 1, rate: String = "0.2",
        _ change: (inout TrainingTask.PruningStep) -> Void = { _ in }
    ) -> TrainingTask {
        var pruning = TrainingTask.PruningStep(
            parent: parent.key, criterion: "magnitude", scope: .layer, rates: PruneRates(all: Ratio(rate)!),
            level: level)
        change(&pruning)
        var task = task
        task.pruning = pruning
        let version = registry.criteria.first { $0.name == pruning.criterion }?.semanticsVersion ?? 1
        if version != 1 { task.semantics["criterion.\(pruning.criterion)"] = version }
        return task
    }

    /// Weights of the layers of `dense()`.
    let weightCounts = ["fc1": 36 * 12, "fc2": 12 * 9, "output": 9 * 4]

    struct Outcome {
        var summary: LevelSummary
        /// Contents by output name.
        var outputs: [String: [UInt8]]
        var folder: String

        /// The values of a parameter in a file, in the parameter's own layout: `floats("step-0", "weight",
        /// "fc1.weight", 432)`.
        func floats(_ output: String, _ prefix: String, _ parameter: String, count: Int) throws -> [Float] {
            let tensors = try Safetensors.decode(outputs[output] ?? []).tensors
            guard let values = tensors["\(prefix).\(parameter)"]?.floatValues else { return [] }
            guard let survivors = tensors["survivors.\(parameter)"]?.int32Values else { return values }
            var all = [Float](repeating: 0, count: count)
            for (value, index) in zip(values, survivors) { all[Int(index)] = value }
            return all
        }

        /// Which weights of a parameter survive in `final`.
        func mask(_ parameter: String, count: Int) throws -> [Bool] {
            let tensors = try Safetensors.decode(outputs["final"] ?? []).tensors
            guard let survivors = tensors["survivors.\(parameter)"]?.int32Values else {
                return Array(repeating: true, count: count)
            }
            var mask = [Bool](repeating: false, count: count)
            for index in survivors { mask[Int(index)] = true }
            return mask
        }
    }

    func inputs(of task: TrainingTask) -> [String: String] {
        var inputs = [TrainingRequest.Input.dataset: dataset.path]
        if let pruning = task.pruning {
            let output = pruning.at.map { "step-\($0)" } ?? "final"
            if pruning.at != 0 {
                inputs[TrainingRequest.Input.parent] = "\(folder.path)/\(pruning.parent.hex)/\(output)"
            }
        }
        if case .retrained = task.start { inputs[TrainingRequest.Input.rewind] = inputs[TrainingRequest.Input.parent] }
        if let connection = task.connection {
            inputs[TrainingRequest.Input.peer] = "\(folder.path)/\(connection.peer.hex)/final"
        }
        if case .rewound(let trajectory, let step, _) = task.start {
            inputs[TrainingRequest.Input.rewind] = "\(folder.path)/\(trajectory.hex)/step-\(step)"
        }
        return inputs
    }

    func train(
        _ task: TrainingTask, keep: [Int] = [], stops: [Int] = [], place: String? = nil, engine: Engine
    ) throws -> Outcome {
        try train(task, keep: keep, stops: stops, place: place, engines: [engine])
    }

    /// Trains `task`, interrupted after each of the steps in `stops`.
    /// - Parameters:
    ///   - place: where outputs go; by default where other tasks find them.
    ///   - engines: taken in turn, one until the first interruption, the next until the second.
    func train(
        _ task: TrainingTask, keep: [Int] = [], stops: [Int] = [], place: String? = nil,
        engines: [Engine] = [Engine()]
    ) throws -> Outcome {
        let outputs = try folder.folder(place ?? task.key.hex)
        let request = TrainingRequest(task: task, keepSteps: keep)
        var rest = stops
        while true {
            let engine = engines[(stops.count - rest.count) % engines.count]
            let trainer = LevelTrainer(registry: registry, engine: engine, progressSeconds: 0)
            let result = try trainer.run(
                request, inputs: inputs(of: task), outputDirectory: outputs, resumeFile: "\(outputs)/resume",
                checkpointSeconds: .infinity
            ) { progress in
                guard let stop = rest.first, progress.step == stop else { return .goOn }
                rest.removeFirst()
                return .stop
            }
            guard let result else { continue }
            precondition(rest.isEmpty, "never came to step \(rest)")
            var left: [String: [UInt8]] = [:]
            for output in result.outputs { left[output.name.text] = try contents(output.path) }
            return Outcome(summary: result.summary, outputs: left, folder: outputs)
        }
    }
}
