/// How fast one kernel is on one thread of this machine, beside what limits it.
public struct KernelMeasurement: Sendable, Codable {
    public enum Unit: String, Sendable, Codable {
        /// Multiply-adds of surviving weights count 2; the limit is `MachinePeak`.
        case gigaflops
        /// Each array counts as often as the kernel passes over it; the limit is a copy of as many bytes.
        case gigabytes
    }

    public var kernel: String
    public var shape: String
    public var density: Double
    public var unit: Unit
    /// Per second: median over windows.
    public var rate: Double
    public var slowest: Double
    public var fastest: Double
    /// Per second.
    public var limit: Double

    public var shareOfLimit: Double { rate / limit }
}

/// Measures kernels at the shapes of the networks that are trained: LeNet-300-100, Conv-6, ResNet-20 and VGG-19.
public struct KernelBench {
    private let instructionSet: InstructionSet
    private let tiles: TileBackend
    private let windows: Int
    private let windowSeconds: Double
    private let peak: Double
    private let tilePeak: Double

    /// - Parameter windows: whose median counts, each of at least `windowSeconds`.
    public init(
        instructionSet: InstructionSet = .current, tiles: TileBackend = .current, windows: Int = 5,
        windowSeconds: Double = 0.05
    ) {
        precondition(windows > 0, "\(windows) windows")
        self.instructionSet = instructionSet
        self.tiles = tiles
        self.windows = windows
        self.windowSeconds = windowSeconds
        peak = MachinePeak.gigaflopsPerSecond(instructionSet)
        tilePeak = MachinePeak.gigaflopsPerSecond(tiles)
    }

    /// Calls `found` with each measurement as it is there.
    public func run(_ found: (KernelMeasurement) -> Void) {
        FloatingPointMode.flushDenormals()
        for (inputs, outputs) in [(784, 300), (300, 100)] {
            dense(inputs: inputs, outputs: outputs, found)
            for density in [0.1, 0.02] { sparse(inputs: inputs, outputs: outputs, density: density, found) }
        }
        for (channels, side, stride) in [
            (64, 32, 1), (128, 16, 1), (256, 8, 1), (512, 4, 1), (512, 2, 1), (16, 32, 1), (32, 16, 1), (32, 16, 2),
        ] {
            let shape = ConvolutionShape(
                input: PlanesShape(channels: channels, height: side, width: side), outputs: channels * stride,
                kernel: 3, stride: stride)
            for density in [1, 0.1, 0.02] { convolution(shape, density: density, found) }
            tileConvolution(shape, found)
        }
        for (channels, side) in [(16, 32), (64, 8)] {
            let shape = PlanesShape(channels: channels, height: side, width: side)
            maps(shape, blocks: 8, inPairs: false, found)
            maps(shape, blocks: 8, inPairs: true, found)
        }
    }

    // MARK: Dense layers, 64 examples

    private static let batch = 64

    private func dense(inputs: Int, outputs: Int, _ found: (KernelMeasurement) -> Void) {
        let kernels = DenseKernels(instructionSet)
        let shape = DenseShape(inputs: inputs, outputs: outputs, batch: Self.batch)
        let weights = random(shape.weightCount)
        let bias = random(shape.paddedOutputs)
        let biasGradient = random(shape.paddedOutputs)
        let x = random(shape.paddedInputs * Self.batch)
        let dx = random(shape.paddedInputs * Self.batch)
        let transposed = random(shape.paddedInputs * Self.batch)
        let y = random(shape.paddedOutputs * Self.batch)
        let dy = random(shape.paddedOutputs * Self.batch)
        let mask = AlignedBuffer<UInt16>(copying: Array(repeating: .max, count: shape.weightCount / 16))
        let live = LiveOutputs(Array(0..<outputs))
        let flops = 2 * Double(inputs * outputs * Self.batch)
        let name = "\(inputs) → \(outputs)"
        report("dense forward", name, 1, flops, found) {
            _ = kernels.forward(
                shape, weights: weights.pointer, bias: bias.pointer, live: live, rectify: true, x: x.pointer,
                y: y.pointer)
        }
        report("dense input gradient", name, 1, flops, found) {
            _ = kernels.inputGradient(
                shape, weights: weights.pointer, live: live, dy: dy.pointer, x: x.pointer, dx: dx.pointer)
        }
        report("dense weight gradient and update", name, 1, flops, found) {
            kernels.update(
                shape, rule: .sgd(rate: 1e-9, decay: 0), mask: mask.pointer, dy: dy.pointer,
                transposed: transposed.pointer, biasGradient: biasGradient.pointer,
                weights: UpdatedTensor(values: weights.pointer, state1: nil, state2: nil),
                bias: UpdatedTensor(values: bias.pointer, state1: nil, state2: nil))
        }
    }

