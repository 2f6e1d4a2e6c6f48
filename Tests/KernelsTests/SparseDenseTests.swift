import CKernels
import Kernels
import Testing

/// One sparse layer beside the same layer under a mask, with random values.
private final class MaskedLayer {
    let shape: DenseShape
    let survivors: [Bool]
    let live: [Bool]
    let weights, bias, x, dy: AlignedBuffer<Float>
    let mask: AlignedBuffer<UInt16>

    /// - Parameter keep: whether weight (output, input) survives.
    init(
        _ inputs: Int, _ outputs: Int, _ batch: Int, spread: Int, dead: Double, random: inout Stream,
        keep: (Int, Int, inout Stream) -> Bool
    ) {
        shape = DenseShape(inputs: inputs, outputs: outputs, batch: batch)
        weights = AlignedBuffer(zeroed: shape.weightCount)
        bias = AlignedBuffer(zeroed: shape.paddedOutputs)
        x = AlignedBuffer(zeroed: shape.paddedInputs * batch)
        dy = AlignedBuffer(zeroed: shape.paddedOutputs * batch)
        mask = AlignedBuffer(zeroed: shape.weightCount / 16)
        var survivors: [Bool] = []
        for output in 0..<outputs {
            bias[output] = random.value(spread: spread)
            for input in 0..<inputs {
                let kept = keep(output, input, &random)
                survivors.append(kept)
                guard kept else { continue }
                let place = shape.index(output: output, input: input)
                weights[place] = random.value(spread: spread)
                mask[place / 16] |= 1 << UInt16(place % 16)
            }
        }
        self.survivors = survivors
        live = (0..<outputs).map { _ in random.uniform() >= dead }
        for place in 0..<inputs * batch { x[place] = max(random.value(spread: spread), 0) }
        for place in 0..<outputs * batch { dy[place] = random.value(spread: spread) }
    }

    var code: tk_dense_shape {
        tk_dense_shape(
            inputs: shape.inputs, padded_inputs: shape.paddedInputs, outputs: shape.outputs, batch: shape.batch)
    }

    var liveIndices: [UInt32] { live.indices.filter { live[$0] }.map { UInt32($0) } }

    /// Where the survivors are in padded arrays, in compact order.
    var places: [Int] {
        survivors.indices.filter { survivors[$0] }.map {
            shape.index(output: $0 / shape.inputs, input: $0 % shape.inputs)
        }
    }

    func sparse(_ instructionSet: InstructionSet) -> SparseDense {
        let sparse = SparseDense(
            inputs: shape.inputs, outputs: shape.outputs, survivors: survivors, instructionSet: instructionSet)
        sparse.setLive(outputs: live)
        return sparse
    }

    /// The survivors of a padded array as a compact one.
    func compact(_ padded: borrowing AlignedBuffer<Float>) -> AlignedBuffer<Float> {
        let places = places
        let compact = AlignedBuffer<Float>(zeroed: DenseShape.padded(places.count))
        for (index, place) in places.enumerated() { compact[index] = padded[place] }
        return compact
    }
}

private func bits(_ buffer: borrowing AlignedBuffer<Float>) -> [UInt32] {
    (0..<buffer.count).map { canonicalBits(buffer[$0]) }
}

private func filled(_ count: Int) -> AlignedBuffer<Float> {
    let buffer = AlignedBuffer<Float>(zeroed: count)
    for place in 0..<count { buffer[place] = .nan }
    return buffer
}

/// What is pruned: everything, nothing, much at random, by whole rows and columns, or all but a few outputs' rows.
private enum Pattern: CaseIterable {
    case nothing, everything, half, tenth, few, stripes, uneven

    func keep(_ output: Int, _ input: Int, _ random: inout Stream) -> Bool {
        switch self {
        case .nothing: true
        case .everything: false
        case .half: random.uniform() < 0.5
        case .tenth: random.uniform() < 0.1
        case .few: random.uniform() < 0.02
        case .stripes: output % 3 != 1 && input % 4 != 2 && input % 5 != 0
        case .uneven: random.uniform() < (output % 4 == 0 ? 0.9 : 0.03)
        }
    }
}

/// Inputs and outputs around every block size, and LeNet-300-100's layers.
private let sizes = [(1, 1), (3, 2), (17, 5), (16, 16), (15, 33), (64, 13), (130, 9), (100, 10), (300, 100), (784, 31)]
/// 0: values near 1. 60: sums of very unlike values. 250: overflow to infinity and NaN.
private let spreads = [0, 60, 250]
private let batches = [16, 32, 48, 64, 80, 144]

@Suite("A dense layer of surviving weights gives the bits of the masked one")
struct SparseDenseTests {
    init() { FloatingPointMode.flushDenormals() }

    /// Calls `check` with a layer of every size and batch.
    private func eachLayer(_ pattern: Pattern, spread: Int, seed: UInt64, _ check: (MaskedLayer, String) -> Void) {
        for (index, (inputs, outputs)) in sizes.enumerated() {
            let chosen = inputs * outputs < 5000 ? batches : [batches[index % 3], 64]
            for batch in chosen {
                for dead in [0, 0.3, 1] {
                    var random = Stream(seed: seed)
                    let layer = MaskedLayer(
                        inputs, outputs, batch, spread: spread, dead: dead, random: &random, keep: pattern.keep)
                    check(layer, "\(layer.shape) \(pattern), dead \(dead), seed \(seed)")
                }
            }
        }
    }

