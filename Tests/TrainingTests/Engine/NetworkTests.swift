import Foundation
import Kernels
import Lottery
import Testing
import Training

/// A small data set of random images whose label depends on them, and a network for it.
private struct Fixture {
    var inputs = 21
    var hidden = [18, 7]
    var classes = 4
    var batch = 13
    var imageCount = 90
    var images: [UInt8] = []
    var labels: [UInt8] = []

    init() {
        let random = CounterRandom(seed: 5, purpose: .glyphs)
        for image in 0..<imageCount {
            let label = random.integer(below: classes, epoch: 1, index: UInt64(image))
            labels.append(UInt8(label))
            for feature in 0..<inputs {
                let noise = random.integer(below: 120, epoch: 2, index: UInt64(image * inputs + feature))
                images.append(UInt8(noise + (feature % classes == label ? 130 : 0)))
            }
        }
    }

    func network(
        _ optimizer: OptimizerSettings = OptimizerSettings(), engine: Engine = Engine(), batch: Int? = nil,
        pixelDeviation: Float = 0.5
    ) -> Network {
        FloatingPointMode.flushDenormals()
        let network = Network(
            TestNetworks.mlp(inputs: inputs, hidden: hidden, classes: classes), optimizer: optimizer,
            batch: batch ?? self.batch,
            pixelMean: [0.25], pixelDeviation: [pixelDeviation], engine: engine)
        let random = CounterRandom(seed: 1, purpose: .initialisation)
        for (index, parameter) in network.parameters.enumerated() {
            let scale = parameter.isWeight ? 0.3 : 0.1
            network.setValues(
                (0..<parameter.count).map {
                    Float(scale * (2 * random.uniform(epoch: index, index: UInt64($0)) - 1))
                }, of: index)
        }
        return network
    }

    /// The images of step `step`.
    func indices(_ step: Int, count: Int? = nil) -> [Int32] {
        (0..<(count ?? batch)).map { Int32((step * batch + $0 * 7) % imageCount) }
    }

    @discardableResult
    func train(
        _ network: Network, steps: Range<Int>, count: Int? = nil, learningRate: Float = 0.01
    ) -> StepOutcome {
        var outcome = StepOutcome.diverged
        for step in steps {
            outcome = indices(step, count: count).withUnsafeBufferPointer {
                network.train(images: images, labels: labels, indices: $0, learningRate: learningRate)
            }
        }
        return outcome
    }

    func lossAndGradient(_ network: Network, step: Int) -> (loss: Float, gradients: [[Float]])? {
        indices(step).withUnsafeBufferPointer {
            network.lossAndGradient(images: images, labels: labels, indices: $0)
        }
    }

    /// The mean loss of a batch in f64, straight from the definition.
    func loss(_ parameters: [[Double]], step: Int) -> Double {
        let widths = [inputs] + hidden + [classes]
        var total = 0.0
        for index in indices(step) {
            var values = (0..<inputs).map { Double((Float(images[Int(index) * inputs + $0]) / 255 - 0.25) / 0.5) }
            for layer in 0..<widths.count - 1 {
                values = (0..<widths[layer + 1]).map { output in
                    let sum = (0..<widths[layer]).reduce(parameters[2 * layer + 1][output]) {
                        $0 + parameters[2 * layer][output * widths[layer] + $1] * values[$1]
                    }
                    return layer < widths.count - 2 ? max(sum, 0) : sum
                }
            }
            let sum = values.reduce(0) { $0 + exp($1) }
            total += log(sum) - values[Int(labels[Int(index)])]
        }
        return total / Double(batch)
    }
}

private let optimizers: [OptimizerSettings] = {
    var sgd = OptimizerSettings()
    sgd.name = "sgd"
    var momentum = sgd
    momentum.momentum = 0.9
    var decayed = OptimizerSettings()
    decayed.weightDecay = 1e-3
    var nesterov = momentum
    nesterov.nesterov = true
    nesterov.weightDecay = 1e-3
    var adamW = decayed
    adamW.name = "adamw"
    var rmsProp = decayed
    rmsProp.name = "rmsprop"
    var rmsPropMomentum = rmsProp
    rmsPropMomentum.momentum = 0.9
    return [sgd, momentum, OptimizerSettings(), decayed, nesterov, adamW, rmsProp, rmsPropMomentum]
}()

private func bits(_ network: Network) -> [[UInt32]] {
    network.parameters.indices.map { network.values(of: $0).map(\.bitPattern) }
}

