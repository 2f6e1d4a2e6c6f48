import Kernels
import Lottery

/// A convolution with padding (kernel − 1) / 2, with or without bias and ReLU: `NAME.weight` [outputs, inputs, k, k],
/// `NAME.bias`.
struct ConvolutionDescription: LayerDescription {
    let name: String
    let kind: LayerKind
    let outputs: Int
    /// 1 or 3.
    var kernel = 3
    /// 1 or 2.
    var stride = 1
    var hasBias: Bool
    var rectifies: Bool

    func shape(_ input: FeatureShape) -> ConvolutionShape {
        guard case .planes(let planes) = input else { preconditionFailure("\(name) is a convolution of \(input)") }
        return ConvolutionShape(input: planes, outputs: outputs, kernel: kernel, stride: stride)
    }

    func output(of input: FeatureShape) -> FeatureShape { .planes(shape(input).output) }

    func parameters(of input: FeatureShape) -> [Network.Parameter] {
        let weight = Network.Parameter(
            name: "\(name).weight", shape: [outputs, input.units, kernel, kernel], kind: kind, role: .weight)
        let bias = Network.Parameter(name: "\(name).bias", shape: [outputs], kind: kind, role: .bias)
        return hasBias ? [weight, bias] : [weight]
    }

    func usesPerWeight(of input: FeatureShape) -> Int { shape(input).output.height * shape(input).output.width }

    func bytesMoved(of input: FeatureShape, precision: Precision, needsInputGradient: Bool) -> Int {
        let (x, y) = (input.bytes(precision), output(of: input).bytes(precision))
        // Forward x, y; weight gradient x, dy; input gradient dy, gate, dx.
        return 2 * (x + y) + (needsInputGradient ? y + 2 * x : 0)
    }

    func canPool(_ input: FeatureShape, precision: Precision) -> Bool {
        rectifies && precision == .f32 && shape(input).canPool
    }

    func scratch(of input: FeatureShape, precision: Precision, survivors: Int, blocks: Int) -> ScratchBytes {
        let shape = shape(input)
        return switch precision {
        case .f32:
            ScratchBytes(
                own: Convolution.byteCount(shape: shape, survivorCount: survivors)
                    + ConvolutionWeightGradient.byteCount(shape: shape, survivorCount: survivors, blocks: blocks),
                shared: 0)
        case .bf16:
            ScratchBytes(
                own: TileConvolution.byteCount(shape: shape),
                shared: TileConvolution.scratchByteCount(shape: shape, blocks: blocks))
        }
    }

    func makeLayer(_ place: LayerPlace) -> any Layer { ConvolutionLayer(self, place) }

    func flow(_ x: [Double], of input: FeatureShape, parameters: [[Float]]) -> [Double] {
        var y = [Double](repeating: 0, count: output(of: input).values)
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                guard let x = x.baseAddress, let y = y.baseAddress else { return }
                forEachRow(of: parameters[0], input) { _, size, from, to, count in
                    addFlow(size, x + from, xStride: stride, to: y + to, count: count)
                }
            }
        }
        return y
    }

    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> LayerGradient {
        var gradient = LayerGradient(
            input: Array(repeating: 0, count: x.count), weight: Array(repeating: 0, count: parameters[0].count))
        gradient.input.withUnsafeMutableBufferPointer { dx in
            gradient.weight.withUnsafeMutableBufferPointer { dw in
                x.withUnsafeBufferPointer { x in
                    dy.withUnsafeBufferPointer { dy in
                        guard let x = x.baseAddress, let dx = dx.baseAddress, let dy = dy.baseAddress else { return }
                        forEachRow(of: parameters[0], input) { flat, size, from, to, count in
                            addFlow(size, dy + to, to: dx + from, yStride: stride, count: count)
                            dw[flat] += flowProduct(x + from, xStride: stride, dy + to, count: count)
                        }
                    }
                }
            }
        }
        return gradient
    }

    func exact(
        _ x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]], choices: inout [Int32]?
    ) -> [Double] {
        ExactProduct(shape(input))(x, batch, weights: parameters[0], bias: hasBias ? parameters[1] : nil)
    }

    func exactGradient(
        _ dy: [Double], x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]],
        choices: [Int32]?
    ) -> LayerGradient {
        ExactProduct(shape(input)).gradient(dy, x: x, batch, weights: parameters[0])
    }

    /// Every row of pixels over which a weight that is not 0 leads from the input to the output: the weight's flat
    /// index and magnitude, the row's first pixels there and here, and how many they are.
    @inline(__always)
    private func forEachRow(
        of weights: [Float], _ input: FeatureShape,
        _ body: (_ flat: Int, _ size: Double, _ from: Int, _ to: Int, _ count: Int) -> Void
    ) {
        let (x, y) = (planes(input), planes(output(of: input)))
        let padding = (kernel - 1) / 2
        /// The outputs whose pixel `tap` steps on lies in the input.
        func range(_ tap: Int, _ inputs: Int, _ outputs: Int) -> Range<Int> {
            let first = max(0, (padding - tap + stride - 1) / stride)
            let reach = inputs - 1 + padding - tap
            return first..<max(first, reach < 0 ? 0 : min(outputs, reach / stride + 1))
        }
        for flat in weights.indices where weights[flat] != 0 {
            let (output, rest) = flat.quotientAndRemainder(dividingBy: x.channels * kernel * kernel)
            let (channel, tap) = rest.quotientAndRemainder(dividingBy: kernel * kernel)
            let (tapRow, tapColumn) = tap.quotientAndRemainder(dividingBy: kernel)
            let columns = range(tapColumn, x.width, y.width)
            for row in range(tapRow, x.height, y.height) {
                body(
                    flat, Double(weights[flat].magnitude),
                    (channel * x.height + row * stride + tapRow - padding) * x.width + columns.lowerBound * stride
                        + tapColumn - padding,
                    (output * y.height + row) * y.width + columns.lowerBound, columns.count)
            }
        }
    }
}

