import CKernels
import Kernels
import Testing

/// A dense layer with everything its kernels read, filled from a seed.
private struct Layer: ~Copyable {
    let shape: DenseShape
    let weights, bias, x, transposed, dy: AlignedBuffer<Float>
    let mask: AlignedBuffer<UInt16>
    let live: [UInt32]

    /// - Parameters:
    ///   - spread: values are scaled by 2 to a power within ±spread/2.
    ///   - density: share of the weights that survive; a quarter of the outputs is dead if it is below 1.
    init(_ inputs: Int, _ outputs: Int, _ batch: Int, spread: Int = 0, density: Double = 1, seed: UInt64) {
        var random = Stream(seed: seed)
        shape = DenseShape(inputs: inputs, outputs: outputs, batch: batch)
        weights = AlignedBuffer(zeroed: shape.weightCount)
        bias = AlignedBuffer(zeroed: shape.paddedOutputs)
        x = AlignedBuffer(zeroed: shape.paddedInputs * batch)
        transposed = AlignedBuffer(zeroed: shape.paddedInputs * batch)
        dy = AlignedBuffer(zeroed: shape.paddedOutputs * batch)
        mask = AlignedBuffer(zeroed: shape.weightCount / 16)
        var live: [UInt32] = []
        for output in 0..<outputs {
            bias[output] = random.value(spread: spread)
            for input in 0..<inputs where random.uniform() < density {
                let place = shape.index(output: output, input: input)
                weights[place] = random.value(spread: spread)
                mask[place / 16] |= 1 << UInt16(place % 16)
            }
            if density == 1 || random.uniform() < 0.75 { live.append(UInt32(output)) }
        }
        self.live = live
        for place in 0..<inputs * batch { x[place] = max(random.value(spread: spread), 0) }
        for place in 0..<outputs * batch { dy[place] = random.value(spread: spread) }
        transpose()
    }

    /// Brings `transposed` up to date with `x`.
    func transpose() {
        for feature in 0..<shape.paddedInputs {
            for example in 0..<shape.batch {
                transposed[(feature / 16 * shape.batch + example) * 16 + feature % 16] =
                    x[feature * shape.batch + example]
            }
        }
    }

    var code: tk_dense_shape {
        tk_dense_shape(
            inputs: shape.inputs, padded_inputs: shape.paddedInputs, outputs: shape.outputs, batch: shape.batch)
    }
}

/// SplitMix64: enough randomness for test values.
struct Stream {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func word() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    mutating func uniform() -> Double { Double(word() >> 11) * 0x1p-53 }

    mutating func value(spread: Int) -> Float {
        let value = Float(uniform() * 2 - 1)
        guard spread > 0 else { return value }
        return Float(sign: .plus, exponent: Int(word() % UInt64(spread)) - spread / 2, significand: value)
    }
}

/// The bits of a buffer, NaNs made one: which NaN comes out of an operation on two is not defined, and none is used.
private func bitsOf(_ buffer: borrowing AlignedBuffer<Float>) -> [UInt32] {
    (0..<buffer.count).map { buffer[$0].isNaN ? 0x7fc0_0000 : buffer[$0].bitPattern }
}

private func sameMagnitude(_ a: tk_magnitude, _ b: tk_magnitude) -> Bool {
    a == b || (a > 0x7f80_0000 && b > 0x7f80_0000)
}

private let isas: [tk_isa] = InstructionSet.supported.map {
    switch $0 {
    case .portable: TK_PORTABLE
    case .avx2: TK_AVX2
    case .avx512: TK_AVX512
    }
}

/// Odd and ragged inputs, outputs and batches around every block size, and LeNet-300-100's layers.
private let shapes: [(Int, Int, Int)] = [
    (1, 1, 16), (3, 2, 16), (17, 5, 32), (16, 6, 48), (15, 7, 64), (64, 13, 112), (33, 18, 80), (130, 9, 128),
    (5, 3, 1008), (100, 10, 64), (300, 100, 64), (784, 31, 64),
]
/// 0: values near 1. 60: sums of very unlike values. 150: underflow. 250: overflow to infinity and NaN.
private let spreads = [0, 60, 150, 250]