    private func sparse(inputs: Int, outputs: Int, density: Double, _ found: (KernelMeasurement) -> Void) {
        let layer = SparseDense(
            inputs: inputs, outputs: outputs, survivors: survivors(inputs * outputs, density),
            instructionSet: instructionSet)
        let weights = random(layer.paddedCount)
        let gradient = random(layer.paddedCount)
        let padded = DenseShape.padded(outputs)
        let bias = random(padded)
        let biasGradient = random(padded)
        let x = random(DenseShape.padded(inputs) * Self.batch)
        let dx = random(DenseShape.padded(inputs) * Self.batch)
        let y = random(padded * Self.batch)
        let dy = random(padded * Self.batch)
        let flops = 2 * Double(layer.survivorCount * Self.batch)
        let name = "\(inputs) → \(outputs)"
        report("sparse dense forward", name, density, flops, found) {
            _ = layer.forward(
                weights: weights.pointer, bias: bias.pointer, rectify: true, x: x.pointer, y: y.pointer,
                batch: Self.batch)
        }
        report("sparse dense input gradient", name, density, flops, found) {
            _ = layer.inputGradient(
                weights: weights.pointer, dy: dy.pointer, x: x.pointer, dx: dx.pointer, batch: Self.batch)
        }
        report("sparse dense weight gradient", name, density, flops, found) {
            _ = layer.weightGradient(
                dy: dy.pointer, x: x.pointer, batch: Self.batch, gradient: gradient.pointer,
                biasGradient: biasGradient.pointer)
        }
    }

    // MARK: Convolutions, 4 blocks of 16 examples

    private static let blocks = 4

    private func convolution(_ shape: ConvolutionShape, density: Double, _ found: (KernelMeasurement) -> Void) {
        let mask = density < 1 ? survivors(shape.weightCount, density) : nil
        let convolution = Convolution(shape: shape, survivors: mask, instructionSet: instructionSet)
        let weightGradient = ConvolutionWeightGradient(
            shape: shape, survivors: mask, instructionSet: instructionSet)
        let count = DenseShape.padded(convolution.survivorCount)
        let weights = random(count)
        let gradient = random(count)
        let maps = ConvolutionMaps(shape, inPairs: false)
        let flops = maps.flops(survivors: convolution.survivorCount)
        convolution.load(weights: weights.pointer)
        report("convolution forward", maps.name, density, flops, found) {
            _ = convolution.forward(
                x: maps.x.pointer.floats, bias: nil, rectify: false, y: maps.y.pointer.floats, blocks: Self.blocks,
                examples: 16 * Self.blocks, sums: nil)
        }
        report("convolution input gradient", maps.name, density, flops, found) {
            _ = convolution.inputGradient(
                dy: maps.dy.pointer.floats, addend: nil, gate: maps.x.pointer.floats, dx: maps.dx.pointer.floats,
                blocks: Self.blocks)
        }
        report("convolution weight gradient", maps.name, density, flops, found) {
            _ = weightGradient.compute(
                x: maps.x.pointer.floats, dy: maps.dy.pointer.floats, blocks: Self.blocks, gradient: gradient.pointer,
                biasGradient: nil)
        }
    }

