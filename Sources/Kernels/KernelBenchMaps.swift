/// A batch of maps in f32 or in bf16, filled with values that repeat from run to run.
final class BenchMaps {
    let pointer: UnsafeMutableRawPointer
    private let planes: PlanesBuffer?
    private let pairs: PairPlanesBuffer?

    init(_ shape: PlanesShape, blocks: Int, inPairs: Bool) {
        var state: UInt32 = 1
        func forEachValue(_ body: (_ example: Int, _ channel: Int, _ row: Int, _ column: Int, Float) -> Void) {
            for example in 0..<16 * blocks {
                for channel in 0..<shape.channels {
                    for row in 0..<shape.height {
                        for column in 0..<shape.width { body(example, channel, row, column, next(&state)) }
                    }
                }
            }
        }
        if inPairs {
            let buffer = PairPlanesBuffer(zeroed: shape, blocks: blocks)
            let (layout, words) = (buffer.planes, buffer.pointer)
            forEachValue { example, channel, row, column, value in
                let bits = value.bitPattern
                words[layout.index(example: example, channel: channel, row: row, column: column)] |=
                    channel % 2 == 0 ? bits >> 16 : bits & 0xffff_0000
            }
            pointer = UnsafeMutableRawPointer(words)
            planes = nil
            pairs = consume buffer
        } else {
            let buffer = PlanesBuffer(zeroed: shape, blocks: blocks)
            let floats = buffer.pointer
            forEachValue { example, channel, row, column, value in
                floats[shape.index(example: example, channel: channel, row: row, column: column)] = value
            }
            pointer = UnsafeMutableRawPointer(floats)
            planes = consume buffer
            pairs = nil
        }
    }
}

struct BenchConvolutionMaps {
    let shape: ConvolutionShape
    let x, dx, y, dy: BenchMaps

    init(_ shape: ConvolutionShape, inPairs: Bool) {
        self.shape = shape
        x = BenchMaps(shape.input, blocks: 4, inPairs: inPairs)
        dx = BenchMaps(shape.input, blocks: 4, inPairs: inPairs)
        y = BenchMaps(shape.output, blocks: 4, inPairs: inPairs)
        dy = BenchMaps(shape.output, blocks: 4, inPairs: inPairs)
    }

    var name: String {
        "\(shape.input.channels) → \(shape.outputs) at \(shape.input.height)²"
            + (shape.kernel == 1 ? ", 1 × 1" : "") + (shape.stride > 1 ? ", stride \(shape.stride)" : "")
    }

    func flops(survivors: Int) -> Double {
        2 * Double(survivors) * Double(shape.output.height * shape.output.width * 64)
    }
}

extension KernelBench {
    /// Values between −½ and ½ that repeat from run to run.
    static func values(_ count: Int) -> AlignedBuffer<Float> {
        let buffer = AlignedBuffer<Float>(zeroed: max(16, count))
        var state: UInt32 = 1
        for index in 0..<count { buffer.pointer[index] = next(&state) }
        return buffer
    }

    static func survivors(_ count: Int, _ density: Double) -> [Bool] {
        var state: UInt32 = 2
        return (0..<count).map { _ in Double(next(&state)) + 0.5 < density }
    }
}

/// Xorshift (Marsaglia 2003).
private func next(_ state: inout UInt32) -> Float {
    state ^= state << 13
    state ^= state >> 17
    state ^= state << 5
    return Float(state >> 8) * 0x1p-24 - 0.5
}