@Suite("Dense kernels give the bits of the reference with every instruction set")
struct DenseKernelsTests {
    init() { FloatingPointMode.flushDenormals() }

    @Test("Forward, with dead outputs and pruned weights", arguments: spreads, [1, 0.5, 0.02])
    func forward(spread: Int, density: Double) {
        for (seed, (inputs, outputs, batch)) in shapes.enumerated() {
            let layer = Layer(inputs, outputs, batch, spread: spread, density: density, seed: UInt64(seed))
            var shape = layer.code
            for rectify: Int32 in [0, 1] {
                let expected = AlignedBuffer<Float>(zeroed: layer.dy.count)
                let magnitude = tk_reference_forward(
                    &shape, layer.weights.pointer, layer.bias.pointer, layer.live, layer.live.count, rectify,
                    layer.x.pointer, expected.pointer)
                for isa in isas {
                    let actual = AlignedBuffer<Float>(zeroed: layer.dy.count)
                    for place in 0..<outputs * batch { actual[place] = 7 }
                    let got = tk_dense_forward(
                        isa, &shape, layer.weights.pointer, layer.bias.pointer, layer.live, layer.live.count, rectify,
                        layer.x.pointer, actual.pointer)
                    #expect(bitsOf(actual) == bitsOf(expected), "\(layer.shape) \(isa)")
                    #expect(sameMagnitude(got, magnitude), "\(layer.shape) \(isa)")
                }
            }
        }
    }

    @Test("Input gradient", arguments: spreads, [1, 0.5, 0.02])
    func inputGradient(spread: Int, density: Double) {
        for (seed, (inputs, outputs, batch)) in shapes.enumerated() {
            let layer = Layer(inputs, outputs, batch, spread: spread, density: density, seed: 100 + UInt64(seed))
            var shape = layer.code
            let expected = AlignedBuffer<Float>(zeroed: layer.x.count)
            let magnitude = tk_reference_input_gradient(
                &shape, layer.weights.pointer, layer.live, layer.live.count, layer.dy.pointer, layer.x.pointer,
                expected.pointer)
            for isa in isas {
                let actual = AlignedBuffer<Float>(zeroed: layer.x.count)
                let got = tk_dense_input_gradient(
                    isa, &shape, layer.weights.pointer, layer.live, layer.live.count, layer.dy.pointer,
                    layer.x.pointer, actual.pointer)
                #expect(bitsOf(actual) == bitsOf(expected), "\(layer.shape) \(isa)")
                #expect(sameMagnitude(got, magnitude), "\(layer.shape) \(isa)")
            }
        }
    }

    @Test("Weight and bias gradient under a mask", arguments: spreads, [1, 0.5, 0.02])
    func weightGradient(spread: Int, density: Double) {
        for (seed, (inputs, outputs, batch)) in shapes.enumerated() {
            let layer = Layer(inputs, outputs, batch, spread: spread, density: density, seed: 200 + UInt64(seed))
            var shape = layer.code
            let expected = AlignedBuffer<Float>(zeroed: layer.weights.count)
            let expectedBias = AlignedBuffer<Float>(zeroed: layer.bias.count)
            let magnitude = tk_reference_weight_gradient(
                &shape, layer.mask.pointer, layer.dy.pointer, layer.x.pointer, expected.pointer, expectedBias.pointer)
            for isa in isas {
                let actual = AlignedBuffer<Float>(zeroed: layer.weights.count)
                let actualBias = AlignedBuffer<Float>(zeroed: layer.bias.count)
                let got = tk_dense_weight_gradient(
                    isa, &shape, layer.mask.pointer, layer.dy.pointer, layer.transposed.pointer, actual.pointer,
                    actualBias.pointer)
                #expect(bitsOf(actual) == bitsOf(expected), "\(layer.shape) \(isa)")
                #expect(bitsOf(actualBias) == bitsOf(expectedBias), "\(layer.shape) \(isa)")
                #expect(sameMagnitude(got, magnitude), "\(layer.shape) \(isa)")
            }
        }
    }

