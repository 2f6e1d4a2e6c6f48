import Foundation
import Glibc
import Kernels
import Lottery
import Testing
import Training

/// Whole levels of convolutional nets, with batch-norm's statistics in their checkpoints.
@Suite("One level's training of a convolutional network")
struct ConvolutionalLevelTests {
    private let bench: TrainingBench

    init() throws { bench = try TrainingBench() }

    /// On 6×6 images: three stages of 6, 3 and 2 pixels.
    private func dense(_ precision: Precision = .f32, _ change: (inout TrainingTask) -> Void = { _ in }) -> TrainingTask
    {
        bench.dense {
            $0.model = ModelSettings()
            $0.model.family = "resnet"
            $0.model.depth = 8
            $0.model.width = 0.25
            $0.training.iterations = 16
            $0.training.evaluateEvery = 8
            $0.training.optimizer.name = "sgd"
            $0.training.optimizer.momentum = 0.9
            $0.training.optimizer.weightDecay = 1e-4
            $0.training.learningRate = 0.05
            $0.training.precision = precision
            $0.numerics = precision == .bf16 ? .bf16Tiles16 : .f32Lanes16
            change(&$0)
        }
    }

    @Test(
        "Stopped at any step and continued it leaves the same bytes, dense and rewound",
        arguments: [Precision.f32, .bf16])
    func interrupted(precision: Precision) throws {
        let task = dense(precision)
        let whole = try bench.train(task, keep: [5])
        let cut = try bench.train(task, keep: [5], stops: [1, 5, 8, 15], place: "cut")
        #expect(cut.outputs == whole.outputs && cut.summary == whole.summary)

        var ticket = bench.pruned(task, parent: task, rate: "0.8") { $0.scope = .global }
        ticket.start = .rewound(trajectory: task.key, step: 5, optimizer: .restore)
        let wholeTicket = try bench.train(ticket)
        let cutTicket = try bench.train(ticket, stops: [6, 11], place: "cut-ticket")
        #expect(cutTicket.outputs == wholeTicket.outputs && cutTicket.summary == wholeTicket.summary)
        #expect(wholeTicket.outputs["final"] != whole.outputs["final"])
    }

    @Test(
        "Stopped at every step and continued on another engine each time it leaves the same bytes",
        arguments: ["conv-2", "resnet"], Precision.allCases)
    func continuedElsewhere(family: String, precision: Precision) throws {
        let engines = Engine.all(precision)
        try #require(engines.count >= 3)
        let task = dense(precision) {
            $0.model.family = family
            $0.model.depth = family == "resnet" ? 8 : nil
            $0.training.batch = 40
        }
        let whole = try bench.train(task, keep: [5])
        let cut = try bench.train(task, keep: [5], stops: Array(1...15), place: "cut", engines: engines)
        #expect(cut.outputs == whole.outputs && cut.summary == whole.summary)

        var ticket = bench.pruned(task, parent: task, rate: "0.8") { $0.scope = .global }
        ticket.start = .rewound(trajectory: task.key, step: 5, optimizer: .restore)
        let wholeTicket = try bench.train(ticket)
        let cutTicket = try bench.train(ticket, stops: Array(6...15), place: "cut-ticket", engines: engines)
        #expect(cutTicket.outputs == wholeTicket.outputs && cutTicket.summary == wholeTicket.summary)
    }

    @Test("Rewound with nothing pruned it ends as the dense run did: batch-norm's statistics go back, too")
    func rewindingIsExact() throws {
        let task = dense()
        let whole = try bench.train(task, keep: [0, 7])
        for step in [0, 7] {
            var again = bench.pruned(task, parent: task, rate: "0")
            again.start = .rewound(trajectory: task.key, step: step, optimizer: .restore)
            #expect(try bench.train(again).outputs["final"] == whole.outputs["final"], "rewound to \(step)")
        }
    }

