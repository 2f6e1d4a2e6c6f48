import CKernels
import Foundation
import Kernels
import Testing

@Suite("Batch normalisation over planes")
struct PlanesBatchNormTests {
    init() { FloatingPointMode.flushDenormals() }

    private static let channels = 3

    /// A batch whose padding examples are junk in z and +0 in dy, and γ and β.
    private struct Layer {
        let shape: PlanesShape
        let examples: Int
        let z, dy: TestPlanes
        let gamma, beta: [Float]
        let note: String

        var blocks: Int { (examples + 15) / 16 }
        /// Pixels of a channel.
        var count: Int { examples * shape.height * shape.width }

        init(_ size: [Int], examples: Int) {
            let seed = UInt64(size[0] * 10_000 + size[1] * 100 + examples)
            var random = Stream(seed: seed)
            shape = PlanesShape(channels: channels, height: size[0], width: size[1])
            self.examples = examples
            let blocks = (examples + 15) / 16
            z = TestPlanes(shape, blocks: blocks) { example, channel in
                example < examples ? random.value(spread: 0) * Float(channel + 1) + Float(channel) - 0.5 : 1e6
            }
            dy = TestPlanes(shape, blocks: blocks) { example, _ in
                example < examples ? random.value(spread: 4) : 0
            }
            gamma = (0..<channels).map { _ in random.value(spread: 0) + 1.5 }
            beta = (0..<channels).map { _ in random.value(spread: 0) }
            note = "\(shape), \(examples) examples, seed \(seed)"
        }
    }

    /// What the forward kernels make of a layer with the running statistics of a new one.
    private struct Statistics {
        var mean = [Float](repeating: .nan, count: channels)
        var inverseDeviation = [Float](repeating: .nan, count: channels)
        var scale = [Float](repeating: .nan, count: channels)
        var shift = [Float](repeating: .nan, count: channels)
        var runningMean = [Float](repeating: 0, count: channels)
        var runningVariance = [Float](repeating: 1, count: channels)

        init(_ layer: Layer) {
            var sums = [Float](repeating: .nan, count: layer.blocks * channels * 2)
            var code = layer.shape.testCode
            tk_reference_batch_norm_sums(&code, layer.z.pointer, layer.examples, &sums)
            BatchNorm.statistics(
                channels: channels, blocks: layer.blocks, count: layer.count, sums: sums, gamma: layer.gamma,
                beta: layer.beta, mean: &mean, inverseDeviation: &inverseDeviation, scale: &scale, shift: &shift,
                runningMean: &runningMean, runningVariance: &runningVariance)
        }
    }

    private static let examples = [1, 16, 17, 40]

    @Test("Sums give the reference's bits, whatever padding examples hold", arguments: PlanesShape.testSizes, examples)
    func sums(size: [Int], examples: Int) {
        let layer = Layer(size, examples: examples)
        let statistics = Statistics(layer)
        var code = layer.shape.testCode
        var expected = [Float](repeating: .nan, count: layer.blocks * Self.channels * 2)
        tk_reference_batch_norm_gradient_sums(
            &code, layer.dy.pointer, layer.z.pointer, statistics.mean, statistics.inverseDeviation, &expected, examples)
        for instructionSet in InstructionSet.supported {
            let kernels = PlanesKernels(instructionSet)
            var sums = [Float](repeating: .nan, count: expected.count)
            kernels.batchNormGradientSums(
                layer.shape, dy: layer.dy.pointer, z: layer.z.pointer, mean: statistics.mean,
                inverseDeviation: statistics.inverseDeviation, sums: &sums, examples: examples)
            #expect(sums.map(\.bitPattern) == expected.map(\.bitPattern), "\(layer.note), \(instructionSet)")
        }
    }

    @Test(
        "Normalised maps are the reference's bits, also in the memory of z and of the shortcut",
        arguments: PlanesShape.testSizes)
    func apply(size: [Int]) {
        let layer = Layer(size, examples: 40)
        let statistics = Statistics(layer)
        var code = layer.shape.testCode
        let live: [UInt8] = [1, 0, 1]
        for (adds, rectify, kills) in [
            (false, false, false), (false, true, false), (true, false, true), (true, true, false), (false, true, true),
        ] {
            let shortcut = adds ? UnsafePointer(layer.dy.pointer) : nil
            let expected = TestPlanes(layer.shape, blocks: layer.blocks)
            let magnitude = tk_reference_batch_norm_apply(
                &code, layer.z.pointer, statistics.scale, statistics.shift, shortcut, rectify ? 1 : 0,
                kills ? live : nil, expected.pointer, layer.blocks)
            for instructionSet in InstructionSet.supported {
                for place in ["apart", "z", "shortcut"] where adds || place != "shortcut" {
                    let y = TestPlanes(layer.shape, blocks: layer.blocks)
                    if place == "z" { y.copy(layer.z) }
                    if place == "shortcut" { y.copy(layer.dy) }
                    let result = PlanesKernels(instructionSet).batchNormApply(
                        layer.shape, z: place == "z" ? y.pointer : layer.z.pointer, scale: statistics.scale,
                        shift: statistics.shift, shortcut: place == "shortcut" ? UnsafePointer(y.pointer) : shortcut,
                        rectify: rectify, live: kills ? live : nil, y: y.pointer, blocks: layer.blocks)
                    let how = "\(layer.note), \(instructionSet), \(place), shortcut \(adds), ReLU \(rectify)"
                    #expect(y.bits == expected.bits, "\(how), dead \(kills)")
                    #expect(same(result, magnitude), "\(how), dead \(kills)")
                }
            }
        }
    }