    private func tileConvolution(_ shape: ConvolutionShape, _ found: (KernelMeasurement) -> Void) {
        let convolution = TileConvolution(shape: shape, survivors: nil, backend: tiles)
        let count = DenseShape.padded(shape.weightCount)
        let weights = random(count)
        let gradient = random(count)
        let maps = ConvolutionMaps(shape, inPairs: true)
        let flops = maps.flops(survivors: shape.weightCount)
        convolution.load(weights: weights.pointer)
        report("bf16 convolution forward", maps.name, 1, flops, limit: tilePeak, found) {
            _ = convolution.forward(
                x: maps.x.pointer, bias: nil, rectify: false, y: maps.y.pointer, blocks: Self.blocks,
                examples: 16 * Self.blocks, sums: nil)
        }
        report("bf16 convolution input gradient", maps.name, 1, flops, limit: tilePeak, found) {
            _ = convolution.inputGradient(
                dy: maps.dy.pointer, addend: nil, gate: maps.x.pointer, dx: maps.dx.pointer, blocks: Self.blocks)
        }
        report("bf16 convolution weight gradient", maps.name, 1, flops, limit: tilePeak, found) {
            _ = convolution.weightGradient(
                x: maps.x.pointer, dy: maps.dy.pointer, blocks: Self.blocks, gradient: gradient.pointer,
                biasGradient: nil)
        }
    }

    // MARK: Maps

    private func maps(_ shape: PlanesShape, blocks: Int, inPairs: Bool, _ found: (KernelMeasurement) -> Void) {
        let kernels: any MapKernels = inPairs ? PairPlanesKernels(tiles) : PlanesKernels(instructionSet)
        let z = Maps(shape, blocks: blocks, inPairs: inPairs)
        let y = Maps(shape, blocks: blocks, inPairs: inPairs)
        let dy = Maps(shape, blocks: blocks, inPairs: inPairs)
        let half = Maps(shape.halved, blocks: blocks, inPairs: inPairs)
        let dHalf = Maps(shape.halved, blocks: blocks, inPairs: inPairs)
        let channels = shape.channels
        let scale = random(channels)
        let shift = random(channels)
        let c = random(channels)
        let sums = random(2 * channels * blocks)
        let bytes = Double((inPairs ? 2 : 4) * shape.channels * shape.height * shape.width * 16 * blocks)
        let name = "\(channels) × \(shape.height) × \(shape.width), \(16 * blocks) examples"
        let limit = MachinePeak.gigabytesPerSecond(copying: Int(bytes))
        func report(_ kernel: String, passes: Double, _ body: () -> Void) {
            found(
                measure(
                    (inPairs ? "bf16 " : "") + kernel, name, 1, .gigabytes, work: passes * bytes * 1e-9,
                    limit: limit, body))
        }
        report("batch-norm apply", passes: 2) {
            _ = kernels.batchNormApply(
                shape, z: z.pointer, scale: scale.pointer, shift: shift.pointer, shortcut: nil, rectify: true,
                live: nil, y: y.pointer, blocks: blocks)
        }
        report("batch-norm gradient sums", passes: 2) {
            kernels.batchNormGradientSums(
                shape, dy: dy.pointer, z: z.pointer, mean: shift.pointer, inverseDeviation: scale.pointer,
                sums: sums.pointer, examples: 16 * blocks)
        }
        report("batch-norm gradient", passes: 3) {
            _ = kernels.batchNormGradient(
                shape, dy: dy.pointer, z: z.pointer, a: scale.pointer, b: shift.pointer, c: c.pointer, live: nil,
                examples: 16 * blocks, dz: y.pointer)
        }
        report("max pooling", passes: 1.25) {
            _ = kernels.maxPool(shape, x: z.pointer, y: half.pointer, blocks: blocks)
        }
        report("max pooling gradient", passes: 2.25) {
            _ = kernels.maxPoolGradient(
                shape, x: z.pointer, dy: dHalf.pointer, addend: nil, gate: nil, dx: y.pointer, blocks: blocks)
        }
    }

    // MARK: Measuring

    private func report(
        _ kernel: String, _ shape: String, _ density: Double, _ flops: Double, limit: Double? = nil,
        _ found: (KernelMeasurement) -> Void, _ body: () -> Void
    ) {
        found(measure(kernel, shape, density, .gigaflops, work: flops * 1e-9, limit: limit ?? peak, body))
    }

