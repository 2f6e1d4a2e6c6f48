import CKernels
import Kernels
import Testing

/// A convolution or a dense layer with everything that its kernels read, filled from a seed.
private struct TiledLayer {
    var code: tk_tile_layer
    let blocks: Int
    let survivors: [Bool]
    let live: [Bool]
    /// The survivors, and all weights with pruned ones +0.
    let compact, flat: [Float]
    let bias: [Float]
    let x, dy, addend, gate: Tensor

    /// f32 features or pair planes.
    final class Tensor {
        let shape: PlanesShape
        let blocks: Int
        private let features: AlignedBuffer<Float>
        private let pairs: TestPairs?

        init(features: Bool, _ shape: PlanesShape, blocks: Int) {
            self.shape = shape
            self.blocks = blocks
            self.features = AlignedBuffer(zeroed: features ? DenseShape.padded(shape.channels) * blocks * 16 : 0)
            pairs = features ? nil : TestPairs(shape, blocks: blocks) { 0 }
        }

        var floats: UnsafeMutablePointer<Float> { features.pointer }
        var pointer: UnsafeMutableRawPointer { pairs.map { UnsafeMutableRawPointer($0.pointer) } ?? .init(floats) }
        /// NaNs made one: which NaN comes out of an operation on two is not defined, and none is used.
        var bits: [UInt32] { pairs?.bits ?? (0..<features.count).map { canonicalBits(features[$0]) } }

        func fill(_ next: () -> Float) {
            pairs?.fill(next)
            for place in 0..<(pairs == nil ? shape.channels * blocks * 16 : 0) { features[place] = next() }
        }
        func copy(_ other: Tensor) {
            if let pairs, let others = other.pairs { pairs.copy(others) }
        }
        func set(_ value: Float, example: Int, channel: Int, row: Int, column: Int) {
            pairs?.set(value, example: example, channel: channel, row: row, column: column)
        }
        func value(example: Int, channel: Int, row: Int, column: Int) -> Float? {
            pairs?.value(example: example, channel: channel, row: row, column: column)
        }
        /// Pair planes in f32.
        func widened() -> TestPlanes? { pairs?.widened() }
    }

    /// - Parameter spread: values are scaled by 2 to a power within ±spread/2.
    init(
        inputs: Int, outputs: Int, height: Int = 1, width: Int = 1, kernel: Int = 1, stride: Int = 1,
        features: Bool = false,
        blocks: Int, spread: Int = 8, density: Double = 1, seed: UInt64
    ) {
        var random = Stream(seed: seed)
        code = tk_tile_layer(
            inputs: inputs, outputs: outputs, height: height, width: width, kernel: kernel, stride: stride,
            features: features ? 1 : 0)
        self.blocks = blocks
        survivors = (0..<outputs * inputs * kernel * kernel).map { _ in random.uniform() < density }
        live = (0..<outputs).map { _ in density == 1 || random.uniform() < 0.75 }
        flat = survivors.map { $0 ? random.value(spread: spread) : 0 }
        compact = zip(survivors, flat).filter(\.0).map(\.1)
        bias = (0..<outputs).map { _ in random.value(spread: spread) }
        let input = PlanesShape(channels: inputs, height: height, width: width)
        let output = PlanesShape(
            channels: outputs, height: (height - 1) / stride + 1, width: (width - 1) / stride + 1)
        x = Tensor(features: features, input, blocks: blocks)
        dy = Tensor(features: features, output, blocks: blocks)
        addend = Tensor(features: features, input, blocks: blocks)
        gate = Tensor(features: features, input, blocks: blocks)
        let kinds: [Float] = [-0.0, 0, 0x1p-140, -0x1p-130, 1 + 0x1p-8, 1 + 0x3p-8, -1 - 0x1p-8 - 0x1p-23]
        for tensor in [x, dy, addend, gate] {
            tensor.fill {
                // Now and then a zero, a denormal, or a tie between two values of bf16.
                let special = random.word() % 64
                return special < kinds.count ? kinds[Int(special)] : random.value(spread: spread)
            }
        }
    }

