import Kernels
import Lottery
import Testing
import Training

/// Levels by every criterion, start and search, trained on the tiny data.
@Suite("Levels by method")
struct MethodLevelTests {
    private static let layers = ["fc1", "fc2", "output"]

    private func step(
        _ task: inout TrainingTask.PruningStep, _ criterion: Criterion, _ scope: PruningScope, at: Int?
    ) {
        task.criterion = criterion.name
        task.scope = scope
        task.at = at
        task.rounds = criterion.traits.rounds
        task.examples = criterion.traits.readsExamples ? 5 : nil
    }

    private func masks(_ outcome: TrainingBench.Outcome, _ bench: TrainingBench) throws -> [[Bool]] {
        try Self.layers.map { try outcome.mask("\($0).weight", count: bench.weightCounts[$0]!) }
    }

    @Test(
        "Every criterion prunes exactly the forecast counts, at the end, at a step and at the initialisation",
        arguments: Registry.standard.criteria.map(\.name), [PruningScope.layer, .global])
    func counts(name: String, scope: PruningScope) throws {
        let bench = try TrainingBench()
        let criterion = try #require(Registry.standard.criteria.first { $0.name == name })
        let dense = bench.dense()
        _ = try bench.train(dense, keep: [7])
        let shapes = Self.layers.map {
            LayerShape(name: $0, kind: $0 == "output" ? .output : .fc, weights: bench.weightCounts[$0]!, biases: 0)
        }
        var settings = PruningSettings()
        settings.scope = scope
        settings.rate = PruneRates(all: Ratio("0.29")!)
        settings.levels = 3
        let forecast = PruningForecastCounts(settings, shapes)
        for at in [nil, 7, 0] where at != 0 || !criterion.traits.readsStart {
            for level in 1...3 {
                var task = bench.pruned(dense, parent: dense, level: level, rate: "0.29") {
                    step(&$0, criterion, scope, at: at)
                    if at == nil { $0.repetitions = level } else { $0.stages = level }
                }
                task.training.iterations = 1
                let outcome = try bench.train(task)
                let surviving = outcome.summary.layers.map(\.surviving)
                #expect(surviving.reduce(0, +) == forecast.total(level), "\(name) at \(at ?? -1), level \(level)")
                if scope == .layer {
                    #expect(surviving == forecast.byLayer(level), "\(name) at \(at ?? -1), level \(level)")
                }
            }
        }
    }

    /// Counts by hand: floor(0.29 · r) go each time, of each layer or of all.
    private struct PruningForecastCounts {
        let layers: [Int]
        let isGlobal: Bool

        init(_ settings: PruningSettings, _ shapes: [LayerShape]) {
            layers = shapes.map(\.weights)
            isGlobal = settings.scope == .global
        }

        func after(_ level: Int, of count: Int) -> Int {
            (0..<level).reduce(count) { left, _ in left - left * 29 / 100 }
        }
        func byLayer(_ level: Int) -> [Int] { layers.map { after(level, of: $0) } }
        func total(_ level: Int) -> Int {
            isGlobal ? after(level, of: layers.reduce(0, +)) : byLayer(level).reduce(0, +)
        }
    }