    @Test("Updates fused into the weight gradient equal gradient and update apart", arguments: 0..<7, [1, 0.3])
    func update(kind: UInt32, density: Double) {
        var rule = tk_rule(
            kind: tk_rule_kind(kind), rate: 0.01, decay: density == 1 ? 0 : 1e-3, momentum: 0.9, complement1: 0.1,
            complement2: 1e-3, beta2: 0.999, root: 3, epsilon: 1e-8)
        for (seed, (inputs, outputs, batch)) in shapes.enumerated() {
            let layer = Layer(inputs, outputs, batch, spread: 20, density: density, seed: 300 + UInt64(seed))
            var shape = layer.code
            let gradient = AlignedBuffer<Float>(zeroed: layer.weights.count)
            let biasGradient = AlignedBuffer<Float>(zeroed: layer.bias.count)
            _ = tk_reference_weight_gradient(
                &shape, layer.mask.pointer, layer.dy.pointer, layer.x.pointer, gradient.pointer, biasGradient.pointer)

            let expected = Updated(layer)
            var magnitude: tk_magnitude = 0
            for _ in 0..<2 {
                magnitude = tk_reference_update(
                    &rule, layer.weights.count, gradient.pointer, expected.weights.pointer, expected.weights1.pointer,
                    expected.weights2.pointer)
                magnitude = max(
                    magnitude,
                    tk_reference_update(
                        &rule, layer.bias.count, biasGradient.pointer, expected.bias.pointer, expected.bias1.pointer,
                        expected.bias2.pointer))
            }
            for isa in isas {
                let apart = Updated(layer)
                let fused = Updated(layer)
                var found: (apart: tk_magnitude, fused: tk_magnitude) = (0, 0)
                for _ in 0..<2 {
                    found.apart = tk_update(
                        isa, &rule, layer.weights.count, gradient.pointer, apart.weights.pointer,
                        apart.weights1.pointer, apart.weights2.pointer)
                    found.apart = max(
                        found.apart,
                        tk_update(
                            isa, &rule, layer.bias.count, biasGradient.pointer, apart.bias.pointer,
                            apart.bias1.pointer, apart.bias2.pointer))
                    found.fused = tk_dense_update(
                        isa, &shape, &rule, layer.mask.pointer, layer.dy.pointer, layer.transposed.pointer,
                        biasGradient.pointer, fused.weights.pointer, fused.weights1.pointer, fused.weights2.pointer,
                        fused.bias.pointer, fused.bias1.pointer, fused.bias2.pointer)
                }
                #expect(apart.bits == expected.bits, "\(layer.shape) \(isa)")
                #expect(fused.bits == expected.bits, "\(layer.shape) \(isa)")
                #expect(found == (magnitude, magnitude), "\(layer.shape) \(isa)")
                for place in 0..<layer.weights.count where layer.mask[place / 16] >> UInt16(place % 16) & 1 == 0 {
                    let pruned = fused.weights[place].bitPattern | fused.weights1[place].bitPattern
                    #expect(pruned | fused.weights2[place].bitPattern == 0, "pruned weight \(place) \(isa)")
                }
            }
        }
    }

    @Test("The transposed batch holds every value in its place")
    func transposed() {
        for (seed, (inputs, outputs, batch)) in shapes.enumerated() {
            let layer = Layer(inputs, outputs, batch, seed: 400 + UInt64(seed))
            for isa in isas {
                let actual = AlignedBuffer<Float>(zeroed: layer.x.count)
                tk_transpose(isa, inputs, batch, layer.x.pointer, actual.pointer)
                #expect(bitsOf(actual) == bitsOf(layer.transposed), "\(layer.shape) \(isa)")
            }
        }
    }

