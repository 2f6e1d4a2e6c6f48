import CKernels
import Kernels
import Testing

/// A convolution with everything its kernels read, filled from a seed.
private struct Case: ~Copyable {
    let shape: ConvolutionShape
    let blocks: Int
    let examples: Int
    let survivors: [Bool]
    let live: [Bool]
    let weights, bias: AlignedBuffer<Float>
    let x, dy, addend, gate: PlanesBuffer
    let note: Comment

    init(_ shape: ConvolutionShape, blocks: Int, density: Double, someDead: Bool, spread: Int = 8, seed: UInt64) {
        var random = Stream(seed: seed)
        self.shape = shape
        self.blocks = blocks
        examples = blocks * 16 - Int(random.word() % 16)
        survivors = (0..<shape.weightCount).map { _ in random.uniform() < density }
        live = (0..<shape.outputs).map { _ in !someDead || random.uniform() < 0.5 }
        let count = survivors.count { $0 }
        weights = AlignedBuffer(zeroed: (count + 15) / 16 * 16)
        for place in 0..<count { weights[place] = random.value(spread: spread) }
        bias = AlignedBuffer(zeroed: shape.outputs)
        for output in 0..<shape.outputs { bias[output] = random.value(spread: spread) }
        x = Case.filled(shape.input, blocks: blocks, &random, spread: spread)
        dy = Case.filled(shape.output, blocks: blocks, &random, spread: spread)
        addend = Case.filled(shape.input, blocks: blocks, &random, spread: spread)
        gate = Case.filled(shape.input, blocks: blocks, &random, spread: spread)
        note = "\(shape), \(blocks) blocks, density \(density), some dead: \(someDead), spread \(spread), seed \(seed)"
    }

    static func filled(_ shape: PlanesShape, blocks: Int, _ random: inout Stream, spread: Int = 8) -> PlanesBuffer {
        let planes = PlanesBuffer(zeroed: shape, blocks: blocks)
        for block in 0..<blocks {
            for channel in 0..<shape.channels {
                for row in 0..<shape.height {
                    let first = shape.index(example: block * 16, channel: channel, row: row, column: 0)
                    for n in 0..<shape.width * 16 { planes.pointer[first + n] = random.value(spread: spread) }
                }
            }
        }
        return planes
    }

    /// Planes whose halo is +0 and whose interior is anything else.
    func target(_ shape: PlanesShape) -> PlanesBuffer {
        var random = Stream(seed: 1)
        return Case.filled(shape, blocks: blocks, &random)
    }

    /// Planes of the same interior, with a halo of +0.
    /// - Parameter spoiled: whether the halo is NaN instead.
    func copy(_ planes: borrowing PlanesBuffer, spoiled: Bool) -> PlanesBuffer {
        let copy = PlanesBuffer(zeroed: planes.shape, blocks: blocks)
        if spoiled { for place in 0..<planes.shape.floats(blocks: blocks) { copy.pointer[place] = .nan } }
        for block in 0..<blocks {
            for channel in 0..<planes.shape.channels {
                for row in 0..<planes.shape.height {
                    let first = planes.shape.index(example: block * 16, channel: channel, row: row, column: 0)
                    for n in first..<first + planes.shape.width * 16 { copy.pointer[n] = planes.pointer[n] }
                }
            }
        }
        return copy
    }

    func bits(_ planes: borrowing PlanesBuffer) -> [UInt32] {
        (0..<planes.shape.floats(blocks: blocks)).map { canonicalBits(planes.pointer[$0]) }
    }

    private func bits(_ buffer: borrowing AlignedBuffer<Float>) -> [UInt32] {
        (0..<buffer.count).map { canonicalBits(buffer[$0]) }
    }

    private func anySums() -> AlignedBuffer<Float> {
        let sums = AlignedBuffer<Float>(zeroed: blocks * shape.outputs * 2)
        for place in 0..<sums.count { sums[place] = 7 }
        return sums
    }

    var code: tk_conv_gradient_shape {
        tk_conv_gradient_shape(
            inputs: shape.input.channels, height: shape.input.height, width: shape.input.width,
            outputs: shape.outputs, kernel: shape.kernel, stride: shape.stride)
    }

