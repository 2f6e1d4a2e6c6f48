import Kernels

/// The largest of each 2 × 2 pixels, stride 2.
struct MaxPoolDescription: LayerDescription {
    var passesValues: Bool { true }

    func output(of input: FeatureShape) -> FeatureShape { .planes(planes(input).halved) }

    func valuesMoved(of input: FeatureShape, needsInputGradient: Bool) -> Int {
        // Forward x, y; gradient x, dy, dx.
        3 * input.values + 2 * output(of: input).values
    }

    func makeLayer(_ place: LayerPlace) -> any Layer { MaxPoolLayer(planes(place.input), place) }
}

final class MaxPoolLayer: Layer {
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

    func valuesMoved(of input: FeatureShape, needsInputGradient: Bool) -> Int { 3 * input.values }

    func makeLayer(_ place: LayerPlace) -> any Layer { AveragePoolLayer(planes(place.input), place) }
}

final class AveragePoolLayer: Layer {
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

    func setLive(_ outputs: [Bool]) { inputsInUse = outputs }

    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        y.clearPadding(width: pass.width)
        return kernels.averagePool(shape, x: x.pointer, y: y.pointer, blocks: pass.blocks)
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        kernels.averagePoolGradient(
            shape, dy: dy.pointer, addend: target.addend?.pointer, gate: target.gate?.pointer,
            dx: target.memory.pointer, blocks: pass.blocks)
    }
}

func planes(_ input: FeatureShape) -> PlanesShape {
    guard case .planes(let shape) = input else { preconditionFailure("maps are wanted, not \(input)") }
    return shape
}
