import Foundation
import Kernels
import Lottery
import Testing
import Training

@Suite("Linear connectivity of two trainings")
struct ConnectionTests {
    private let bench: TrainingBench

    init() throws { bench = try TrainingBench() }

    private func sibling(
        of task: TrainingTask, points: Int = 5, _ batchNorm: BatchNormPolicy = .interpolated
    ) -> TrainingTask {
        var sibling = task
        sibling.seeds = task.seeds.withOtherNoise
        sibling.connection = .init(peer: task.key, points: points, batchNorm: batchNorm)
        return sibling
    }

    private func error(_ summary: LevelSummary) -> Double {
        let last = summary.final!
        return Double(last.testCount - last.testCorrect) / Double(last.testCount)
    }

    @Test("The ends of the line are the two networks; what is between is the network of the mean weights")
    func line() throws {
        let task = bench.dense()
        let whole = try bench.train(task)
        let twin = try bench.train(sibling(of: task))
        let errors = try #require(twin.summary.connectivity?.errors)
        #expect(errors.count == 5)
        #expect(errors[0] == error(twin.summary) && errors[4] == error(whole.summary))

        // The network in the middle, evaluated as a training without steps that goes on from it.
        var middle = bench.dense { $0.seeds = Seeds(base: 99, replicate: 0) }
        let tensors = try Safetensors.decode(try #require(whole.outputs["final"])).tensors.keys.sorted().map { name in
            let parameter = String(name.dropFirst("trained.".count))
            let shape = try Safetensors.decode(whole.outputs["final"]!).tensors[name]!.shape
            let count = shape.reduce(1, *)
            let own = try twin.floats("final", "trained", parameter, count: count)
            let peer = try whole.floats("final", "trained", parameter, count: count)
            return Safetensors.Tensor(
                name: name, shape: shape, zip(own, peer).map { Float((Double($0) + Double($1)) / 2) })
        }
        let folder = try bench.folder.folder(middle.key.hex)
        try Data(Safetensors.encode(tensors)).write(to: URL(filePath: "\(folder)/final"))
        middle = bench.pruned(task, parent: middle, rate: "0")
        middle.start = .retrained(step: task.training.iterations, rate: .scheduled)
        #expect(errors[2] == error(try bench.train(middle).summary))
    }

    @Test("A comparison ends when the training is to stop, and is made whole by whoever goes on", arguments: [1, 4])
    func interrupted(batch: Int) throws {
        let task = bench.dense()
        _ = try bench.train(task)
        let sibling = sibling(of: task)
        let whole = try bench.train(sibling)
        let outputs = try bench.folder.folder("cut")
        /// Stops when told for the `stop`th time of the last step, at which there is an evaluation before the
        /// comparison.
        func run(_ task: TrainingTask, stop: Int) throws -> (result: LevelResult?, told: Int) {
            var told = 0
            let result = try LevelTrainer(registry: bench.registry, progressSeconds: 0).run(
                TrainingRequest(task: task, keepSteps: []), inputs: bench.inputs(of: task), outputDirectory: outputs,
                resumeFile: "\(outputs)/resume", checkpointSeconds: .infinity
            ) { progress in
                guard progress.step == task.training.iterations else { return .goOn }
                told += 1
                return told == stop ? .stop : .goOn
            }
            return (result, told)
        }
        let evaluation = try run(task, stop: .max).told
        let cut = try run(sibling, stop: evaluation + batch)
        #expect(cut.result == nil && cut.told == evaluation + batch)
        let result = try #require(try run(sibling, stop: .max).result)
        #expect(result.summary == whole.summary)
        for output in result.outputs {
            #expect(try contents(output.path) == whole.outputs[output.name.text], "\(output.name)")
        }
    }

    @Test(
        "A level and its sibling have one mask, whatever the criterion looks at",
        arguments: Registry.standard.criteria.map(\.name))
    func mask(name: String) throws {
        let criterion = try #require(Registry.standard.criteria.first { $0.name == name })
        let dense = bench.dense()
        _ = try bench.train(dense)
        let level = bench.pruned(dense, parent: dense, rate: "0.4") {
            $0.criterion = name
            $0.rounds = criterion.traits.rounds
            $0.examples = criterion.traits.readsExamples ? 5 : nil
        }
        let (own, other) = (try bench.train(level), try bench.train(sibling(of: level, points: 3)))
        for (layer, count) in bench.weightCounts.sorted(by: { $0.key < $1.key }) {
            #expect(try own.mask("\(layer).weight", count: count) == other.mask("\(layer).weight", count: count))
        }
        #expect(own.outputs["final"] != other.outputs["final"])
    }

