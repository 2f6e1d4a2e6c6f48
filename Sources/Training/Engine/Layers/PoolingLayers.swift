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
}

final class MaxPoolLayer: MapLayer, Layer {
    func setLive(_ outputs: [Bool]) { inputsInUse = outputs }

    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        kernels.maxPool(shape, x: x.block(blocks.lowerBound), y: y.block(blocks.lowerBound), blocks: blocks.count)
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        let first = blocks.lowerBound
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
