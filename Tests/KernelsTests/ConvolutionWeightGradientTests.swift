import CKernels
import Kernels
import Testing

@Suite("Gradients of a convolution's weights")
struct ConvolutionWeightGradientTests {
    init() { FloatingPointMode.flushDenormals() }

    private static func filled(
        _ shape: PlanesShape, blocks: Int, _ random: inout Stream, spread: Int = 8, live: [Bool]? = nil
    ) -> PlanesBuffer {
        let planes = PlanesBuffer(zeroed: shape, blocks: blocks)
        for example in 0..<blocks * 16 {
            for channel in 0..<shape.channels where live?[channel] ?? true {
                for row in 0..<shape.height {
                    for column in 0..<shape.width {
                        let place = shape.index(example: example, channel: channel, row: row, column: column)
                        planes.pointer[place] = random.value(spread: spread)
                    }
                }
            }
        }
        return planes
    }

    private static func check(
        _ shape: ConvolutionShape, blocks: Int, density: Double, spread: Int = 8, liveOutputs: [Bool]? = nil,
        seed: UInt64,
        _ instructionSets: [InstructionSet]
    ) {
        var random = Stream(seed: seed)
        let x = filled(shape.input, blocks: blocks, &random, spread: spread)
        let dy = filled(shape.output, blocks: blocks, &random, spread: spread, live: liveOutputs)
        let survivors = (0..<shape.weightCount).map { _ in random.uniform() < density }
        let count = survivors.count { $0 }
        var code = tk_conv_gradient_shape(
            inputs: shape.input.channels, height: shape.input.height, width: shape.input.width,
            outputs: shape.outputs, kernel: shape.kernel, stride: shape.stride)
        var expected = [Float](repeating: 0, count: (count + 15) / 16 * 16)
        var expectedBias = [Float](repeating: 0, count: shape.outputs)
        var bits = tk_reference_conv_weight_gradient(
            &code, survivors.map { $0 ? 1 : 0 }, x.pointer, dy.pointer, blocks, &expected)
        bits = max(bits, tk_reference_conv_bias_gradient(&code, dy.pointer, blocks, &expectedBias))
        for instructionSet in instructionSets {
            for path in [KernelPath.dense, .sparse, .fastest] {
                let kernels = ConvolutionWeightGradient(
                    shape: shape, survivors: density == 1 ? nil : survivors, path: path, instructionSet: instructionSet)
                if let liveOutputs { kernels.setLive(outputs: liveOutputs) }
                var gradient = [Float](repeating: .nan, count: expected.count)
                var bias = [Float](repeating: .nan, count: shape.outputs)
                let magnitude = kernels.compute(
                    x: x.pointer, dy: dy.pointer, blocks: blocks, gradient: &gradient, biasGradient: &bias)
                let note: Comment =
                    "\(shape) \(blocks) blocks, density \(density), spread \(spread), seed \(seed), \(instructionSet) \(path)"
                #expect(gradient.map(canonicalBits) == expected.map(canonicalBits), note)
                #expect(bias.map(canonicalBits) == expectedBias.map(canonicalBits), note)
                #expect(same(magnitude, bits), note)
            }
        }
    }