    @Test("Masks made of gradients and flows are the same with every instruction set and kernel path")
    func engines() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        _ = try bench.train(dense, keep: [7])
        for criterion in [Criterion.snip, .grasp, .synflow] {
            let task = bench.pruned(dense, parent: dense, rate: "0.4") {
                step(&$0, criterion, .global, at: 7)
                ($0.stages, $0.rounds) = (3, 4)
            }
            let whole = try bench.train(task)
            for (place, set) in InstructionSet.supported.enumerated() {
                for path in [KernelPath.dense, .sparse] {
                    let other = try bench.train(
                        task, stops: [3, 20], place: "\(criterion.name)-\(place)-\(path)",
                        engine: Engine(instructionSet: set, path: path))
                    #expect(other.outputs == whole.outputs, "\(criterion.name), \(set), \(path)")
                }
            }
        }
    }

    @Test("Convolutions, batch-norm and shortcuts: gradients and flows of every kind of layer are repeatable")
    func convolutional() throws {
        let bench = try TrainingBench()
        for (family, depth) in [("conv-2", nil), ("resnet", 8)] as [(String, Int?)] {
            let dense = bench.dense {
                $0.model = ModelSettings()
                $0.model.family = family
                $0.model.depth = depth
                $0.model.width = 0.1
                $0.training.iterations = 3
            }
            for criterion in [Criterion.snip, .grasp, .synflow] {
                let task = bench.pruned(dense, parent: dense, rate: "0.4") {
                    step(&$0, criterion, .global, at: 0)
                    $0.rounds = 2
                }
                let whole = try bench.train(task)
                let weights = whole.summary.layers.filter { $0.kind != .shortcut }.reduce(0) { $0 + $1.weights }
                let left = whole.summary.layers.filter { $0.kind != .shortcut }.reduce(0) { $0 + $1.surviving }
                #expect(left == weights - weights * 4 / 10)
                let other = try bench.train(
                    task, place: "\(family)-\(criterion.name)",
                    engine: Engine(instructionSet: InstructionSet.supported[0], path: .sparse))
                #expect(other.outputs == whole.outputs, "\(family), \(criterion.name)")
            }
        }
    }

    @Test("Too few images of a class are told with the remedy")
    func tooFewImages() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        let task = bench.pruned(dense, parent: dense) {
            step(&$0, .snip, .global, at: 0)
            $0.examples = 60
        }
        let error = #expect(throws: TrainingError.self) { try bench.train(task) }
        #expect(try #require(error).isFinal)
        #expect(try #require(error).description.contains("pruning.examples is 60, but of class"))
    }

    // MARK: After the mask

    @Test("Learning-rate rewinding and fine-tuning go on from the parent's trained weights under the mask")
    func retraining() throws {
        let bench = try TrainingBench()
        let dense = bench.dense {
            $0.training.decay = [Decay(at: 30, by: 0.1)]
            $0.training.warmup = 5
        }
        let trained = try bench.train(dense)
        for rate in [TrainingTask.RetrainingRate.scheduled, .last] {
            var task = bench.pruned(dense, parent: dense, rate: "0.4")
            task.start = .retrained(step: 10, rate: rate)
            let outcome = try bench.train(task, keep: [10])
            for layer in Self.layers {
                let count = bench.weightCounts[layer]!
                let mask = try outcome.mask("\(layer).weight", count: count)
                let before = try trained.floats("final", "trained", "\(layer).weight", count: count)
                #expect(
                    try outcome.floats("step-10", "weight", "\(layer).weight", count: count)
                        == zip(before, mask).map { $1 ? $0 : 0 }, "\(layer)")
                #expect(
                    try outcome.floats("step-10", "optimizer.exp_avg", "\(layer).weight", count: count).allSatisfy {
                        $0 == 0
                    })
            }
            #expect(outcome.summary.final?.step == 40)
            let cut = try bench.train(task, keep: [10], stops: [11, 29], place: "cut-\(rate)")
            #expect(cut.outputs == outcome.outputs)
        }
        // Rates by hand: base 0.01, ÷ 10 from step 30 on.
        let scheduled = LearningRate(dense.training), last = LearningRate(dense.training, rate: .last)
        #expect([0, 10, 39].map { scheduled[$0] } == [0.002, 0.01, 0.001])
        #expect([0, 10, 39].map { last[$0] } == [0.001, 0.001, 0.001])
    }

    @Test("A retrained ticket's rewind weights are those it began with")
    func ticket() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        let trained = try bench.train(dense)
        var task = bench.pruned(dense, parent: dense, rate: "0.4")
        task.start = .retrained(step: 0, rate: .last)
        let outcome = try bench.train(task)
        let ticket = try Ticket(
            of: task, final: "\(outcome.folder)/final", rewind: "\(trained.folder)/final", dataset: bench.dataset.path,
            registry: bench.registry)
        let tensors = try Safetensors.decode(ticket.safetensors(spec: nil)).tensors
        let mask = try outcome.mask("fc1.weight", count: 36 * 12)
        let before = try trained.floats("final", "trained", "fc1.weight", count: 36 * 12)
        #expect(tensors["rewind.fc1.weight"]?.floatValues == zip(before, mask).map { $1 ? $0 : 0 })
        #expect(ticket.facts.testImagesRight == outcome.summary.final?.testCorrect)
    }

    // MARK: Controls

    @Test("A random mask of the same global count moves survivors between the layers that are pruned")
    func globalRandomMask() throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        _ = try bench.train(dense)
        let ticket = bench.pruned(dense, parent: dense, rate: "0.6") { $0.rates.output = .zero }
        let random = bench.pruned(dense, parent: dense, rate: "0.6") {
            $0.rates.output = .zero
            $0.control = .randomGlobal
        }
        let (counts, drawn) = (try bench.train(ticket).summary.layers, try bench.train(random).summary.layers)
        #expect(counts.reduce(0) { $0 + $1.surviving } == drawn.reduce(0) { $0 + $1.surviving })
        #expect(counts[0].surviving != drawn[0].surviving)
        #expect(drawn[2].surviving == 36, "the output is not pruned")
        // 540 weights, 217 of which survive: fc1 has four fifths of both.
        #expect(abs(drawn[0].surviving - 217 * 432 / 540) < 20)
    }

    @Test("Variants of θ0 keep what their names say, at every survivor", arguments: TrainingTask.WeightVariant.allCases)
    func variants(variant: TrainingTask.WeightVariant) throws {
        let bench = try TrainingBench()
        let dense = bench.dense()
        let initial = try bench.train(dense, keep: [0])
        let ticket = bench.pruned(dense, parent: dense, rate: "0.6")
        func start(_ level: Int, _ start: TrainingTask.Start) throws -> TrainingBench.Outcome {
            var task = ticket
            task.start = start
            return try bench.train(task, keep: [0])
        }
        let varied = try start(1, .varied(variant, level: 1, draw: 0))
        let fresh = try start(1, .reinitialised(level: 1, draw: 0))
        #expect(try masks(varied, bench) == masks(fresh, bench))
        for layer in Self.layers {
            let count = bench.weightCounts[layer]!
            let name = "\(layer).weight"
            let mask = try varied.mask(name, count: count)
            func survivors(_ outcome: TrainingBench.Outcome) throws -> [Float] {
                zip(try outcome.floats("step-0", "weight", name, count: count), mask).filter(\.1).map(\.0)
            }
            let (before, after) = (try survivors(initial), try survivors(varied))
            let all = try initial.floats("step-0", "weight", name, count: count)
            let deviation = Float((all.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count)).squareRoot())
            let sameSigns = zip(before, after).allSatisfy { ($0 < 0) == ($1 < 0) }
            #expect(before != after)
            switch variant {
            case .signedReinit:
                let drawn = try survivors(fresh)
                #expect(sameSigns && after.map(\.magnitude) == drawn.map(\.magnitude))
            case .permuted: #expect(!sameSigns && after.sorted() == before.sorted())
            case .signedPermuted:
                #expect(sameSigns && after.map(\.magnitude).sorted() == before.map(\.magnitude).sorted())
            case .constant:
                #expect(!sameSigns && after.allSatisfy { $0.magnitude == deviation })
                #expect(after.contains { $0 > 0 } && after.contains { $0 < 0 })
            case .signedConstant: #expect(sameSigns && after.allSatisfy { $0.magnitude == deviation })
            }
        }
        // Another level draws anew, but where nothing is drawn.
        let other = try start(2, .varied(variant, level: 2, draw: 0))
        #expect((other.outputs["step-0"] == varied.outputs["step-0"]) == (variant == .signedConstant))
    }

    // MARK: Early-Bird

    /// 240 images in batches of 16: an epoch is 15 steps.
    private func searching(
        _ bench: TrainingBench, rate: String, learningRate: Double, iterations: Int = 150
    ) -> (search: TrainingTask, level: TrainingTask) {
        let dense = bench.dense {
            $0.training.iterations = iterations
            $0.training.learningRate = learningRate
        }
        var search = dense
        let pruning = bench.pruned(dense, parent: dense, rate: rate).pruning!
        search.search = TrainingTask.EarlyBird(for: pruning)
        return (search, bench.pruned(dense, parent: search, rate: rate))
    }

    @Test("A search ends after the fifth epoch at the earliest, once the last five masks differ little")
    func earlyBird() throws {
        let bench = try TrainingBench()
        // Weights that hardly move settle at once.
        let (slow, level) = searching(bench, rate: "0.2", learningRate: 1e-5)
        let settled = try bench.train(slow)
        #expect(settled.summary.final?.step == 75)
        #expect(settled.summary.layers.allSatisfy { $0.surviving == $0.weights }, "a search does not prune")
        // Stopped before the step that settles it, and before the evaluation after that.
        let cut = try bench.train(slow, stops: [74, 75], place: "cut")
        #expect(cut.outputs == settled.outputs)
        // What it leaves is the dense training at that step.
        var dense = slow
        dense.search = nil
        let whole = try bench.train(dense, keep: [75])
        for layer in Self.layers {
            let count = bench.weightCounts[layer]!
            #expect(
                try settled.floats("final", "trained", "\(layer).weight", count: count)
                    == whole.floats("step-75", "weight", "\(layer).weight", count: count))
        }
        #expect(try bench.train(level).summary.layers.map(\.surviving) == [432 - 86, 108 - 21, 36 - 7])
    }

    @Test("Masks that keep changing are searched for to the end, by distances worked out from its checkpoints")
    func neverSettles() throws {
        let bench = try TrainingBench()
        for rate in [3e-4, 1e-3, 3e-3, 1e-2, 0.1] {
            let (search, _) = searching(bench, rate: "0.5", learningRate: rate, iterations: 300)
            let found = try bench.train(search)
            var dense = search
            dense.search = nil
            let epochs = stride(from: 15, through: 300, by: 15)
            let whole = try bench.train(dense, keep: Array(epochs))
            // Half of each layer's weights, those of the largest magnitudes, by sorting.
            let masks: [[Bool]] = try epochs.map { step in
                try Self.layers.flatMap { layer -> [Bool] in
                    let count = bench.weightCounts[layer]!
                    let weights = try whole.floats("step-\(step)", "weight", "\(layer).weight", count: count)
                    let pruned = Set(
                        weights.indices.sorted { weights[$0].magnitude < weights[$1].magnitude }.prefix(count / 2))
                    return weights.indices.map { !pruned.contains($0) }
                }
            }
            let end = masks.indices.first { epoch in
                epoch >= 4
                    && (1...4).allSatisfy { back in
                        zip(masks[epoch], masks[epoch - back]).count { $0 != $1 } < Int((0.1 * 576).rounded(.up))
                    }
            }
            let expected = end.map { ($0 + 1) * 15 } ?? 300
            #expect(found.summary.final?.step == expected, "at rate \(rate)")
            let cut = try bench.train(search, stops: [20, 46, 61], place: "cut-\(rate)")
            #expect(cut.outputs == found.outputs && cut.summary == found.summary, "at rate \(rate)")
        }
    }
}