/// A layer that can sum what it stores, for a batch-norm after it.
protocol SummingLayer: Layer {
    /// Where Σ y and Σ y² of each block and channel go, [block][channel][2]; nil where nobody wants them.
    var sums: UnsafeMutablePointer<Float>? { get set }
}

/// The kernels of a convolution, for one mask. Maps are those of the precision.
protocol ConvolutionKernels: AnyObject {
    func setLive(outputs: [Bool])
    func load(weights: UnsafePointer<Float>)
    func forward(
        x: UnsafeRawPointer, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutableRawPointer,
        blocks: Int, examples: Int, sums: UnsafeMutablePointer<Float>?
    ) -> Magnitude
    func forwardPooled(
        x: UnsafeRawPointer, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutableRawPointer,
        winners: UnsafeMutablePointer<UInt64>, blocks: Int
    ) -> Magnitude
    func inputGradient(
        dy: UnsafeRawPointer, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude
    func weightGradient(
        x: UnsafeRawPointer, dy: UnsafeRawPointer, blocks: Int, gradient: UnsafeMutablePointer<Float>,
        biasGradient: UnsafeMutablePointer<Float>?
    ) -> Magnitude
}

extension TileConvolution: ConvolutionKernels {
    func forwardPooled(
        x: UnsafeRawPointer, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutableRawPointer,
        winners: UnsafeMutablePointer<UInt64>, blocks: Int
    ) -> Magnitude {
        preconditionFailure("products of tiles are stored before they are pooled")
    }
}

/// A convolution in f32.
private final class PlainConvolution: ConvolutionKernels {
    private let convolution: Convolution
    private let gradient: ConvolutionWeightGradient

    init(_ shape: ConvolutionShape, survivors: [Bool]?, engine: Engine) {
        convolution = Convolution(
            shape: shape, survivors: survivors, path: engine.path, instructionSet: engine.instructionSet)
        gradient = ConvolutionWeightGradient(
            shape: shape, survivors: survivors, path: engine.path, instructionSet: engine.instructionSet)
    }

    func setLive(outputs: [Bool]) {
        convolution.setLive(outputs: outputs)
        gradient.setLive(outputs: outputs)
    }

    func load(weights: UnsafePointer<Float>) { convolution.load(weights: weights) }

    func forward(
        x: UnsafeRawPointer, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutableRawPointer,
        blocks: Int, examples: Int, sums: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        convolution.forward(
            x: floats(x), bias: bias, rectify: rectify, y: floats(y), blocks: blocks, examples: examples, sums: sums)
    }

    func forwardPooled(
        x: UnsafeRawPointer, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutableRawPointer,
        winners: UnsafeMutablePointer<UInt64>, blocks: Int
    ) -> Magnitude {
        convolution.forwardPooled(
            x: floats(x), bias: bias, rectify: rectify, y: floats(y), winners: winners, blocks: blocks)
    }

    func inputGradient(
        dy: UnsafeRawPointer, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        convolution.inputGradient(
            dy: floats(dy), addend: addend.map(floats), gate: gate.map(floats), dx: floats(dx), blocks: blocks)
    }

    func weightGradient(
        x: UnsafeRawPointer, dy: UnsafeRawPointer, blocks: Int, gradient: UnsafeMutablePointer<Float>,
        biasGradient: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        self.gradient.compute(
            x: floats(x), dy: floats(dy), blocks: blocks, gradient: gradient, biasGradient: biasGradient)
    }