    func kernels(_ path: KernelPath, _ instructionSet: InstructionSet) -> Convolution {
        let kernels = Convolution(
            shape: shape, survivors: survivors.contains(false) ? survivors : nil, path: path,
            instructionSet: instructionSet)
        kernels.setLive(outputs: live)
        kernels.load(weights: weights.pointer)
        return kernels
    }

    func expectSameForward(
        _ instructionSets: [InstructionSet], bias hasBias: Bool, rectify: Bool, sums hasSums: Bool
    ) {
        let y = target(shape.output)
        var shape = code
        let sums = anySums()
        let magnitude = tk_reference_conv_forward(
            &shape, survivors.map { $0 ? 1 : 0 }, live.map { $0 ? 1 : 0 }, weights.pointer, x.pointer,
            hasBias ? bias.pointer : nil, rectify ? 1 : 0, blocks, examples, y.pointer, hasSums ? sums.pointer : nil)
        let expected = bits(y)
        for instructionSet in instructionSets {
            for path in KernelPath.allCases {
                let y = target(self.shape.output)
                let actualSums = anySums()
                let actual = kernels(path, instructionSet).forward(
                    x: x.pointer, bias: hasBias ? bias.pointer : nil, rectify: rectify, y: y.pointer, blocks: blocks,
                    examples: examples, sums: hasSums ? actualSums.pointer : nil)
                #expect(bits(y) == expected, "\(note) \(instructionSet) \(path)")
                #expect(bits(actualSums) == bits(sums), "\(note) \(instructionSet) \(path)")
                #expect(same(actual, magnitude), "\(note) \(instructionSet) \(path)")
            }
        }
    }

    enum Addend: CaseIterable {
        case none
        case other
        case result
    }

    func expectSameInputGradient(_ instructionSets: [InstructionSet], addend kind: Addend, gate hasGate: Bool) {
        let dx = target(shape.input)
        var shape = code
        let addendOf = { (dx: UnsafeMutablePointer<Float>, other: UnsafeMutablePointer<Float>) in
            switch kind {
            case .none: UnsafePointer<Float>?.none
            case .other: UnsafePointer(other)
            case .result: UnsafePointer(dx)
            }
        }
        let magnitude = tk_reference_conv_input_gradient(
            &shape, survivors.map { $0 ? 1 : 0 }, live.map { $0 ? 1 : 0 }, weights.pointer, dy.pointer,
            addendOf(dx.pointer, addend.pointer), hasGate ? gate.pointer : nil, blocks, dx.pointer)
        let expected = bits(dx)
        for instructionSet in instructionSets {
            for path in KernelPath.allCases {
                let dx = target(self.shape.input)
                let actual = kernels(path, instructionSet).inputGradient(
                    dy: dy.pointer, addend: addendOf(dx.pointer, addend.pointer), gate: hasGate ? gate.pointer : nil,
                    dx: dx.pointer, blocks: blocks)
                #expect(bits(dx) == expected, "\(note) \(instructionSet) \(path)")
                #expect(same(actual, magnitude), "\(note) \(instructionSet) \(path)")
            }
        }
    }
}

@Suite("Forward and input gradient of convolutions")
struct ConvolutionTests {
    init() { FloatingPointMode.flushDenormals() }

    private static let kinds = [(3, 1), (3, 2), (1, 1), (1, 2)]

    @Test("every instruction set and path gives the reference's bits", arguments: 1...13)
    func sameBits(size: Int) {
        for (kind, (kernel, stride)) in Self.kinds.enumerated() {
            for (n, density) in [0, 0.02, 0.5, 1].enumerated() {
                // Every variant meets every density and kind in the course of the sizes.
                let variant = size + kind + n
                let blocks = [1, 3, 8][variant % 3]
                let shape = ConvolutionShape(
                    input: PlanesShape(
                        channels: 3 + variant % 2, height: size, width: [size, 14 - size, 5][variant % 3]),
                    outputs: 3 + variant % 5, kernel: kernel, stride: stride)
                let work = Case(
                    shape, blocks: blocks, density: density, someDead: variant % 2 == 0,
                    seed: UInt64(size * 100 + kind * 10 + n))
                work.expectSameForward(
                    InstructionSet.supported, bias: variant % 4 < 2, rectify: variant % 3 == 0, sums: variant % 5 < 3)
                work.expectSameInputGradient(
                    InstructionSet.supported, addend: Case.Addend.allCases[variant / 2 % 3], gate: variant % 4 == 1)
            }
        }
    }