    @Test(
        "The gradient is the reference's bits, also in the memory of dy and of z", arguments: PlanesShape.testSizes,
        examples)
    func gradient(size: [Int], examples: Int) {
        let layer = Layer(size, examples: examples)
        var code = layer.shape.testCode
        let a: [Float] = [0.7, -1.3, 2.1]
        let b: [Float] = [1e-2, -0.3, 0]
        let c: [Float] = [0.1, 0, -0.0]
        for live in [nil, [1, 1, 0]] as [[UInt8]?] {
            let expected = TestPlanes(layer.shape, blocks: layer.blocks)
            let magnitude = tk_reference_batch_norm_gradient(
                &code, layer.dy.pointer, layer.z.pointer, a, b, c, live, examples, expected.pointer)
            for instructionSet in InstructionSet.supported {
                for place in ["apart", "dy", "z"] {
                    let dz = TestPlanes(layer.shape, blocks: layer.blocks)
                    if place != "apart" { dz.copy(place == "dy" ? layer.dy : layer.z) }
                    let result = PlanesKernels(instructionSet).batchNormGradient(
                        layer.shape, dy: place == "dy" ? dz.pointer : layer.dy.pointer,
                        z: place == "z" ? dz.pointer : layer.z.pointer, a: a, b: b, c: c, live: live,
                        examples: examples, dz: dz.pointer)
                    let how = "\(layer.note), \(instructionSet), \(place), \(live == nil ? "all live" : "one dead")"
                    #expect(dz.bits == expected.bits, "\(how)")
                    #expect(same(result, magnitude), "\(how)")
                }
            }
        }
    }

    @Test("A dead channel is +0 both ways even where it holds NaN")
    func dead() {
        let layer = Layer([3, 5], examples: 20)
        for example in 0..<20 {
            for place in layer.z.interior(example: example, channel: 1) { layer.z.pointer[place] = .nan }
        }
        let live: [UInt8] = [1, 0, 1]
        let ones = [Float](repeating: 1, count: Self.channels)
        for instructionSet in InstructionSet.supported {
            let kernels = PlanesKernels(instructionSet)
            let y = TestPlanes(layer.shape, blocks: layer.blocks)
            let forward = kernels.batchNormApply(
                layer.shape, z: layer.z.pointer, scale: ones, shift: ones, shortcut: nil, rectify: true, live: live,
                y: y.pointer, blocks: layer.blocks)
            let dz = TestPlanes(layer.shape, blocks: layer.blocks)
            let backward = kernels.batchNormGradient(
                layer.shape, dy: layer.dy.pointer, z: layer.z.pointer, a: ones, b: ones, c: ones, live: live,
                examples: 20, dz: dz.pointer)
            #expect(forward.isFinite && backward.isFinite, "\(instructionSet)")
            for example in 0..<32 {
                for place in y.interior(example: example, channel: 1) {
                    #expect(y.pointer[place].bitPattern | dz.pointer[place].bitPattern == 0, "\(instructionSet)")
                }
            }
        }
    }

