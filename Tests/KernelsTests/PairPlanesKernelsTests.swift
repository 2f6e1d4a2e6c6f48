import CKernels
import Kernels
import Testing

/// What pair planes hold after a kernel is what the reference in f32 makes of the widened values, rounded.
@Suite("Kernels over pair planes")
struct PairPlanesKernelsTests {
    init() { FloatingPointMode.flushDenormals() }

    private typealias Source = UnsafePointer<Float>
    private typealias Target = UnsafeMutablePointer<Float>

    private static let sizes = PlanesShape.testSizes
    /// Channels in whole pairs and not, fewer and more than are summed side by side.
    private static let channels = [1, 2, 5, 8, 35]

    /// Runs `body` for several numbers of channels and blocks.
    private static func each(
        _ size: [Int], _ body: (_ shape: PlanesShape, _ blocks: Int, _ random: inout Stream, _ note: String) -> Void
    ) {
        for (index, channels) in Self.channels.enumerated() {
            let shape = PlanesShape(channels: channels, height: size[0], width: size[1])
            let blocks = [2, 1, 3, 2, 1][index]
            let seed = UInt64(size[0] * 1000 + size[1] * 10 + channels)
            var random = Stream(seed: seed)
            body(shape, blocks, &random, "\(shape), \(blocks) blocks, seed \(seed)")
        }
    }

    /// Checks a kernel that yields a gradient: with and without addend and gate, and with dx as the addend.
    private static func checkGradient(
        _ shape: PlanesShape, blocks: Int, _ random: inout Stream, _ note: String,
        reference: (_ addend: Source?, _ gate: Source?, _ dx: Target) -> tk_magnitude,
        kernel: (
            PairPlanesKernels, _ addend: UnsafeRawPointer?, _ gate: UnsafeRawPointer?, _ dx: UnsafeMutableRawPointer
        ) -> Magnitude
    ) {
        let addend = TestPairs.random(shape, blocks: blocks, &random)
        let gate = TestPairs(shape, blocks: blocks) { [1, -1, 0, -0.0, 3, .nan, 1e-3][Int(random.word() % 7)] }
        let (wideAddend, wideGate) = (addend.widened(), gate.widened())
        for (adds, gates) in [(false, false), (true, false), (false, true), (true, true)] {
            let wide = TestPlanes(shape, blocks: blocks)
            let magnitude = TestPairs.magnitude(
                reference(
                    adds ? UnsafePointer(wideAddend.pointer) : nil, gates ? UnsafePointer(wideGate.pointer) : nil,
                    wide.pointer))
            let expected = TestPairs(wide)
            for backend in TileBackend.supported {
                for inPlace in adds ? [false, true] : [false] {
                    let dx = TestPairs(shape, blocks: blocks)
                    if inPlace { dx.copy(addend) }
                    let result = kernel(
                        PairPlanesKernels(backend),
                        inPlace ? UnsafeRawPointer(dx.pointer) : adds ? UnsafeRawPointer(addend.pointer) : nil,
                        gates ? UnsafeRawPointer(gate.pointer) : nil, UnsafeMutableRawPointer(dx.pointer))
                    let how = "\(note), \(backend), addend \(adds), in place \(inPlace), gate \(gates)"
                    #expect(dx.bits == expected.bits, "\(how)")
                    #expect(same(result, magnitude), "\(how)")
                }
            }
        }
        withExtendedLifetime((addend, gate, wideAddend, wideGate)) {}
    }

