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
        try plan(String(contentsOf: Self.folder.appendingPathComponent("\(name).yaml"), encoding: .utf8))
    }

    /// As of a new sweep.
    private func plan(_ text: String) throws -> Plan {
        let plan = try Plan(
            sweep: sweep(text), vocabulary: Self.vocabulary, dataDigest: { Digest.of($0.utf8) }, known: { _ in nil })
        try plan.checkAsNew()
        return plan
    }

    @Test("Each spec in sweeps/ reads, is called what its file is, and says what it asks")
    func all() throws {
        let files = try FileManager.default.subpathsOfDirectory(atPath: Self.folder.path).filter {
            $0.hasSuffix(".yaml")
        }.sorted()
        #expect(Set(files).isSuperset(of: ["p1/lenet.yaml", "quickstart.yaml", "warmup-atlas.yaml", "warmup.yaml"]))
        for file in files {
            let text = try String(contentsOf: Self.folder.appendingPathComponent(file), encoding: .utf8)
            #expect(text.hasPrefix("# ") && text.contains("?"), "\(file) does not begin with its question")
            // One store can hold all of them, so a preset's name says whose it is.
            let name = try shipped(String(file.dropLast(".yaml".count))).sweep.name
            #expect("\(name).yaml" == file.replacingOccurrences(of: "/", with: "-"))
        }
    }

    @Test("No shipped spec has more tasks, or steps, than its runs have on their own")
    func sharing() throws {
        for file in try FileManager.default.subpathsOfDirectory(atPath: Self.folder.path).sorted()
        where file.hasSuffix(".yaml") {
            let summary = try shipped(String(file.dropLast(".yaml".count))).summary
            #expect(summary.tasks <= summary.tasksWithoutSharing, "\(file)")
            #expect(summary.steps <= summary.stepsWithoutSharing, "\(file)")
        }
    }

    @Test("The specs of the README are taken on as new sweeps")
    func readme() throws {
        let file = Self.folder.deletingLastPathComponent().appendingPathComponent("README.md")
        let blocks = try String(contentsOf: file, encoding: .utf8).components(separatedBy: "```yaml\n").dropFirst()
        // The others are lines to be added to one.
        let specs = blocks.map { $0.components(separatedBy: "\n```")[0] }.filter { $0.hasPrefix("name:") }
        #expect(specs.count >= 2)
        for spec in specs { _ = try plan(spec) }
    }

    /// What Frankle & Carbin 2019 say of one network: figure 2 and section 4.
    struct Published: CustomTestStringConvertible, Sendable {
        var preset: String
        var weights: Int
        var batch: Int
        var iterations: Int
        /// Learning rate and warmup of each point.
        var points: [(rate: Double, warmup: Int)]
        /// Steps from which the rate is a tenth, and a hundredth.
        var decay: [Int] = []
        var rates: PruneRates
        /// Levels whose share of all weights the paper names.
        var densities: [Int: Double]
        /// Controls at each level.
        var controls = 1

        var testDescription: String { preset }
    }

    private static let published = [
        Published(
            preset: "lenet", weights: 266_200, batch: 60, iterations: 50_000, points: [(1.2e-3, 0)],
            rates: rates(conv: "0", fc: "0.2", output: "0.1"), densities: [7: 0.211, 9: 0.135, 15: 0.036], controls: 2),
        Published(
            preset: "conv-2", weights: 4_300_992, batch: 60, iterations: 20_000, points: [(2e-4, 0)],
            rates: rates(conv: "0.1", fc: "0.2", output: "0.1"), densities: [11: 0.088, 14: 0.046]),
        Published(
            preset: "conv-4", weights: 2_425_024, batch: 60, iterations: 25_000, points: [(3e-4, 0)],
            rates: rates(conv: "0.1", fc: "0.2", output: "0.1"), densities: [11: 0.111, 12: 0.092]),
        // The paper says 26.4 and 15.1 %; by its own rates and counts it is 0.2 points more.
        Published(
            preset: "conv-6", weights: 2_261_184, batch: 60, iterations: 30_000, points: [(3e-4, 0)],
            rates: rates(conv: "0.15", fc: "0.2", output: "0.1"), densities: [7: 0.266, 10: 0.153]),
        Published(
            preset: "resnet-20", weights: 270_896, batch: 128, iterations: 30_000,
            points: [(0.1, 0), (0.01, 0), (0.03, 20_000)], decay: [20_000, 25_000],
            rates: rates(conv: "0.2", fc: "0", output: "0"), densities: [10: 0.118]),
        Published(
            preset: "vgg-19", weights: 20_024_000, batch: 64, iterations: 112_480,
            points: [(0.1, 0), (0.01, 0), (0.1, 10_000)], decay: [56_240, 84_360],
            rates: rates(conv: "0.2", fc: "0", output: "0"), densities: [19: 0.015]),
    ]

    private static func rates(conv: String, fc: String, output: String) -> PruneRates {
        PruneRates(conv: Ratio(conv)!, fc: Ratio(fc)!, output: Ratio(output)!)
    }

    @Test("Presets have the counts, schedules and densities of Frankle & Carbin 2019", arguments: published)
    func preset(_ published: Published) throws {
        let plan = try shipped("p1/\(published.preset)")
        let name = plan.sweep.points[0].settings.dataset
        let dataset = try #require(Self.vocabulary.datasets.first { $0.name == name })
        #expect(plan.sweep.replicates == 5)
        #expect(plan.sweep.points.map(\.settings.training.learningRate) == published.points.map(\.rate))
        #expect(plan.sweep.points.map(\.settings.training.warmup) == published.points.map(\.warmup))
        for point in plan.sweep.points {
            let (data, training, pruning) = (point.settings.data, point.settings.training, point.settings.pruning)
            #expect(data.validation == 5_000)
            #expect(point.settings.model.initialisation == "glorot-normal")
            #expect(training.batch == published.batch && training.iterations == published.iterations)
            #expect(training.decay == published.decay.map { Decay(at: $0, by: 0.1) })
            #expect(training.evaluateEvery == 100)
            #expect(pruning.rate == published.rates && pruning.rewind == 0 && pruning.criterion == "magnitude")
            if published.decay.isEmpty {
                #expect(training.optimizer == OptimizerSettings() && pruning.scope == .layer)
                #expect(!data.augment.flip && data.augment.crop == 0)
            } else {
                #expect(training.optimizer.name == "sgd" && training.optimizer.momentum == 0.9)
                #expect(training.optimizer.weightDecay == 1e-4 && pruning.scope == .global)
                #expect(data.augment.flip && data.augment.crop == 4)
            }
            let layers = try Self.vocabulary.layers(point.settings.model, dataset)
            #expect(layers.reduce(0) { $0 + $1.weights } == published.weights)
            let forecast = plan.forecast(point: point.index)
            for (level, density) in published.densities {
                let remaining = published.weights - forecast.surviving[0] + forecast.surviving[level]
                #expect(abs(Double(remaining) / Double(published.weights) - density) < 6e-4, "level \(level)")
            }
        }
        let levels = plan.sweep.points[0].settings.pruning.levels
        #expect(plan.tasks.count == published.points.count * 5 * (1 + levels * (1 + published.controls)))
    }

    @Test("The atlas has every depth with its family's recipe, and shares what does not depend on the rewind step")
    func atlas() throws {
        let plan = try shipped("warmup-atlas")
        #expect(plan.sweep.points.count == 8 * 3 * 6 * 2)
        for point in plan.sweep.points {
            let (model, training) = (point.settings.model, point.settings.training)
            let isResNet = model.family == "resnet"
            #expect(training.batch == (isResNet ? 128 : 64))
            #expect(training.iterations == (isResNet ? 30_000 : 112_480))
            #expect(training.decay.map(\.at) == (isResNet ? [20_000, 25_000] : [56_240, 84_360]))
            // P1 finds winning tickets of VGG-19 down to 1.5 %.
            #expect(try #require(plan.forecast(point: point.index).densities.last) < 0.013)
        }
        #expect(plan.tasks.count { $0.role == .dense } == plan.sweep.runCount / 2)
    }

    @Test("The mini study has an arm for each help, of which one differs in warmup alone; its screen has other seeds")
    func mini() throws {
        let mini = try shipped("warmup-mini")
        let contrast = try Contrast(plan: mini, axis: "warmup", control: "random-reinit") { _ in .pending }
        #expect(contrast.panels.map { $0.point["depth"]?.description } == ["11", "19"])
        #expect(contrast.panels.allSatisfy { $0.from.description == "0" && $0.to.description == "500" })
        #expect(contrast.panels.allSatisfy { abs($0.levels[0].densityFrom - 0.0625) < 1e-4 })
        #expect(try Contrast(plan: mini, axis: "rewind", control: "random-reinit") { _ in .pending }.panels.count == 2)
        let screen = try shipped("warmup-screen")
        #expect(screen.tasks.count == 72)
        let seeds = Set(screen.tasks.map(\.task.seeds.initialisation))
        #expect(seeds.count == 3 && seeds.isDisjoint(with: mini.tasks.map(\.task.seeds.initialisation)))
        func setting(_ plan: Plan) -> [Settings] {
            plan.sweep.points.map {
                var settings = $0.settings
                settings.pruning = PruningSettings()
                settings.matchingMargin = 0
                settings.training.evaluateEvery = 1
                settings.training.test = .always
                return settings
            }
        }
        // But for what the screen has no need of, its points are those of the study.
        let screened = Set(setting(screen))
        let isScreened = setting(mini).map(screened.contains)
        #expect(zip(mini.sweep.points, isScreened).allSatisfy { $1 || $0.settings.training.learningRate == 0.01 })
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
