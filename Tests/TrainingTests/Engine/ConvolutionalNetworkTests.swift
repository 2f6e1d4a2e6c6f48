import Kernels
import Lottery
import Testing
import Training

/// Networks of every layer kind on small images whose label depends on them.
private struct Fixture {
    let family: String
    let side: Int
    var batch = 13
    let classes = 4
    let imageCount = 61
    let images: [UInt8]
    let labels: [UInt8]

    /// Families with batch-norm and without, both shortcuts, maps of 32 pixels down to 2.
    static let families = ["conv-2", "conv-4", "resnet-A", "resnet-B", "vgg"]

    init(_ family: String, side: Int? = nil) {
        self.family = family
        let side = side ?? (family == "vgg" ? 16 : 8)
        self.side = side
        let random = CounterRandom(seed: 5, purpose: .glyphs)
        var images: [UInt8] = []
        var labels: [UInt8] = []
        for image in 0..<imageCount {
            let label = random.integer(below: 4, epoch: 1, index: UInt64(image))
            labels.append(UInt8(label))
            for channel in 0..<3 {
                for pixel in 0..<side * side {
                    let noise = random.integer(
                        below: 120, epoch: 2, index: UInt64((image * 3 + channel) * side * side + pixel))
                    let bright = pixel / (side * side / 2) * 2 + pixel % side / (side / 2) == label
                    images.append(UInt8(noise + (bright ? 120 : 0)))
                }
            }
        }
        self.images = images
        self.labels = labels
    }

    func description() -> NetworkDescription {
        TestNetworks.make(
            String(family.split(separator: "-")[0]) == "conv" ? family : String(family.split(separator: "-")[0]),
            height: side, width: side, classes: classes
        ) { settings in
            settings.width = family == "mlp" ? nil : family == "vgg" ? 0.1 : 0.3
            if family == "mlp" { settings.hidden = [20, 9] }
            if family.hasPrefix("resnet") {
                settings.depth = 8
                settings.shortcut = family.hasSuffix("A") ? .padding : .projection
            }
            if family == "vgg" { settings.depth = 13 }
        }
    }

    func network(
        _ engine: Engine = Engine(), batch: Int? = nil, clip: Double = 0, smoothing: Double = 0,
        deviation: Float = 0.25, _ change: (inout OptimizerSettings) -> Void = { _ in }
    ) -> Network {
        FloatingPointMode.flushDenormals()
        var optimizer = OptimizerSettings()
        optimizer.name = "sgd"
        optimizer.momentum = 0.9
        optimizer.weightDecay = 1e-4
        change(&optimizer)
        var training = TrainingSettings()
        training.clip = clip
        let network = Network(
            description(), optimizer: optimizer, batch: batch ?? self.batch, pixelMean: [0.4, 0.5, 0.6],
            pixelDeviation: [deviation, deviation, deviation], labelSmoothing: smoothing,
            clipping: GradientClipping(training), engine: engine)
        let random = CounterRandom(seed: 1, purpose: .initialisation)
        for (index, parameter) in network.parameters.enumerated() where parameter.isWeight {
            let fanIn = parameter.count / parameter.shape[0]
            let scale = (6 / Double(fanIn)).squareRoot()
            network.setValues(
                (0..<parameter.count).map {
                    Float(scale * (2 * random.uniform(epoch: index, index: UInt64($0)) - 1))
                }, of: index)
        }
        return network
    }

    func indices(_ step: Int, count: Int? = nil) -> [Int32] {
        (0..<(count ?? batch)).map { Int32((step * batch + $0 * 7) % imageCount) }
    }

    @discardableResult
    func train(_ network: Network, steps: Range<Int>, count: Int? = nil, rate: Float = 0.02) -> StepOutcome {
        var outcome = StepOutcome.diverged
        for step in steps {
            outcome = indices(step, count: count).withUnsafeBufferPointer {
                network.train(images: images, labels: labels, indices: $0, learningRate: rate)
            }
            if outcome == .diverged { return outcome }
        }
        return outcome
    }