    @Test("Looked at from the other end, the line is the same")
    func reversed() throws {
        let task = bench.dense()
        _ = try bench.train(task)
        let there = try bench.train(sibling(of: task))
        var back = task
        var plain = sibling(of: task)
        plain.connection = nil
        _ = try bench.train(plain)
        back.connection = .init(peer: plain.key, points: 5, batchNorm: .interpolated)
        #expect(try bench.train(back).summary.connectivity?.errors == there.summary.connectivity?.errors.reversed())
    }

    @Test("The comparison changes nothing about the training, whole or interrupted; the same noise has no barrier")
    func trainingIsTheSame() throws {
        let task = bench.dense()
        let whole = try bench.train(task)
        var plain = sibling(of: task)
        plain.connection = nil
        let twin = try bench.train(sibling(of: task), stops: [3, 39], place: "twin")
        #expect(try bench.train(plain).outputs == twin.outputs)

        var same = task
        same.connection = .init(peer: task.key, points: 7, batchNorm: .recomputed)
        let errors = try #require(try bench.train(same).summary.connectivity?.errors)
        #expect(Set(errors) == [error(whole.summary)])
    }

    @Test("A pruned sibling keeps its mask on the whole line, and every instruction set and path gives the same errors")
    func pruned() throws {
        let task = bench.dense()
        _ = try bench.train(task)
        let level = bench.pruned(task, parent: task, rate: "0.6")
        _ = try bench.train(level)
        let twin = try bench.train(sibling(of: level))
        #expect(twin.summary.layers.allSatisfy { $0.surviving < $0.weights })
        for (place, set) in InstructionSet.supported.enumerated() {
            for path in [KernelPath.dense, .sparse] {
                let other = try bench.train(
                    sibling(of: level), place: "\(place)-\(path)", engine: Engine(instructionSet: set, path: path))
                #expect(other.summary == twin.summary, "\(set), \(path)")
            }
        }
    }

    @Test(
        "Batch-norm's statistics are interpolated or recomputed, as the task says", arguments: [Precision.f32, .bf16])
    func batchNorm(precision: Precision) throws {
        let task = bench.dense {
            $0.model = ModelSettings()
            $0.model.family = "resnet"
            $0.model.depth = 8
            $0.model.width = 0.25
            $0.training.iterations = 16
            $0.training.evaluateEvery = 8
            $0.training.optimizer.name = "sgd"
            $0.training.learningRate = 0.05
            $0.training.precision = precision
            $0.numerics = precision == .bf16 ? .bf16Tiles16 : .f32Lanes16
        }
        let whole = try bench.train(task)
        let interpolated = try bench.train(sibling(of: task))
        let recomputed = try bench.train(sibling(of: task, .recomputed))
        let errors = try #require(interpolated.summary.connectivity?.errors)
        #expect(errors[0] == error(interpolated.summary) && errors[4] == error(whole.summary))
        let again = try #require(recomputed.summary.connectivity?.errors)
        // So short a training has statistics that lag behind its weights.
        #expect(again != errors)
        // The statistics that were moved are no part of what the level leaves.
        #expect(recomputed.outputs == interpolated.outputs)
        #expect(
            try bench.train(sibling(of: task, .recomputed), stops: [5], place: "again").summary == recomputed.summary)
    }

    @Test("What diverged is not compared; a line without points between is refused")
    func refused() throws {
        let task = bench.dense()
        _ = try bench.train(task)
        var diverging = sibling(of: task)
        diverging.training.learningRate = 1e30
        let outcome = try bench.train(diverging)
        #expect(outcome.summary.divergedAt != nil && outcome.summary.connectivity == nil)
        #expect(throws: TrainingError.self) { try bench.train(sibling(of: task, points: 2)) }
    }
}
