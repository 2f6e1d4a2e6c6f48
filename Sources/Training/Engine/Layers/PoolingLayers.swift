import Kernels
import Lottery

/// The largest of each 2 × 2 pixels, stride 2.
struct MaxPoolDescription: LayerDescription {
    var passesValues: Bool { true }

    func output(of input: FeatureShape) -> FeatureShape { .planes(planes(input).halved) }

    func bytesMoved(of input: FeatureShape, precision: Precision, needsInputGradient: Bool) -> Int {
        // Forward x, y; gradient x, dy, dx.
        3 * input.bytes(precision) + 2 * output(of: input).bytes(precision)
    }

    func makeLayer(_ place: LayerPlace) -> any Layer { MaxPoolLayer(place) }

    func flow(_ x: [Double], of input: FeatureShape, parameters: [[Float]]) -> [Double] {
        winners(x, of: input).map { x[$0] }
    }

    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> FlowGradient {
        var gradient = FlowGradient(input: Array(repeating: 0, count: x.count))
        for (to, from) in winners(x, of: input).enumerated() { gradient.input[from] = dy[to] }
        return gradient
    }

    /// Where each maximum is, the first of equals in row-major order.
    private func winners(_ x: [Double], of input: FeatureShape) -> [Int] {
        let (shape, halved) = (planes(input), planes(input).halved)
        var winners: [Int] = []
        for channel in 0..<shape.channels {
            for row in 0..<halved.height {
                for column in 0..<halved.width {
                    let first = (channel * shape.height + 2 * row) * shape.width + 2 * column
                    var winner = first
                    for place in [first + 1, first + shape.width, first + shape.width + 1] where x[place] > x[winner] {
                        winner = place
                    }
                    winners.append(winner)
                }
            }
        }
        return winners
    }
}

/// Which pixels won in a batch that a convolution pooled as it computed it.
final class PoolWinners {
    private let shape: PlanesShape
    private let buffer: AlignedBuffer<UInt64>

    /// - Parameter shape: the maxima's.
    init(_ shape: PlanesShape, blocks: Int) {
        self.shape = shape
        buffer = AlignedBuffer(zeroed: shape.blockLines * blocks)
    }

    func block(_ block: Int) -> UnsafeMutablePointer<UInt64> { buffer.pointer + block * shape.blockLines }

    static func bytesPerBlock(_ shape: PlanesShape) -> Int { 8 * shape.blockLines }
}

final class MaxPoolLayer: MapLayer, Layer {
    private let planesKernels: PlanesKernels
    /// What the convolution before it leaves, if it pools at once: then x is not stored.
    var winners: PoolWinners?

    override init(_ place: LayerPlace) {
        planesKernels = PlanesKernels(place.engine.instructionSet)
        super.init(place)
    }

    func setLive(_ outputs: [Bool]) { inputsInUse = outputs }

    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        guard winners == nil else { return .zero }
        return kernels.maxPool(
            shape, x: x.block(blocks.lowerBound), y: y.block(blocks.lowerBound), blocks: blocks.count)
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        let first = blocks.lowerBound
        if let winners {
            return planesKernels.maxPoolGradient(
                shape, winners: winners.block(first), y: y.block(first), dy: dy.block(first),
                dx: target.memory.block(first), blocks: blocks.count)
        }
        return kernels.maxPoolGradient(
            shape, x: x.block(first), dy: dy.block(first), addend: target.addend?.block(first),
            gate: target.gate?.block(first), dx: target.memory.block(first), blocks: blocks.count)
    }
}

/// The mean of each map, as a feature.
struct AveragePoolDescription: LayerDescription {
    var passesValues: Bool { true }

    func output(of input: FeatureShape) -> FeatureShape { .features(planes(input).channels) }

    func bytesMoved(of input: FeatureShape, precision: Precision, needsInputGradient: Bool) -> Int {
        // Forward x; gradient gate, dx.
        3 * input.bytes(precision)
    }

    func makeLayer(_ place: LayerPlace) -> any Layer { AveragePoolLayer(place) }

    func flow(_ x: [Double], of input: FeatureShape, parameters: [[Float]]) -> [Double] {
        let pixels = x.count / input.units
        return (0..<input.units).map { channel in
            x[channel * pixels..<(channel + 1) * pixels].reduce(0, +) / Double(pixels)
        }
    }

    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> FlowGradient {
        let pixels = x.count / input.units
        return FlowGradient(input: x.indices.map { dy[$0 / pixels] / Double(pixels) })
    }
}

final class AveragePoolLayer: MapLayer, Layer {
    var forwardNeed: BlockNeed { .wholeBatch }
    var backwardNeed: BlockNeed { .wholeBatch }

    func setLive(_ outputs: [Bool]) { inputsInUse = outputs }

    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        y.clearPadding(width: pass.width)
        return kernels.averagePool(shape, x: x.pointer, y: y.rows, blocks: pass.blocks)
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        kernels.averagePoolGradient(
            shape, dy: dy.rows, addend: target.addend?.pointer, gate: target.gate?.pointer,
            dx: target.memory.pointer, blocks: pass.blocks)
    }
}
