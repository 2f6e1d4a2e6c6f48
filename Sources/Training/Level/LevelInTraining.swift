import Kernels
import Lottery

/// One level between its first and its last step.
struct LevelInTraining {
    let task: TrainingTask
    let keepSteps: Set<Int>
    let data: ImageData
    private let outputDirectory: String
    private let start: LevelStart
    private let learningRate: LearningRate
    private(set) var order: DataOrder
    private let augmented: AugmentedBatch?
    private(set) var step: Int
    private(set) var metrics = Metrics()
    private(set) var divergedAt: Int?
    /// Of a search for a mask: what it would have given, and whether that has settled.
    private(set) var maskHistory = MaskHistory()
    private var hasSettled = false
    private let registry: Registry
    private let engine: Engine
    private let memory: MemoryBudget
    /// Path of the `final` that the level is compared with at its end.
    private let peer: String?
    /// With `test: best`, until the test set has seen them at the end.
    private var untested: BestWeights?
    var network: Network { start.network }

    init(
        _ request: TrainingRequest, data: ImageData, registry: Registry, engine: Engine, memory: MemoryBudget,
        inputs: [String: String], outputDirectory: String
    ) throws(TrainingError) {
        let task = request.task
        self.task = task
        // A replay is there for its last checkpoint.
        keepSteps = Set(request.keepSteps).union(task.stopAfter.map { [$0] } ?? [])
        guard keepSteps.allSatisfy({ (task.firstStep...task.lastStep).contains($0) }) else {
            throw .impossible("steps \(request.keepSteps) are not all in \(task.firstStep)…\(task.lastStep)")
        }
        self.data = data
        self.registry = registry
        self.engine = engine
        self.memory = memory
        self.outputDirectory = outputDirectory
        peer = inputs[TrainingRequest.Input.peer]
        if case .retrained(_, let rate) = task.start {
            learningRate = LearningRate(task.training, rate: rate)
        } else {
            learningRate = LearningRate(task.training)
        }
        order = try DataOrder(
            imageCount: data.shape.trainCount, data: task.data, batch: task.training.batch, seed: task.seeds.dataOrder)
        augmented = Augmentation(task.data.augment, shape: data.shape, seed: task.seeds.augmentation).map {
            AugmentedBatch($0, batch: task.training.batch)
        }
        start = try LevelStart(
            task, data: data, registry: registry, engine: engine, memory: memory,
            need: { description, masks in
                let training = MemoryNeed.training(description, task.training, survivors: masks.map(\.survivors))
                // A search ranks weights while their training waits.
                return task.search == nil ? training : training.and(.ranking(description))
            },
            masks: { description throws(TrainingError) in
                try LevelPruning.masks(
                    task, description, data: data, registry: registry, engine: engine, memory: memory,
                    parent: inputs[TrainingRequest.Input.parent])
            },
            rewind: inputs[TrainingRequest.Input.rewind])
        step = task.firstStep
        divergedAt = start.divergedAt
    }

    var isDone: Bool { divergedAt != nil || isAtEnd && !isEvaluationDue }
    /// After the last step that is taken, unless it diverged.
    private var isAtEnd: Bool { step == task.lastStep || hasSettled }
    /// Whether what was trained is to be evaluated before the next step.
    private var isEvaluationDue: Bool {
        guard task.stopAfter == nil, divergedAt == nil, metrics.evaluations.last?.step != step else { return false }
        return step == task.firstStep || step.isMultiple(of: task.training.evaluateEvery) || isAtEnd
    }

    var progress: TrainingProgress {
        TrainingProgress(
            step: step, lastStep: task.lastStep, validationAccuracy: metrics.evaluations.last?.validationAccuracy)
    }

    /// What happens before the first step. Nothing, if the level goes on from a resume file.
    mutating func begin() throws(TrainingError) {
        guard step == task.firstStep, metrics.evaluations.isEmpty, divergedAt == nil else { return }
        if keepSteps.contains(step) { try writeCheckpoint(step) }
    }

    /// The evaluation that is due, or else a training step.
    /// - Parameter isInterrupted: an evaluation asks it now and then; if it says so, the evaluation is left undone, and
    ///   still due.
    mutating func goOn(unless isInterrupted: () -> Bool) throws(TrainingError) {
        if isEvaluationDue { evaluate(unless: isInterrupted) } else { try trainOneStep() }
    }