    @Test("A chain of prunings: shortcuts and batch-norm are never pruned, and precision is part of the key")
    func chain() throws {
        let task = dense()
        #expect(task.key != dense(.bf16).key)
        var parent = task
        _ = try bench.train(task)
        for level in 1...3 {
            let next = bench.pruned(task, parent: parent, level: level, rate: "0.5") {
                $0.scope = .global
                $0.rates = PruneRates(conv: Ratio("0.5")!, fc: .zero, output: .zero)
            }
            let summary = try bench.train(next).summary
            for layer in summary.layers where layer.kind != .conv { #expect(layer.surviving == layer.weights) }
            let convolutions = summary.layers.filter { $0.kind == .conv }
            var expected = convolutions.reduce(0) { $0 + $1.weights }
            for _ in 0..<level { expected -= expected / 2 }
            #expect(convolutions.reduce(0) { $0 + $1.surviving } == expected, "level \(level)")
            // γ and β of nine batch-norms and the output's bias.
            #expect(summary.otherWeights == 2 * (3 * 4 + 3 * 8 + 3 * 16) + 4)
            parent = next
        }
    }

    @Test("Checkpoints of a sparse level take at most 16 bytes a survivor, and a constant")
    func compactCheckpoints() throws {
        let task = dense { $0.training.optimizer = OptimizerSettings() }
        _ = try bench.train(task)
        var sizes: [(survivors: Int, bytes: Int)] = []
        for rate in ["0.5", "0.99"] {
            let ticket = bench.pruned(task, parent: task, rate: rate)
            let outcome = try bench.train(ticket, keep: [3])
            let survivors = outcome.summary.layers.filter { $0.surviving < $0.weights }.reduce(0) { $0 + $1.surviving }
            sizes.append((survivors, outcome.outputs["step-3"]!.count))
            #expect(outcome.outputs["final"]!.count < outcome.outputs["step-3"]!.count)
        }
        #expect(sizes[0].survivors > 30 * sizes[1].survivors)
        // Offsets in the header have a few digits more.
        let perSurvivor = 16 * (sizes[0].survivors - sizes[1].survivors)
        #expect(sizes[0].bytes - sizes[1].bytes <= perSurvivor + 512, "\(sizes)")
    }

    @Test("A network that memory cannot hold is refused with both figures before it is made")
    func memory() throws {
        let task = dense()
        let trainer = LevelTrainer(registry: bench.registry, memory: MemoryBudget { 1_048_576 })
        let error = #expect(throws: TrainingError.self) {
            try trainer.run(
                TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task),
                outputDirectory: bench.folder.path, resumeFile: nil, checkpointSeconds: 60
            ) { _ in .goOn }
        }
        let sentence = error?.description ?? ""
        #expect(
            sentence.hasPrefix("training in batches of 16 takes about ") && sentence.contains(", and 1 MiB are left")
                && sentence.contains("smaller batch"),
            "\(sentence)")
        #expect(error?.isFinal == false)
        // Where the system does not tell, nothing is refused.
        #expect(
            try LevelTrainer(registry: bench.registry, memory: MemoryBudget { nil }).run(
                TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task),
                outputDirectory: bench.folder.folder("unknown"), resumeFile: nil, checkpointSeconds: 60
            ) { _ in .goOn } != nil)
    }

    @Test(
        "What is predicted bounds what a training holds, ranking, steps and saving, within a few times",
        arguments: [
            Held(family: "conv-2", width: 4, batch: 16, optimizer: "adam", precision: .f32),
            Held(family: "conv-2", width: 4, batch: 16, optimizer: "sgd", precision: .bf16),
            Held(family: "resnet", width: 8, batch: 100, optimizer: "sgd", precision: .f32),
            Held(family: "resnet", width: 8, batch: 100, optimizer: "sgd", precision: .bf16),
            Held(family: "conv-2", width: 4, batch: 16, optimizer: "adam", precision: .f32, density: 0.02),
            Held(
                family: "conv-2", width: 4, batch: 16, optimizer: "sgd", precision: .f32, density: 0.02,
                criterion: "snip"),
            Held(
                family: "conv-2", width: 4, batch: 16, optimizer: "sgd", precision: .f32, density: 0.02,
                criterion: "grasp"),
            Held(
                family: "resnet", width: 8, batch: 50, optimizer: "sgd", precision: .f32, density: 0.02,
                criterion: "grasp"),
            // Choices of many batches.
            Held(
                family: "resnet", width: 1, batch: 10, optimizer: "sgd", precision: .f32, density: 0.02,
                criterion: "grasp", examples: 40),
            Held(family: "mlp", width: 2_000, batch: 16, optimizer: "adam", precision: .f32, density: 0.02),
            // Dense kernels under a mask; and checkpoints, which are in each resume file, too.
            Held(family: "mlp", width: 2_000, batch: 16, optimizer: "adam", precision: .f32, density: 0.5),
            Held(family: "mlp", width: 2_000, batch: 16, optimizer: "adam", precision: .f32, keepSteps: [0, 1, 2]),
        ])
    func prediction(held: Held) async throws {
        // In a process of its own, whose memory is its own.
        let process = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) { [held] in
            print(try held.figures())
            exit(0)
        }
        let figures = String(decoding: process?.standardOutputContent ?? [], as: UTF8.self).split(separator: " ")
            .compactMap { Int($0) }
        try #require(figures.count == 2)
        // Code that runs for the first time takes a little, too.
        #expect(figures[1] <= figures[0] + 4 << 20, "\(figures[0]) bytes were predicted, \(figures[1]) held")
        #expect(figures[0] <= 4 * figures[1], "\(figures[0]) bytes were predicted, \(figures[1]) held")
    }

    @Test("The training of a ticket of 2 % of the weights holds a fraction of what the dense one holds")
    func sparse() async throws {
        var held: [Int] = []
        for density in [1, 0.02] {
            // Nearly all of it is weights.
            let ticket = Held(
                family: "mlp", width: 2_000, batch: 16, optimizer: "adam", precision: .f32, density: density)
            let process = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                [ticket = ticket as Held] in
                print(try ticket.steady())
                exit(0)
            }
            let text = String(decoding: process?.standardOutputContent ?? [], as: UTF8.self)
            held.append(try #require(text.split(separator: " ").compactMap { Int($0) }.first))
        }
        #expect(held[1] < held[0] / 4, "\(held)")
    }

    @Test("The machine's memory is known, and more than a megabyte")
    func system() { #expect((MemoryBudget.systemBytes ?? 0) > 1_048_576) }

    @Test("A ticket of a convolutional network is measured as its level was, and holds batch-norm's statistics")
    func ticket() throws {
        for precision in [Precision.f32, .bf16] {
            let task = dense(precision)
            _ = try bench.train(task)
            let ticket = bench.pruned(task, parent: task, rate: "0.6")
            let level = try bench.train(ticket)
            let assembled = try Ticket(
                of: ticket, final: "\(level.folder)/final", rewind: nil, dataset: bench.dataset.path,
                registry: bench.registry)
            let right = try #require(level.summary.final?.testCorrect)
            // A ticket is measured in f32, as PyTorch does.
            #expect(abs(assembled.facts.testImagesRight - right) <= (precision == .f32 ? 0 : 2))
            let tensors = try Safetensors.decode(assembled.safetensors(spec: nil)).tensors
            #expect(tensors["trained.bn1.running_var"]?.shape == [4])
            #expect(tensors["rewind.bn1.running_var"]?.floatValues == [1, 1, 1, 1])
            #expect(tensors["mask.layer2.0.downsample.0.weight"]?.uint8Values?.allSatisfy { $0 == 1 } == true)
        }
    }
}

