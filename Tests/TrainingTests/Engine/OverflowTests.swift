import Kernels
import Lottery
import Testing
import Training

/// Numbers that leave the range of f32 where no activation and no gradient shows it.
@Suite("Overflow at the edges of a step")
struct OverflowTests {
    init() { FloatingPointMode.flushDenormals() }

    private static let images: [UInt8] = (0..<16 * 12).map { UInt8($0 * 37 % 256) }
    private static let labels: [UInt8] = (0..<16).map { UInt8($0 % 3) }

    private func network(
        _ settings: OptimizerSettings, pixelDeviation: Float, path: KernelPath = .fastest, density: Double = 1,
        clip: Double = 0
    ) -> Network {
        var engine = Engine()
        engine.path = path
        var training = TrainingSettings()
        training.clip = clip
        let network = Network(
            TestNetworks.mlp(inputs: 12, hidden: [9], classes: 3), optimizer: settings, batch: 16,
            pixelMean: [0.25], pixelDeviation: [pixelDeviation], clipping: GradientClipping(training), engine: engine)
        let random = CounterRandom(seed: 3, purpose: .initialisation)
        for (index, parameter) in network.parameters.enumerated() {
            network.setValues(
                (0..<parameter.count).map { Float(0.2 * random.uniform(epoch: index, index: UInt64($0)) - 0.1) },
                of: index)
            guard parameter.isWeight, density < 1 else { continue }
            network.setMask(Mask((0..<parameter.count).map { $0 % 7 < 3 || $0 % 5 == 0 }), of: index)
        }
        return network
    }

    private func step(_ network: Network, learningRate: Float) -> StepOutcome {
        (0..<16).map { Int32($0) }.withUnsafeBufferPointer {
            network.train(images: Self.images, labels: Self.labels, indices: $0, learningRate: learningRate)
        }
    }

    private func bits(_ network: Network) -> [[UInt32]] {
        network.parameters.indices.map { network.values(of: $0).map(\.bitPattern) }
    }

    private static let optimizers: [OptimizerSettings] = ["sgd", "momentum", "adam", "adamw", "rmsprop"].map { name in
        var settings = OptimizerSettings()
        settings.name = name == "momentum" ? "sgd" : name
        settings.momentum = name == "momentum" ? 0.9 : 0
        return settings
    }

    @Test(
        "A step whose update would overflow diverges and changes nothing, however gradients are stored",
        arguments: optimizers.indices, [KernelPath.dense, .sparse])
    func update(optimizer: Int, path: KernelPath) {
        let settings = Self.optimizers[optimizer]
        for (density, clip) in [(1, 0), (0.5, 0), (1, 1e30)] as [(Double, Double)] {
            // Adam and RMSprop square gradients of 10²¹ and more; the others multiply them by the learning rate.
            let squares = settings.name.hasPrefix("adam") || settings.name == "rmsprop"
            let network = network(
                settings, pixelDeviation: squares ? 1e-23 : 1e-3, path: path, density: density, clip: clip)
            let parameters = bits(network)
            let state = network.optimizerState
            let note: Comment = "\(settings.name) \(path), density \(density), clip \(clip)"
            #expect(step(network, learningRate: squares ? 0.001 : 3e38) == .diverged, note)
            #expect(bits(network) == parameters, note)
            #expect(network.optimizerState == state, note)
        }
    }

    @Test(
        "No bound vouches for a step in which a gradient and its decay overflow together, if the rate makes the step small again"
    )
    func decayedGradient() {
        // In f32 3.4028e38 + 1e-3 · 5e37 is infinite; times a rate of 0.1 in real numbers it is not.
        let rule = UpdateRule.sgd(rate: 0.1, decay: 1e-3)
        #expect(!rule.staysFinite(present: Magnitude(5e37), gradient: Magnitude(3.4028e38)))
        #expect(rule.staysFinite(present: Magnitude(5), gradient: Magnitude(3e6)))
    }

    @Test("A step that no bound vouches for, and that stays finite, is taken")
    func unbounded() {
        let settings = Self.optimizers[0]
        let calm = network(settings, pixelDeviation: 1)
        let before = bits(calm)
        // Gradients here are far below 1, and the bound that multiplies sizes is not.
        guard case .trained = step(calm, learningRate: 2e38) else {
            Issue.record("diverged")
            return
        }
        #expect(bits(calm) != before)
        #expect(calm.parameters.indices.allSatisfy { calm.values(of: $0).allSatisfy { $0.isFinite } })
    }

    @Test("An evaluation makes no sums for batch-norm, so that theirs cannot overflow")
    func evaluationSums() throws {
        let shape = DatasetShape(
            name: "test", channels: 1, height: 4, width: 4, classes: 3, trainCount: 16, testCount: 16)
        let network = try resnet(shape)
        let images: [UInt8] = (0..<16 * 16).map { UInt8($0 * 37 % 256) }
        for (index, parameter) in network.parameters.enumerated() {
            // Maps near 10²⁵, whose squares overflow, and statistics that bring them back.
            if parameter.isWeight { network.setValues(Array(repeating: 1e25, count: parameter.count), of: index) }
            if parameter.role == .statistic, parameter.name.hasSuffix("running_var") {
                network.setValues(Array(repeating: 1e38, count: parameter.count), of: index)
            }
            if parameter.role == .bias { network.setValues(Array(repeating: 1e-8, count: parameter.count), of: index) }
        }
        if let output = network.parameters.lastIndex(where: \.isWeight) {
            network.setValues(Array(repeating: 0.5, count: network.parameters[output].count), of: output)
        }
        let evaluation = network.evaluate(images: images, labels: Self.labels, range: 0..<16)
        #expect(evaluation.lossSum.isFinite)
    }

    private func resnet(_ shape: DatasetShape) throws -> Network {
        var settings = ModelSettings()
        settings.family = "resnet"
        settings.depth = 8
        return Network(
            try ModelFamily.resnet.describe(settings, shape), optimizer: OptimizerSettings(), batch: 16,
            pixelMean: [0.25], pixelDeviation: [0.5])
    }
}