    @Test("Padding examples add nothing: the gradients of 16 real columns are those of 32 with a dead half")
    func padding() {
        let wide = Layer(20, 7, 32, seed: 1)
        let narrow = Layer(20, 7, 16, seed: 1)
        for row in 0..<20 { for e in 0..<16 { narrow.x[row * 16 + e] = wide.x[row * 32 + e] } }
        narrow.transpose()
        for row in 0..<7 {
            for e in 0..<16 {
                narrow.dy[row * 16 + e] = wide.dy[row * 32 + e]
                wide.dy[row * 32 + 16 + e] = 0
            }
        }
        for isa in isas {
            var results: [[UInt32]] = []
            let gradient = AlignedBuffer<Float>(zeroed: wide.weights.count)
            let biasGradient = AlignedBuffer<Float>(zeroed: wide.bias.count)
            var shape = wide.code
            _ = tk_dense_weight_gradient(
                isa, &shape, wide.mask.pointer, wide.dy.pointer, wide.transposed.pointer, gradient.pointer,
                biasGradient.pointer)
            results.append(bitsOf(gradient) + bitsOf(biasGradient))
            shape = narrow.code
            _ = tk_dense_weight_gradient(
                isa, &shape, wide.mask.pointer, narrow.dy.pointer, narrow.transposed.pointer, gradient.pointer,
                biasGradient.pointer)
            results.append(bitsOf(gradient) + bitsOf(biasGradient))
            #expect(results[0] == results[1], "\(isa)")
        }
    }

    @Test("ReLU maps −0 and negative values to +0 and keeps NaN; its gradient passes only where the result is above 0")
    func rectifier() {
        let shape = DenseShape(inputs: 1, outputs: 1, batch: 16)
        let weights = AlignedBuffer<Float>(zeroed: shape.weightCount)
        let bias = AlignedBuffer<Float>(zeroed: 16)
        let x = AlignedBuffer<Float>(zeroed: 16 * 16)
        let y = AlignedBuffer<Float>(zeroed: 16 * 16)
        weights[0] = 1
        bias[0] = -0.0
        let inputs: [Float] = [-0.0, -1, 0, 2, -.infinity, .infinity, .nan]
        for (e, value) in inputs.enumerated() { x[e] = value }
        for instructionSet in InstructionSet.supported {
            let kernels = DenseKernels(instructionSet)
            let magnitude = kernels.forward(
                shape, weights: weights.pointer, bias: bias.pointer, live: LiveOutputs([0]), rectify: true,
                x: x.pointer, y: y.pointer)
            #expect((0..<6).map { y[$0].bitPattern } == [0, 0, 0, Float(2).bitPattern, 0, Float.infinity.bitPattern])
            #expect(y[6].isNaN)
            #expect(!magnitude.isFinite)

            // −∞ alone, which the ReLU makes zero, is in the magnitude as well.
            let only = AlignedBuffer<Float>(zeroed: 16 * 16)
            only[4] = -.infinity
            let hidden = kernels.forward(
                shape, weights: weights.pointer, bias: bias.pointer, live: LiveOutputs([0]), rectify: true,
                x: only.pointer, y: y.pointer)
            #expect((0..<16).allSatisfy { y[$0] == 0 })
            #expect(hidden.value == .infinity)
            for (e, value) in inputs.enumerated() { y[e] = max(value, 0) }

            let dy = AlignedBuffer<Float>(zeroed: 16 * 16)
            let dx = AlignedBuffer<Float>(zeroed: 16 * 16)
            for e in 0..<16 { dy[e] = 3 }
            _ = kernels.inputGradient(
                shape, weights: weights.pointer, live: LiveOutputs([0]), dy: dy.pointer, x: y.pointer,
                dx: dx.pointer)
            #expect((0..<7).map { dx[$0] } == [0, 0, 0, 3, 0, 3, 0])
        }
    }
}

