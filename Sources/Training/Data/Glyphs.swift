import Lottery

/// The data set the program makes: ten shapes drawn with a pen, 28×28, distorted as handwriting is.
///
/// Image `index` of a part depends on its address only, and its arithmetic is + − × ÷ and square roots of f64, which IEEE 754
/// rounds alike everywhere: the same bytes on every machine. Labels go round, so any prefix is balanced.
package enum Glyphs {
    static let side = 28
    static let classes = 10
    package static let trainCount = 30_000
    package static let testCount = 10_000
    /// The seed of the published data set. Another seed is another data set, and needs another name.
    static let seed: UInt64 = 1

    /// How much the shapes are distorted: hard enough that no linear classifier reaches 92 %, and a small MLP reaches 97 %.
    private enum Distortion {
        /// Largest tangent of half the rotation angle: 0.16 is 18°.
        static let halfAngle = 0.16
        /// Smallest and largest half height, in pixels.
        static let scale = 7.25...10.25
        /// Largest departure of width over height from 1.
        static let aspect = 0.18
        static let shear = 0.22
        /// Largest shift along each axis, in pixels.
        static let shift = 2.5
        /// Largest displacement of a node of the elastic grid, in half heights.
        static let elastic = 0.28
        /// Stroke width, in pixels.
        static let width = 1.3...2.9
        static let brightness = 150.0...255.0
        /// Standard deviation of the noise of a pixel, in grey values.
        static let noise = 0.0...36.0
    }

    /// Fills `images` [count][28][28] and `labels` [count] with the first `count` images of a part.
    /// - Parameter part: 0 for the training set, 1 for the test set.
    package static func draw(part: Int, count: Int) -> (images: [UInt8], labels: [UInt8]) {
        var images = [UInt8](repeating: 0, count: count * side * side)
        let labels = (0..<count).map { UInt8($0 % classes) }
        let random = CounterRandom(seed: seed, purpose: .glyphs)
        var canvas = Canvas()
        images.withUnsafeMutableBufferPointer { images in
            for index in 0..<count {
                var draws = Draws(random: random, part: part, image: index)
                draw(GlyphShapes.classes[Int(labels[index])], on: &canvas, with: &draws)
                let pixels = UnsafeMutableBufferPointer(
                    rebasing: images[index * side * side..<(index + 1) * side * side])
                canvas.develop(into: pixels, with: &draws)
            }
        }
        return (images, labels)
    }

    private static func draw(_ strokes: [GlyphStroke], on canvas: inout Canvas, with draws: inout Draws) {
        // A rotation by twice the angle whose tangent is `half`, without trigonometry.
        let half = Distortion.halfAngle * draws.signed()
        let cosine = (1 - half * half) / (1 + half * half)
        let sine = 2 * half / (1 + half * half)
        let height = draws.value(in: Distortion.scale)
        let width = height * (1 + Distortion.aspect * draws.signed())
        let shear = Distortion.shear * draws.signed()
        let centre = Double(side - 1) / 2
        let left = centre + Distortion.shift * draws.signed()
        let top = centre + Distortion.shift * draws.signed()
        let elastic = ElasticGrid(strength: Distortion.elastic, draws: &draws)
        canvas.clear(penWidth: draws.value(in: Distortion.width))

        for stroke in strokes {
            var previous: GlyphPoint?
            for piece in 0...stroke.pieces {
                let drawn = elastic.displaced(stroke.point(at: Double(piece) / Double(stroke.pieces)))
                let x = width * (drawn.x + shear * drawn.y)
                let y = height * drawn.y
                let point = GlyphPoint(left + cosine * x - sine * y, top + sine * x + cosine * y)
                if let previous { canvas.draw(from: previous, to: point) }
                previous = point
            }
        }
    }

    /// A smooth field of displacements: random vectors on a 4×4 grid over −1…1, bilinear between them.
    private struct ElasticGrid {
        private static let nodes = 4
        private var displacements: [GlyphPoint] = []

        init(strength: Double, draws: inout Draws) {
            displacements.reserveCapacity(ElasticGrid.nodes * ElasticGrid.nodes)
            for _ in 0..<ElasticGrid.nodes * ElasticGrid.nodes {
                let x = strength * draws.signed()
                displacements.append(GlyphPoint(x, strength * draws.signed()))
            }
        }

        func displaced(_ point: GlyphPoint) -> GlyphPoint {
            let cells = Double(ElasticGrid.nodes - 1)
            let column = min(max((point.x + 1) / 2, 0), 1) * cells
            let row = min(max((point.y + 1) / 2, 0), 1) * cells
            let i = min(Int(column), ElasticGrid.nodes - 2)
            let j = min(Int(row), ElasticGrid.nodes - 2)
            let across = column - Double(i)
            let down = row - Double(j)
            func blend(_ part: KeyPath<GlyphPoint, Double>) -> Double {
                let upper =
                    displacements[j * ElasticGrid.nodes + i][keyPath: part] * (1 - across)
                    + displacements[j * ElasticGrid.nodes + i + 1][keyPath: part] * across
                let lower =
                    displacements[(j + 1) * ElasticGrid.nodes + i][keyPath: part] * (1 - across)
                    + displacements[(j + 1) * ElasticGrid.nodes + i + 1][keyPath: part] * across
                return upper * (1 - down) + lower * down
            }
            return GlyphPoint(point.x + blend(\.x), point.y + blend(\.y))
        }
    }

    /// Squared distances of the pixels from the strokes, and the picture they make.
    private struct Canvas {
        private var squaredDistances = [Double](repeating: 0, count: side * side)
        private var radius = 0.0

        mutating func clear(penWidth: Double) {
            radius = penWidth / 2
            for index in squaredDistances.indices { squaredDistances[index] = .infinity }
        }

        mutating func draw(from start: GlyphPoint, to end: GlyphPoint) {
            let reach = radius + 1
            let columns = span(min(start.x, end.x) - reach, max(start.x, end.x) + reach)
            let rows = span(min(start.y, end.y) - reach, max(start.y, end.y) + reach)
            let dx = end.x - start.x
            let dy = end.y - start.y
            let squaredLength = dx * dx + dy * dy
            let inverse = squaredLength > 0 ? 1 / squaredLength : 0
            squaredDistances.withUnsafeMutableBufferPointer { distances in
                for row in rows {
                    let y = Double(row) - start.y
                    for column in columns {
                        let x = Double(column) - start.x
                        let along = min(max((x * dx + y * dy) * inverse, 0), 1)
                        let offX = x - along * dx
                        let offY = y - along * dy
                        let squared = offX * offX + offY * offY
                        let index = row * side + column
                        if squared < distances[index] { distances[index] = squared }
                    }
                }
            }
        }

        /// Pixels from `low` to `high`, as far as they lie in the picture.
        private func span(_ low: Double, _ high: Double) -> Range<Int> {
            let first = max(0, Int(max(low, 0)))
            return first..<max(first, min(side, Int(min(max(high, -1), Double(side))) + 1))
        }

        /// The picture: ink by distance from the pen's path with a soft edge of one pixel, plus noise.
        func develop(into pixels: UnsafeMutableBufferPointer<UInt8>, with draws: inout Draws) {
            let brightness = draws.value(in: Distortion.brightness)
            // The sum of four random bytes has a standard deviation of 147.8.
            let noise = draws.value(in: Distortion.noise) / 147.8
            for first in stride(from: 0, to: pixels.count, by: 4) {
                let words = draws.words()
                for lane in 0..<4 {
                    let bytes = words[lane]
                    let sum = Int(bytes & 255) + Int(bytes >> 8 & 255) + Int(bytes >> 16 & 255) + Int(bytes >> 24)
                    let squared = squaredDistances[first + lane]
                    let ink =
                        squared < (radius + 0.5) * (radius + 0.5) ? min(1, radius + 0.5 - squared.squareRoot()) : 0
                    let value = brightness * ink + noise * Double(sum - 510)
                    pixels[first + lane] = UInt8(min(max(value + 0.5, 0), 255))
                }
            }
        }
    }

    /// The random numbers of one image, in the order in which it takes them.
    private struct Draws {
        private let random: CounterRandom
        private let part: Int
        private var index: UInt64
        private var spare = SIMD4<UInt32>()
        private var spareCount = 0

        init(random: CounterRandom, part: Int, image: Int) {
            self.random = random
            self.part = part
            index = UInt64(image) << 16
        }

        mutating func words() -> SIMD4<UInt32> {
            defer { index += 1 }
            return random.words(epoch: part, index: index)
        }

        /// Uniform in −1..<1, in steps of 2⁻³¹.
        mutating func signed() -> Double {
            if spareCount == 0 {
                spare = words()
                spareCount = 4
            }
            spareCount -= 1
            return Double(spare[3 - spareCount]) * 0x1p-31 - 1
        }

        mutating func value(in range: ClosedRange<Double>) -> Double {
            range.lowerBound + (range.upperBound - range.lowerBound) * (signed() + 1) / 2
        }
    }
}