    @Test(
        "dense chains read no halo where rounds of positions are full: along rows and columns, forward and backward",
        .enabled(if: InstructionSet.supported.contains { $0 > .portable }, "needs AVX2"), arguments: [8, 16])
    func halo(side: Int) {
        let map = PlanesShape(channels: 5, height: side, width: side)
        let shape = ConvolutionShape(input: map, outputs: 5, kernel: 3, stride: 1)
        let work = Case(shape, blocks: 2, density: 1, someDead: false, seed: UInt64(side))
        for instructionSet in InstructionSet.supported where instructionSet > .portable {
            let kernels = work.kernels(.dense, instructionSet)
            var results: [[[UInt32]]] = []
            for spoiled in [false, true] {
                let y = work.target(map)
                let dx = work.target(map)
                let x = work.copy(work.x, spoiled: spoiled)
                let dy = work.copy(work.dy, spoiled: spoiled)
                _ = kernels.forward(
                    x: x.pointer, bias: nil, rectify: false, y: y.pointer, blocks: 2, examples: work.examples, sums: nil
                )
                _ = kernels.inputGradient(dy: dy.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: 2)
                results.append([work.bits(y), work.bits(dx)])
            }
            #expect(results[0] == results[1], "\(work.note) \(instructionSet)")
        }
    }

    @Test("chains that are computed in pieces give the reference's bits", arguments: [0.02, 0.3, 1])
    func pieces(density: Double) {
        for (n, (channels, outputs, size)) in [(70, 7, 6), (61, 5, 3), (140, 6, 2), (80, 4, 1), (26, 5, 19)]
            .enumerated()
        {
            for (kind, (kernel, stride)) in Self.kinds.enumerated() {
                let shape = ConvolutionShape(
                    input: PlanesShape(channels: channels, height: size, width: size), outputs: outputs, kernel: kernel,
                    stride: stride)
                let work = Case(shape, blocks: 2, density: density, someDead: false, seed: UInt64(n * 10 + kind))
                let fast = InstructionSet.supported.filter { $0 > .portable }
                work.expectSameForward(fast, bias: true, rectify: true, sums: true)
                work.expectSameInputGradient(fast, addend: .result, gate: true)
                let mirrored = ConvolutionShape(
                    input: PlanesShape(channels: outputs, height: size, width: size), outputs: channels, kernel: kernel,
                    stride: stride)
                let other = Case(mirrored, blocks: 2, density: density, someDead: true, seed: UInt64(n * 10 + kind))
                other.expectSameForward(fast, bias: false, rectify: false, sums: true)
                other.expectSameInputGradient(fast, addend: .result, gate: false)
            }
        }
    }

    @Test("sums that underflow, overflow to infinity and become NaN are the reference's", arguments: [150, 250])
    func overflow(spread: Int) {
        for (kind, (kernel, stride)) in Self.kinds.enumerated() {
            for (n, (channels, size)) in [(3, 2), (5, 4), (70, 3), (4, 11)].enumerated() {
                let shape = ConvolutionShape(
                    input: PlanesShape(channels: channels, height: size, width: size), outputs: 7, kernel: kernel,
                    stride: stride)
                for density in [0.3, 1] {
                    let work = Case(
                        shape, blocks: 2, density: density, someDead: (kind + n) % 2 == 0, spread: spread,
                        seed: UInt64(spread + n))
                    for rectify in [false, true] {
                        work.expectSameForward(InstructionSet.supported, bias: true, rectify: rectify, sums: n % 2 == 0)
                        work.expectSameInputGradient(
                            InstructionSet.supported, addend: n % 2 == 0 ? .other : .none, gate: rectify)
                    }
                }
            }
        }
    }