@Suite("What an update leaves")
struct UpdateMagnitudeTests {
    init() { FloatingPointMode.flushDenormals() }

    private static let rules: [(name: String, rule: UpdateRule)] = [
        ("sgd", .sgd(rate: 0.1, decay: 1e-3)), ("momentum", .momentum(rate: 0.1, momentum: 0.9, decay: 1e-3)),
        ("nesterov", .nesterov(rate: 0.1, momentum: 0.9, decay: 0)),
        (
            "adam",
            .adam(rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, product1: 0.9, product2: 0.999, decay: 1e-3)
        ),
        (
            "adamw",
            .adamW(rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, product1: 0.9, product2: 0.999, decay: 1e-2)
        ),
        ("rmsprop", .rmsProp(rate: 1e-3, alpha: 0.99, epsilon: 1e-8, momentum: 0, decay: 1e-3)),
        ("rmsprop, momentum", .rmsProp(rate: 1e-3, alpha: 0.99, epsilon: 1e-8, momentum: 0.9, decay: 0)),
    ]

    private func update(
        _ rule: UpdateRule, _ instructionSet: InstructionSet, gradient: [Float], present: [Float]
    ) -> (magnitude: Magnitude, values: [Float]) {
        let buffers = (0..<3).map { _ in present }.map(TestFloats.init)
        let gradient = TestFloats(gradient)
        let magnitude = DenseKernels(instructionSet).update(
            rule: rule, count: present.count, gradient: gradient.pointer,
            tensor: UpdatedTensor(
                values: buffers[0].pointer, state1: buffers[1].pointer, state2: buffers[2].pointer))
        return (magnitude, present.indices.map { buffers[0].pointer[$0] })
    }

    @Test("A second moment that overflows shows, though it leaves its weight as it was")
    func secondMoment() {
        var gradient = [Float](repeating: 0.5, count: 16)
        gradient[5] = 1e30
        for (name, rule) in Self.rules where name.hasPrefix("adam") || name.hasPrefix("rms") {
            for instructionSet in InstructionSet.supported {
                let found = update(rule, instructionSet, gradient: gradient, present: Array(repeating: 0.25, count: 16))
                #expect(found.values.allSatisfy { $0.isFinite }, "\(name) \(instructionSet)")
                #expect(!found.magnitude.isFinite, "\(name) \(instructionSet)")
                #expect(!rule.staysFinite(present: Magnitude(0.25), gradient: Magnitude(1e30)), "\(name)")
            }
        }
    }

    @Test("The bound holds, and vouches for ordinary steps", arguments: rules.indices)
    func bound(index: Int) {
        let (name, rule) = Self.rules[index]
        var random = Stream(seed: UInt64(index))
        for round in 0..<400 {
            let spread = [2, 40, 120, 200][round % 4]
            // State of second moments is not negative.
            let present = (0..<16).map { _ in abs(random.value(spread: spread)) }
            let gradient = (0..<16).map { _ in random.value(spread: spread) }
            let sizes = [present, gradient].map { $0.map { Double($0.magnitude) }.max() ?? 0 }
            let bound = rule.bound(present: sizes[0], gradient: sizes[1])
            for instructionSet in InstructionSet.supported {
                let found = update(rule, instructionSet, gradient: gradient, present: present)
                let note: Comment = "\(name), \(instructionSet), round \(round), seed \(index)"
                #expect(!(bound < 1e38) || Double(found.magnitude.value) <= bound * 1.00001, note)
            }
        }
        #expect(rule.staysFinite(present: Magnitude(100), gradient: Magnitude(1e4)), "\(name)")
        #expect(!rule.staysFinite(present: .zero, gradient: Magnitude(.infinity)), "\(name)")
        #expect(!rule.staysFinite(present: Magnitude(.nan), gradient: .zero), "\(name)")
    }
}

@Suite("What clipping needs")
struct GradientNormTests {
    init() { FloatingPointMode.flushDenormals() }

