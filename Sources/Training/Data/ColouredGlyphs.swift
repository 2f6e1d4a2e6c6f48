import Lottery

/// The shapes of `Glyphs` in colour, 3×32×32: ink of one colour on paper of another, for networks that take colour
/// images.
///
/// Colours say nothing about the class, and ink is lighter or darker than paper by chance in each channel, so that no
/// single pixel does either: a linear classifier guesses, and convolutions soon find the shapes. Image `index` of a
/// part depends on its address only, as in `Glyphs`.
package enum ColouredGlyphs {
    static let side = 32
    package static let trainCount = 20_000
    package static let testCount = 5_000
    /// The seed of the published data set. Another seed is another data set, and needs another name.
    static let seed: UInt64 = 2

    private static let distortion = GlyphDistortion(scale: 8.25...11.75, shift: 3, penWidth: 1.5...3.3)
    private static let paper = 60.0...195.0
    /// How far ink is from paper in a channel, in grey values.
    private static let contrast = 40.0...120.0
    /// Largest change of paper from the middle to an edge, in grey values.
    private static let shade = 30.0
    /// Standard deviation of the noise of a pixel, in grey values.
    private static let noise = 0.0...24.0

    /// Fills `images` [count][3][32][32] and `labels` [count] with the first `count` images of a part.
    /// - Parameter part: 0 for the training set, 1 for the test set.
    package static func draw(part: Int, count: Int) -> (images: [UInt8], labels: [UInt8]) {
        let byteCount = 3 * side * side
        var images = [UInt8](repeating: 0, count: count * byteCount)
        let labels = (0..<count).map { UInt8($0 % GlyphShapes.classes.count) }
        let random = CounterRandom(seed: seed, purpose: .glyphs)
        var canvas = GlyphCanvas(side: side)
        images.withUnsafeMutableBufferPointer { images in
            for index in 0..<count {
                var draws = GlyphDraws(random: random, part: part, image: index)
                canvas.draw(GlyphShapes.classes[Int(labels[index])], distortion, with: &draws)
                let noise = draws.value(in: noise) / GlyphDraws.noiseDeviation
                for channel in 0..<3 {
                    let plane = index * byteCount + channel * side * side
                    develop(
                        canvas, into: UnsafeMutableBufferPointer(rebasing: images[plane..<plane + side * side]),
                        noise: noise, with: &draws)
                }
            }
        }
        return (images, labels)
    }

    /// One channel of the picture.
    private static func develop(
        _ canvas: GlyphCanvas, into pixels: UnsafeMutableBufferPointer<UInt8>, noise: Double,
        with draws: inout GlyphDraws
    ) {
        let paper = draws.value(in: paper)
        let contrast = draws.value(in: contrast) * (draws.signed() < 0 ? -1 : 1)
        let across = shade * draws.signed()
        let down = shade * draws.signed()
        let centre = Double(side - 1) / 2
        for y in 0..<side {
            let rowShade = down * ((Double(y) - centre) / centre)
            for x in stride(from: 0, to: side, by: 4) {
                let noises = draws.noise()
                for lane in 0..<4 {
                    let index = y * side + x + lane
                    let lit = paper + rowShade + across * ((Double(x + lane) - centre) / centre)
                    let value = lit + contrast * canvas.ink(index) + noise * noises[lane]
                    pixels[index] = UInt8(min(max(value + 0.5, 0), 255))
                }
            }
        }
    }
}
