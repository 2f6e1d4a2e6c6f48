import CKernels
import Kernels

/// A batch in pair planes for tests. Its pointer is good for as long as the object is held.
final class TestPairs {
    let shape: PlanesShape
    let blocks: Int
    private let buffer: PairPlanesBuffer

    var pointer: UnsafeMutablePointer<UInt32> { buffer.pointer }

    /// Pixels of all examples become what `next` gives, rounded, in the order (example, channel, row, column).
    init(_ shape: PlanesShape, blocks: Int, _ next: () -> Float = { .nan }) {
        self.shape = shape
        self.blocks = blocks
        buffer = PairPlanesBuffer(zeroed: shape, blocks: blocks)
        fill(next)
    }

    /// The values of planes, rounded.
    init(_ planes: TestPlanes) {
        shape = planes.shape
        blocks = planes.blocks
        buffer = PairPlanesBuffer(zeroed: shape, blocks: blocks)
        var code = shape.testCode
        magnitude = tk_reference_narrow(&code, planes.pointer, buffer.pointer, blocks)
    }

    /// Of the values that the object was made of, if they were planes.
    private(set) var magnitude: tk_magnitude = 0

    /// What rounding makes of the magnitude of values in f32.
    static func magnitude(_ magnitude: tk_magnitude) -> tk_magnitude {
        tk_magnitude(tk_reference_bf16(Float(bitPattern: magnitude))) << 16
    }

    static func random(_ shape: PlanesShape, blocks: Int, _ random: inout Stream) -> TestPairs {
        TestPairs(shape, blocks: blocks) { random.value(spread: 8) }
    }

    func fill(_ next: () -> Float) {
        for example in 0..<blocks * 16 {
            for channel in 0..<shape.channels {
                for row in 0..<shape.height {
                    for column in 0..<shape.width {
                        set(next(), example: example, channel: channel, row: row, column: column)
                    }
                }
            }
        }
    }

    func set(_ value: Float, example: Int, channel: Int, row: Int, column: Int) {
        let place = buffer.planes.index(example: example, channel: channel, row: row, column: column)
        let half = UInt32(tk_reference_bf16(value))
        buffer.pointer[place] =
            channel % 2 == 0 ? buffer.pointer[place] & 0xffff_0000 | half : buffer.pointer[place] & 0xffff | half << 16
    }

    func value(example: Int, channel: Int, row: Int, column: Int) -> Float {
        let word = buffer.pointer[buffer.planes.index(example: example, channel: channel, row: row, column: column)]
        return Float(bitPattern: channel % 2 == 0 ? word << 16 : word & 0xffff_0000)
    }

    /// The same values in f32.
    func widened() -> TestPlanes {
        let planes = TestPlanes(shape, blocks: blocks)
        var code = shape.testCode
        tk_reference_widen(&code, buffer.pointer, planes.pointer, blocks)
        return planes
    }

    /// Everything, halo and slack included; NaNs made one.
    var bits: [UInt32] {
        (0..<buffer.planes.words(blocks: blocks) + PairPlanesBuffer.slackLines * 16).map { place in
            let word = buffer.pointer[place]
            return canonicalBits(Float(bitPattern: word << 16)) >> 16
                | canonicalBits(Float(bitPattern: word & 0xffff_0000))
        }
    }

    func copy(_ other: TestPairs) {
        buffer.pointer.update(from: other.pointer, count: buffer.planes.words(blocks: blocks))
    }
}
