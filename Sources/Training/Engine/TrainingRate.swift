import Kernels
import Lottery

/// How fast a network trains on one thread of this machine.
public struct TrainingRate: Sendable, Codable {
    /// Median over windows.
    public var stepsPerSecond: Double
    public var slowest: Double
    public var fastest: Double
    public var windows: Int
    /// Multiply-adds of surviving weights count 2: forward, input gradient (not for the first layer) and weight
    /// gradient.
    public var gigaflopsPerSecond: Double
    /// What the kernels of a step read and write, were nothing cached.
    public var bytesPerStep: Double
    /// Predicted bytes of the network in training, data set aside.
    public var memoryBytes: Int
    /// Surviving over all weights.
    public var density: Double
    public var precision: Precision
    public var instructionSet: String
}

/// A training on random images whose speed is to be measured.
public struct TrainingMeasurement {
    public var network: NetworkDescription
    public var batch: Int
    /// Share of each weight tensor that survives, at random, in network order; one value serves all.
    public var densities: [Double] = [1]
    /// Trained at a learning rate so low that nothing diverges.
    public var optimizer = OptimizerSettings()
    public var engine = Engine()
    public var windows = 7
    public var windowSeconds = 0.5

    public init(network: NetworkDescription, batch: Int) {
        self.network = network
        self.batch = batch
    }

    /// Steps per second in `windows` windows after a warm-up.
    public func rate() -> TrainingRate {
        precondition(windows > 0 && densities.allSatisfy { (0...1).contains($0) }, "\(windows) windows at \(densities)")
        FloatingPointMode.flushDenormals()
        let channels =
            switch network.images.shape {
            case .features: 1
            case .planes(let shape): shape.channels
            }
        let masks = drawnMasks()
        let survivors = masks.map(\.survivors)
        let trained = Network(
            network, masks: masks, optimizer: optimizer, batch: batch, pixelMean: Array(repeating: 0, count: channels),
            pixelDeviation: Array(repeating: 1, count: channels), engine: engine)
        for (position, index) in trained.weightIndices.enumerated() {
            trained.setValues(
                Initialisation.glorotNormal.weights(
                    layer: position, shape: trained.parameters[index].shape, seed: 0, .first), of: index)
        }
        let images = RandomImages(count: max(256, 2 * batch), of: network)
        let order = CounterRandom(seed: 0, purpose: .dataOrder).permutation(of: images.count, epoch: 0)
        let batches = images.count / batch
        var step = 0
        func trainOneStep() {
            let start = step % batches * batch
            step += 1
            let outcome = order.withUnsafeBufferPointer { order in
                trained.train(
                    images: images.pixels, labels: images.labels,
                    indices: UnsafeBufferPointer(rebasing: order[start..<start + batch]), learningRate: 1e-5)
            }
            precondition(outcome != .diverged, "random images diverged at step \(step)")
        }

        let clock = ContinuousClock()
        func rate(seconds: Double) -> Double {
            let start = clock.now
            var steps = 0
            while true {
                trainOneStep()
                steps += 1
                let elapsed = (clock.now - start) / .seconds(1)
                if elapsed >= seconds { return Double(steps) / elapsed }
            }
        }
        // The first step makes the kernels' lists.
        trainOneStep()
        _ = rate(seconds: windowSeconds / 2)
        let rates = (0..<windows).map { _ in rate(seconds: windowSeconds) }.sorted()
        let median = (rates[(windows - 1) / 2] + rates[windows / 2]) / 2
        let stateCount = Optimizer(optimizer).slots.count
        let weights = trained.weightIndices.reduce(0) { $0 + trained.parameters[$1].count }
        return TrainingRate(
            stepsPerSecond: median, slowest: rates[0], fastest: rates[windows - 1], windows: windows,
            gigaflopsPerSecond: median * network.flopsPerStep(batch: batch, survivors: survivors) * 1e-9,
            bytesPerStep: network.bytesPerStep(
                batch: batch, precision: engine.precision, stateCount: stateCount, survivors: survivors),
            memoryBytes: network.memoryBytes(
                batch: batch, precision: engine.precision, stateCount: stateCount, survivors: survivors),
            density: Double(survivors.reduce(0, +)) / Double(weights), precision: engine.precision,
            instructionSet: engine.precision == .bf16 ? engine.tiles.rawValue : engine.instructionSet.rawValue)
    }

    /// A random mask for each weight tensor.
    private func drawnMasks() -> [Mask] {
        let random = CounterRandom(seed: 0, purpose: .randomMask)
        return network.parameters.filter(\.isWeight).enumerated().map { position, parameter in
            let density = densities.count == 1 ? densities[0] : densities[position]
            guard density < 1 else { return Mask(dense: parameter.count) }
            return Mask((0..<parameter.count).map { random.uniform(epoch: position, index: UInt64($0)) < density })
        }
    }
}

private struct RandomImages {
    let count: Int
    let pixels: [UInt8]
    let labels: [UInt8]

    init(count: Int, of network: NetworkDescription) {
        self.count = count
        let random = CounterRandom(seed: 0, purpose: .glyphs)
        pixels = (0..<count * network.images.shape.values).map {
            UInt8(truncatingIfNeeded: random.words(epoch: 0, index: UInt64($0))[0])
        }
        labels = (0..<count).map { UInt8($0 % network.classes) }
    }
}