    private func floats(_ maps: UnsafeRawPointer) -> UnsafePointer<Float> { maps.assumingMemoryBound(to: Float.self) }
    private func floats(_ maps: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Float> {
        maps.assumingMemoryBound(to: Float.self)
    }
}

final class ConvolutionLayer: SummingLayer {
    private let shape: ConvolutionShape
    private let rectifies: Bool
    private let x: BatchMemory
    private let y: BatchMemory
    private let weight: ParameterTensor
    private let bias: ParameterTensor?
    private let engine: Engine
    private let tileScratch: TileScratch
    private let update: DenseKernels
    private var kernels: any ConvolutionKernels
    private var live: [Bool]
    /// Whether the kernels have the present weights.
    private var isLoaded = false
    var sums: UnsafeMutablePointer<Float>?
    /// Where the layer pools its results, which it then does not store; nil where it stores them.
    var pool: (y: BatchMemory, winners: PoolWinners)?

    init(_ description: ConvolutionDescription, _ place: LayerPlace) {
        shape = description.shape(place.input)
        rectifies = description.rectifies
        x = place.x
        y = place.y
        weight = place.tensors[0]
        bias = description.hasBias ? place.tensors[1] : nil
        engine = place.engine
        tileScratch = place.tileScratch
        update = DenseKernels(place.engine.instructionSet)
        live = Array(repeating: true, count: shape.outputs)
        weight.lay(place.mask, .compact)
        kernels = ConvolutionLayer.kernels(shape, survivors: place.mask?.survives, engine, tileScratch)
    }

    private static func kernels(
        _ shape: ConvolutionShape, survivors: [Bool]?, _ engine: Engine, _ tileScratch: TileScratch
    ) -> any ConvolutionKernels {
        switch engine.precision {
        case .f32: PlainConvolution(shape, survivors: survivors, engine: engine)
        case .bf16: TileConvolution(shape: shape, survivors: survivors, backend: engine.tiles, scratch: tileScratch)
        }
    }

    func setMask(_ mask: Mask?) {
        weight.lay(mask, .compact)
        kernels = ConvolutionLayer.kernels(shape, survivors: mask?.survives, engine, tileScratch)
        live = Array(repeating: true, count: shape.outputs)
        isLoaded = false
    }

    func setLive(_ outputs: [Bool]) {
        guard outputs != live else { return }
        live = outputs
        kernels.setLive(outputs: outputs)
        isLoaded = false
    }

    var inputsInUse: [Bool] {
        guard let mask = weight.mask else {
            return Array(repeating: live.contains(true), count: shape.input.channels)
        }
        let taps = shape.kernel * shape.kernel
        var used = Array(repeating: false, count: shape.input.channels)
        for flat in mask.survivingIndices where live[flat / (taps * shape.input.channels)] {
            used[flat / taps % shape.input.channels] = true
        }
        return used
    }

    func parametersChanged() { isLoaded = false }

    func beginForward(_ pass: Pass) {
        if !isLoaded { kernels.load(weights: weight.values) }
        isLoaded = true
    }

    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        if let pool {
            return kernels.forwardPooled(
                x: x.block(blocks.lowerBound), bias: bias?.values, rectify: rectifies,
                y: pool.y.block(blocks.lowerBound), winners: pool.winners.block(blocks.lowerBound), blocks: blocks.count
            )
        }
        return kernels.forward(
            x: x.block(blocks.lowerBound), bias: bias?.values, rectify: rectifies, y: y.block(blocks.lowerBound),
            blocks: blocks.count, examples: pass.examples(in: blocks),
            sums: pass.isTraining ? sums.map { $0 + 2 * shape.outputs * blocks.lowerBound } : nil)
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        let first = blocks.lowerBound
        return kernels.inputGradient(
            dy: dy.block(first), addend: target.addend?.block(first), gate: target.gate?.block(first),
            dx: target.memory.block(first), blocks: blocks.count)
    }

    func gradients(
        _ pass: Pass, dy: BatchMemory, inputMagnitude: Magnitude, gradientMagnitude: Magnitude, stored: Bool
    ) -> Magnitude {
        kernels.weightGradient(
            x: x.pointer, dy: dy.pointer, blocks: pass.blocks, gradient: weight.gradient, biasGradient: bias?.gradient)
    }

    func update(_ pass: Pass, dy: BatchMemory, rule: UpdateRule, stored: Bool) {
        weight.update(rule, update)
        bias?.update(rule, update)
        isLoaded = false
    }
}
