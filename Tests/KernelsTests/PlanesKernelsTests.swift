import CKernels
import Kernels
import Testing

/// A batch in planes for tests. Its pointer is good for as long as the object is held.
final class TestPlanes {
    let shape: PlanesShape
    let blocks: Int
    private let buffer: PlanesBuffer

    var pointer: UnsafeMutablePointer<Float> { buffer.pointer }

    /// Interior pixels of all examples become what `value` gives, in the order (example, channel, row, column).
    init(_ shape: PlanesShape, blocks: Int, _ value: (_ example: Int, _ channel: Int) -> Float = { _, _ in .nan }) {
        self.shape = shape
        self.blocks = blocks
        buffer = PlanesBuffer(zeroed: shape, blocks: blocks)
        for example in 0..<blocks * 16 {
            for channel in 0..<shape.channels {
                for place in interior(example: example, channel: channel) {
                    buffer.pointer[place] = value(example, channel)
                }
            }
        }
    }

    static func random(_ shape: PlanesShape, blocks: Int, _ random: inout Stream) -> TestPlanes {
        TestPlanes(shape, blocks: blocks) { _, _ in random.value(spread: 8) }
    }

    /// Where the pixels of one map of one example lie, in row-major order.
    func interior(example: Int, channel: Int) -> [Int] {
        (0..<shape.height * shape.width).map {
            shape.index(example: example, channel: channel, row: $0 / shape.width, column: $0 % shape.width)
        }
    }

    /// Everything, halo and slack included; NaNs made one.
    var bits: [UInt32] {
        let slack = PlanesBuffer.slackLines * 16
        return (-slack..<shape.floats(blocks: blocks) + slack).map { canonicalBits(buffer.pointer[$0]) }
    }

    func copy(_ other: TestPlanes) {
        for place in 0..<shape.floats(blocks: blocks) { buffer.pointer[place] = other.pointer[place] }
    }

    /// Σ a · b over all pixels of all examples, in f64.
    func dot(_ other: TestPlanes) -> Double {
        (0..<shape.floats(blocks: blocks)).reduce(0) { $0 + Double(buffer.pointer[$1]) * Double(other.pointer[$1]) }
    }
}

/// Features for tests: [feature][blocks · 16], every value NaN unless given.
final class TestFeatures {
    let count: Int
    private let buffer: AlignedBuffer<Float>

    var pointer: UnsafeMutablePointer<Float> { buffer.pointer }
    var bits: [UInt32] { (0..<count).map { canonicalBits(buffer[$0]) } }

    init(_ features: Int, blocks: Int, _ value: () -> Float = { .nan }) {
        count = features * blocks * 16
        buffer = AlignedBuffer(zeroed: count)
        for place in 0..<count { buffer[place] = value() }
    }

    func dot(_ other: TestFeatures) -> Double {
        (0..<count).reduce(0) { $0 + Double(buffer.pointer[$1]) * Double(other.pointer[$1]) }
    }
}

func canonicalBits(_ value: Float) -> UInt32 { value.isNaN ? 0x7fc0_0000 : value.bitPattern }

func same(_ magnitude: Magnitude, _ bits: tk_magnitude) -> Bool {
    canonicalBits(magnitude.value) == canonicalBits(Float(bitPattern: bits))
}

extension PlanesShape {
    var testCode: tk_planes_shape { tk_planes_shape(channels: channels, height: height, width: width) }

    /// Heights and widths on which the kernels' tests run: single pixels, ragged tiles of each kind, whole ones,
    /// several in a row.
    static let testSizes = [[1, 1], [2, 2], [3, 5], [4, 3], [8, 8], [13, 7], [6, 20]]
}

@Suite("Kernels over planes")
struct PlanesKernelsTests {
    init() { FloatingPointMode.flushDenormals() }

    private typealias Source = UnsafePointer<Float>
    private typealias Target = UnsafeMutablePointer<Float>

