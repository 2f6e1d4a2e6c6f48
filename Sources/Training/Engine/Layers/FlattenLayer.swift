import Kernels
import Lottery

/// Maps as features in PyTorch's order: channel, row, column.
struct FlattenDescription: LayerDescription {
    var passesValues: Bool { true }

    func output(of input: FeatureShape) -> FeatureShape { .features(input.values) }

    func bytesMoved(of input: FeatureShape, precision: Precision, needsInputGradient: Bool) -> Int {
        // Forward x, y; gradient dy, gate, dx.
        3 * input.bytes(precision) + 2 * output(of: input).bytes(precision)
    }

    func makeLayer(_ place: LayerPlace) -> any Layer { FlattenLayer(place) }

    func flow(_ x: [Double], of input: FeatureShape, parameters: [[Float]]) -> [Double] { x }

    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> LayerGradient {
        LayerGradient(input: dy)
    }

    func exact(
        _ x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]], choices: inout [Int32]?
    ) -> [Double] { x }

    func exactGradient(
        _ dy: [Double], x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]],
        choices: [Int32]?
    ) -> LayerGradient { LayerGradient(input: dy) }
}

final class FlattenLayer: MapLayer, Layer {
    var forwardNeed: BlockNeed { .wholeBatch }
    var backwardNeed: BlockNeed { .wholeBatch }

    func setLive(_ outputs: [Bool]) {
        let pixels = shape.height * shape.width
        inputsInUse = (0..<shape.channels).map { outputs[$0 * pixels..<($0 + 1) * pixels].contains(true) }
    }

    /// It makes no values, so there is nothing new in them that might not be finite.
    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        y.clearPadding(width: pass.width)
        kernels.flatten(shape, x: x.pointer, y: y.rows, blocks: pass.blocks)
        return .zero
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        kernels.flattenGradient(
            shape, dy: dy.rows, addend: target.addend?.pointer, gate: target.gate?.pointer,
            dx: target.memory.pointer, blocks: pass.blocks)
    }
}