    @Test("minus infinity is in the magnitude though the ReLU, or the gate, makes it zero")
    func minusInfinity() {
        for (kernel, stride) in Self.kinds {
            let shape = ConvolutionShape(
                input: PlanesShape(channels: 2, height: 4, width: 4), outputs: 3, kernel: kernel, stride: stride)
            let work = Case(shape, blocks: 1, density: 1, someDead: false, seed: 1)
            for place in 0..<shape.weightCount { work.weights[place] = -3e38 }
            for place in 0..<shape.input.floats(blocks: 1) {
                work.x.pointer[place] = abs(work.x.pointer[place]) * 16
                work.gate.pointer[place] = 0
            }
            for place in 0..<shape.output.floats(blocks: 1) {
                work.dy.pointer[place] = abs(work.dy.pointer[place]) * 16
            }
            for instructionSet in InstructionSet.supported {
                for path in KernelPath.allCases {
                    let kernels = work.kernels(path, instructionSet)
                    let y = PlanesBuffer(zeroed: shape.output, blocks: 1)
                    let forward = kernels.forward(
                        x: work.x.pointer, bias: nil, rectify: true, y: y.pointer, blocks: 1, examples: 16, sums: nil)
                    #expect(work.bits(y).allSatisfy { $0 == 0 }, "\(work.note) \(instructionSet) \(path)")
                    #expect(forward.value == .infinity, "\(work.note) \(instructionSet) \(path)")
                    let dx = PlanesBuffer(zeroed: shape.input, blocks: 1)
                    let backward = kernels.inputGradient(
                        dy: work.dy.pointer, addend: nil, gate: work.gate.pointer, dx: dx.pointer, blocks: 1)
                    #expect(work.bits(dx).allSatisfy { $0 == 0 }, "\(work.note) \(instructionSet) \(path)")
                    #expect(backward.value == .infinity, "\(work.note) \(instructionSet) \(path)")
                }
            }
        }
    }

    @Test("predicted memory bounds what is kept, within a few times")
    func memory() {
        for (kernel, stride) in Self.kinds {
            for (size, density) in [(2, 0.3), (4, 0.2), (4, 0.4), (4, 0.6), (4, 1), (9, 0.5), (9, 0.8), (9, 1)] {
                let shape = ConvolutionShape(
                    input: PlanesShape(channels: 20, height: size, width: size), outputs: 30, kernel: kernel,
                    stride: stride)
                let work = Case(shape, blocks: 1, density: density, someDead: false, seed: UInt64(size))
                let count = work.survivors.count { $0 }
                for path in KernelPath.allCases {
                    let kernels = work.kernels(path, .current)
                    let dx = work.target(shape.input)
                    let y = work.target(shape.output)
                    _ = kernels.forward(
                        x: work.x.pointer, bias: nil, rectify: false, y: y.pointer, blocks: 1, examples: 16, sums: nil)
                    _ = kernels.inputGradient(dy: work.dy.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: 1)
                    let bound = Convolution.byteCount(shape: shape, survivorCount: count, path: path)
                    #expect(kernels.byteCount <= bound, "\(work.note) \(path)")
                    #expect(bound <= 3 * kernels.byteCount, "\(work.note) \(path)")
                }
            }
        }
    }

    @Test("the input gradient is the adjoint of forward: dy · conv(x) = convᵀ(dy) · x")
    func adjoint() {
        for (kind, (kernel, stride)) in Self.kinds.enumerated() {
            for size in [1, 2, 4, 7, 12] {
                let shape = ConvolutionShape(
                    input: PlanesShape(channels: 5, height: size, width: size + 1), outputs: 4, kernel: kernel,
                    stride: stride)
                let work = Case(shape, blocks: 1, density: 0.7, someDead: false, seed: UInt64(size * 10 + kind))
                let kernels = work.kernels(.fastest, .current)
                let y = PlanesBuffer(zeroed: shape.output, blocks: 1)
                let dx = PlanesBuffer(zeroed: shape.input, blocks: 1)
                _ = kernels.forward(
                    x: work.x.pointer, bias: nil, rectify: false, y: y.pointer, blocks: 1, examples: 16, sums: nil)
                _ = kernels.inputGradient(dy: work.dy.pointer, addend: nil, gate: nil, dx: dx.pointer, blocks: 1)
                let (left, leftSize) = product(work.dy, y)
                let (right, rightSize) = product(dx, work.x)
                #expect(abs(left - right) <= 1e-5 * max(leftSize, rightSize), work.note)
                #expect(leftSize > 0, work.note)
            }
        }
    }

    /// The sum of products in f64, and that of their magnitudes.
    private func product(_ a: borrowing PlanesBuffer, _ b: borrowing PlanesBuffer) -> (Double, Double) {
        var sum = 0.0
        var magnitudes = 0.0
        for place in 0..<a.shape.floats(blocks: a.blocks) {
            let term = Double(a.pointer[place]) * Double(b.pointer[place])
            sum += term
            magnitudes += abs(term)
        }
        return (sum, magnitudes)
    }
}