    @Test("The sum of squares has the reference's bits", arguments: [0, 16, 48, 4112])
    func sumOfSquares(count: Int) {
        for spread in spreads {
            var random = Stream(seed: UInt64(count + spread))
            let values = TestFloats((0..<count).map { _ in random.value(spread: spread) })
            let expected = tk_reference_sum_of_squares(count, values.pointer)
            for instructionSet in InstructionSet.supported {
                let sum = GradientNorm(instructionSet).sumOfSquares(count: count, values.pointer)
                #expect(sum.bitPattern == expected.bitPattern, "\(count) values, spread \(spread), \(instructionSet)")
            }
        }
    }

    @Test("Rows under a mask have the sum of their survivors alone")
    func masked() {
        for (rows, inputs, density) in [(1, 1, 1.0), (3, 17, 1), (5, 784, 1), (7, 300, 0.6), (40, 33, 0.1), (4, 64, 0)]
        {
            var random = Stream(seed: UInt64(rows * inputs))
            let padded = DenseShape.padded(inputs)
            var all = [Float](repeating: 0, count: rows * padded)
            var mask = [UInt16](repeating: 0, count: rows * padded / 16)
            var compact: [Float] = []
            for row in 0..<rows {
                for input in 0..<inputs {
                    let place = row * padded + input
                    // What is pruned is left out, whatever it holds.
                    all[place] = random.value(spread: 40)
                    guard random.uniform() < density else { continue }
                    mask[place / 16] |= 1 << UInt16(place % 16)
                    compact.append(all[place])
                }
            }
            compact += Array(repeating: 0, count: DenseShape.padded(compact.count) - compact.count)
            let alone = TestFloats(compact)
            let values = TestFloats(all)
            let expected = tk_reference_sum_of_squares(compact.count, alone.pointer)
            for instructionSet in InstructionSet.supported {
                let sum = GradientNorm(instructionSet).sumOfSquares(
                    rows: rows, inputs: padded, mask: mask, values.pointer)
                #expect(sum.bitPattern == expected.bitPattern, "\(rows) × \(inputs), \(density), \(instructionSet)")
            }
        }
    }

    @Test("Scaling multiplies, and stores no −0")
    func scale() {
        for instructionSet in InstructionSet.supported {
            let values = TestFloats([-0.0, 3, -1.5, 1e30] + Array(repeating: 0, count: 12))
            GradientNorm(instructionSet).scale(count: 16, values.pointer, by: 0.5)
            #expect(
                (0..<4).map { values.pointer[$0].bitPattern } == [0, 1.5, -0.75, 5e29].map { Float($0).bitPattern })
        }
    }
}

/// Floats where kernels can read them.
private final class TestFloats {
    private let buffer: AlignedBuffer<Float>
    init(_ values: [Float]) { buffer = AlignedBuffer(copying: values) }
    var pointer: UnsafeMutablePointer<Float> { buffer.pointer }
}

/// Copies of a layer's parameters with two tensors of state.
private struct Updated: ~Copyable {
    let weights, weights1, weights2, bias, bias1, bias2: AlignedBuffer<Float>

    init(_ layer: borrowing Layer) {
        weights = AlignedBuffer(zeroed: layer.weights.count)
        weights1 = AlignedBuffer(zeroed: layer.weights.count)
        weights2 = AlignedBuffer(zeroed: layer.weights.count)
        bias = AlignedBuffer(zeroed: layer.bias.count)
        bias1 = AlignedBuffer(zeroed: layer.bias.count)
        bias2 = AlignedBuffer(zeroed: layer.bias.count)
        for place in 0..<layer.weights.count { weights[place] = layer.weights[place] }
        for place in 0..<layer.bias.count { bias[place] = layer.bias[place] }
    }

    var bits: [[UInt32]] {
        [
            bitsOf(weights), bitsOf(weights1), bitsOf(weights2),
            bitsOf(bias), bitsOf(bias1), bitsOf(bias2),
        ]
    }
}
