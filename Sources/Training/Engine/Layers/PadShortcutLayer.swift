import Kernels
import Lottery

/// A residual shortcut without weights to more channels and fewer pixels: option A of He et al. 2016, section 3.3.
struct PadShortcutDescription: LayerDescription {
    let outputs: Int
    let stride: Int

    var passesValues: Bool { true }

    func output(of input: FeatureShape) -> FeatureShape {
        .planes(planes(input).shortcut(outputs: outputs, stride: stride))
    }

    func bytesMoved(of input: FeatureShape, precision: Precision, needsInputGradient: Bool) -> Int {
        // Forward a part of x, y; gradient dy, gate, dx.
        2 * input.bytes(precision) + 3 * output(of: input).bytes(precision)
    }

    func makeLayer(_ place: LayerPlace) -> any Layer { PadShortcutLayer(self, place) }

    func flow(_ x: [Double], of input: FeatureShape, parameters: [[Float]]) -> [Double] {
        var y = [Double](repeating: 0, count: output(of: input).values)
        for (from, to) in pixels(of: input) { y[to] = x[from] }
        return y
    }

    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> LayerGradient {
        var gradient = LayerGradient(input: Array(repeating: 0, count: x.count))
        for (from, to) in pixels(of: input) { gradient.input[from] = dy[to] }
        return gradient
    }

    func exact(
        _ x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]], choices: inout [Int32]?
    ) -> [Double] {
        var y = [Double](repeating: 0, count: output(of: input).values * batch.lanes)
        for (from, to) in pixels(of: input) {
            for lane in 0..<batch.lanes { y[to * batch.lanes + lane] = x[from * batch.lanes + lane] }
        }
        return y
    }

    func exactGradient(
        _ dy: [Double], x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]],
        choices: [Int32]?
    ) -> LayerGradient {
        var gradient = LayerGradient(input: Array(repeating: 0, count: x.count))
        for (from, to) in pixels(of: input) {
            for lane in 0..<batch.lanes { gradient.input[from * batch.lanes + lane] = dy[to * batch.lanes + lane] }
        }
        return gradient
    }

    /// The pixels that go on, and where to: every `stride`th, its channel amid those of zeros.
    private func pixels(of input: FeatureShape) -> [(from: Int, to: Int)] {
        let (x, y) = (planes(input), planes(output(of: input)))
        let before = (outputs - x.channels) / 2
        var pixels: [(from: Int, to: Int)] = []
        for channel in 0..<x.channels {
            for row in 0..<y.height {
                for column in 0..<y.width {
                    pixels.append(
                        (
                            (channel * x.height + row * stride) * x.width + column * stride,
                            ((before + channel) * y.height + row) * y.width + column
                        ))
                }
            }
        }
        return pixels
    }
}

final class PadShortcutLayer: MapLayer, Layer {
    private let description: PadShortcutDescription

    init(_ description: PadShortcutDescription, _ place: LayerPlace) {
        self.description = description
        super.init(place)
    }

    func setLive(_ outputs: [Bool]) {
        let before = (description.outputs - shape.channels) / 2
        inputsInUse = Array(outputs[before..<before + shape.channels])
    }

    /// It makes no values, so there is nothing new in them that might not be finite.
    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        kernels.padShortcut(
            input: shape, outputs: description.outputs, stride: description.stride, x: x.block(blocks.lowerBound),
            y: y.block(blocks.lowerBound), blocks: blocks.count)
        return .zero
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        let first = blocks.lowerBound
        return kernels.padShortcutGradient(
            input: shape, outputs: description.outputs, stride: description.stride, dy: dy.block(first),
            addend: target.addend?.block(first), gate: target.gate?.block(first), dx: target.memory.block(first),
            blocks: blocks.count)
    }
}
