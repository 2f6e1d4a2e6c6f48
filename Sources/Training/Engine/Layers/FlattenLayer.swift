import Kernels

/// Maps as features in PyTorch's order: channel, row, column.
struct FlattenDescription: LayerDescription {
    var passesValues: Bool { true }

    func output(of input: FeatureShape) -> FeatureShape { .features(input.values) }

    func valuesMoved(of input: FeatureShape, needsInputGradient: Bool) -> Int { 5 * input.values }

    func makeLayer(_ place: LayerPlace) -> any Layer { FlattenLayer(planes(place.input), place) }
}

final class FlattenLayer: Layer {
    private let shape: PlanesShape
    private let x, y: BatchMemory
    private let kernels: PlanesKernels
    private(set) var inputsInUse: [Bool]

    init(_ shape: PlanesShape, _ place: LayerPlace) {
        self.shape = shape
        x = place.x
        y = place.y
        kernels = PlanesKernels(place.engine.instructionSet)
        inputsInUse = Array(repeating: true, count: shape.channels)
    }

    var forwardNeed: BlockNeed { .wholeBatch }
    var backwardNeed: BlockNeed { .wholeBatch }

    func setLive(_ outputs: [Bool]) {
        let pixels = shape.height * shape.width
        inputsInUse = (0..<shape.channels).map { outputs[$0 * pixels..<($0 + 1) * pixels].contains(true) }
    }

    /// It makes no values, so there is nothing new in them that might not be finite.
    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        y.clearPadding(width: pass.width)
        kernels.flatten(shape, x: x.pointer, y: y.pointer, blocks: pass.blocks)
        return .zero
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        kernels.flattenGradient(
            shape, dy: dy.pointer, addend: target.addend?.pointer, gate: target.gate?.pointer,
            dx: target.memory.pointer, blocks: pass.blocks)
    }
}
