import Kernels
import Lottery

/// Batch normalisation of maps (Ioffe and Szegedy 2015), as PyTorch's `BatchNorm2d`, with or without a shortcut added
/// and a ReLU: `NAME.weight` (γ), `NAME.bias` (β), `NAME.running_mean`, `NAME.running_var`, all [channels].
struct BatchNormDescription: LayerDescription {
    let name: String
    /// Of the convolution before it.
    let kind: LayerKind
    let rectifies: Bool

    func output(of input: FeatureShape) -> FeatureShape { input }

    func parameters(of input: FeatureShape) -> [Network.Parameter] {
        let shape = [input.units]
        return [
            Network.Parameter(name: "\(name).weight", shape: shape, kind: kind, role: .bias, initialValue: 1),
            Network.Parameter(name: "\(name).bias", shape: shape, kind: kind, role: .bias),
            Network.Parameter(name: "\(name).running_mean", shape: shape, kind: kind, role: .statistic),
            Network.Parameter(
                name: "\(name).running_var", shape: shape, kind: kind, role: .statistic, initialValue: 1),
        ]
    }

    func bytesMoved(of input: FeatureShape, precision: Precision, needsInputGradient: Bool) -> Int {
        // Forward z, y; sums dy, z; gradient dy, z, dz. The sums of z are made where it is stored.
        7 * input.bytes(precision)
    }

    func makeLayer(_ place: LayerPlace) -> any Layer { BatchNormLayer(self, place) }

    func flow(_ x: [Double], of input: FeatureShape, parameters: [[Float]]) -> [Double] {
        let pixels = x.count / input.units
        let factors = zip(parameters[0], parameters[3]).map { gamma, variance in
            Double(gamma.magnitude) / Reproducible.sqrt(Double(variance) + BatchNorm.epsilon)
        }
        return x.indices.map { factors[$0 / pixels] * x[$0] }
    }

    /// A factor hands back what it hands on.
    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> LayerGradient {
        LayerGradient(input: flow(dy, of: input, parameters: parameters))
    }

    /// What pads the lanes is left 0, as it takes no part in the statistics.
    func exact(
        _ x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]], choices: inout [Int32]?
    ) -> [Double] {
        var y = [Double](repeating: 0, count: x.count)
        for channel in 0..<input.units {
            let places = places(of: channel, batch, of: input)
            let (mean, inverse) = statistics(x, places)
            let (gamma, beta) = (parameters[0][channel], parameters[1][channel])
            for place in places { y[place] = gamma * ((x[place] - mean) * inverse) + beta }
        }
        return y
    }

    func exactGradient(
        _ dy: [Double], x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]],
        choices: [Int32]?
    ) -> LayerGradient {
        var dx = [Double](repeating: 0, count: x.count)
        for channel in 0..<input.units {
            let places = places(of: channel, batch, of: input)
            let (mean, inverse) = statistics(x, places)
            var (sum, product) = (0.0, 0.0)
            for place in places {
                sum += dy[place]
                product += dy[place] * ((x[place] - mean) * inverse)
            }
            let count = Double(places.count)
            for place in places {
                let normalised = (x[place] - mean) * inverse
                dx[place] =
                    parameters[0][channel] * inverse * (dy[place] - sum / count - normalised * (product / count))
            }
        }
        return LayerGradient(input: dx)
    }

    /// Where the values of a channel are, pixel by pixel.
    private func places(of channel: Int, _ batch: ExactBatch, of input: FeatureShape) -> [Int] {
        let pixels = input.values / input.units
        return (channel * pixels..<(channel + 1) * pixels).flatMap { pixel in
            (0..<batch.images).map { pixel * batch.lanes + $0 }
        }
    }

    /// The mean, and 1 / √(variance + ε).
    private func statistics(_ x: [Double], _ places: [Int]) -> (mean: Double, inverse: Double) {
        var (sum, squares) = (0.0, 0.0)
        for place in places { sum += x[place] }
        let mean = sum / Double(places.count)
        for place in places { squares += (x[place] - mean) * (x[place] - mean) }
        return (mean, 1 / Reproducible.sqrt(squares / Double(places.count) + BatchNorm.epsilon))
    }
}

/// It writes the gradient by its input over the input, which nothing needs after it.
final class BatchNormLayer: Layer {
    private let shape: PlanesShape
    private let rectifies: Bool
    private let z: BatchMemory
    private let y: BatchMemory
    private let shortcut: BatchMemory?
    private let gamma: ParameterTensor
    private let beta: ParameterTensor
    private let runningMean: ParameterTensor
    private let runningVariance: ParameterTensor
    private let kernels: any MapKernels
    private let updates: DenseKernels

    /// [block][channel][2]: Σ z and Σ z², and Σ dy and Σ dy·x̂.
    let sums: AlignedBuffer<Float>
    private let gradientSums: AlignedBuffer<Float>
    /// Whether the layer before makes `sums`.
    var sumsAreMade = false
    /// One per channel.
    private let mean, inverseDeviation, scale, shift, a, b, c: AlignedBuffer<Float>
    private let live: AlignedBuffer<UInt8>
    private var allLive = true