    /// Runs `body` for several numbers of blocks of 5 channels.
    private static func each(
        _ size: [Int], _ body: (_ shape: PlanesShape, _ blocks: Int, _ random: inout Stream, _ note: Comment) -> Void
    ) {
        let shape = PlanesShape(channels: 5, height: size[0], width: size[1])
        for blocks in [1, 2, 5] {
            let seed = UInt64(size[0] * 1000 + size[1] * 10 + blocks)
            var random = Stream(seed: seed)
            body(shape, blocks, &random, "\(shape), \(blocks) blocks, seed \(seed)")
        }
    }

    /// Checks a kernel that yields a gradient against its reference: with and without addend and gate, and with dx as
    /// the addend.
    private static func checkGradient(
        _ shape: PlanesShape, blocks: Int, _ random: inout Stream, _ note: Comment,
        reference: (_ addend: Source?, _ gate: Source?, _ dx: Target) -> tk_magnitude,
        kernel: (PlanesKernels, _ addend: Source?, _ gate: Source?, _ dx: Target) -> Magnitude
    ) {
        let addend = TestPlanes.random(shape, blocks: blocks, &random)
        let gate = TestPlanes(shape, blocks: blocks) { _, _ in
            [1, -1, 0, -0.0, 3, .nan, 1e-3][Int(random.word() % 7)]
        }
        for (adds, gates) in [(false, false), (true, false), (false, true), (true, true)] {
            let expected = TestPlanes(shape, blocks: blocks)
            let magnitude = reference(
                adds ? UnsafePointer(addend.pointer) : nil, gates ? UnsafePointer(gate.pointer) : nil, expected.pointer)
            for instructionSet in InstructionSet.supported {
                for inPlace in adds ? [false, true] : [false] {
                    let dx = TestPlanes(shape, blocks: blocks)
                    if inPlace { dx.copy(addend) }
                    let result = kernel(
                        PlanesKernels(instructionSet),
                        inPlace ? UnsafePointer(dx.pointer) : adds ? UnsafePointer(addend.pointer) : nil,
                        gates ? UnsafePointer(gate.pointer) : nil, dx.pointer)
                    let how = "\(note), \(instructionSet), addend \(adds), in place \(inPlace), gate \(gates)"
                    #expect(dx.bits == expected.bits, "\(how)")
                    #expect(same(result, magnitude), "\(how)")
                }
            }
        }
        withExtendedLifetime((addend, gate)) {}
    }

    @Test("Images lie in planes with the bits that dense layers are given", arguments: [1, 15, 16, 17, 60])
    func images(count: Int) {
        var random = Stream(seed: UInt64(count))
        let blocks = (count + 15) / 16 + 1
        for shape in [(1, 1, 1), (1, 28, 28), (3, 8, 8), (3, 5, 3), (2, 3, 11)].map(PlanesShape.init) {
            let pixels = shape.channels * shape.height * shape.width
            let images = (0..<9 * pixels).map { _ in UInt8(truncatingIfNeeded: random.word()) }
            let indices = (0..<count).map { _ in Int32(random.word() % 9) }
            let means: [Float] = shape.channels == 1 ? [0] : [0.49, 0, 0.44]
            let deviations: [Float] = shape.channels == 1 ? [1] : [0.247, 1, 0.26]
            var code = shape.testCode
            let expected = TestPlanes(shape, blocks: blocks)
            tk_reference_load_planes(images, indices, count, &code, blocks, means, deviations, expected.pointer)
            for instructionSet in InstructionSet.supported {
                let y = TestPlanes(shape, blocks: blocks)
                PlanesKernels(instructionSet).loadImages(
                    images, indices: indices, count: count, shape: shape, blocks: blocks, means: means,
                    deviations: deviations, y: y.pointer)
                #expect(y.bits == expected.bits, "\(shape), \(count) images, \(instructionSet)")
            }

            let features = TestFeatures(DenseShape.padded(pixels), blocks: blocks)
            DenseKernels().loadImages(
                images, indices: indices, count: count, batch: blocks * 16, channels: shape.channels,
                featuresPerChannel: shape.height * shape.width, means: means, deviations: deviations,
                x: features.pointer, transposed: nil)
            let flat = TestFeatures(pixels, blocks: blocks)
            PlanesKernels().flatten(shape, x: expected.pointer, y: flat.pointer, blocks: blocks)
            #expect(flat.bits == Array(features.bits.prefix(flat.count)), "\(shape), \(count) images")
            withExtendedLifetime((expected, features, flat)) {}
        }
    }