    func evaluate(_ network: Network, _ range: Range<Int>? = nil) -> (lossSum: Double, correct: Int) {
        network.evaluate(images: images, labels: labels, range: range ?? 0..<imageCount)
    }

    /// Every bit that a training leaves.
    func bits(_ network: Network, evaluated: Range<Int>? = nil) -> [[UInt32]] {
        let evaluation = evaluate(network, evaluated)
        return parameterBits(network) + [
            [UInt32(truncatingIfNeeded: evaluation.lossSum.bitPattern), UInt32(evaluation.correct)]
        ]
    }

    private func parameterBits(_ network: Network) -> [[UInt32]] {
        network.parameters.indices.map { network.values(of: $0).map(\.bitPattern) }
    }

    /// Trains a network by a step of each count of images: digests of what is left after each, and of an evaluation
    /// after the last.
    func trace(_ engine: Engine, pruned: Bool, counts: [Int]) -> [String] {
        let network = network(engine, batch: counts.max())
        if pruned { prune(network) }
        let steps = counts.enumerated().map { step, count in
            // Batch-norm of a single image makes large gradients.
            let outcome = train(network, steps: step..<step + 1, count: count, rate: 1e-3)
            return outcome == .diverged ? "diverged" : "\(count): \(digest(parameterBits(network)))"
        }
        return steps + ["evaluated: \(digest(bits(network)))"]
    }
}

/// Uneven masks: from nearly dense to nearly empty, and one channel that leads nowhere.
private func prune(_ network: Network, scale: Double = 1) {
    let random = CounterRandom(seed: 2, purpose: .randomMask)
    var layer = 0
    for (index, parameter) in network.parameters.enumerated() where parameter.isWeight {
        let density = [0.9, 0.3, 0.08, 0.5][layer % 4] * scale
        let perInput = parameter.shape.count == 4 ? parameter.shape[2] * parameter.shape[3] : 1
        network.setMask(
            Mask(
                (0..<parameter.count).map { flat in
                    let input = flat / perInput % parameter.shape[1]
                    return !(layer > 0 && input == 1) && random.uniform(epoch: index, index: UInt64(flat)) < density
                }), of: index)
        layer += 1
    }
}

private func digest(_ bits: [[UInt32]]) -> String {
    Digest.of(bits.joined().flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }).short
}

@Suite("Convolutional networks in training")
struct ConvolutionalNetworkTests {
    private static let families = Fixture.families

    /// A part of a block, one image, and four blocks of which the last is not full.
    private static let counts = [13, 1, 50]

    @Test(
        "Every instruction set and every path trains to the same bits, on 13 images, on one and on 50",
        arguments: families, [false, true])
    func paths(family: String, pruned: Bool) {
        let fixture = Fixture(family)
        let expected = fixture.trace(Engine(), pruned: pruned, counts: Self.counts)
        #expect(!expected.contains("diverged"))
        for set in InstructionSet.supported {
            for path in KernelPath.allCases {
                let engine = Engine(instructionSet: set, path: path)
                #expect(fixture.trace(engine, pruned: pruned, counts: Self.counts) == expected, "\(engine)")
            }
        }
    }

    @Test(
        "In bf16, too, for every backend of its tiles, dense and pruned", arguments: families + ["mlp"], [false, true])
    func tiles(family: String, pruned: Bool) {
        let fixture = Fixture(family)
        let expected = fixture.trace(Engine(precision: .bf16), pruned: pruned, counts: Self.counts)
        #expect(!expected.contains("diverged"))
        for backend in TileBackend.supported {
            let engine = Engine(precision: .bf16, tiles: backend)
            #expect(fixture.trace(engine, pruned: pruned, counts: Self.counts) == expected, "\(engine)")
        }
        let full = fixture.trace(Engine(), pruned: pruned, counts: Self.counts)
        #expect(zip(expected, full).allSatisfy { $0 != $1 }, "bf16 has the bits of f32")
    }

