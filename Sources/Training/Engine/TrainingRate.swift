import Kernels
import Lottery

/// How fast a network trains on one thread of this machine.
public struct TrainingRate: Sendable, Codable {
    /// Median over windows.
    public var stepsPerSecond: Double
    public var slowest: Double
    public var fastest: Double
    public var windows: Int
    /// Multiply-adds of surviving weights count 2: forward, input gradient (not for the first layer) and weight gradient.
    public var gigaflopsPerSecond: Double
    public var instructionSet: String
}

/// Measures steps per second of a multilayer perceptron on random images: `windows` windows of `windowSeconds` after a warm-up.
/// - Parameters:
///   - density: the share of each layer's weights that survives, at random.
///   - optimizer: trained at a learning rate so low that nothing diverges.
public func measureTraining(
    inputs: Int = 784, hidden: [Int] = [300, 100], classes: Int = 10, batch: Int = 60, density: Double = 1,
    optimizer: OptimizerSettings = OptimizerSettings(), windows: Int = 7, windowSeconds: Double = 0.5,
    instructionSet: InstructionSet = .current
) -> TrainingRate {
    precondition(windows > 0 && density >= 0 && density <= 1, "\(windows) windows at density \(density)")
    FloatingPointMode.flushDenormals()
    let network = Network(
        inputs: inputs, hidden: hidden, classes: classes, optimizer: optimizer, batch: batch, pixelMean: [0],
        pixelDeviation: [1], instructionSet: instructionSet)
    let random = CounterRandom(seed: 0, purpose: .initialisation)
    var flops = 0.0
    for (index, parameter) in network.parameters.enumerated() where parameter.isWeight {
        let scale = (2 / Double(parameter.shape[0] + parameter.shape[1])).squareRoot()
        network.setValues(
            (0..<parameter.count).map { flat in
                Float(
                    scale
                        * Reproducible.normal(
                            random.uniform(epoch: index, index: UInt64(2 * flat)),
                            random.uniform(epoch: index, index: UInt64(2 * flat + 1))))
            }, of: index)
        let mask = Mask(
            (0..<parameter.count).map { random.uniform(epoch: index + 1_000, index: UInt64($0)) < density })
        if density < 1 { network.setMask(mask, of: index) }
        flops += Double(mask.survivors) * 2 * Double(batch) * (index == 0 ? 2 : 3)
    }

    let imageCount = 100 * batch
    let pixels = CounterRandom(seed: 0, purpose: .glyphs)
    let images = (0..<imageCount * inputs).map {
        UInt8(truncatingIfNeeded: pixels.words(epoch: 0, index: UInt64($0))[0])
    }
    let labels = (0..<imageCount).map { UInt8($0 % classes) }
    let order = random.permutation(of: imageCount, epoch: 2_000)
    var step = 0
    func trainOneStep() {
        let start = step * batch % imageCount
        step += 1
        let outcome = order.withUnsafeBufferPointer { order in
            network.train(
                images: images, labels: labels, indices: UnsafeBufferPointer(rebasing: order[start..<start + batch]),
                learningRate: 1e-5)
        }
        precondition(outcome != .diverged, "random images diverged at step \(step)")
    }

    let clock = ContinuousClock()
    func rate(seconds: Double) -> Double {
        let start = clock.now
        var steps = 0
        while true {
            for _ in 0..<10 { trainOneStep() }
            steps += 10
            let elapsed = (clock.now - start) / .seconds(1)
            if elapsed >= seconds { return Double(steps) / elapsed }
        }
    }
    _ = rate(seconds: windowSeconds / 2)
    let rates = (0..<windows).map { _ in rate(seconds: windowSeconds) }.sorted()
    let median = (rates[(windows - 1) / 2] + rates[windows / 2]) / 2
    return TrainingRate(
        stepsPerSecond: median, slowest: rates[0], fastest: rates[windows - 1], windows: windows,
        gigaflopsPerSecond: median * flops * 1e-9, instructionSet: instructionSet.rawValue)
}