    private mutating func trainOneStep() throws(TrainingError) {
        let rate = learningRate[step]
        let epoch = order.epoch(of: step)
        let outcome = order.batch(at: step).withUnsafeBufferPointer { indices in
            guard let augmented else {
                return network.train(
                    images: data.trainImages, labels: data.trainLabels, indices: indices, learningRate: rate)
            }
            return augmented.with(indices, of: data, epoch: epoch) { images, labels, indices in
                network.train(images: images, labels: labels, indices: indices, learningRate: rate)
            }
        }
        switch outcome {
        case .diverged:
            divergedAt = step
            return
        case .trained(let loss):
            step += 1
            metrics.trained(loss: loss)
        }
        if keepSteps.contains(step) { try writeCheckpoint(step) }
        try search()
    }

    /// Looks, after each epoch of a search, whether its mask has settled.
    private mutating func search() throws(TrainingError) {
        guard let search = task.search, order.beginsEpoch(at: step) else { return }
        let masks = try LevelPruning(
            task, search.pruning(of: task.key), of: network, under: start.masks, data: data, registry: registry,
            engine: engine, memory: memory
        ).masks()
        maskHistory.add(masks)
        hasSettled = isMaskSettled(by: search)
    }

    private func isMaskSettled(by search: TrainingTask.EarlyBird) -> Bool {
        maskHistory.isSettled(
            before: start.masks,
            isPruned: network.weightIndices.map { search.rates[network.parameters[$0].kind] > .zero })
    }

    private mutating func evaluate(unless isInterrupted: () -> Bool) {
        precondition(
            network.prunedWeightsAreZero(), "a pruned weight or its optimizer state is not zero at step \(step)")
        let ofValidation = order.validation.withUnsafeBufferPointer {
            network.evaluate(
                images: data.trainImages, labels: data.trainLabels, indices: $0, unless: isInterrupted)
        }
        guard let validation = ofValidation else { return }
        let validationLoss = validation.lossSum / Double(order.validation.count)
        let isLast = isAtEnd
        let isTested = task.training.test == .always || isLast
        guard let test = isTested ? testOutcome(unless: isInterrupted) : Metrics.untested else { return }
        if task.training.test == .best, step > task.firstStep,
            validationLoss < metrics.leastValidationLoss(firstStep: task.firstStep)
        {
            // What was the best before is so no more, whether or not the test set has seen it.
            metrics.forgetTests()
            untested = isLast ? nil : BestWeights(of: network, evaluation: metrics.evaluations.count)
        }
        metrics.evaluated(
            Evaluation(
                step: step, validationLoss: validationLoss, validationCorrect: validation.correct,
                validationCount: order.validation.count, testLoss: test.lossSum / Double(data.shape.testCount),
                testCorrect: test.correct, testCount: data.shape.testCount))
        endIfLastEvaluationDiverged()
    }

    /// Before the last step only training decides, so that a replay, which does not evaluate, comes to the same
    /// checkpoints.
    private mutating func endIfLastEvaluationDiverged() {
        guard isAtEnd, let last = metrics.evaluations.last, last.step == step else { return }
        if !(last.validationLoss.isFinite && last.testLoss.isFinite) { divergedAt = step }
    }

    private func testOutcome(unless isInterrupted: () -> Bool) -> (lossSum: Double, correct: Int)? {
        network.evaluate(
            images: data.testImages, labels: data.testLabels, range: 0..<data.shape.testCount, unless: isInterrupted)
    }

    /// Shows the test set to the weights that are kept for it; false if that was interrupted, and is to be done anew.
    private mutating func testBest(unless isInterrupted: () -> Bool) -> Bool {
        guard let best = untested else { return true }
        guard let test = best.with(in: network, { testOutcome(unless: isInterrupted) }) else { return false }
        metrics.tested(best.evaluation, loss: test.lossSum / Double(data.shape.testCount), correct: test.correct)
        untested = nil
        return true
    }

