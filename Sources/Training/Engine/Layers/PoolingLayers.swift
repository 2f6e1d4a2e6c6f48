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
        winners(x, of: input).map { x[Int($0)] }
    }

    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> LayerGradient {
        var gradient = LayerGradient(input: Array(repeating: 0, count: x.count))
        for (to, from) in winners(x, of: input).enumerated() { gradient.input[Int(from)] = dy[to] }
        return gradient
    }

    func exact(
        _ x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]], choices: inout [Int32]?
    ) -> [Double] {
        let winners = choices ?? winners(x, of: input, lanes: batch.lanes)
        choices = winners
        return winners.map { x[Int($0)] }
    }

    func exactGradient(
        _ dy: [Double], x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]],
        choices: [Int32]?
    ) -> LayerGradient {
        var gradient = LayerGradient(input: Array(repeating: 0, count: x.count))
        guard let choices else { preconditionFailure("a pooling that has chosen nothing") }
        for (to, from) in choices.enumerated() { gradient.input[Int(from)] = dy[to] }
        return gradient
    }

    /// Where each maximum is, the first of equals in row-major order.
    /// - Parameter lanes: images side by side.
    private func winners(_ x: [Double], of input: FeatureShape, lanes: Int = 1) -> [Int32] {
        let (shape, halved) = (planes(input), planes(input).halved)
        var winners: [Int32] = []
        winners.reserveCapacity(halved.channels * halved.height * halved.width * lanes)
        for pixel in 0..<shape.channels * halved.height * halved.width {
            let (row, column) = pixel.quotientAndRemainder(dividingBy: halved.width)
            // Rows of all channels follow one another, and an odd last one is left out.
            let (channel, inChannel) = row.quotientAndRemainder(dividingBy: halved.height)
            let first = (channel * shape.height + 2 * inChannel) * shape.width + 2 * column
            for lane in 0..<lanes {
                var winner = first * lanes + lane
                for next in [first + 1, first + shape.width, first + shape.width + 1]
                where x[next * lanes + lane] > x[winner] {
                    winner = next * lanes + lane
                }
                winners.append(Int32(winner))
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

    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> LayerGradient {
        let pixels = x.count / input.units
        return LayerGradient(input: x.indices.map { dy[$0 / pixels] / Double(pixels) })
    }

    func exact(
        _ x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]], choices: inout [Int32]?
    ) -> [Double] {
        let (lanes, pixels) = (batch.lanes, x.count / batch.lanes / input.units)
        var y = [Double](repeating: 0, count: input.units * lanes)
        for place in 0..<x.count / lanes {
            for lane in 0..<lanes { y[place / pixels * lanes + lane] += x[place * lanes + lane] }
        }
        return y.map { $0 / Double(pixels) }
    }

    func exactGradient(
        _ dy: [Double], x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]],
        choices: [Int32]?
    ) -> LayerGradient {
        let (lanes, pixels) = (batch.lanes, x.count / batch.lanes / input.units)
        return LayerGradient(input: x.indices.map { dy[$0 / lanes / pixels * lanes + $0 % lanes] / Double(pixels) })
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