    @Test("Forward: pruned weights and dead outputs add nothing", arguments: Pattern.allCases, spreads)
    private func forward(pattern: Pattern, spread: Int) {
        eachLayer(pattern, spread: spread, seed: 1) { layer, note in
            var code = layer.code
            let live = layer.liveIndices
            let count = layer.shape.outputs * layer.shape.batch
            let weights = layer.compact(layer.weights)
            for rectify in [false, true] {
                let expected = AlignedBuffer<Float>(zeroed: count)
                let magnitude = tk_reference_forward(
                    &code, layer.weights.pointer, layer.bias.pointer, live, live.count, rectify ? 1 : 0,
                    layer.x.pointer, expected.pointer)
                for instructionSet in InstructionSet.supported {
                    let actual = filled(count)
                    let got = layer.sparse(instructionSet).forward(
                        weights: weights.pointer, bias: layer.bias.pointer, rectify: rectify, x: layer.x.pointer,
                        y: actual.pointer, batch: layer.shape.batch)
                    #expect(bits(actual) == bits(expected), "\(note) \(instructionSet)")
                    #expect(same(got, magnitude), "\(note) \(instructionSet)")
                }
            }
        }
    }

    @Test(
        "Input gradient: dead outputs lead nowhere, rows past the inputs are +0", arguments: Pattern.allCases, spreads)
    private func inputGradient(pattern: Pattern, spread: Int) {
        eachLayer(pattern, spread: spread, seed: 2) { layer, note in
            var code = layer.code
            let live = layer.liveIndices
            let weights = layer.compact(layer.weights)
            let expected = AlignedBuffer<Float>(zeroed: layer.x.count)
            let magnitude = tk_reference_input_gradient(
                &code, layer.weights.pointer, live, live.count, layer.dy.pointer, layer.x.pointer, expected.pointer)
            for instructionSet in InstructionSet.supported {
                let actual = filled(layer.x.count)
                let got = layer.sparse(instructionSet).inputGradient(
                    weights: weights.pointer, dy: layer.dy.pointer, x: layer.x.pointer, dx: actual.pointer,
                    batch: layer.shape.batch)
                #expect(bits(actual) == bits(expected), "\(note) \(instructionSet)")
                #expect(same(got, magnitude), "\(note) \(instructionSet)")
            }
        }
    }

    @Test("Weight gradient: of every survivor, dead outputs' included", arguments: Pattern.allCases, spreads)
    private func weightGradient(pattern: Pattern, spread: Int) {
        eachLayer(pattern, spread: spread, seed: 3) { layer, note in
            var code = layer.code
            let padded = AlignedBuffer<Float>(zeroed: layer.weights.count)
            let expectedBias = AlignedBuffer<Float>(zeroed: layer.bias.count)
            let magnitude = tk_reference_weight_gradient(
                &code, layer.mask.pointer, layer.dy.pointer, layer.x.pointer, padded.pointer, expectedBias.pointer)
            let expected = layer.compact(padded)
            for instructionSet in InstructionSet.supported {
                let sparse = layer.sparse(instructionSet)
                #expect(sparse.paddedCount == expected.count)
                let actual = filled(expected.count)
                let actualBias = filled(layer.bias.count)
                let got = sparse.weightGradient(
                    dy: layer.dy.pointer, x: layer.x.pointer, batch: layer.shape.batch, gradient: actual.pointer,
                    biasGradient: actualBias.pointer)
                #expect(bits(actual) == bits(expected), "\(note) \(instructionSet)")
                #expect(bits(actualBias) == bits(expectedBias), "\(note) \(instructionSet)")
                #expect(same(got, magnitude), "\(note) \(instructionSet)")
            }
        }
    }

    @Test("Input gradient is the transpose of forward: ⟨W x, dy⟩ = ⟨x, Wᵀ dy⟩", arguments: Pattern.allCases)
    private func adjoint(pattern: Pattern) {
        var random = Stream(seed: 5)
        let layer = MaskedLayer(97, 41, 64, spread: 0, dead: 0.2, random: &random, keep: pattern.keep)
        let weights = layer.compact(layer.weights)
        let none = AlignedBuffer<Float>(zeroed: layer.bias.count)
        // Only where x > 0 does a gradient pass.
        for place in 0..<97 * 64 { layer.x[place] += 0x1p-10 }
        for instructionSet in InstructionSet.supported {
            let sparse = layer.sparse(instructionSet)
            let y = AlignedBuffer<Float>(zeroed: layer.dy.count)
            let dx = AlignedBuffer<Float>(zeroed: layer.x.count)
            _ = sparse.forward(
                weights: weights.pointer, bias: none.pointer, rectify: false, x: layer.x.pointer, y: y.pointer,
                batch: 64)
            _ = sparse.inputGradient(
                weights: weights.pointer, dy: layer.dy.pointer, x: layer.x.pointer, dx: dx.pointer, batch: 64)
            let left = (0..<y.count).reduce(0.0) { $0 + Double(y[$1]) * Double(layer.dy[$1]) }
            let right = (0..<dx.count).reduce(0.0) { $0 + Double(layer.x[$1]) * Double(dx[$1]) }
            let scale = (0..<y.count).reduce(0.0) { $0 + abs(Double(y[$1]) * Double(layer.dy[$1])) }
            #expect(abs(left - right) <= 1e-6 * scale, "\(pattern) \(instructionSet) seed 5")
        }
    }
}