    /// What of the level only a resume file has, beside the checkpoint and the metrics.
    var resumeTensors: [Safetensors.Tensor] {
        metrics.resumeTensors + maskHistory.tensors(network.parameters.filter(\.isWeight))
            + (untested?.tensors(network) ?? [])
    }

    /// Puts the level where a resume file left it.
    mutating func goOn(
        from checkpoint: Checkpoint, _ metrics: Metrics, _ history: MaskHistory, _ best: BestWeights?
    ) throws(TrainingError) {
        try checkpoint.restore(network)
        self.metrics = metrics
        untested = best
        maskHistory = history
        hasSettled = task.search.map(isMaskSettled) ?? false
        step = checkpoint.step
        endIfLastEvaluationDiverged()
    }

    /// Writes what is left to write and says what the level came to.
    /// - Parameter isInterrupted: what looks at the test set asks it now and then: the comparison with another
    ///   training, which evaluates many networks, and the test of the best weights.
    /// - Returns: nil if that was interrupted, and is to be made anew.
    mutating func finish(
        unless isInterrupted: () -> Bool
    ) throws(TrainingError) -> (summary: LevelSummary, outputs: [LevelResult.Output])? {
        precondition(isDone, "finished at step \(step) of \(task.lastStep)")
        guard testBest(unless: isInterrupted) else { return nil }
        var summary = summary
        if let connection = task.connection, divergedAt == nil {
            guard let connectivity = try connectivity(connection, peer: peer, unless: isInterrupted) else { return nil }
            summary.connectivity = connectivity
        }
        var names = keepSteps.sorted().map { OutputName.step($0) }
        // Only a divergence leaves steps unreached; one inherited from the rewind checkpoint leaves all of them
        // unreached.
        for missed in keepSteps.sorted() where missed > step || start.divergedAt != nil { try writeCheckpoint(missed) }
        if task.stopAfter == nil {
            try write(finalTensors(), as: .final)
            let counts = [
                "validation_count": String(order.validation.count), "test_count": String(data.shape.testCount),
            ]
            try write(metrics.tensors, metadata: counts, as: .metrics)
            names += [.final, .metrics]
        }
        return (summary, names.sorted().map { .init(name: $0, path: path(of: $0)) })
    }

    private var summary: LevelSummary {
        let layers = zip(network.weightIndices, start.masks).map { index, mask in
            let parameter = network.parameters[index]
            return LayerCount(
                name: parameter.name, kind: parameter.kind, weights: mask.count, surviving: mask.survivors)
        }
        let isReplay = task.stopAfter != nil
        return LevelSummary(
            layers: layers, otherWeights: network.parameters.filter { $0.role == .bias }.reduce(0) { $0 + $1.count },
            final: isReplay || divergedAt != nil ? nil : metrics.evaluations.last,
            earlyStop: isReplay ? nil : metrics.earlyStop(firstStep: task.firstStep), divergedAt: divergedAt)
    }

    /// `trained.NAME` f32 of every parameter in the form of `SurvivorForm`, which holds the masks as well.
    private func finalTensors() -> [Safetensors.Tensor] {
        var tensors: [Safetensors.Tensor] = []
        for (index, parameter) in network.parameters.enumerated() {
            let form = SurvivorForm(parameter, mask: network.mask(of: index))
            tensors.append(form.tensor("trained", network.values(of: index)))
            if let survivors = form.survivors { tensors.append(survivors) }
        }
        return tensors
    }

    /// Writes the present state as the checkpoint of step `asked`.
    private func writeCheckpoint(_ asked: Int) throws(TrainingError) {
        precondition(
            network.prunedWeightsAreZero(), "a pruned weight or its optimizer state is not zero at step \(step)")
        try write(
            Checkpoint.unlistedTensors(of: network, step: step) + Checkpoint.lists(of: network),
            metadata: Checkpoint.metadata(divergedAt: divergedAt),
            as: .step(asked))
    }

    func path(of output: OutputName) -> String { "\(outputDirectory)/\(output)" }

    private func write(
        _ tensors: [Safetensors.Tensor], metadata: [String: String] = [:], as output: OutputName
    ) throws(TrainingError) {
        do { try DurableFile.write(tensors, metadata: metadata, to: path(of: output)) } catch {
            throw .unwritable(error.description)
        }
    }
}
