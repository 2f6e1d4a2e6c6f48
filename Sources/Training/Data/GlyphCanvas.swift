import Lottery

/// How much drawn shapes are distorted, as handwriting is.
struct GlyphDistortion {
    /// Largest tangent of half the rotation angle: 0.16 is 18°.
    var halfAngle = 0.16
    /// Smallest and largest half height, in pixels.
    var scale: ClosedRange<Double>
    /// Largest departure of width over height from 1.
    var aspect = 0.18
    var shear = 0.22
    /// Largest shift along each axis, in pixels.
    var shift = 2.5
    /// Largest displacement of a node of the elastic grid, in half heights.
    var elastic = 0.28
    /// Stroke width, in pixels.
    var penWidth: ClosedRange<Double>
}

/// A square of paper: squared distances of its pixels from the pen's path.
///
/// All arithmetic is + − × ÷ and square roots of f64, which IEEE 754 rounds alike everywhere.
struct GlyphCanvas {
    let side: Int
    private var squaredDistances: [Double]
    private var radius = 0.0

    init(side: Int) {
        self.side = side
        squaredDistances = [Double](repeating: 0, count: side * side)
    }

    /// How much ink is on pixel `index`, in 0…1: by distance from the pen's path, with a soft edge of one pixel.
    func ink(_ index: Int) -> Double {
        let squared = squaredDistances[index]
        return squared < (radius + 0.5) * (radius + 0.5) ? min(1, radius + 0.5 - squared.squareRoot()) : 0
    }

    /// Takes new paper and draws `strokes` on it.
    mutating func draw(_ strokes: [GlyphStroke], _ distortion: GlyphDistortion, with draws: inout GlyphDraws) {
        // A rotation by twice the angle whose tangent is `half`, without trigonometry.
        let half = distortion.halfAngle * draws.signed()
        let cosine = (1 - half * half) / (1 + half * half)
        let sine = 2 * half / (1 + half * half)
        let height = draws.value(in: distortion.scale)
        let width = height * (1 + distortion.aspect * draws.signed())
        let shear = distortion.shear * draws.signed()
        let centre = Double(side - 1) / 2
        let left = centre + distortion.shift * draws.signed()
        let top = centre + distortion.shift * draws.signed()
        let elastic = ElasticGrid(strength: distortion.elastic, draws: &draws)
        clear(penWidth: draws.value(in: distortion.penWidth))

        for stroke in strokes {
            var previous: GlyphPoint?
            for piece in 0...stroke.pieces {
                let drawn = elastic.displaced(stroke.point(at: Double(piece) / Double(stroke.pieces)))
                let x = width * (drawn.x + shear * drawn.y)
                let y = height * drawn.y
                let point = GlyphPoint(left + cosine * x - sine * y, top + sine * x + cosine * y)
                if let previous { draw(from: previous, to: point) }
                previous = point
            }
        }
    }

    private mutating func clear(penWidth: Double) {
        radius = penWidth / 2
        for index in squaredDistances.indices { squaredDistances[index] = .infinity }
    }

    private mutating func draw(from start: GlyphPoint, to end: GlyphPoint) {
        let reach = radius + 1
        let columns = span(min(start.x, end.x) - reach, max(start.x, end.x) + reach)
        let rows = span(min(start.y, end.y) - reach, max(start.y, end.y) + reach)
        let dx = end.x - start.x
        let dy = end.y - start.y
        let squaredLength = dx * dx + dy * dy
        let inverse = squaredLength > 0 ? 1 / squaredLength : 0
        let side = side
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

    /// A smooth field of displacements: random vectors on a 4×4 grid over −1…1, bilinear between them.
    private struct ElasticGrid {
        private static let nodes = 4
        private var displacements: [GlyphPoint] = []

        init(strength: Double, draws: inout GlyphDraws) {
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
}

/// The random numbers of one image, in the order in which it takes them.
struct GlyphDraws {
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

    /// Four values of about a normal distribution with deviation 147.8 around 0: each the sum of four random bytes,
    /// less its mean.
    mutating func noise() -> SIMD4<Double> {
        let words = words()
        var noise = SIMD4<Double>()
        for lane in 0..<4 {
            let bytes = words[lane]
            let sum = Int(bytes & 255) + Int(bytes >> 8 & 255) + Int(bytes >> 16 & 255) + Int(bytes >> 24)
            noise[lane] = Double(sum - 510)
        }
        return noise
    }

    /// Deviation of `noise()`.
    static let noiseDeviation = 147.8
}