    private func measure(
        _ kernel: String, _ shape: String, _ density: Double, _ unit: KernelMeasurement.Unit, work: Double,
        limit: Double, _ body: () -> Void
    ) -> KernelMeasurement {
        // The first call makes lists and touches memory.
        body()
        let clock = ContinuousClock()
        let rates = (0..<windows).map { _ in
            let start = clock.now
            var calls = 0.0
            while true {
                body()
                calls += 1
                let seconds = (clock.now - start) / .seconds(1)
                if seconds >= windowSeconds { return calls * work / seconds }
            }
        }.sorted()
        return KernelMeasurement(
            kernel: kernel, shape: shape, density: density, unit: unit, rate: rates[windows / 2], slowest: rates[0],
            fastest: rates[windows - 1], limit: limit)
    }
}

/// A batch of maps in f32 or in bf16, filled with values that repeat from run to run.
private final class Maps {
    let pointer: UnsafeMutableRawPointer
    private let planes: PlanesBuffer?
    private let pairs: PairPlanesBuffer?

    init(_ shape: PlanesShape, blocks: Int, inPairs: Bool) {
        var state: UInt32 = 1
        func forEachValue(_ body: (_ example: Int, _ channel: Int, _ row: Int, _ column: Int, Float) -> Void) {
            for example in 0..<16 * blocks {
                for channel in 0..<shape.channels {
                    for row in 0..<shape.height {
                        for column in 0..<shape.width { body(example, channel, row, column, next(&state)) }
                    }
                }
            }
        }
        if inPairs {
            let buffer = PairPlanesBuffer(zeroed: shape, blocks: blocks)
            let (layout, words) = (buffer.planes, buffer.pointer)
            forEachValue { example, channel, row, column, value in
                let bits = value.bitPattern
                words[layout.index(example: example, channel: channel, row: row, column: column)] |=
                    channel % 2 == 0 ? bits >> 16 : bits & 0xffff_0000
            }
            pointer = UnsafeMutableRawPointer(words)
            planes = nil
            pairs = consume buffer
        } else {
            let buffer = PlanesBuffer(zeroed: shape, blocks: blocks)
            let floats = buffer.pointer
            forEachValue { example, channel, row, column, value in
                floats[shape.index(example: example, channel: channel, row: row, column: column)] = value
            }
            pointer = UnsafeMutableRawPointer(floats)
            planes = consume buffer
            pairs = nil
        }
    }
}

private struct ConvolutionMaps {
    let shape: ConvolutionShape
    let x, dx, y, dy: Maps

    init(_ shape: ConvolutionShape, inPairs: Bool) {
        self.shape = shape
        x = Maps(shape.input, blocks: 4, inPairs: inPairs)
        dx = Maps(shape.input, blocks: 4, inPairs: inPairs)
        y = Maps(shape.output, blocks: 4, inPairs: inPairs)
        dy = Maps(shape.output, blocks: 4, inPairs: inPairs)
    }

    var name: String {
        "\(shape.input.channels) → \(shape.outputs) at \(shape.input.height)²"
            + (shape.stride > 1 ? ", stride \(shape.stride)" : "")
    }

    func flops(survivors: Int) -> Double {
        2 * Double(survivors) * Double(shape.output.height * shape.output.width * 64)
    }
}

/// Values between −½ and ½ that repeat from run to run.
private func random(_ count: Int) -> AlignedBuffer<Float> {
    let buffer = AlignedBuffer<Float>(zeroed: max(16, count))
    var state: UInt32 = 1
    for index in 0..<count { buffer.pointer[index] = next(&state) }
    return buffer
}

private func survivors(_ count: Int, _ density: Double) -> [Bool] {
    var state: UInt32 = 2
    return (0..<count).map { _ in Double(next(&state)) + 0.5 < density }
}

/// Xorshift (Marsaglia 2003).
private func next(_ state: inout UInt32) -> Float {
    state ^= state << 13
    state ^= state >> 17
    state ^= state << 5
    return Float(state >> 8) * 0x1p-24 - 0.5
}
