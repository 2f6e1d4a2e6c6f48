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
    private let valueBytes: Int
    private static let examples = 64

    init(_ shape: ConvolutionShape, inPairs: Bool) {
        self.shape = shape
        valueBytes = inPairs ? 2 : 4
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
        2 * Double(survivors) * Double(Self.examples) * shape.pixelsPerWeight
    }

    /// Of the input's pixels that weights meet.
    /// - Parameter channels: that have any; nil: all.
    func inputBytes(_ channels: Int? = nil) -> Int {
        let strides = shape.kernel < shape.stride ? shape.stride * shape.stride : 1
        return bytes(shape.input, channels) / strides
    }

    func outputBytes(_ channels: Int? = nil) -> Int { bytes(shape.output, channels) }

    var inputGradientBytes: Int { bytes(shape.input, nil) }

    private func bytes(_ planes: PlanesShape, _ channels: Int?) -> Int {
        valueBytes * (channels ?? planes.channels) * planes.height * planes.width * Self.examples
    }
}

extension ConvolutionShape {
    /// Pixels of one example that a weight is multiplied with, on average: not those of the halo.
    package var pixelsPerWeight: Double {
        func pairs(_ size: Int, _ outputSize: Int) -> Int {
            (0..<outputSize).reduce(0) { sum, output in
                let first = output * stride - (kernel - 1) / 2
                return sum + (first..<first + kernel).count { (0..<size).contains($0) }
            }
        }
        let taps = pairs(input.height, output.height) * pairs(input.width, output.width)
        return Double(taps) / Double(kernel * kernel)
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

    /// How many inputs and outputs have a surviving weight; weights are [output][input][taps].
    static func live(_ survivors: [Bool], inputs: Int, taps: Int = 1) -> (inputs: Int, outputs: Int) {
        var (ins, outs): (Set<Int>, Set<Int>) = ([], [])
        for (index, survives) in survivors.enumerated() where survives {
            ins.insert(index / taps % inputs)
            outs.insert(index / taps / inputs)
        }
        return (ins.count, outs.count)
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