    @Test("every instruction set and path gives the reference's bits", arguments: [1, 2, 3, 4, 5, 8, 9, 13, 17])
    func sameBits(size: Int) {
        let fast = InstructionSet.supported.filter { $0 > .portable }
        for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (1, 2)] {
            for (index, blocks) in [1, 2, 5].enumerated() {
                let densities = [0, 0.02, 0.5, 1]
                let shape = ConvolutionShape(
                    input: PlanesShape(
                        channels: [3, 5, 2][index], height: size, width: [size, max(1, 14 - size), 5][index]),
                    outputs: [4, 5, 3][index], kernel: kernel, stride: stride)
                for density in densities {
                    let sets = blocks == 1 ? InstructionSet.supported : fast
                    Self.check(shape, blocks: blocks, density: density, seed: UInt64(size * 100 + blocks), sets)
                }
            }
        }
    }

    @Test("sums that underflow, overflow to infinity and become NaN are the reference's", arguments: [150, 250])
    func overflow(spread: Int) {
        for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (1, 2)] {
            for (channels, size) in [(3, 2), (4, 4), (2, 9)] {
                let shape = ConvolutionShape(
                    input: PlanesShape(channels: channels, height: size, width: size), outputs: 5, kernel: kernel,
                    stride: stride)
                for density in [0.3, 1] {
                    Self.check(
                        shape, blocks: 2, density: density, spread: spread, seed: UInt64(spread + size),
                        InstructionSet.supported)
                }
            }
        }
    }

    @Test("more channels and weights than are kept near at once give the reference's bits")
    func severalPasses() {
        let shape = ConvolutionShape(
            input: PlanesShape(channels: 70, height: 2, width: 2), outputs: 20, kernel: 3, stride: 1)
        Self.check(shape, blocks: 2, density: 1, seed: 3, InstructionSet.supported.filter { $0 > .portable })
    }

    @Test("dead outputs have gradients of +0 and leave the others as they are")
    func deadOutputs() {
        for live in [[false, true, true, false, true, false, false], Array(repeating: false, count: 7)] {
            for density in [0.3, 1] {
                let shape = ConvolutionShape(
                    input: PlanesShape(channels: 5, height: 9, width: 9), outputs: 7, kernel: 3, stride: 1)
                Self.check(
                    shape, blocks: 2, density: density, liveOutputs: live, seed: 4, InstructionSet.supported)
            }
        }
    }

    @Test("one object computes batches of several sizes")
    func severalBatches() {
        let shape = ConvolutionShape(
            input: PlanesShape(channels: 3, height: 4, width: 4), outputs: 5, kernel: 3, stride: 1)
        var random = Stream(seed: 5)
        let x = Self.filled(shape.input, blocks: 5, &random)
        let dy = Self.filled(shape.output, blocks: 5, &random)
        let kernels = ConvolutionWeightGradient(shape: shape, survivors: nil)
        for blocks in [5, 1, 3] {
            var gradients = [kernels, ConvolutionWeightGradient(shape: shape, survivors: nil)].map { kernels in
                var gradient = [Float](repeating: .nan, count: 144)
                _ = kernels.compute(
                    x: x.pointer, dy: dy.pointer, blocks: blocks, gradient: &gradient, biasGradient: nil)
                return gradient.map(\.bitPattern)
            }
            #expect(gradients.removeLast() == gradients[0], "\(blocks) blocks")
        }
    }

    @Test("predicted memory bounds what is kept, within a few times")
    func memory() {
        for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (1, 2)] {
            for (channels, outputs, size) in [(20, 30, 2), (2, 7, 4), (70, 9, 4), (6, 10, 9), (3, 8, 19)] {
                let shape = ConvolutionShape(
                    input: PlanesShape(channels: channels, height: size, width: size), outputs: outputs, kernel: kernel,
                    stride: stride)
                for density in [0.1, 1] {
                    var random = Stream(seed: UInt64(channels * size))
                    let survivors = (0..<shape.weightCount).map { _ in random.uniform() < density }
                    let count = survivors.count { $0 }
                    let x = PlanesBuffer(zeroed: shape.input, blocks: 5)
                    let dy = PlanesBuffer(zeroed: shape.output, blocks: 5)
                    for path in KernelPath.allCases {
                        for instructionSet in InstructionSet.supported {
                            let kernels = ConvolutionWeightGradient(
                                shape: shape, survivors: survivors, path: path, instructionSet: instructionSet)
                            for blocks in [1, 5] {
                                var gradient = [Float](repeating: .nan, count: (count + 15) / 16 * 16)
                                _ = kernels.compute(
                                    x: x.pointer, dy: dy.pointer, blocks: blocks, gradient: &gradient, biasGradient: nil
                                )
                                let bound = ConvolutionWeightGradient.byteCount(
                                    shape: shape, survivorCount: count, blocks: blocks, path: path,
                                    instructionSet: instructionSet)
                                let note: Comment =
                                    "\(shape) density \(density), \(blocks) blocks, \(instructionSet) \(path)"
                                #expect(kernels.byteCount <= bound, note)
                                #expect(bound <= 2 * kernels.byteCount, note)
                                kernels.setLive(outputs: (0..<outputs).map { $0 % 3 != 1 })
                                #expect(kernels.byteCount <= bound, note)
                                kernels.setLive(outputs: Array(repeating: true, count: outputs))
                            }
                        }
                    }
                }
            }
        }
    }
}