/// Prunes about two thirds of every weight tensor, and every way on from unit 3 of the first hidden layer.
private func prune(_ network: Network) {
    let random = CounterRandom(seed: 2, purpose: .randomMask)
    for (index, parameter) in network.parameters.enumerated() where parameter.isWeight {
        network.setMask(
            Mask(
                (0..<parameter.count).map { flat in
                    let leadsOnFromUnit3 = index == 2 && flat % parameter.shape[1] == 3
                    return !leadsOnFromUnit3 && random.uniform(epoch: index, index: UInt64(flat)) < 0.35
                }), of: index)
    }
}

@Suite("A network in training")
struct NetworkTests {
    private let fixture = Fixture()

    @Test("Parameters have PyTorch's names and shapes, and keep what they are given")
    func parameters() {
        let network = fixture.network()
        #expect(
            network.parameters.map(\.name) == [
                "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "output.weight", "output.bias",
            ])
        #expect(network.parameters.map(\.shape) == [[18, 21], [18], [7, 18], [7], [4, 7], [4]])
        #expect(network.parameters.map(\.kind) == [.fc, .fc, .fc, .fc, .output, .output])
        let values = (0..<18 * 21).map { Float($0) - 100 }
        network.setValues(values, of: 0)
        #expect(network.values(of: 0) == values)
        #expect(network.index(of: "output.bias") == 5)
    }

    @Test("Gradients are those of finite differences in f64", arguments: [false, true])
    func gradients(pruned: Bool) throws {
        let network = fixture.network()
        if pruned { prune(network) }
        let (loss, gradients) = try #require(fixture.lossAndGradient(network, step: 3))
        var parameters = network.parameters.indices.map { network.values(of: $0).map(Double.init) }
        #expect(abs(Double(loss) - fixture.loss(parameters, step: 3)) < 1e-6)
        var worst = 0.0
        for index in network.parameters.indices {
            let mask = network.mask(of: index)
            for flat in parameters[index].indices {
                if network.parameters[index].isWeight, let mask, !mask[flat] {
                    #expect(gradients[index][flat] == 0)
                    continue
                }
                let h = 1e-5
                let value = parameters[index][flat]
                parameters[index][flat] = value + h
                let above = fixture.loss(parameters, step: 3)
                parameters[index][flat] = value - h
                let below = fixture.loss(parameters, step: 3)
                parameters[index][flat] = value
                worst = max(worst, abs(Double(gradients[index][flat]) - (above - below) / (2 * h)))
            }
        }
        #expect(worst < 1e-5, "the largest difference is \(worst)")
    }

    @Test("One step of each optimizer is PyTorch's formula on the gradient, bit for bit", arguments: optimizers)
    func optimizerStep(settings: OptimizerSettings) throws {
        let network = fixture.network(settings)
        let rate: Float = 0.01
        var values = network.parameters.indices.map { network.values(of: $0) }
        var state1 = values.map { $0.map { _ in Float(0) } }
        var state2 = state1
        for step in 0..<3 {
            let gradients = try #require(fixture.lossAndGradient(network, step: step)).gradients
            fixture.train(network, steps: step..<step + 1, learningRate: rate)
            let products = (0...step).reduce((1.0, 1.0)) { product, _ in
                (product.0 * settings.beta1, product.1 * settings.beta2)
            }
            for index in values.indices {
                for flat in values[index].indices {
                    var w = values[index][flat]
                    var g = gradients[index][flat]
                    if settings.name == "adamw" {
                        w *= Float(1 - Double(rate) * settings.weightDecay)
                    } else {
                        g.addProduct(Float(settings.weightDecay), w)
                    }
                    if settings.name == "rmsprop" {
                        state1[index][flat] = (Float(settings.alpha) * state1[index][flat])
                            .addingProduct(Float(1 - settings.alpha) * g, g)
                        let quotient = g / (state1[index][flat].squareRoot() + Float(settings.epsilon))
                        state2[index][flat] = quotient.addingProduct(Float(settings.momentum), state2[index][flat])
                        values[index][flat] = w.addingProduct(-rate, state2[index][flat])
                    } else if settings.name != "sgd" {
                        let m = state1[index][flat]
                        state1[index][flat] = m.addingProduct(Float(1 - settings.beta1), g - m)
                        state2[index][flat] = (Float(settings.beta2) * state2[index][flat])
                            .addingProduct(Float(1 - settings.beta2) * g, g)
                        let root = Float(1 / (1 - products.1).squareRoot())
                        let divisor = Float(settings.epsilon)
                            .addingProduct(state2[index][flat].squareRoot(), root)
                        let stepSize = Float(Double(rate) / (1 - products.0))
                        values[index][flat] = w - stepSize * state1[index][flat] / divisor
                    } else {
                        state1[index][flat] = g.addingProduct(Float(settings.momentum), state1[index][flat])
                        let v = state1[index][flat]
                        let direction = settings.nesterov ? g.addingProduct(Float(settings.momentum), v) : v
                        values[index][flat] = w.addingProduct(-rate, direction)
                    }
                }
            }
            #expect(network.parameters.indices.map { network.values(of: $0) } == values, "step \(step)")
        }
    }

    @Test(
        "Every engine trains to the same bits, on 13 images a step, on one and on 50", arguments: optimizers,
        Precision.allCases)
    func engines(settings: OptimizerSettings, precision: Precision) {
        for (pruned, count) in [(false, 13), (true, 13), (false, 1), (true, 1), (false, 50), (true, 50)] {
            let trained = Engine.all(precision).map { engine in
                let network = fixture.network(settings, engine: engine, batch: count)
                if pruned { prune(network) }
                #expect(fixture.train(network, steps: 0..<10, count: count) != .diverged)
                let evaluation = network.evaluate(images: fixture.images, labels: fixture.labels, range: 0..<90)
                return bits(network) + [[UInt32(truncatingIfNeeded: evaluation.lossSum.bitPattern)]]
            }
            #expect(trained.allSatisfy { $0 == trained[0] }, "pruned \(pruned), \(count) images")
        }
    }

    @Test("A training that was saved and continued elsewhere has the bits of one that was not", arguments: optimizers)
    func continued(settings: OptimizerSettings) {
        let uninterrupted = fixture.network(settings)
        prune(uninterrupted)
        fixture.train(uninterrupted, steps: 0..<20)

        let first = fixture.network(settings)
        prune(first)
        fixture.train(first, steps: 0..<9)
        let second = fixture.network(settings)
        for index in second.parameters.indices {
            if second.parameters[index].isWeight { second.setMask(first.mask(of: index), of: index) }
            second.setValues(first.values(of: index), of: index)
        }
        second.optimizerState = first.optimizerState
        fixture.train(second, steps: 9..<20)
        #expect(bits(second) == bits(uninterrupted))
        #expect(second.optimizerState == uninterrupted.optimizerState)
        #expect(second.optimizerState.steps == 20)
    }

    @Test("A reset optimizer is that of a new network")
    func reset() {
        let network = fixture.network()
        let fresh = network.optimizerState
        fixture.train(network, steps: 0..<3)
        #expect(network.optimizerState != fresh)
        network.resetOptimizer()
        #expect(network.optimizerState == fresh)
    }

    @Test("Pruned weights and their optimizer state become zero and stay so", arguments: optimizers)
    func pruned(settings: OptimizerSettings) {
        let network = fixture.network(settings)
        fixture.train(network, steps: 0..<3)
        prune(network)
        #expect(network.prunedWeightsAreZero())
        fixture.train(network, steps: 3..<20)
        #expect(network.prunedWeightsAreZero())
        // State that comes from a dense training is cut to the mask as well.
        let dense = fixture.network(settings)
        fixture.train(dense, steps: 0..<3)
        network.optimizerState = dense.optimizerState
        network.setValues(dense.values(of: 0), of: 0)
        #expect(network.prunedWeightsAreZero())
    }

    @Test("A unit that leads nowhere takes no part: not even an overflow in it shows")
    func deadUnit() {
        let calm = fixture.network()
        let wild = fixture.network()
        prune(calm)
        prune(wild)
        var weights = wild.values(of: 0)
        for input in 0..<fixture.inputs { weights[3 * fixture.inputs + input] *= 1e38 }
        var bias = wild.values(of: 1)
        bias[3] = .infinity
        wild.setValues(weights, of: 0)
        wild.setValues(bias, of: 1)
        #expect(fixture.train(calm, steps: 0..<10) != .diverged)
        #expect(fixture.train(wild, steps: 0..<10) != .diverged)
        #expect(bits(calm)[2...] == bits(wild)[2...])
    }

    @Test(
        "Layers pruned to nothing train the output's bias only: no other is followed by a weight",
        arguments: Precision.allCases)
    func emptied(precision: Precision) {
        let trained = Engine.all(precision).map { engine in
            let network = fixture.network(engine: engine)
            let before = network.values(of: 1)
            let output = network.values(of: 5)
            for index in [0, 2, 4] {
                network.setMask(Mask(Array(repeating: false, count: network.parameters[index].count)), of: index)
            }
            #expect(fixture.train(network, steps: 0..<5) != .diverged, "\(engine)")
            #expect(network.prunedWeightsAreZero(), "\(engine)")
            #expect(network.values(of: 1) == before, "\(engine)")
            #expect(zip(network.values(of: 5), output).allSatisfy { $0 != $1 }, "\(engine)")
            return bits(network)
        }
        #expect(trained.allSatisfy { $0 == trained[0] })
    }

    @Test("A step in which anything overflows diverges and updates nothing", arguments: [0, 2, 5])
    func divergence(index: Int) {
        let network = fixture.network()
        fixture.train(network, steps: 0..<2)
        var values = network.values(of: index)
        values[1] = index == 5 ? .nan : .infinity
        network.setValues(values, of: index)
        let parameters = bits(network)
        let state = network.optimizerState
        #expect(fixture.train(network, steps: 2..<3) == .diverged)
        #expect(bits(network) == parameters)
        #expect(network.optimizerState == state)
        let evaluation = network.evaluate(images: fixture.images, labels: fixture.labels, range: 0..<90)
        #expect(evaluation.lossSum.isNaN && evaluation.correct == 0)
    }

    @Test(
        "A weight gradient that overflows is seen before any update, one that nearly does is not taken for it",
        arguments: [(Float(1e12), true), (1e7, false)])
    func gradientOverflow(scale: Float, diverges: Bool) {
        // Pixels near 1e30 through weights near 1e-32; the gradient that comes back is near `scale`.
        let network = fixture.network(optimizers[0], pixelDeviation: 1e-30)
        network.setValues(network.values(of: 0).map { $0 * 1e-32 }, of: 0)
        network.setValues(network.values(of: 4).map { $0 * scale }, of: 4)
        let before = bits(network)
        let outcome = fixture.train(network, steps: 0..<1, learningRate: 1e-30)
        #expect((outcome == .diverged) == diverges)
        #expect((bits(network) == before) == diverges)
    }

    @Test("Evaluation sums images in order, however they are divided")
    func evaluation() {
        let network = fixture.network()
        fixture.train(network, steps: 0..<10)
        let order = (0..<90).map { Int32($0 * 7 % 90) } + [1, 2, 3]
        let whole = order.withUnsafeBufferPointer {
            network.evaluate(images: fixture.images, labels: fixture.labels, indices: $0)
        }
        var lossSum = 0.0
        var correct = 0
        for index in order {
            let one = network.evaluate(
                images: fixture.images, labels: fixture.labels, range: Int(index)..<Int(index) + 1)
            lossSum += one.lossSum
            correct += one.correct
        }
        #expect(lossSum == whole.lossSum)
        #expect(correct == whole.correct)
        let none = network.evaluate(images: fixture.images, labels: fixture.labels, range: 0..<0)
        #expect(none.lossSum == 0 && none.correct == 0)
    }

    @Test("An evaluation between steps, of any number of images, leaves no trace", arguments: [1, 17, 64, 90])
    func evaluationBetweenSteps(count: Int) {
        let undisturbed = fixture.network()
        let evaluated = fixture.network()
        for step in 0..<6 {
            fixture.train(undisturbed, steps: step..<step + 1)
            fixture.train(evaluated, steps: step..<step + 1)
            _ = evaluated.evaluate(images: fixture.images, labels: fixture.labels, range: 0..<count)
        }
        #expect(bits(evaluated) == bits(undisturbed))
    }

    @Test("Each optimizer learns", arguments: optimizers)
    func learns(settings: OptimizerSettings) {
        let network = fixture.network(settings)
        fixture.train(network, steps: 0..<200, learningRate: settings.name == "adam" ? 0.01 : 0.05)
        let evaluation = network.evaluate(images: fixture.images, labels: fixture.labels, range: 0..<90)
        #expect(evaluation.correct > 85, "\(evaluation)")
    }

    @Test("The measured rate of a small network has ordered figures")
    func rate() {
        var measurement = TrainingMeasurement(
            network: TestNetworks.mlp(inputs: 20, hidden: [5], classes: 3), batch: 4)
        measurement.densities = [0.5]
        measurement.windows = 3
        measurement.windowSeconds = 0.001
        let rate = measurement.rate()
        #expect(rate.slowest > 0 && rate.slowest <= rate.stepsPerSecond && rate.stepsPerSecond <= rate.fastest)
    }
}