    var note: String {
        "\(code.inputs) → \(code.outputs), \(code.height) × \(code.width), kernel \(code.kernel), stride \(code.stride), "
            + "features \(code.features), \(blocks) blocks, \(compact.count) of \(flat.count) weights"
    }
    var inputShape: PlanesShape { PlanesShape(channels: code.inputs, height: code.height, width: code.width) }
    var shape: ConvolutionShape {
        ConvolutionShape(input: inputShape, outputs: code.outputs, kernel: code.kernel, stride: code.stride)
    }
    func inputTensor() -> Tensor { Tensor(features: code.features != 0, inputShape, blocks: blocks) }
    func outputTensor() -> Tensor { Tensor(features: code.features != 0, shape.output, blocks: blocks) }
}

/// What the reference says about a layer, in one of the ways that its kernels can be asked.
private struct Expected {
    let y, dx: TiledLayer.Tensor
    let gradient, biasGradient: [Float]
    let magnitudes: (forward: tk_magnitude, inputGradient: tk_magnitude, weightGradient: tk_magnitude)

    init(_ layer: TiledLayer, bias: Bool, rectify: Bool, addend: Bool, gate: Bool) {
        var code = layer.code
        let live: [UInt8] = layer.live.map { $0 ? 1 : 0 }
        y = layer.outputTensor()
        dx = layer.inputTensor()
        var gradient = [Float](repeating: 0, count: layer.compact.count)
        let biases = AlignedBuffer<Float>(zeroed: layer.code.outputs)
        magnitudes = (
            tk_reference_tile_forward(
                &code, layer.flat, bias ? layer.bias : nil, live, rectify ? 1 : 0, layer.x.pointer, y.pointer,
                layer.blocks),
            tk_reference_tile_input_gradient(
                &code, layer.flat, live, layer.dy.pointer, addend ? UnsafeRawPointer(layer.addend.pointer) : nil,
                gate ? UnsafeRawPointer(layer.gate.pointer) : nil, dx.pointer, layer.blocks),
            tk_reference_tile_weight_gradient(
                &code, layer.survivors.map { $0 ? 1 : 0 }, live, layer.x.pointer, layer.dy.pointer, layer.blocks,
                &gradient, bias && code.features == 0 ? biases.pointer : nil)
        )
        self.gradient = gradient
        biasGradient = (0..<layer.code.outputs).map { biases[$0] }
    }
}

private func bitsOf(_ values: some Sequence<Float>) -> [UInt32] { values.map(canonicalBits) }

private func agree(_ actual: Magnitude, _ expected: tk_magnitude) -> Bool {
    expected > 0x7f80_0000 ? actual.value.isNaN : actual.value.bitPattern == expected
}

@Suite("Kernels over bf16 tiles")
struct TileKernelsTests {
    init() { FloatingPointMode.flushDenormals() }

    private static let codes: [tk_tile_backend] = TileBackend.supported.map {
        switch $0 {
        case .portable: TK_TILES_PORTABLE
        case .avx2: TK_TILES_AVX2
        case .avx512: TK_TILES_AVX512
        case .amx: TK_TILES_AMX
        }
    }

