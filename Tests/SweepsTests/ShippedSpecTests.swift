import Foundation
import Lottery
import Sweeps
import Testing
import Training

@Suite struct ShippedSpecTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("sweeps")

    private static let vocabulary = Registry.standard.vocabulary

    private func sweep(_ text: String) throws -> Sweep {
        try Sweep(yaml: text, file: "sweeps/x.yaml", vocabulary: Self.vocabulary)
    }

    private func shipped(_ name: String) throws -> Plan {
        let text = try String(contentsOf: Self.folder.appendingPathComponent("\(name).yaml"), encoding: .utf8)
        return try Plan(
            sweep: sweep(text), vocabulary: Self.vocabulary, dataDigest: { Digest.of($0.utf8) }, known: { _ in nil })
    }

    @Test("Each spec in sweeps/ reads, is called what its file is, and says what it asks")
    func all() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).filter {
            $0.hasSuffix(".yaml")
        }.sorted()
        #expect(Set(files).isSuperset(of: ["mnist-lenet.yaml", "quickstart.yaml", "warmup.yaml"]))
        for file in files {
            let text = try String(contentsOf: Self.folder.appendingPathComponent(file), encoding: .utf8)
            #expect(text.hasPrefix("# ") && text.contains("?"), "\(file) does not begin with its question")
            #expect("\(try sweep(text).name).yaml" == file)
        }
    }

    @Test("mnist-lenet has the settings of Frankle & Carbin 2019")
    func lenet() throws {
        let plan = try shipped("mnist-lenet")
        let settings = plan.sweep.points[0].settings
        #expect(settings.training.iterations == 50_000)
        #expect(settings.training.batch == 60)
        #expect(settings.training.learningRate == 1.2e-3)
        #expect(settings.training.optimizer == OptimizerSettings())
        #expect(settings.data.validation == 5_000)
        #expect(settings.pruning.levels == 15)
        #expect(plan.sweep.replicates == 5)
        #expect(plan.tasks.count == 5 * (1 + 15 * 3))
        #expect(abs(plan.forecast(point: 0).densities[15] - 0.036) < 5e-4)
    }

    @Test("conv-6-cifar-short prunes convolutions to 6 % and dense layers to 3 %")
    func conv6() throws {
        let plan = try shipped("conv-6-cifar-short")
        #expect(plan.tasks.count == 3 * (1 + 4 * 2))
        #expect((0.04...0.05).contains(plan.forecast(point: 0).densities[4]))
    }

    @Test("precision compares two trainings of each seed")
    func precision() throws {
        let plan = try shipped("precision")
        #expect(plan.tasks.map(\.task.numerics).count { $0 == .bf16Tiles16 } == 5 && plan.tasks.count == 10)
    }

    @Test("quickstart shares its dense trainings and stays small")
    func quickstart() throws {
        let plan = try shipped("quickstart")
        #expect(plan.tasks.count { $0.role == .dense } == plan.sweep.replicates)
        #expect(plan.summary.tasks < plan.summary.tasksWithoutSharing)
        #expect(plan.summary.steps < 300_000)
    }

    @Test("warmup spans depth, warmup, learning rate, prune rate and rewind step")
    func warmup() throws {
        let plan = try shipped("warmup")
        #expect(Set(plan.sweep.axes.map(\.name)) == ["depth", "warmup", "lr", "prune_rate", "rewind"])
        #expect(plan.sweep.excludedCount > 0)
    }
}