    init(_ description: BatchNormDescription, _ place: LayerPlace) {
        guard case .planes(let shape) = place.input else { preconditionFailure("batch-norm of \(place.input)") }
        self.shape = shape
        rectifies = description.rectifies
        z = place.x
        y = place.y
        shortcut = place.shortcut
        gamma = place.tensors[0]
        beta = place.tensors[1]
        runningMean = place.tensors[2]
        runningVariance = place.tensors[3]
        kernels = place.engine.mapKernels
        updates = DenseKernels(place.engine.instructionSet)
        let channels = shape.channels
        sums = AlignedBuffer(zeroed: 2 * channels * place.blockCapacity)
        gradientSums = AlignedBuffer(zeroed: 2 * channels * place.blockCapacity)
        mean = AlignedBuffer(zeroed: channels)
        inverseDeviation = AlignedBuffer(zeroed: channels)
        scale = AlignedBuffer(zeroed: channels)
        shift = AlignedBuffer(zeroed: channels)
        a = AlignedBuffer(zeroed: channels)
        b = AlignedBuffer(zeroed: channels)
        c = AlignedBuffer(zeroed: channels)
        live = AlignedBuffer(copying: Array(repeating: 1, count: channels))
    }

    var forwardNeed: BlockNeed { .allBlocks }
    var backwardNeed: BlockNeed { .allBlocks }

    func setLive(_ outputs: [Bool]) {
        allLive = outputs.allSatisfy { $0 }
        for channel in outputs.indices { live[channel] = outputs[channel] ? 1 : 0 }
    }

    var inputsInUse: [Bool] { (0..<shape.channels).map { live[$0] != 0 } }

    private var liveFlags: UnsafePointer<UInt8>? { allLive ? nil : UnsafePointer(live.pointer) }

    private func pixels(_ pass: Pass) -> Int { pass.examples * shape.height * shape.width }

    func beginForward(_ pass: Pass) {
        guard pass.isTraining else {
            return BatchNorm.running(
                channels: shape.channels, gamma: gamma.values, beta: beta.values, runningMean: runningMean.values,
                runningVariance: runningVariance.values, scale: scale.pointer, shift: shift.pointer)
        }
        precondition(sumsAreMade, "a batch-norm follows a convolution, which makes its sums")
        // The running statistics move once the step is known to be finite.
        BatchNorm.statistics(
            channels: shape.channels, blocks: pass.blocks, count: pixels(pass), sums: sums.pointer, gamma: gamma.values,
            beta: beta.values, mean: mean.pointer, inverseDeviation: inverseDeviation.pointer, scale: scale.pointer,
            shift: shift.pointer, runningMean: nil, runningVariance: nil)
    }

    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        let first = blocks.lowerBound
        return kernels.batchNormApply(
            shape, z: z.block(first), scale: scale.pointer, shift: shift.pointer, shortcut: shortcut?.block(first),
            rectify: rectifies, live: liveFlags, y: y.block(first), blocks: blocks.count)
    }

    func gradientArrived(_ pass: Pass, dy: BatchMemory, blocks: Range<Int>) {
        kernels.batchNormGradientSums(
            shape, dy: dy.block(blocks.lowerBound), z: z.block(blocks.lowerBound), mean: mean.pointer,
            inverseDeviation: inverseDeviation.pointer,
            sums: gradientSums.pointer + 2 * shape.channels * blocks.lowerBound, examples: pass.examples(in: blocks))
    }

    func beginBackward(_ pass: Pass) -> Magnitude {
        BatchNorm.gradientCoefficients(
            channels: shape.channels, blocks: pass.blocks, count: pixels(pass), sums: gradientSums.pointer,
            gamma: gamma.values, mean: mean.pointer, inverseDeviation: inverseDeviation.pointer,
            dGamma: gamma.gradient, dBeta: beta.gradient, a: a.pointer, b: b.pointer, c: c.pointer)
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        precondition(target.addend == nil && target.gate == nil, "what a batch-norm reads is read by nothing else")
        let first = blocks.lowerBound
        return kernels.batchNormGradient(
            shape, dy: dy.block(first), z: z.block(first), a: a.pointer, b: b.pointer, c: c.pointer, live: liveFlags,
            examples: pass.examples(in: blocks), dz: target.memory.block(first))
    }

    func update(_ pass: Pass, dy: BatchMemory, rule: UpdateRule, stored: Bool) {
        // From the γ and β of this step.
        moveStatistics(pass)
        gamma.update(rule, updates)
        beta.update(rule, updates)
    }

    /// Scale and shift are those of the batch again, which nobody reads.
    func moveStatistics(_ pass: Pass) {
        BatchNorm.statistics(
            channels: shape.channels, blocks: pass.blocks, count: pixels(pass), sums: sums.pointer, gamma: gamma.values,
            beta: beta.values, mean: mean.pointer, inverseDeviation: inverseDeviation.pointer, scale: scale.pointer,
            shift: shift.pointer, runningMean: runningMean.values, runningVariance: runningVariance.values)
    }
}