/// A training whose memory is compared with what was predicted.
struct Held: Codable, Sendable {
    var family: String
    var width: Double
    var batch: Int
    var optimizer: String
    var precision: Precision
    var density = 1.0
    var criterion = "magnitude"
    /// Of each class, for a criterion that looks at any.
    var examples = 5
    var keepSteps: [Int] = []

    /// The bytes that were predicted, and those that were held at the most.
    func figures() throws -> String {
        let bench = try TrainingBench()
        let task = try self.task(bench)
        let before = try ProcessMemory.presentBytes()
        try ProcessMemory.forgetPeak()
        let result = try LevelTrainer(registry: bench.registry, progressSeconds: 0).run(
            TrainingRequest(task: task, keepSteps: keepSteps), inputs: bench.inputs(of: task),
            outputDirectory: bench.folder.path,
            resumeFile: "\(bench.folder.path)/resume", checkpointSeconds: 0
        ) { _ in .goOn }
        let held = try ProcessMemory.peakBytes() - before
        guard let result, result.summary.final != nil else { exit(1) }
        return " \(try predicted(task, result.summary, bench)) \(held) "
    }

    /// The most that the level may have asked the machine for.
    private func predicted(_ task: TrainingTask, _ summary: LevelSummary, _ bench: TrainingBench) throws -> Int {
        guard let family = bench.registry.models.first(where: { $0.name == task.model.family }) else { exit(1) }
        let network = try family.describe(task.model, bench.registry.datasets[0].shape)
        let training = MemoryNeed.training(network, task.training, survivors: summary.layers.map(\.surviving)).bytes
        guard task.pruning != nil else { return training }
        let examples = (task.pruning?.examples ?? 0) * network.classes
        let batch = min(task.training.batch, examples)
        let ranking: MemoryNeed =
            switch criterion {
            case "snip": .rankingByGradients(network, batch: batch)
            case "grasp": .rankingByCurvature(network, examples: examples, batch: batch)
            default: .ranking(network)
            }
        return max(training, ranking.bytes)
    }

    /// The bytes that are held after a step.
    func steady() throws -> String {
        let bench = try TrainingBench()
        let task = try self.task(bench)
        let before = try ProcessMemory.presentBytes()
        var held: Int?
        _ = try LevelTrainer(registry: bench.registry, progressSeconds: 0).run(
            TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task),
            outputDirectory: bench.folder.path,
            resumeFile: nil, checkpointSeconds: .infinity
        ) { progress in
            // That it cannot be read ends the process below.
            if progress.step == 1 { held = (try? ProcessMemory.presentBytes()).map { $0 - before } }
            return .goOn
        }
        guard let held else { exit(1) }
        return " \(held) "
    }

    /// The dense training, or one of its ticket of that density.
    private func task(_ bench: TrainingBench) throws -> TrainingTask {
        let dense = bench.dense {
            $0.model = ModelSettings()
            $0.model.family = family
            $0.model.width = width
            $0.model.depth = family == "resnet" ? 8 : family == "mlp" ? 2 : nil
            $0.training.iterations = 2
            $0.training.batch = batch
            $0.training.optimizer.name = optimizer
            $0.training.precision = precision
            $0.numerics = precision == .f32 ? .f32Lanes16 : .bf16Tiles16
        }
        guard density < 1 else { return dense }
        return bench.pruned(dense, parent: dense, rate: String(format: "%.2f", 1 - density)) {
            $0.criterion = criterion
            // θ0 is ranked, so that nothing has to be trained before.
            $0.at = 0
            $0.examples = criterion == "magnitude" ? nil : examples
        }
    }
}
