import CKernels
import Foundation
import Kernels
import Testing

@Suite("Kernels at the two ends of the network")
struct BatchKernelsTests {
    init() { FloatingPointMode.flushDenormals() }

    private static let isas: [tk_isa] = [TK_PORTABLE, TK_AVX2, TK_AVX512].filter {
        $0.rawValue <= tk_best_isa().rawValue
    }

    @Test("Softmax cross-entropy gives the reference's bits, and libm's values to 1e-6", arguments: [1, 5, 16, 60, 64])
    func softmax(count: Int) {
        var random = Stream(seed: UInt64(count))
        let batch = DenseShape.padded(count)
        for classes in [1, 2, 10, 100] {
            for (scale, smoothing) in [(Float(1), Float(0)), (30, 0), (1e30, 0), (1, 0.1), (30, 0.75), (1e30, 0.1)] {
                let logits = AlignedBuffer<Float>(zeroed: classes * batch)
                for place in 0..<classes * batch { logits[place] = random.value(spread: 0) * scale }
                let labels = (0..<count).map { _ in UInt8(random.word() % UInt64(classes)) }
                let expected = AlignedBuffer<Float>(zeroed: classes * batch)
                var expectedLoss = 1.5
                let magnitude = tk_reference_softmax_cross_entropy(
                    classes, batch, count, labels, logits.pointer, smoothing, expected.pointer, &expectedLoss)

                var trueLoss = 1.5
                var gradientError = 0.0
                let s = Double(smoothing)
                for example in 0..<count {
                    let column = (0..<classes).map { Double(logits[$0 * batch + example]) }
                    let largest = column.max() ?? 0
                    let sum = column.reduce(0) { $0 + Foundation.exp($1 - largest) }
                    for (label, logit) in column.enumerated() {
                        let target = s / Double(classes) + (label == Int(labels[example]) ? 1 - s : 0)
                        trueLoss += target * (Foundation.log(sum) + largest - logit)
                        let slope = (Foundation.exp(logit - largest) / sum - target) / Double(count)
                        gradientError = max(gradientError, abs(Double(expected[label * batch + example]) - slope))
                    }
                }
                #expect(gradientError < 1e-6 / Double(count))
                #expect(abs(expectedLoss - trueLoss) <= 1e-6 * max(1, abs(trueLoss)))

                for isa in BatchKernelsTests.isas {
                    let actual = AlignedBuffer<Float>(zeroed: classes * batch)
                    var loss = 1.5
                    let got = tk_softmax_cross_entropy(
                        isa, classes, batch, count, labels, logits.pointer, smoothing, actual.pointer, &loss)
                    #expect(loss.bitPattern == expectedLoss.bitPattern, "\(isa)")
                    #expect(got == magnitude)
                    #expect(
                        (0..<actual.count).allSatisfy { actual[$0].bitPattern == expected[$0].bitPattern }, "\(isa)")
                    var lossOnly = 1.5
                    _ = tk_softmax_cross_entropy(
                        isa, classes, batch, count, labels, logits.pointer, smoothing, nil, &lossOnly)
                    #expect(lossOnly.bitPattern == expectedLoss.bitPattern, "\(isa)")
                }
            }
        }
    }

    @Test("Of equal logits the first wins, and a column with a NaN is wrong")
    func correct() {
        // Label 1 largest; tie after it; tie before it; NaN elsewhere; NaN at the label; beaten; all infinite.
        let columns: [[Float]] = [
            [0, 5, 1], [0, 5, 5], [5, 5, 0], [0, 5, .nan], [0, .nan, 0], [0, 1, 2],
            [-.infinity, -.infinity, -.infinity],
        ]
        let logits = AlignedBuffer<Float>(zeroed: 3 * 16)
        for (example, column) in columns.enumerated() {
            for (label, value) in column.enumerated() { logits[label * 16 + example] = value }
        }
        let right = columns.indices.map { example in
            let labels = [UInt8](repeating: 1, count: columns.count)
            return tk_count_correct(3, 16, example + 1, labels, logits.pointer)
        }
        #expect(right == [1, 2, 2, 2, 2, 2, 2])
    }

    @Test("Every pixel is divided as by a division, whatever mean and deviation are", arguments: 0..<16)
    func quotients(seed: UInt64) {
        var random = Stream(seed: seed)
        let images = (0...255).map { UInt8($0) }
        func divided(_ pixel: UInt8, _ mean: Float, _ deviation: Float) -> Float {
            (Float(pixel) / 255 - mean) / deviation + 0
        }
        for n in 0..<2_000 {
            // Divisors just below a power of two, and of any size, are the hard ones.
            let mean = Float(random.word() >> 8) / Float(1 << 24)
            let wide = Float(sign: .plus, exponent: Int(random.word() % 60) - 30, significand: 1 + mean)
            let deviation = n % 4 == 0 ? wide : n % 4 == 1 ? Float(1).nextDown / Float(1 + n) : mean / 2 + 0.001
            for isa in BatchKernelsTests.isas {
                let actual = AlignedBuffer<Float>(zeroed: 256 * 16)
                tk_load_images(isa, images, [0], 1, 16, 1, 256, [mean], [deviation], actual.pointer, nil)
                let isSame = images.indices.allSatisfy {
                    actual[16 * $0].bitPattern == divided(images[$0], mean, deviation).bitPattern
                }
                #expect(isSame, "\(isa), mean \(mean), deviation \(deviation), seed \(seed)")
            }
        }
    }

    @Test("Images are normalised and transposed as the reference does", arguments: [1, 15, 16, 17, 60])
    func images(count: Int) {
        var random = Stream(seed: UInt64(count))
        for (channels, perChannel) in [(1, 1), (1, 15), (1, 784), (3, 16), (3, 25), (1, 33)] {
            let features = channels * perChannel
            let images = (0..<20 * features).map { _ in UInt8(truncatingIfNeeded: random.word()) }
            let indices = (0..<count).map { _ in Int32(random.word() % 20) }
            let means: [Float] = channels == 1 ? [0] : [0.49, 0, 0.44]
            let deviations: [Float] = channels == 1 ? [1] : [0.247, 1, 0.26]
            let batch = DenseShape.padded(count)
            let size = DenseShape.padded(features) * batch
            let expected = AlignedBuffer<Float>(zeroed: size)
            tk_reference_load_images(
                images, indices, count, batch, channels, perChannel, means, deviations, expected.pointer)
            for isa in BatchKernelsTests.isas {
                let actual = AlignedBuffer<Float>(zeroed: size)
                let transposed = AlignedBuffer<Float>(zeroed: size)
                tk_load_images(
                    isa, images, indices, count, batch, channels, perChannel, means, deviations, actual.pointer,
                    transposed.pointer)
                #expect((0..<size).allSatisfy { actual[$0].bitPattern == expected[$0].bitPattern }, "\(isa)")
                let again = AlignedBuffer<Float>(zeroed: size)
                tk_transpose(isa, features, batch, expected.pointer, again.pointer)
                #expect((0..<count * 16).allSatisfy { transposed[$0].bitPattern == again[$0].bitPattern }, "\(isa)")
                tk_load_images(
                    isa, images, indices, count, batch, channels, perChannel, means, deviations, again.pointer, nil)
                #expect((0..<size).allSatisfy { again[$0].bitPattern == expected[$0].bitPattern }, "\(isa)")
            }
        }
    }
}