    private func checkConvolution(_ layer: TiledLayer, _ backends: [TileBackend] = TileBackend.supported) {
        for (index, backend) in backends.enumerated() {
            let bias = (index + layer.blocks) % 2 == 0
            let expected = Expected(layer, bias: bias, rectify: !bias, addend: bias, gate: bias)
            let note: Comment = "\(layer.note) \(backend)"
            let kernels = TileConvolution(
                shape: layer.shape, survivors: layer.compact.count == layer.flat.count ? nil : layer.survivors,
                backend: backend)
            kernels.setLive(outputs: layer.live)
            kernels.load(weights: layer.compact)

            let y = layer.outputTensor()
            let forward = kernels.forward(
                x: layer.x.pointer, bias: bias ? layer.bias : nil, rectify: !bias, y: y.pointer, blocks: layer.blocks,
                examples: layer.blocks * 16, sums: nil)
            #expect(y.bits == expected.y.bits, note)
            #expect(agree(forward, expected.magnitudes.forward), note)

            // The addend may be the result.
            let dx = layer.inputTensor()
            if bias { dx.copy(layer.addend) }
            let inputGradient = kernels.inputGradient(
                dy: layer.dy.pointer, addend: bias ? UnsafeRawPointer(dx.pointer) : nil,
                gate: bias ? UnsafeRawPointer(layer.gate.pointer) : nil,
                dx: dx.pointer, blocks: layer.blocks)
            #expect(dx.bits == expected.dx.bits, note)
            #expect(agree(inputGradient, expected.magnitudes.inputGradient), note)

            var gradient = [Float](repeating: .nan, count: DenseShape.padded(layer.compact.count))
            let biasGradient = AlignedBuffer<Float>(zeroed: layer.code.outputs)
            let weightGradient = kernels.weightGradient(
                x: layer.x.pointer, dy: layer.dy.pointer, blocks: layer.blocks, gradient: &gradient,
                biasGradient: bias ? biasGradient.pointer : nil)
            #expect(
                bitsOf((0..<layer.code.outputs).map { biasGradient[$0] }) == bitsOf(expected.biasGradient), note)
            #expect(bitsOf(gradient.prefix(layer.compact.count)) == bitsOf(expected.gradient), note)
            #expect(gradient.dropFirst(layer.compact.count).allSatisfy { $0.bitPattern == 0 }, note)
            #expect(agree(weightGradient, expected.magnitudes.weightGradient), note)
        }
    }

    @Test(
        "A step of every backend has the bits of TDPBF16PS as its manual gives them", arguments: [0, 8, 60, 150, 250])
    func step(spread: Int) {
        var random = Stream(seed: UInt64(spread))
        for round in 0..<20 {
            let a = AlignedBuffer<UInt16>(zeroed: 512)
            let b = AlignedBuffer<UInt16>(zeroed: 512)
            let start = AlignedBuffer<Float>(zeroed: 256)
            for place in 0..<512 {
                a[place] = tk_reference_bf16(random.value(spread: spread))
                b[place] = tk_reference_bf16(random.value(spread: spread))
            }
            for place in 0..<256 { start[place] = random.value(spread: spread) }
            let expected = AlignedBuffer<Float>(zeroed: 256)
            expected.pointer.update(from: start.pointer, count: 256)
            tk_reference_tile_dot(a.pointer, b.pointer, expected.pointer)
            for code in Self.codes {
                let sums = AlignedBuffer<Float>(zeroed: 256)
                sums.pointer.update(from: start.pointer, count: 256)
                tk_tile_dot(code, a.pointer, b.pointer, sums.pointer)
                let same = (0..<256).allSatisfy {
                    sums[$0].bitPattern == expected[$0].bitPattern || (sums[$0].isNaN && expected[$0].isNaN)
                }
                #expect(same, "round \(round), spread \(spread), backend \(code.rawValue)")
            }
        }
    }

    @Test("A step of every backend has the reference's bits for any operands, and for terms that cancel or tie")
    func adversarialStep() {
        var random = Stream(seed: 1)
        for round in 0..<60 {
            let a = AlignedBuffer<UInt16>(zeroed: 512)
            let b = AlignedBuffer<UInt16>(zeroed: 512)
            let start = AlignedBuffer<Float>(zeroed: 256)
            for place in 0..<512 {
                let bits = random.word()
                switch round % 3 {
                case 0:
                    // Infinities, NaNs and denormals among them.
                    a[place] = UInt16(truncatingIfNeeded: bits)
                    b[place] = UInt16(truncatingIfNeeded: bits >> 16)
                case 1:
                    // The sum of each pair of steps is 0 or an ulp of its terms.
                    a[place] = place & 2 == 0 ? UInt16(truncatingIfNeeded: bits) & 0x87ff | 0x3c00 : a[place - 2]
                    b[place] =
                        place / 32 % 2 == 0
                        ? UInt16(truncatingIfNeeded: bits >> 16) & 0x87ff | 0x3c00
                        : b[place - 32] ^ 0x8000 ^ UInt16(truncatingIfNeeded: bits >> 32 & 1)
                default:
                    // Powers of two, whose sums tie.
                    a[place] = UInt16(truncatingIfNeeded: bits) & 0x8040 | 0x3f80
                    let exponent = 100 + UInt16(truncatingIfNeeded: bits >> 32) % 50
                    b[place] = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000 | exponent << 7
                }
            }
            for place in 0..<256 { start[place] = random.value(spread: 40) }
            let expected = AlignedBuffer<Float>(zeroed: 256)
            expected.pointer.update(from: start.pointer, count: 256)
            tk_reference_tile_dot(a.pointer, b.pointer, expected.pointer)
            for code in Self.codes {
                let sums = AlignedBuffer<Float>(zeroed: 256)
                sums.pointer.update(from: start.pointer, count: 256)
                tk_tile_dot(code, a.pointer, b.pointer, sums.pointer)
                #expect(
                    bitsOf((0..<256).map { sums[$0] }) == bitsOf((0..<256).map { expected[$0] }),
                    "round \(round), backend \(code.rawValue)")
            }
        }
    }

    @Test("f32 is rounded to the nearest bf16, ties to even; denormals and −0 are +0, NaN stays NaN")
    func rounding() {
        #expect(tk_reference_bf16(1) == 0x3f80)
        #expect(tk_reference_bf16(1 + 0x1p-8) == 0x3f80)
        #expect(tk_reference_bf16(1 + 0x1p-8 + 0x1p-23) == 0x3f81)
        #expect(tk_reference_bf16(1 + 0x3p-8) == 0x3f82)
        #expect(tk_reference_bf16(-1 - 0x3p-8) == 0xbf82)
        #expect(tk_reference_bf16(.greatestFiniteMagnitude) == 0x7f80)
        #expect(tk_reference_bf16(-.infinity) == 0xff80)
        #expect(tk_reference_bf16(-0.0) == 0)
        #expect(tk_reference_bf16(Float.leastNormalMagnitude.nextDown) == 0)
        #expect(tk_reference_bf16(Float(bitPattern: 0x7fff_ffff)) == 0x7fc0)
        #expect(tk_reference_bf16(Float(bitPattern: 0xff80_0001)) == 0x7fc0)
    }

    @Test(
        "Convolutions of ragged sizes have the bits of the reference on every backend",
        arguments: [1, 2, 3, 4, 5, 8, 9])
    func convolutions(height: Int) {
        let channels = [(3, 5), (5, 33), (33, 3), (1, 17), (40, 2)]
        for (index, (inputs, outputs)) in channels.enumerated() {
            for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (1, 2)] {
                let width = [1, 13, 5, 3, 2][(index + height) % 5]
                checkConvolution(
                    TiledLayer(
                        inputs: inputs, outputs: outputs, height: min(height, 60 / width), width: width, kernel: kernel,
                        stride: stride, blocks: 1 + (index + height) % 3, density: index % 2 == 0 ? 1 : 0.4,
                        seed: UInt64(100 * height + index)))
            }
        }
    }

    @Test("Very unlike values, underflow and overflow have the bits of the reference", arguments: [60, 150, 250])
    func spreads(spread: Int) {
        for (kernel, stride) in [(3, 1), (3, 2), (1, 2)] {
            checkConvolution(
                TiledLayer(
                    inputs: 5, outputs: 19, height: 4, width: 6, kernel: kernel, stride: stride, blocks: 2,
                    spread: spread, seed: UInt64(spread)))
        }
    }

    private static let fastBackends = TileBackend.supported.filter { $0 > .portable }

    @Test("More tiles of positions than are kept near have the bits of the reference")
    func manyPositions() {
        checkConvolution(
            TiledLayer(inputs: 40, outputs: 2, height: 17, width: 19, kernel: 1, blocks: 5, density: 0.1, seed: 1),
            Self.fastBackends)
        checkConvolution(
            TiledLayer(inputs: 900, outputs: 1, height: 2, width: 2, kernel: 3, stride: 2, blocks: 5, seed: 2),
            Self.fastBackends)
    }

    // Side by side, because under sanitizers each takes minutes.
    @Test(
        "More tiles of positions of one block than are kept near, forward and back, have the bits of the reference",
        arguments: [(inputs: 49, outputs: 2, height: 30, seed: 7), (inputs: 2, outputs: 50, height: 31, seed: 8)])
    func largeMaps(inputs: Int, outputs: Int, height: Int, seed: UInt64) {
        checkConvolution(
            TiledLayer(inputs: inputs, outputs: outputs, height: height, width: 29, kernel: 3, blocks: 1, seed: seed),
            Self.fastBackends)
    }

    @Test("Weight gradients in several strips, the last of them ragged, have the bits of the reference")
    func severalStrips() {
        checkConvolution(
            TiledLayer(inputs: 2, outputs: 2, height: 13, width: 21, kernel: 3, blocks: 3, seed: 3), Self.fastBackends)
        checkConvolution(
            TiledLayer(inputs: 2, outputs: 2, height: 25, width: 21, kernel: 3, stride: 2, blocks: 2, seed: 4),
            Self.fastBackends)
    }

    @Test(
        "Weight gradients of several pairs of blocks a piece, of more inputs than stay near, have the bits of the reference"
    )
    func severalPieces() {
        checkConvolution(
            TiledLayer(
                inputs: 403, outputs: 2, height: 4, width: 4, kernel: 3, blocks: 11, density: 0.5, seed: 5),
            Self.fastBackends)
        checkConvolution(
            TiledLayer(inputs: 70, outputs: 2, height: 9, width: 7, kernel: 3, blocks: 5, density: 0.5, seed: 6),
            Self.fastBackends)
    }

    @Test("Maps of one and of four pixels have the bits of the reference", arguments: [1, 2])
    func smallest(side: Int) {
        for (index, (inputs, outputs)) in [(1, 1), (2, 3), (3, 2), (16, 17), (31, 4)].enumerated() {
            for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (1, 2)] {
                checkConvolution(
                    TiledLayer(
                        inputs: inputs, outputs: outputs, height: side, width: side, kernel: kernel, stride: stride,
                        blocks: 1 + index % 3, density: index % 2 == 0 ? 1 : 0.5, seed: UInt64(100 * side + index)))
            }
        }
    }

    @Test("Dense layers of ragged sizes have the bits of the reference on every backend", arguments: [1, 2, 3, 9])
    func dense(blocks: Int) {
        for (index, (inputs, outputs)) in [(1, 1), (3, 5), (33, 17), (100, 10), (70, 49)].enumerated() {
            let layer = TiledLayer(
                inputs: inputs, outputs: outputs, features: true, blocks: blocks, density: index % 2 == 0 ? 1 : 0.4,
                seed: UInt64(10 * blocks + index))
            let batch = blocks * 16
            for backend in TileBackend.supported {
                let expected = Expected(layer, bias: true, rectify: true, addend: false, gate: true)
                let note: Comment = "\(layer.note) \(backend)"
                let kernels = TileDense(
                    inputs: inputs, outputs: outputs,
                    survivors: layer.compact.count == layer.flat.count ? nil : layer.survivors, backend: backend)
                kernels.setLive(outputs: layer.live)
                kernels.load(weights: layer.compact)

                let y = layer.outputTensor()
                let forward = kernels.forward(
                    bias: layer.bias, rectify: true, x: layer.x.floats, y: y.floats, batch: batch)
                #expect(y.bits == expected.y.bits, note)
                #expect(agree(forward, expected.magnitudes.forward), note)

                let dx = layer.inputTensor()
                let inputGradient = kernels.inputGradient(
                    dy: layer.dy.floats, gate: layer.gate.floats, dx: dx.floats, batch: batch)
                #expect(dx.bits == expected.dx.bits, note)
                #expect(agree(inputGradient, expected.magnitudes.inputGradient), note)

                let gradient = AlignedBuffer<Float>(zeroed: DenseShape.padded(layer.compact.count))
                let biasGradient = AlignedBuffer<Float>(zeroed: DenseShape.padded(outputs))
                let weightGradient = kernels.weightGradient(
                    dy: layer.dy.floats, x: layer.x.floats, batch: batch, gradient: gradient.pointer,
                    biasGradient: biasGradient.pointer)
                let f32Bias = AlignedBuffer<Float>(zeroed: DenseShape.padded(outputs))
                let f32 = DenseKernels().biasGradient(
                    outputs: outputs, batch: batch, dy: layer.dy.floats, biasGradient: f32Bias.pointer)
                #expect(bitsOf((0..<layer.compact.count).map { gradient[$0] }) == bitsOf(expected.gradient), note)
                #expect(
                    bitsOf((0..<outputs).map { biasGradient[$0] }) == bitsOf((0..<outputs).map { f32Bias[$0] }), note)
                #expect(
                    weightGradient.value == max(f32.value, Float(bitPattern: expected.magnitudes.weightGradient)), note)
            }
        }
    }

    @Test("Batch-norm sums are those of the batch-norm kernel over what was stored, padding examples left out")
    func sums() throws {
        for (inputs, height, width, blocks, missing) in [
            (5, 9, 13, 2, 5), (5, 4, 3, 3, 0), (5, 2, 2, 5, 15), (5, 1, 1, 1, 1), (40, 31, 33, 2, 3),
        ] {
            let layer = TiledLayer(
                inputs: inputs, outputs: 35, height: height, width: width, kernel: 3, blocks: blocks, density: 0.6,
                seed: 7)
            let examples = blocks * 16 - missing
            for backend in TileBackend.supported {
                let kernels = TileConvolution(shape: layer.shape, survivors: layer.survivors, backend: backend)
                kernels.load(weights: layer.compact)
                let y = layer.outputTensor()
                var sums = [Float](repeating: .nan, count: blocks * 35 * 2)
                _ = kernels.forward(
                    x: layer.x.pointer, bias: nil, rectify: false, y: y.pointer, blocks: blocks, examples: examples,
                    sums: &sums)
                var expected = [Float](repeating: 0, count: sums.count)
                var planes = tk_planes_shape(channels: 35, height: height, width: width)
                let widened = try #require(y.widened())
                tk_reference_batch_norm_sums(&planes, widened.pointer, examples, &expected)
                withExtendedLifetime(widened) {}
                #expect(bitsOf(sums) == bitsOf(expected), "\(layer.note) \(backend)")
            }
        }
    }

    @Test("An infinity or a NaN in an operand is in the magnitude", arguments: [Float.infinity, .nan])
    func notFinite(value: Float) {
        for (kernel, stride) in [(3, 1), (3, 2), (1, 1)] {
            let layer = TiledLayer(
                inputs: 3, outputs: 5, height: 5, width: 5, kernel: kernel, stride: stride, blocks: 2, seed: 9)
            layer.x.set(value, example: 20, channel: 1, row: 2, column: 2)
            layer.dy.set(value, example: 3, channel: 4, row: 1, column: 0)
            for backend in TileBackend.supported {
                let kernels = TileConvolution(shape: layer.shape, survivors: nil, backend: backend)
                kernels.load(weights: layer.compact)
                let y = layer.outputTensor()
                let dx = layer.inputTensor()
                var gradient = [Float](repeating: 0, count: DenseShape.padded(layer.compact.count))
                let magnitudes = [
                    kernels.forward(
                        x: layer.x.pointer, bias: nil, rectify: false, y: y.pointer, blocks: 2, examples: 32, sums: nil),
                    kernels.inputGradient(dy: layer.dy.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: 2),
                    kernels.weightGradient(
                        x: layer.x.pointer, dy: layer.dy.pointer, blocks: 2, gradient: &gradient, biasGradient: nil),
                ]
                #expect(magnitudes.allSatisfy { !$0.isFinite }, "\(layer.note) \(backend)")
            }
        }
    }

    @Test("What a dead output holds reaches no result")
    func dead() {
        let layer = TiledLayer(inputs: 3, outputs: 4, height: 3, width: 3, kernel: 3, blocks: 1, seed: 11)
        for backend in TileBackend.supported {
            let kernels = TileConvolution(shape: layer.shape, survivors: nil, backend: backend)
            kernels.setLive(outputs: [true, false, true, true])
            var weights = layer.compact
            for place in 27..<54 { weights[place] = .infinity }
            kernels.load(weights: weights)
            let dy = layer.outputTensor()
            dy.set(.nan, example: 0, channel: 1, row: 1, column: 1)
            let y = layer.outputTensor()
            let forward = kernels.forward(
                x: layer.x.pointer, bias: nil, rectify: false, y: y.pointer, blocks: 1, examples: 16, sums: nil)
            #expect(forward.isFinite, "\(backend)")
            #expect(y.value(example: 0, channel: 1, row: 1, column: 1)?.bitPattern == 0, "\(backend)")
            let dx = layer.inputTensor()
            let inputGradient = kernels.inputGradient(
                dy: layer.dy.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: 1)
            #expect(inputGradient.isFinite, "\(backend)")
            var gradient = [Float](repeating: 0, count: DenseShape.padded(layer.compact.count))
            let weightGradient = kernels.weightGradient(
                x: layer.x.pointer, dy: dy.pointer, blocks: 1, gradient: &gradient, biasGradient: nil)
            #expect(weightGradient.isFinite, "\(backend)")
        }
    }

    @Test("A result that rounding makes infinite is infinite in the magnitude")
    func overflow() {
        let shape = ConvolutionShape(
            input: PlanesShape(channels: 1, height: 3, width: 3), outputs: 1, kernel: 1, stride: 1)
        let x = TestPairs(shape.input, blocks: 1) { 1 }
        let gate = TestPairs(shape.input, blocks: 1) { 1 }
        for backend in TileBackend.supported {
            let kernels = TileConvolution(shape: shape, survivors: nil, backend: backend)
            // The largest of bf16.
            kernels.load(weights: [Float(bitPattern: 0x7f7f_0000)])
            for (bias, isFinite) in [(0x1p118, true), (0x1.8p119, false)] as [(Float, Bool)] {
                #expect((Float(bitPattern: 0x7f7f_0000) + bias).isFinite)
                let y = TestPairs(shape.output, blocks: 1)
                let forward = kernels.forward(
                    x: x.pointer, bias: [bias], rectify: true, y: y.pointer, blocks: 1, examples: 16, sums: nil)
                #expect(forward.isFinite == isFinite && !forward.value.isNaN, "\(backend), \(bias)")
                let dx = TestPairs(shape.input, blocks: 1) { bias }
                let gradient = kernels.inputGradient(
                    dy: x.pointer, addend: dx.pointer, gate: gate.pointer, dx: dx.pointer, blocks: 1)
                #expect(gradient.isFinite == isFinite && !gradient.value.isNaN, "\(backend), \(bias)")
            }
        }
        withExtendedLifetime((x, gate)) {}
    }

    @Test("Results differ from those of f32 by what rounding to bf16 costs")
    func near() throws {
        let layer = TiledLayer(inputs: 16, outputs: 8, height: 6, width: 6, kernel: 3, blocks: 2, spread: 0, seed: 13)
        let expected = Expected(layer, bias: false, rectify: false, addend: false, gate: false)
        var exact = [Float](repeating: 0, count: layer.flat.count)
        var shape = tk_conv_gradient_shape(inputs: 16, height: 6, width: 6, outputs: 8, kernel: 3, stride: 1)
        let x = try #require(layer.x.widened())
        let dy = try #require(layer.dy.widened())
        _ = tk_reference_conv_weight_gradient(&shape, nil, x.pointer, dy.pointer, 2, &exact)
        withExtendedLifetime((x, dy)) {}
        // The factors are bf16 in both; sums of 1,152 products below 1 are rounded in another order.
        let worst = zip(expected.gradient, exact).map { Double(abs($0 - $1)) }.max() ?? 0
        #expect(worst <= 1e-4, "off by \(worst)")
    }

    @Test("A name chooses a backend that runs here, or the best")
    func chosen() {
        #expect(TileBackend.chosen(by: "portable") == .portable)
        #expect(TileBackend.chosen(by: "nonsense") == .best)
        #expect(TileBackend.chosen(by: nil) == .best)
        #expect(TileBackend.supported.contains(TileBackend.chosen(by: "amx")))
    }
}