    // Maps of 32 × 32 pixels are more than the cache holds at once.
    @Test(
        "A batch that goes through the layers in ranges of one block, of two, of three or whole leaves the same bits",
        arguments: [("mlp", 8), ("conv-2", 32), ("resnet-B", 32), ("vgg", 16)], Precision.allCases)
    func ranges(of: (family: String, side: Int), precision: Precision) {
        let fixture = Fixture(of.family, side: of.side)
        for (path, pruned) in [(KernelPath.dense, false), (.sparse, true)] {
            var engine = Engine(precision: precision, path: path)
            var traces: [String: [String]] = [:]
            for blocks in [nil, 1, 2, 3, 4] {
                engine.blocksAtOnce = blocks
                traces["\(engine)"] = fixture.trace(engine, pruned: pruned, counts: [50, 17])
            }
            #expect(Set(traces.values).count == 1, "\(traces)")
        }
    }

    @Test("In bf16 a step moves half as much, and the network takes half the memory or less", arguments: families)
    func sizes(family: String) {
        let description = Fixture(family).description()
        let moved = [Precision.f32, .bf16].map {
            description.bytesPerStep(batch: 1_024, precision: $0, stateCount: 1)
        }
        // In f32, what the convolutions of `conv` compute before a pooling is never stored.
        let most = family.hasPrefix("conv") ? 0.75 : 0.62
        #expect((0.45...most).contains(moved[1] / moved[0]), "\(family): \(moved)")
        let held = [Precision.f32, .bf16].map { description.memoryBytes(batch: 1_024, precision: $0, stateCount: 1) }
        #expect((0.3...0.75).contains(Double(held[1]) / Double(held[0])), "\(held)")
    }

    @Test(
        "A training continued elsewhere has the bits of one that was not stopped", arguments: families, [false, true])
    func continued(family: String, bf16: Bool) {
        let fixture = Fixture(family)
        let engine = Engine(precision: bf16 ? .bf16 : .f32)
        let whole = fixture.network(engine)
        prune(whole)
        fixture.train(whole, steps: 0..<6)

        let first = fixture.network(engine)
        prune(first)
        fixture.train(first, steps: 0..<3)
        let second = fixture.network(engine)
        for index in second.parameters.indices {
            if second.parameters[index].isWeight { second.setMask(first.mask(of: index), of: index) }
            second.setValues(first.values(of: index), of: index)
        }
        second.optimizerState = first.optimizerState
        fixture.train(second, steps: 3..<6)
        #expect(fixture.bits(second) == fixture.bits(whole))
    }

    /// A training that has others beside it.
    private struct Neighbour {
        let family: String
        let engine: Engine
        let pruned: Bool
        let count: Int

        func trace() -> [String] { Fixture(family).trace(engine, pruned: pruned, counts: [count, count, count]) }
    }

