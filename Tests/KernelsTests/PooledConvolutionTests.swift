import Kernels
import Testing

/// A convolution that pools as it computes, beside one whose results are stored and pooled after that.
@Suite("Convolutions that pool what they compute")
struct PooledConvolutionTests {
    init() { FloatingPointMode.flushDenormals() }

    private static let sizes = [[6, 6], [2, 8], [8, 10], [4, 14], [18, 16], [6, 24]]

    @Test("the same maxima and gradients, bit for bit", arguments: sizes)
    func sameBits(size: [Int]) {
        for (n, density) in [0, 0.02, 0.3, 1].enumerated() {
            for kernel in [1, 3] {
                let seed = UInt64(size[0] * 1000 + size[1] * 10 + n)
                var random = Stream(seed: seed)
                let shape = ConvolutionShape(
                    input: PlanesShape(channels: 1 + n * 5, height: size[0], width: size[1]), outputs: 7 - n,
                    kernel: kernel, stride: 1)
                #expect(shape.canPool)
                let survivors = (0..<shape.weightCount).map { _ in random.uniform() < density }
                let live = (0..<shape.outputs).map { $0 == 0 || n > 1 || random.uniform() < 0.5 }
                let weights = AlignedBuffer<Float>(zeroed: shape.weightCount + 16)
                for place in 0..<survivors.count(where: { $0 }) { weights[place] = random.value(spread: 8) }
                let bias = AlignedBuffer<Float>(zeroed: shape.outputs)
                for output in 0..<shape.outputs { bias[output] = random.value(spread: 8) }
                let blocks = 1 + n % 2 * 2
                let x = filled(shape.input, blocks: blocks, &random)
                // Infinities and what comes of them must win or lose as they do in stored results.
                if n == 3 { x.pointer[shape.input.index(example: 3, channel: 0, row: 1, column: 2)] = .infinity }
                let dy = filled(shape.output.halved, blocks: blocks, &random)
                let note: Comment = "\(shape), density \(density), seed \(seed)"

                for instructionSet in InstructionSet.allCases where instructionSet.isSupported {
                    for path in KernelPath.allCases {
                        let convolution = Convolution(
                            shape: shape, survivors: density == 1 ? nil : survivors, path: path,
                            instructionSet: instructionSet)
                        convolution.setLive(outputs: live)
                        convolution.load(weights: weights.pointer)
                        expectSame(
                            convolution, PlanesKernels(instructionSet), x: x, bias: bias, dy: dy, blocks: blocks,
                            rectify: n != 2, note)
                    }
                }
            }
        }
    }

    private func expectSame(
        _ convolution: Convolution, _ kernels: PlanesKernels, x: borrowing PlanesBuffer,
        bias: borrowing AlignedBuffer<Float>, dy: borrowing PlanesBuffer, blocks: Int, rectify: Bool, _ note: Comment
    ) {
        let stored = convolution.shape.output
        let results = PlanesBuffer(zeroed: stored, blocks: blocks)
        let expected = PlanesBuffer(zeroed: stored.halved, blocks: blocks)
        let magnitude = convolution.forward(
            x: x.pointer, bias: bias.pointer, rectify: rectify, y: results.pointer, blocks: blocks,
            examples: blocks * 16, sums: nil)
        _ = kernels.maxPool(stored, x: results.pointer, y: expected.pointer, blocks: blocks)

        // Anything may lie where the maxima of all outputs go.
        var random = Stream(seed: 2)
        let pooled = filled(stored.halved, blocks: blocks, &random)
        let winners = AlignedBuffer<UInt64>(zeroed: stored.halved.blockLines * blocks)
        let pooledMagnitude = convolution.forwardPooled(
            x: x.pointer, bias: bias.pointer, rectify: rectify, y: pooled.pointer, winners: winners.pointer,
            blocks: blocks)
        #expect(bits(pooled) == bits(expected), note)
        #expect(pooledMagnitude.value.bitPattern == magnitude.value.bitPattern, note)

        guard rectify, magnitude.isFinite else { return }
        let dx = PlanesBuffer(zeroed: stored, blocks: blocks)
        let sparse = filled(stored, blocks: blocks, &random)
        let gradientMagnitude = kernels.maxPoolGradient(
            stored, x: results.pointer, dy: dy.pointer, addend: nil, gate: results.pointer, dx: dx.pointer,
            blocks: blocks)
        let fromWinners = kernels.maxPoolGradient(
            stored, winners: winners.pointer, y: pooled.pointer, dy: dy.pointer, dx: sparse.pointer, blocks: blocks)
        #expect(bits(sparse) == bits(dx), note)
        #expect(fromWinners.value.bitPattern == gradientMagnitude.value.bitPattern, note)
    }

    @Test("maps that no pairs of rows and columns fill are stored before they are pooled")
    func refused() {
        for (height, width, stride) in [(7, 8, 1), (8, 7, 1), (4, 4, 1), (16, 16, 2)] {
            let input = PlanesShape(channels: 1, height: height, width: width)
            #expect(!ConvolutionShape(input: input, outputs: 1, kernel: 3, stride: stride).canPool)
        }
    }

    private func filled(_ shape: PlanesShape, blocks: Int, _ random: inout Stream) -> PlanesBuffer {
        let planes = PlanesBuffer(zeroed: shape, blocks: blocks)
        for block in 0..<blocks {
            for channel in 0..<shape.channels {
                for row in 0..<shape.height {
                    let first = shape.index(example: block * 16, channel: channel, row: row, column: 0)
                    for n in 0..<shape.width * 16 { planes.pointer[first + n] = random.value(spread: 8) }
                }
            }
        }
        return planes
    }

    private func bits(_ planes: borrowing PlanesBuffer) -> [UInt32] {
        (0..<planes.shape.floats(blocks: planes.blocks)).map { planes.pointer[$0].bitPattern }
    }
}
