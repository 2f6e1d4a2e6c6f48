/// A point of a glyph, in units of half the glyph's height: x to the right and y downwards, about −1…1.
struct GlyphPoint {
    var x: Double
    var y: Double

    init(_ x: Double, _ y: Double) {
        self.x = x
        self.y = y
    }
}

/// A stroke of the pen.
enum GlyphStroke {
    case line(GlyphPoint, GlyphPoint)
    /// A quadratic Bézier curve; the middle point bends it.
    case curve(GlyphPoint, GlyphPoint, GlyphPoint)

    /// The point at `t` in 0…1.
    func point(at t: Double) -> GlyphPoint {
        switch self {
        case .line(let from, let to):
            return GlyphPoint(from.x + t * (to.x - from.x), from.y + t * (to.y - from.y))
        case .curve(let from, let bend, let to):
            let first = (1 - t) * (1 - t)
            let middle = 2 * t * (1 - t)
            let last = t * t
            return GlyphPoint(
                first * from.x + middle * bend.x + last * to.x, first * from.y + middle * bend.y + last * to.y)
        }
    }

    /// Straight pieces it is drawn in; a line has some too, so that elastic distortion can bend it.
    var pieces: Int {
        switch self {
        case .line: 4
        case .curve: 6
        }
    }
}

/// The ten shapes, one a class. Several share strokes, so that no single pixel tells them apart.
enum GlyphShapes {
    static let classes: [[GlyphStroke]] = [ring, triangle, square, cross, saltire, zigzag, snake, hook, fork, ladder]

    private static func line(_ x0: Double, _ y0: Double, _ x1: Double, _ y1: Double) -> GlyphStroke {
        .line(GlyphPoint(x0, y0), GlyphPoint(x1, y1))
    }

    private static func curve(
        _ x0: Double, _ y0: Double, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double
    ) -> GlyphStroke {
        .curve(GlyphPoint(x0, y0), GlyphPoint(x1, y1), GlyphPoint(x2, y2))
    }

    private static let ring = [
        curve(0, -0.9, 0.8, -0.9, 0.8, 0), curve(0.8, 0, 0.8, 0.9, 0, 0.9),
        curve(0, 0.9, -0.8, 0.9, -0.8, 0), curve(-0.8, 0, -0.8, -0.9, 0, -0.9),
    ]
    private static let triangle = [
        line(0, -0.9, 0.85, 0.75), line(0.85, 0.75, -0.85, 0.75), line(-0.85, 0.75, 0, -0.9),
    ]
    private static let square = [
        line(-0.75, -0.75, 0.75, -0.75), line(0.75, -0.75, 0.75, 0.75),
        line(0.75, 0.75, -0.75, 0.75), line(-0.75, 0.75, -0.75, -0.75),
    ]
    private static let cross = [line(0, -0.95, 0, 0.95), line(-0.9, 0, 0.9, 0)]
    private static let saltire = [line(-0.75, -0.85, 0.75, 0.85), line(0.75, -0.85, -0.75, 0.85)]
    private static let zigzag = [
        line(-0.75, -0.8, 0.75, -0.8), line(0.75, -0.8, -0.75, 0.8), line(-0.75, 0.8, 0.75, 0.8),
    ]
    private static let snake = [
        curve(0.7, -0.6, 0.3, -1.1, -0.3, -0.8), curve(-0.3, -0.8, -1.1, -0.3, 0, 0),
        curve(0, 0, 1.1, 0.3, 0.3, 0.8), curve(0.3, 0.8, -0.3, 1.1, -0.7, 0.6),
    ]
    private static let hook = [
        line(-0.2, -0.9, 0.5, -0.9), line(0.5, -0.9, 0.5, 0.2), curve(0.5, 0.2, 0.45, 1.0, -0.2, 0.9),
        curve(-0.2, 0.9, -0.7, 0.8, -0.65, 0.3),
    ]
    private static let fork = [
        curve(-0.75, -0.9, -0.75, 0.05, 0, 0.1), curve(0.75, -0.9, 0.75, 0.05, 0, 0.1), line(0, -0.9, 0, 0.95),
    ]
    private static let ladder = [
        line(-0.6, -0.9, -0.6, 0.9), line(0.6, -0.9, 0.6, 0.9), line(-0.6, 0, 0.6, 0),
    ]
}