    /// Mean and biased variance of one channel in f64, from the definition.
    private static func moments(_ values: [Double]) -> (mean: Double, variance: Double) {
        let mean = values.reduce(0, +) / Double(values.count)
        return (mean, values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count))
    }

    /// The pixels of one channel over all real examples.
    private static func values(_ planes: TestPlanes, channel: Int, examples: Int) -> [Double] {
        (0..<examples).flatMap { planes.interior(example: $0, channel: channel).map { Double(planes.pointer[$0]) } }
    }

    @Test(
        "Forward agrees with the definition in f64 to 1e-5, running statistics with PyTorch's",
        arguments: PlanesShape.testSizes, examples)
    func definition(size: [Int], examples: Int) {
        let layer = Layer(size, examples: examples)
        let kernels = PlanesKernels()
        let statistics = Statistics(layer)
        let y = TestPlanes(layer.shape, blocks: layer.blocks)
        _ = kernels.batchNormApply(
            layer.shape, z: layer.z.pointer, scale: statistics.scale, shift: statistics.shift, shortcut: nil,
            rectify: false, live: nil, y: y.pointer, blocks: layer.blocks)
        for channel in 0..<Self.channels {
            let z = Self.values(layer.z, channel: channel, examples: examples)
            let (mean, variance) = Self.moments(z)
            let deviation = (variance + 1e-5).squareRoot()
            let gamma = Double(layer.gamma[channel])
            let beta = Double(layer.beta[channel])
            // A single value has the variance 0, which leaves ε alone under the root: rounding z counts 300 times.
            let tolerance = z.count == 1 ? 1e-3 : 1e-5
            for (value, result) in zip(z, Self.values(y, channel: channel, examples: examples)) {
                #expect(abs(result - (gamma * (value - mean) / deviation + beta)) <= tolerance, "\(layer.note)")
            }
            let n = Double(z.count)
            let unbiased = z.count > 1 ? variance * n / (n - 1) : variance
            #expect(abs(Double(statistics.runningMean[channel]) - 0.1 * mean) <= 1e-6, "\(layer.note)")
            #expect(abs(Double(statistics.runningVariance[channel]) - (0.9 + 0.1 * unbiased)) <= 1e-6, "\(layer.note)")
        }

        var scale = [Float](repeating: .nan, count: Self.channels)
        var shift = scale
        BatchNorm.running(
            channels: Self.channels, gamma: layer.gamma, beta: layer.beta, runningMean: statistics.runningMean,
            runningVariance: statistics.runningVariance, scale: &scale, shift: &shift)
        for channel in 0..<Self.channels {
            let deviation = (Double(statistics.runningVariance[channel]) + 1e-5).squareRoot()
            let expected = Double(layer.gamma[channel]) / deviation
            #expect(abs(Double(scale[channel]) - expected) <= 1e-6, "\(layer.note)")
            let moved = Double(layer.beta[channel]) - Double(statistics.runningMean[channel]) * expected
            #expect(abs(Double(shift[channel]) - moved) <= 1e-6, "\(layer.note)")
        }
    }

    @Test(
        "Backward agrees with differences of the definition in f64 to 1e-4",
        arguments: [[2, 2], [3, 5], [8, 8], [13, 7]], [16, 17, 40])
    func finiteDifferences(size: [Int], examples: Int) {
        let layer = Layer(size, examples: examples)
        let kernels = PlanesKernels()
        let statistics = Statistics(layer)
        var sums = [Float](repeating: .nan, count: layer.blocks * Self.channels * 2)
        kernels.batchNormGradientSums(
            layer.shape, dy: layer.dy.pointer, z: layer.z.pointer, mean: statistics.mean,
            inverseDeviation: statistics.inverseDeviation, sums: &sums, examples: examples)
        var dGamma = [Float](repeating: .nan, count: Self.channels)
        var dBeta = dGamma
        var a = dGamma
        var b = dGamma
        var c = dGamma
        let magnitude = BatchNorm.gradientCoefficients(
            channels: Self.channels, blocks: layer.blocks, count: layer.count, sums: sums, gamma: layer.gamma,
            mean: statistics.mean, inverseDeviation: statistics.inverseDeviation, dGamma: &dGamma, dBeta: &dBeta, a: &a,
            b: &b, c: &c)
        #expect(magnitude.value == (dGamma + dBeta + a + b + c).map(abs).max())
        let dz = TestPlanes(layer.shape, blocks: layer.blocks)
        _ = kernels.batchNormGradient(
            layer.shape, dy: layer.dy.pointer, z: layer.z.pointer, a: a, b: b, c: c, live: nil, examples: examples,
            dz: dz.pointer)

        var random = Stream(seed: UInt64(examples))
        for channel in 0..<Self.channels {
            let z = Self.values(layer.z, channel: channel, examples: examples)
            let dy = Self.values(layer.dy, channel: channel, examples: examples)
            let gradient = Self.values(dz, channel: channel, examples: examples)
            func loss(_ z: [Double], _ gamma: Double, _ beta: Double) -> Double {
                let (mean, variance) = Self.moments(z)
                return zip(z, dy).reduce(0) {
                    $0 + $1.1 * (gamma * ($1.0 - mean) / (variance + 1e-5).squareRoot() + beta)
                }
            }
            let step = 1e-5
            let (gamma, beta) = (Double(layer.gamma[channel]), Double(layer.beta[channel]))
            let byGamma = (loss(z, gamma + step, beta) - loss(z, gamma - step, beta)) / (2 * step)
            let byBeta = (loss(z, gamma, beta + step) - loss(z, gamma, beta - step)) / (2 * step)
            #expect(abs(Double(dGamma[channel]) - byGamma) <= 1e-4 * max(1, abs(byGamma)), "\(layer.note)")
            #expect(abs(Double(dBeta[channel]) - byBeta) <= 1e-4 * max(1, abs(byBeta)), "\(layer.note)")
            for _ in 0..<5 {
                let direction = z.map { _ in random.uniform() * 2 - 1 }
                let forward = loss(zip(z, direction).map { $0 + step * $1 }, gamma, beta)
                let backward = loss(zip(z, direction).map { $0 - step * $1 }, gamma, beta)
                let byDirection = (forward - backward) / (2 * step)
                let claimed = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
                #expect(abs(claimed - byDirection) <= 1e-4 * max(1, abs(byDirection)), "\(layer.note)")
            }
        }
    }
}