    @Test(
        "Max pooling and its gradient give the reference's bits",
        arguments: PlanesShape.testSizes.filter { $0 != [1, 1] })
    func maxPool(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            // Few values, so that ties are common; each sign of zero; now and then a NaN.
            let x = TestPlanes(shape, blocks: blocks) { _, _ in
                random.word() % 50 == 0 ? .nan : [-2, -1, -0.0, 0, 0.5, 1, 1][Int(random.word() % 7)]
            }
            let dy = TestPlanes.random(shape.halved, blocks: blocks, &random)
            var code = shape.testCode
            let expected = TestPlanes(shape.halved, blocks: blocks)
            let magnitude = tk_reference_max_pool(&code, x.pointer, expected.pointer, blocks)
            for instructionSet in InstructionSet.supported {
                let y = TestPlanes(shape.halved, blocks: blocks)
                let result = PlanesKernels(instructionSet).maxPool(shape, x: x.pointer, y: y.pointer, blocks: blocks)
                #expect(y.bits == expected.bits, "\(note), \(instructionSet)")
                #expect(same(result, magnitude), "\(note), \(instructionSet)")
            }
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_max_pool_gradient(&code, x.pointer, dy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.maxPoolGradient(
                    shape, x: x.pointer, dy: dy.pointer, addend: $1, gate: $2, dx: $3, blocks: blocks)
            }
            withExtendedLifetime((x, dy)) {}
        }
    }

    @Test(
        "Of equals the first pixel in row-major order wins, NaN wins over numbers, and the winner alone is given the gradient"
    )
    func winners() {
        let shape = PlanesShape(channels: 1, height: 2, width: 2)
        let cases: [(x: [Float], best: Float, winner: Int)] = [
            ([1, 1, 1, 1], 1, 0), ([0, 2, 2, 1], 2, 1), ([0, 1, 2, 2], 2, 2), ([-3, -2, -2, -1], -1, 3),
            ([-0.0, 0, 0, 0], 0, 0), ([-.infinity, -.infinity, -.infinity, -.infinity], -.infinity, 0),
            ([.nan, 5, 6, 7], .nan, 0), ([1, .infinity, .nan, 2], .nan, 2), ([1, 2, 3, .nan], .nan, 3),
            ([.nan, 1, .nan, 2], .nan, 2),
        ]
        let x = TestPlanes(shape, blocks: 1) { _, _ in 0 }
        let dy = TestPlanes(shape.halved, blocks: 1) { _, _ in 3 }
        for (example, (values, _, _)) in cases.enumerated() {
            for (place, value) in zip(x.interior(example: example, channel: 0), values) { x.pointer[place] = value }
        }
        for instructionSet in InstructionSet.supported {
            let kernels = PlanesKernels(instructionSet)
            let y = TestPlanes(shape.halved, blocks: 1)
            let dx = TestPlanes(shape, blocks: 1)
            #expect(!kernels.maxPool(shape, x: x.pointer, y: y.pointer, blocks: 1).isFinite)
            _ = kernels.maxPoolGradient(
                shape, x: x.pointer, dy: dy.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: 1)
            for (example, (values, best, winner)) in cases.enumerated() {
                let pooled = y.pointer[y.interior(example: example, channel: 0)[0]]
                #expect(canonicalBits(pooled) == canonicalBits(best), "\(values) \(instructionSet)")
                let gradient = dx.interior(example: example, channel: 0).map { dx.pointer[$0] }
                #expect(gradient == (0..<4).map { $0 == winner ? 3 : 0 }, "\(values) \(instructionSet)")
            }
        }
        withExtendedLifetime((x, dy)) {}
    }

    @Test("Average pooling and its gradient give the reference's bits", arguments: PlanesShape.testSizes)
    func averagePool(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            let x = TestPlanes.random(shape, blocks: blocks, &random)
            let dy = TestFeatures(shape.channels, blocks: blocks) { random.value(spread: 8) }
            var code = shape.testCode
            let expected = TestFeatures(shape.channels, blocks: blocks)
            let magnitude = tk_reference_average_pool(&code, x.pointer, expected.pointer, blocks)
            for instructionSet in InstructionSet.supported {
                let y = TestFeatures(shape.channels, blocks: blocks)
                let result = PlanesKernels(instructionSet)
                    .averagePool(shape, x: x.pointer, y: y.pointer, blocks: blocks)
                #expect(y.bits == expected.bits, "\(note), \(instructionSet)")
                #expect(same(result, magnitude), "\(note), \(instructionSet)")
            }
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_average_pool_gradient(&code, dy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.averagePoolGradient(shape, dy: dy.pointer, addend: $1, gate: $2, dx: $3, blocks: blocks)
            }
            withExtendedLifetime((x, dy)) {}
        }
    }

    @Test("Flattening and its gradient give the reference's bits", arguments: PlanesShape.testSizes)
    func flatten(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            let features = shape.channels * shape.height * shape.width
            let x = TestPlanes.random(shape, blocks: blocks, &random)
            let dy = TestFeatures(features, blocks: blocks) { random.value(spread: 8) }
            var code = shape.testCode
            let expected = TestFeatures(features, blocks: blocks)
            tk_reference_flatten(&code, x.pointer, expected.pointer, blocks)
            for instructionSet in InstructionSet.supported {
                let y = TestFeatures(features, blocks: blocks)
                PlanesKernels(instructionSet).flatten(shape, x: x.pointer, y: y.pointer, blocks: blocks)
                #expect(y.bits == expected.bits, "\(note), \(instructionSet)")
            }
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_flatten_gradient(&code, dy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.flattenGradient(shape, dy: dy.pointer, addend: $1, gate: $2, dx: $3, blocks: blocks)
            }
            withExtendedLifetime((x, dy)) {}
        }
    }

    @Test(
        "The padded shortcut and its gradient give the reference's bits", arguments: PlanesShape.testSizes,
        [[5, 1], [5, 2], [10, 2], [12, 1], [6, 2], [8, 3]])
    func padShortcut(size: [Int], outputsAndStride: [Int]) {
        let (outputs, stride) = (outputsAndStride[0], outputsAndStride[1])
        Self.each(size) { shape, blocks, random, note in
            let note: Comment = "\(note), \(outputs) outputs, stride \(stride)"
            let padded = shape.shortcut(outputs: outputs, stride: stride)
            let x = TestPlanes.random(shape, blocks: blocks, &random)
            let dy = TestPlanes.random(padded, blocks: blocks, &random)
            var code = shape.testCode
            let expected = TestPlanes(padded, blocks: blocks)
            tk_reference_pad_shortcut(&code, outputs, stride, x.pointer, expected.pointer, blocks)
            for instructionSet in InstructionSet.supported {
                let y = TestPlanes(padded, blocks: blocks)
                PlanesKernels(instructionSet).padShortcut(
                    input: shape, outputs: outputs, stride: stride, x: x.pointer, y: y.pointer, blocks: blocks)
                #expect(y.bits == expected.bits, "\(note), \(instructionSet)")
            }
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_pad_shortcut_gradient(&code, outputs, stride, dy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.padShortcutGradient(
                    input: shape, outputs: outputs, stride: stride, dy: dy.pointer, addend: $1, gate: $2, dx: $3,
                    blocks: blocks)
            }
            withExtendedLifetime((x, dy)) {}
        }
    }

    @Test("Accumulation gives the reference's bits, also where dx is dy", arguments: PlanesShape.testSizes)
    func accumulate(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            let dy = TestPlanes.random(shape, blocks: blocks, &random)
            var code = shape.testCode
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_accumulate(&code, dy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.accumulate(shape, dy: dy.pointer, addend: $1, gate: $2, dx: $3, blocks: blocks)
            }
            let other = TestPlanes.random(shape, blocks: blocks, &random)
            let expected = TestPlanes(shape, blocks: blocks)
            _ = tk_reference_accumulate(&code, dy.pointer, other.pointer, other.pointer, expected.pointer, blocks)
            for instructionSet in InstructionSet.supported {
                let dx = TestPlanes(shape, blocks: blocks)
                dx.copy(dy)
                _ = PlanesKernels(instructionSet).accumulate(
                    shape, dy: dx.pointer, addend: other.pointer, gate: other.pointer, dx: dx.pointer, blocks: blocks)
                #expect(dx.bits == expected.bits, "\(note), \(instructionSet)")
            }
            withExtendedLifetime((dy, other)) {}
        }
    }

    @Test("Gradients are adjoint to what they belong to: ⟨f(x), dy⟩ = ⟨x, f'(dy)⟩", arguments: PlanesShape.testSizes)
    func adjoint(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            let kernels = PlanesKernels()
            let x = TestPlanes.random(shape, blocks: blocks, &random)
            let dx = TestPlanes(shape, blocks: blocks)
            func check(_ forward: Double, _ what: String) {
                let backward = x.dot(dx)
                #expect(abs(forward - backward) <= 1e-4 * max(1, abs(forward)), "\(what), \(note)")
            }

            if shape.height > 1 && shape.width > 1 {
                let y = TestPlanes(shape.halved, blocks: blocks)
                let dy = TestPlanes.random(shape.halved, blocks: blocks, &random)
                _ = kernels.maxPool(shape, x: x.pointer, y: y.pointer, blocks: blocks)
                _ = kernels.maxPoolGradient(
                    shape, x: x.pointer, dy: dy.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: blocks)
                check(y.dot(dy), "max pooling")
            }

            let mean = TestFeatures(shape.channels, blocks: blocks)
            let dMean = TestFeatures(shape.channels, blocks: blocks) { random.value(spread: 8) }
            _ = kernels.averagePool(shape, x: x.pointer, y: mean.pointer, blocks: blocks)
            _ = kernels.averagePoolGradient(
                shape, dy: dMean.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: blocks)
            check(mean.dot(dMean), "average pooling")

            let flat = TestFeatures(shape.channels * shape.height * shape.width, blocks: blocks)
            let dFlat = TestFeatures(shape.channels * shape.height * shape.width, blocks: blocks) {
                random.value(spread: 8)
            }
            kernels.flatten(shape, x: x.pointer, y: flat.pointer, blocks: blocks)
            _ = kernels.flattenGradient(
                shape, dy: dFlat.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: blocks)
            check(flat.dot(dFlat), "flattening")

            let padded = TestPlanes(shape.shortcut(outputs: 9, stride: 2), blocks: blocks)
            let dPadded = TestPlanes.random(padded.shape, blocks: blocks, &random)
            kernels.padShortcut(input: shape, outputs: 9, stride: 2, x: x.pointer, y: padded.pointer, blocks: blocks)
            _ = kernels.padShortcutGradient(
                input: shape, outputs: 9, stride: 2, dy: dPadded.pointer, addend: nil, gate: nil, dx: dx.pointer,
                blocks: blocks)
            check(padded.dot(dPadded), "shortcut")
        }
    }
}