    @Test("Training beside others, like it or of another network, batch, density and precision, changes no bit")
    func beside() async {
        let trainings = [
            Neighbour(family: "resnet-B", engine: Engine(), pruned: false, count: 13),
            Neighbour(family: "vgg", engine: Engine(precision: .bf16), pruned: false, count: 17),
            Neighbour(family: "conv-2", engine: Engine(path: .sparse), pruned: true, count: 50),
            Neighbour(family: "resnet-A", engine: Engine(precision: .bf16), pruned: true, count: 33),
            Neighbour(family: "mlp", engine: Engine(path: .sparse), pruned: true, count: 40),
            Neighbour(family: "mlp", engine: Engine(precision: .bf16), pruned: false, count: 16),
        ]
        let alone = trainings.map { $0.trace() }
        // Two of each, in an order in which different ones and equal ones meet.
        let places = trainings.indices.flatMap { [$0, ($0 + 1) % trainings.count] }
        let results = await withTaskGroup(of: (Int, [String]).self) { group in
            for place in places { group.addTask { (place, trainings[place].trace()) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results.count == 2 * trainings.count)
        for (place, trace) in results { #expect(trace == alone[place], "\(trainings[place])") }
    }

    @Test("Gradients by weights, biases, γ and β are those of finite differences", arguments: families)
    func finiteDifferences(family: String) throws {
        let fixture = Fixture(family)
        let network = fixture.network()
        prune(network)
        let indices = fixture.indices(1)
        func loss() -> Double? {
            indices.withUnsafeBufferPointer {
                network.lossAndGradient(images: fixture.images, labels: fixture.labels, indices: $0).map {
                    Double($0.loss)
                }
            }
        }
        let gradients = try #require(
            indices.withUnsafeBufferPointer {
                network.lossAndGradient(images: fixture.images, labels: fixture.labels, indices: $0)
            }
        ).gradients
        // Along the gradient of one tensor the loss changes by the square of its norm: one number to which every
        // element contributes, large enough to be seen in f32.
        var compared = 0
        for (index, parameter) in network.parameters.enumerated() where parameter.isTrained {
            let square = gradients[index].reduce(0) { $0 + Double($1) * Double($1) }
            guard square > 1e-4 else { continue }
            compared += 1
            let values = network.values(of: index)
            let length = 2e-3 / square.squareRoot()
            func moved(_ sign: Double) -> Double? {
                network.setValues(
                    zip(values, gradients[index]).map { $0 + Float(sign * length * Double($1)) }, of: index)
                return loss()
            }
            let difference = try #require(moved(1)) - #require(moved(-1))
            network.setValues(values, of: index)
            let expected = 2 * length * square
            // A ReLU or a maximum may change sides within the step; PyTorch's gradients are the sharper test.
            #expect(
                abs(difference - expected) < 0.2 * abs(expected), "\(parameter.name): \(difference), \(expected)")
        }
        // At θ0 some tensors have a gradient too small to be seen so; not most.
        #expect(2 * compared > network.parameters.count { $0.isTrained }, "\(compared) tensors")
    }

    @Test("Each family learns, dense, pruned and in bf16", arguments: families)
    func learns(family: String) {
        let fixture = Fixture(family)
        for (pruned, precision) in [(false, Precision.f32), (true, .f32), (false, .bf16)] {
            let network = fixture.network(Engine(precision: precision)) { $0.momentum = 0.9 }
            if pruned { prune(network, scale: 1.1) }
            fixture.train(network, steps: 0..<120, rate: family.hasPrefix("conv") ? 0.03 : 0.02)
            let result = fixture.evaluate(network)
            #expect(result.correct > 50, "pruned \(pruned), \(precision): \(result)")
        }
    }

    @Test("Evaluation does not depend on the division into batches, and leaves no trace", arguments: families)
    func evaluation(family: String) {
        let fixture = Fixture(family)
        let network = fixture.network()
        let undisturbed = fixture.network()
        fixture.train(network, steps: 0..<2)
        fixture.train(undisturbed, steps: 0..<2)
        let whole = fixture.evaluate(network)
        var lossSum = 0.0
        var correct = 0
        for image in 0..<fixture.imageCount {
            let one = fixture.evaluate(network, image..<image + 1)
            lossSum += one.lossSum
            correct += one.correct
        }
        #expect(lossSum == whole.lossSum && correct == whole.correct)
        fixture.train(network, steps: 2..<4)
        fixture.train(undisturbed, steps: 2..<4)
        #expect(fixture.bits(network) == fixture.bits(undisturbed))
    }

    @Test("Batches of one image, of odd sizes and of several blocks", arguments: families, [1, 16, 17, 50])
    func batches(family: String, count: Int) {
        let fixture = Fixture(family)
        let trained = [KernelPath.dense, .sparse].map { path in
            let network = fixture.network(Engine(path: path), batch: 50)
            #expect(fixture.train(network, steps: 0..<2, count: count, rate: 1e-3) != .diverged)
            return fixture.bits(network)
        }
        #expect(trained[0] == trained[1])
    }

    @Test(
        "Layers pruned to nothing: the network trains on, to the same bits with every engine, and pruned weights stay zero",
        arguments: families, Precision.allCases)
    func emptied(family: String, precision: Precision) {
        let fixture = Fixture(family)
        // Positions among the weights; nil for all of them.
        for position in [0, 1, 3, nil] {
            let digests = Engine.all(precision).map { engine in
                let network = fixture.network(engine)
                let weights = network.parameters.indices.filter { network.parameters[$0].isWeight }
                for index in position.map({ [weights[$0]] }) ?? weights {
                    network.setMask(Mask(Array(repeating: false, count: network.parameters[index].count)), of: index)
                }
                #expect(fixture.train(network, steps: 0..<2) != .diverged, "layer \(position ?? -1), \(engine)")
                #expect(network.prunedWeightsAreZero())
                #expect(fixture.evaluate(network, 0..<1).lossSum.isFinite)
                return digest(fixture.bits(network, evaluated: 0..<16))
            }
            #expect(Set(digests).count == 1, "layer \(position ?? -1): \(digests)")
        }
    }

    // A residual network's first channels are led on by its shortcut.
    @Test(
        "A channel that leads nowhere takes no part: not even an overflow in it shows",
        arguments: families.filter { !$0.hasPrefix("resnet") })
    func deadChannel(family: String) {
        let fixture = Fixture(family)
        let calm = fixture.network()
        let wild = fixture.network()
        prune(calm)
        prune(wild)
        // Channel 1 of the first layer leads nowhere.
        var weights = wild.values(of: 0)
        let perOutput = weights.count / wild.parameters[0].shape[0]
        for flat in perOutput..<2 * perOutput { weights[flat] *= 1e38 }
        wild.setValues(weights, of: 0)
        #expect(fixture.train(calm, steps: 0..<3) != .diverged)
        #expect(fixture.train(wild, steps: 0..<3) != .diverged)
        // Of the first convolution, and of the batch-norm after it, the channel's own numbers differ.
        let first = calm.parameters.firstIndex { $0.name != calm.parameters[0].name && $0.isWeight }!
        let (calmBits, wildBits) = (fixture.bits(calm), fixture.bits(wild))
        #expect(calmBits[0] != wildBits[0])
        #expect(Array(calmBits[first...]) == Array(wildBits[first...]))
    }

    @Test(
        "A step in which anything overflows diverges, changes nothing and leaves nothing behind, on every path",
        arguments: families)
    func divergence(family: String) {
        let fixture = Fixture(family)
        let engines =
            [Engine(path: .dense), Engine(path: .sparse, blocksAtOnce: 1), Engine(precision: .bf16, blocksAtOnce: 1)]
            + TileBackend.supported.map { Engine(precision: .bf16, tiles: $0) }
        for engine in engines {
            let (network, calm) = (fixture.network(engine, batch: 40), fixture.network(engine, batch: 40))
            fixture.train(network, steps: 0..<1)
            fixture.train(calm, steps: 0..<1)
            let weights = network.parameters.indices.filter { network.parameters[$0].isWeight }
            var kept = network.values(of: weights[1])
            for bad: Float in [.infinity, .nan, 3e38] {
                var values = kept
                for flat in values.indices.prefix(20) { values[flat] = bad }
                network.setValues(values, of: weights[1])
                let before = network.parameters.indices.map { network.values(of: $0).map(\.bitPattern) }
                let state = network.optimizerState
                // Of three blocks: more than the batches that follow have.
                #expect(fixture.train(network, steps: 1..<2, count: 40) == .diverged, "\(bad)")
                #expect(network.parameters.indices.map { network.values(of: $0).map(\.bitPattern) } == before)
                #expect(network.optimizerState == state)
                #expect(fixture.evaluate(network).lossSum.isNaN)
                network.setValues(kept, of: weights[1])
                #expect(fixture.train(network, steps: 1..<3) != .diverged)
                fixture.train(calm, steps: 1..<3)
                #expect(fixture.bits(network) == fixture.bits(calm), "after \(bad), \(engine)")
                kept = network.values(of: weights[1])
            }
        }
    }

    @Test(
        "One class has nothing to learn: no loss, no gradient, and every image right, of three and of one",
        arguments: Precision.allCases, [[4, 0, 2], [3]] as [[Int32]])
    func oneClass(precision: Precision, indices: [Int32]) {
        FloatingPointMode.flushDenormals()
        for description in [
            TestNetworks.mlp(inputs: 9, hidden: [5], classes: 1),
            TestNetworks.make("conv-2", channels: 1, height: 3, width: 3, classes: 1) { $0.width = 0.1 },
            TestNetworks.make("resnet", channels: 1, height: 3, width: 3, classes: 1) {
                ($0.depth, $0.width) = (8, 0.1)
            },
        ] {
            let digests = Engine.all(precision).map { engine in
                let network = Network(
                    description, optimizer: OptimizerSettings(), batch: 4, pixelMean: [0.5], pixelDeviation: [0.25],
                    engine: engine)
                for (index, parameter) in network.parameters.enumerated() where parameter.isWeight {
                    network.setValues((0..<parameter.count).map { Float($0 % 7) / 9 - 0.3 }, of: index)
                }
                let trained = network.parameters.indices.filter { network.parameters[$0].isTrained }
                let before = trained.map { network.values(of: $0) }
                let images = (0..<5 * 9).map { UInt8($0 * 5) }
                let labels = [UInt8](repeating: 0, count: 5)
                let outcome = indices.withUnsafeBufferPointer {
                    network.train(images: images, labels: labels, indices: $0, learningRate: 0.1)
                }
                #expect(outcome == .trained(loss: 0), "\(engine)")
                #expect(trained.map { network.values(of: $0) } == before, "\(engine)")
                #expect(network.evaluate(images: images, labels: labels, range: 0..<5) == (0, 5), "\(engine)")
                return digest(network.parameters.indices.map { network.values(of: $0).map(\.bitPattern) })
            }
            #expect(Set(digests).count == 1, "\(digests)")
        }
    }

    @Test("A gradient that is clipped to nothing much moves weights by no more than that")
    func clipping() {
        let fixture = Fixture("resnet-B")
        let network = fixture.network(clip: 1e-3) {
            $0.momentum = 0
            $0.weightDecay = 0
        }
        let before = network.parameters.indices.map { network.values(of: $0) }
        fixture.train(network, steps: 0..<1, rate: 1)
        var square = 0.0
        for (index, parameter) in network.parameters.enumerated() where parameter.isTrained {
            for (old, new) in zip(before[index], network.values(of: index)) {
                square += (Double(old) - Double(new)) * (Double(old) - Double(new))
            }
        }
        #expect(abs(square.squareRoot() - 1e-3) < 1e-5)
    }

    @Test("Label smoothing changes training and not evaluation")
    func smoothing() throws {
        let fixture = Fixture("conv-2")
        let plain = fixture.network()
        let smooth = fixture.network(smoothing: 0.1)
        #expect(fixture.evaluate(plain) == fixture.evaluate(smooth))
        let losses = try [plain, smooth].map { network in
            try #require(
                fixture.indices(0).withUnsafeBufferPointer {
                    network.lossAndGradient(images: fixture.images, labels: fixture.labels, indices: $0)
                }
            ).loss
        }
        #expect(losses[0] != losses[1])
    }

    @Test("Optimizers keep compact state of survivors only", arguments: ["adam", "sgd", "rmsprop"])
    func state(optimizer: String) throws {
        let fixture = Fixture("vgg")
        let network = fixture.network {
            $0.name = optimizer
            $0.momentum = optimizer == "sgd" ? 0.9 : 0
        }
        fixture.train(network, steps: 0..<2, rate: 1e-3)
        prune(network)
        #expect(network.prunedWeightsAreZero())
        fixture.train(network, steps: 2..<4, rate: 1e-3)
        #expect(network.prunedWeightsAreZero())
        let slots = Set(network.optimizerState.tensors.map(\.slot)).count
        #expect(slots == (optimizer == "adam" ? 2 : 1))
        for (index, parameter) in network.parameters.enumerated() where parameter.kind == .conv && parameter.isWeight {
            let survivors = try #require(network.mask(of: index)).survivors
            #expect(network.floatsHeld(by: index) <= (1 + slots) * (survivors + 15), "\(parameter.name)")
        }
    }
}
