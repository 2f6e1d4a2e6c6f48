import Lottery

/// The data set the program makes: ten shapes drawn with a pen, 28×28, distorted as handwriting is.
///
/// Image `index` of a part depends on its address only, and its arithmetic is exact: the same bytes on every machine.
/// Labels go round, so any prefix is balanced.
package enum Glyphs {
    static let side = 28
    static let classes = 10
    package static let trainCount = 30_000
    package static let testCount = 10_000
    /// The seed of the published data set. Another seed is another data set, and needs another name.
    static let seed: UInt64 = 1

    /// Hard enough that no linear classifier reaches 92 %, and a small MLP reaches 97 %.
    private static let distortion = GlyphDistortion(scale: 7.25...10.25, penWidth: 1.3...2.9)
    private static let brightness = 150.0...255.0
    /// Standard deviation of the noise of a pixel, in grey values.
    private static let noise = 0.0...36.0

    /// Fills `images` [count][28][28] and `labels` [count] with the first `count` images of a part.
    /// - Parameter part: 0 for the training set, 1 for the test set.
    package static func draw(part: Int, count: Int) -> (images: [UInt8], labels: [UInt8]) {
        var images = [UInt8](repeating: 0, count: count * side * side)
        let labels = (0..<count).map { UInt8($0 % classes) }
        let random = CounterRandom(seed: seed, purpose: .glyphs)
        var canvas = GlyphCanvas(side: side)
        images.withUnsafeMutableBufferPointer { images in
            for index in 0..<count {
                var draws = GlyphDraws(random: random, part: part, image: index)
                canvas.draw(GlyphShapes.classes[Int(labels[index])], distortion, with: &draws)
                let pixels = UnsafeMutableBufferPointer(
                    rebasing: images[index * side * side..<(index + 1) * side * side])
                develop(canvas, into: pixels, with: &draws)
            }
        }
        return (images, labels)
    }

    /// The picture: bright ink on black, plus noise.
    private static func develop(
        _ canvas: GlyphCanvas, into pixels: UnsafeMutableBufferPointer<UInt8>, with draws: inout GlyphDraws
    ) {
        let brightness = draws.value(in: brightness)
        let noise = draws.value(in: noise) / GlyphDraws.noiseDeviation
        for first in stride(from: 0, to: pixels.count, by: 4) {
            let noises = draws.noise()
            for lane in 0..<4 {
                let value = brightness * canvas.ink(first + lane) + noise * noises[lane]
                pixels[first + lane] = UInt8(min(max(value + 0.5, 0), 255))
            }
        }
    }
}