    @Test("Images lie in pair planes with the bits of planes, rounded", arguments: [1, 15, 17, 60])
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
            let wide = TestPlanes(shape, blocks: blocks)
            tk_reference_load_planes(images, indices, count, &code, blocks, means, deviations, wide.pointer)
            let expected = TestPairs(wide)
            for backend in TileBackend.supported {
                let y = TestPairs(shape, blocks: blocks)
                PairPlanesKernels(backend).loadImages(
                    images, indices: indices, count: count, shape: shape, blocks: blocks, means: means,
                    deviations: deviations, y: y.pointer)
                #expect(y.bits == expected.bits, "\(shape), \(count) images, \(backend)")
            }
        }
    }

    @Test("Max pooling and its gradient give the reference's bits", arguments: sizes.filter { $0 != [1, 1] })
    func maxPool(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            // Few values, so that ties are common; each sign of zero; now and then a NaN.
            let x = TestPairs(shape, blocks: blocks) {
                random.word() % 50 == 0 ? .nan : [-2, -1, -0.0, 0, 0.5, 1, 1][Int(random.word() % 7)]
            }
            let dy = TestPairs.random(shape.halved, blocks: blocks, &random)
            let (wideX, wideDy) = (x.widened(), dy.widened())
            var code = shape.testCode
            let wide = TestPlanes(shape.halved, blocks: blocks)
            _ = tk_reference_max_pool(&code, wideX.pointer, wide.pointer, blocks)
            let expected = TestPairs(wide)
            for backend in TileBackend.supported {
                let y = TestPairs(shape.halved, blocks: blocks)
                let result = PairPlanesKernels(backend).maxPool(shape, x: x.pointer, y: y.pointer, blocks: blocks)
                #expect(y.bits == expected.bits, "\(note), \(backend)")
                #expect(same(result, expected.magnitude), "\(note), \(backend)")
            }
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_max_pool_gradient(&code, wideX.pointer, wideDy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.maxPoolGradient(shape, x: x.pointer, dy: dy.pointer, addend: $1, gate: $2, dx: $3, blocks: blocks)
            }
            withExtendedLifetime((x, dy, wideX, wideDy)) {}
        }
    }

    @Test("Average pooling and its gradient give the reference's bits", arguments: sizes)
    func averagePool(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            let x = TestPairs.random(shape, blocks: blocks, &random)
            let wideX = x.widened()
            let dy = TestFeatures(shape.channels, blocks: blocks) { random.value(spread: 8) }
            var code = shape.testCode
            let expected = TestFeatures(shape.channels, blocks: blocks)
            let magnitude = tk_reference_average_pool(&code, wideX.pointer, expected.pointer, blocks)
            for backend in TileBackend.supported {
                let y = TestFeatures(shape.channels, blocks: blocks)
                let result = PairPlanesKernels(backend).averagePool(shape, x: x.pointer, y: y.pointer, blocks: blocks)
                #expect(y.bits == expected.bits, "\(note), \(backend)")
                #expect(same(result, magnitude), "\(note), \(backend)")
            }
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_average_pool_gradient(&code, dy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.averagePoolGradient(shape, dy: dy.pointer, addend: $1, gate: $2, dx: $3, blocks: blocks)
            }
            withExtendedLifetime((x, dy, wideX)) {}
        }
    }

    @Test("Flattening and its gradient give the reference's bits", arguments: sizes)
    func flatten(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            let features = shape.channels * shape.height * shape.width
            let x = TestPairs.random(shape, blocks: blocks, &random)
            let wideX = x.widened()
            let dy = TestFeatures(features, blocks: blocks) { random.value(spread: 8) }
            var code = shape.testCode
            let expected = TestFeatures(features, blocks: blocks)
            tk_reference_flatten(&code, wideX.pointer, expected.pointer, blocks)
            for backend in TileBackend.supported {
                let y = TestFeatures(features, blocks: blocks)
                PairPlanesKernels(backend).flatten(shape, x: x.pointer, y: y.pointer, blocks: blocks)
                #expect(y.bits == expected.bits, "\(note), \(backend)")
            }
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_flatten_gradient(&code, dy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.flattenGradient(shape, dy: dy.pointer, addend: $1, gate: $2, dx: $3, blocks: blocks)
            }
            withExtendedLifetime((x, dy, wideX)) {}
        }
    }

    @Test(
        "The padded shortcut and its gradient give the reference's bits", arguments: sizes,
        [[0, 1], [0, 2], [5, 2], [7, 1], [1, 2], [2, 3]])
    func padShortcut(size: [Int], addedAndStride: [Int]) {
        let stride = addedAndStride[1]
        Self.each(size) { shape, blocks, random, note in
            let outputs = shape.channels + addedAndStride[0]
            let note = "\(note), \(outputs) outputs, stride \(stride)"
            let padded = shape.shortcut(outputs: outputs, stride: stride)
            let x = TestPairs.random(shape, blocks: blocks, &random)
            let dy = TestPairs.random(padded, blocks: blocks, &random)
            let (wideX, wideDy) = (x.widened(), dy.widened())
            var code = shape.testCode
            let wide = TestPlanes(padded, blocks: blocks)
            tk_reference_pad_shortcut(&code, outputs, stride, wideX.pointer, wide.pointer, blocks)
            let expected = TestPairs(wide)
            for backend in TileBackend.supported {
                let y = TestPairs(padded, blocks: blocks)
                PairPlanesKernels(backend).padShortcut(
                    input: shape, outputs: outputs, stride: stride, x: x.pointer, y: y.pointer, blocks: blocks)
                #expect(y.bits == expected.bits, "\(note), \(backend)")
            }
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_pad_shortcut_gradient(
                    &code, outputs, stride, wideDy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.padShortcutGradient(
                    input: shape, outputs: outputs, stride: stride, dy: dy.pointer, addend: $1, gate: $2, dx: $3,
                    blocks: blocks)
            }
            withExtendedLifetime((x, dy, wideX, wideDy)) {}
        }
    }

    @Test("Accumulation gives the reference's bits, also where dx is dy", arguments: sizes)
    func accumulate(size: [Int]) {
        Self.each(size) { shape, blocks, random, note in
            let dy = TestPairs.random(shape, blocks: blocks, &random)
            let wideDy = dy.widened()
            var code = shape.testCode
            Self.checkGradient(shape, blocks: blocks, &random, note) { addend, gate, dx in
                tk_reference_accumulate(&code, wideDy.pointer, addend, gate, dx, blocks)
            } kernel: {
                $0.accumulate(shape, dy: dy.pointer, addend: $1, gate: $2, dx: $3, blocks: blocks)
            }
            let other = TestPairs.random(shape, blocks: blocks, &random)
            let wideOther = other.widened()
            let wide = TestPlanes(shape, blocks: blocks)
            _ = tk_reference_accumulate(
                &code, wideDy.pointer, wideOther.pointer, wideOther.pointer, wide.pointer, blocks)
            let expected = TestPairs(wide)
            for backend in TileBackend.supported {
                let dx = TestPairs(shape, blocks: blocks)
                dx.copy(dy)
                _ = PairPlanesKernels(backend).accumulate(
                    shape, dy: dx.pointer, addend: other.pointer, gate: other.pointer, dx: dx.pointer, blocks: blocks)
                #expect(dx.bits == expected.bits, "\(note), \(backend)")
            }
            withExtendedLifetime((dy, other, wideDy, wideOther)) {}
        }
    }

    @Test("A sum that rounding makes infinite is infinite in the magnitude")
    func overflow() {
        let shape = PlanesShape(channels: 3, height: 2, width: 3)
        let dy = TestPairs(shape, blocks: 1) { Float(bitPattern: 0x7f7f_0000) }
        for (added, isFinite) in [(0x1p118, true), (0x1.8p119, false)] as [(Float, Bool)] {
            let addend = TestPairs(shape, blocks: 1) { added }
            for backend in TileBackend.supported {
                let dx = TestPairs(shape, blocks: 1)
                let magnitude = PairPlanesKernels(backend).accumulate(
                    shape, dy: dy.pointer, addend: addend.pointer, gate: nil, dx: dx.pointer, blocks: 1)
                #expect(magnitude.isFinite == isFinite && !magnitude.value.isNaN, "\(backend), \(added)")
            }
            withExtendedLifetime(addend) {}
        }
        withExtendedLifetime(dy) {}
    }

    // MARK: Batch normalisation

    private static let examples = [1, 16, 17, 40]

    /// z and dy whose padding examples are junk in z and +0 in dy, and a number of each channel several times over.
    private struct Normalised {
        let z, dy: TestPairs
        let wideZ, wideDy: TestPlanes
        let first, second, third: [Float]
        let live: [UInt8]

        init(_ shape: PlanesShape, examples: Int, _ random: inout Stream) {
            let blocks = (examples + 15) / 16
            let values = shape.channels * shape.height * shape.width
            var count = 0
            z = TestPairs(shape, blocks: blocks) {
                count += 1
                return count <= examples * values ? random.value(spread: 2) : 1e30
            }
            count = 0
            dy = TestPairs(shape, blocks: blocks) {
                count += 1
                return count <= examples * values ? random.value(spread: 4) : 0
            }
            wideZ = z.widened()
            wideDy = dy.widened()
            first = (0..<shape.channels).map { _ in random.value(spread: 2) }
            second = (0..<shape.channels).map { _ in random.value(spread: 2) }
            third = (0..<shape.channels).map { _ in random.value(spread: 2) }
            live = (0..<shape.channels).map { _ in random.uniform() < 0.5 ? 0 : 1 }
        }
    }

    private static func each(
        _ size: [Int], examples: Int, _ body: (_ shape: PlanesShape, _ of: Normalised, _ note: String) -> Void
    ) {
        each(size) { shape, _, random, note in
            body(shape, Normalised(shape, examples: examples, &random), "\(note), \(examples) examples")
        }
    }

    @Test("Sums give the reference's bits, whatever padding examples hold", arguments: sizes, examples)
    func sums(size: [Int], examples: Int) {
        Self.each(size, examples: examples) { shape, of, note in
            var code = shape.testCode
            var expected = [Float](repeating: .nan, count: (examples + 15) / 16 * shape.channels * 2)
            tk_reference_batch_norm_gradient_sums(
                &code, of.wideDy.pointer, of.wideZ.pointer, of.first, of.second, &expected, examples)
            for backend in TileBackend.supported {
                let kernels = PairPlanesKernels(backend)
                var sums = [Float](repeating: .nan, count: expected.count)
                kernels.batchNormGradientSums(
                    shape, dy: of.dy.pointer, z: of.z.pointer, mean: of.first, inverseDeviation: of.second,
                    sums: &sums, examples: examples)
                #expect(sums.map(\.bitPattern) == expected.map(\.bitPattern), "\(note), \(backend)")
            }
        }
    }

    @Test("Normalised maps are the reference's bits, also in the memory of z and of the shortcut", arguments: sizes)
    func apply(size: [Int]) {
        Self.each(size, examples: 32) { shape, of, note in
            var code = shape.testCode
            for (adds, rectify, kills) in [
                (false, false, false), (false, true, false), (true, false, true), (true, true, false),
                (false, true, true),
            ] {
                let wide = TestPlanes(shape, blocks: 2)
                let magnitude = TestPairs.magnitude(
                    tk_reference_batch_norm_apply(
                        &code, of.wideZ.pointer, of.first, of.second, adds ? UnsafePointer(of.wideDy.pointer) : nil,
                        rectify ? 1 : 0, kills ? of.live : nil, wide.pointer, 2))
                let expected = TestPairs(wide)
                for backend in TileBackend.supported {
                    for place in ["apart", "z", "shortcut"] where adds || place != "shortcut" {
                        let y = TestPairs(shape, blocks: 2)
                        if place == "z" { y.copy(of.z) }
                        if place == "shortcut" { y.copy(of.dy) }
                        let shortcut = place == "shortcut" ? y : of.dy
                        let result = PairPlanesKernels(backend).batchNormApply(
                            shape, z: place == "z" ? y.pointer : of.z.pointer, scale: of.first, shift: of.second,
                            shortcut: adds ? UnsafeRawPointer(shortcut.pointer) : nil, rectify: rectify,
                            live: kills ? of.live : nil, y: y.pointer, blocks: 2)
                        let how = "\(note), \(backend), \(place), shortcut \(adds), ReLU \(rectify), dead \(kills)"
                        #expect(y.bits == expected.bits, "\(how)")
                        #expect(same(result, magnitude), "\(how)")
                    }
                }
            }
        }
    }

    @Test("The gradient is the reference's bits, also in the memory of dy and of z", arguments: sizes, examples)
    func gradient(size: [Int], examples: Int) {
        Self.each(size, examples: examples) { shape, of, note in
            let blocks = (examples + 15) / 16
            var code = shape.testCode
            for live in [nil, of.live] {
                let wide = TestPlanes(shape, blocks: blocks)
                _ = tk_reference_batch_norm_gradient(
                    &code, of.wideDy.pointer, of.wideZ.pointer, of.first, of.second, of.third, live, examples,
                    wide.pointer)
                let expected = TestPairs(wide)
                for backend in TileBackend.supported {
                    for place in ["apart", "dy", "z"] {
                        let dz = TestPairs(shape, blocks: blocks)
                        if place != "apart" { dz.copy(place == "dy" ? of.dy : of.z) }
                        let result = PairPlanesKernels(backend).batchNormGradient(
                            shape, dy: place == "dy" ? dz.pointer : of.dy.pointer,
                            z: place == "z" ? dz.pointer : of.z.pointer, a: of.first, b: of.second, c: of.third,
                            live: live, examples: examples, dz: dz.pointer)
                        let how = "\(note), \(backend), \(place), \(live == nil ? "all live" : "some dead")"
                        #expect(dz.bits == expected.bits, "\(how)")
                        #expect(same(result, expected.magnitude), "\(how)")
                    }
                }
            }
        }
    }

    @Test("A dead channel is +0 both ways even where it holds NaN")
    func dead() {
        let shape = PlanesShape(channels: 3, height: 3, width: 5)
        let z = TestPairs(shape, blocks: 2) { 1 }
        let dy = TestPairs(shape, blocks: 2) { 1 }
        for example in 0..<32 {
            for row in 0..<3 {
                for column in 0..<5 { z.set(.nan, example: example, channel: 1, row: row, column: column) }
            }
        }
        let live: [UInt8] = [1, 0, 1]
        let ones: [Float] = [1, 1, 1]
        for backend in TileBackend.supported {
            let kernels = PairPlanesKernels(backend)
            let y = TestPairs(shape, blocks: 2)
            let forward = kernels.batchNormApply(
                shape, z: z.pointer, scale: ones, shift: ones, shortcut: nil, rectify: true, live: live,
                y: y.pointer, blocks: 2)
            let dz = TestPairs(shape, blocks: 2)
            let backward = kernels.batchNormGradient(
                shape, dy: dy.pointer, z: z.pointer, a: ones, b: ones, c: ones, live: live, examples: 20,
                dz: dz.pointer)
            #expect(forward.isFinite && backward.isFinite, "\(backend)")
            for example in 0..<32 {
                let value = y.value(example: example, channel: 1, row: 1, column: 1)
                let gradient = dz.value(example: example, channel: 1, row: 1, column: 1)
                #expect(value.bitPattern | gradient.bitPattern == 0, "\(backend)")
            }
        }
        withExtendedLifetime((z, dy)) {}
    }
}
