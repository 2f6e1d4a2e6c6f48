import Kernels
import Lottery

/// A dense layer with bias, with or without ReLU: `NAME.weight` [outputs, inputs], `NAME.bias`.
struct DenseDescription: LayerDescription {
    let name: String
    let kind: LayerKind
    let outputs: Int
    let rectifies: Bool

    func output(of input: FeatureShape) -> FeatureShape { .features(outputs) }

    func parameters(of input: FeatureShape) -> [Network.Parameter] {
        [
            Network.Parameter(name: "\(name).weight", shape: [outputs, input.values], kind: kind, role: .weight),
            Network.Parameter(name: "\(name).bias", shape: [outputs], kind: kind, role: .bias),
        ]
    }

    func usesPerWeight(of input: FeatureShape) -> Int { 1 }

    func bytesMoved(of input: FeatureShape, precision: Precision, needsInputGradient: Bool) -> Int {
        // Forward x, y; weight gradient x, dy; input gradient dy, gate, dx.
        4 * (2 * (input.values + outputs) + (needsInputGradient ? outputs + 2 * input.values : 0))
    }

    func held(of input: FeatureShape, precision: Precision, survivors: Int) -> Int {
        let count = outputs * input.values
        guard precision == .f32, Double(survivors) >= SparseDense.paysBelow * Double(count) else { return survivors }
        return DenseShape.padded(outputs) * DenseShape.padded(input.values)
    }

    func scratch(of input: FeatureShape, precision: Precision, survivors: Int, blocks: Int) -> ScratchBytes {
        switch precision {
        // The transposed input of dense kernels, or the lists of sparse ones.
        case .f32: ScratchBytes(own: 4 * DenseShape.padded(input.values) * 16 * blocks + 16 * survivors, shared: 0)
        case .bf16:
            ScratchBytes(
                own: TileDense.byteCount(inputs: input.values, outputs: outputs),
                shared: TileDense.scratchByteCount(inputs: input.values, outputs: outputs, blocks: blocks))
        }
    }

    func makeLayer(_ place: LayerPlace) -> any Layer { DenseLayer(self, place) }

    func flow(_ x: [Double], of input: FeatureShape, parameters: [[Float]]) -> [Double] {
        var y = [Double](repeating: 0, count: outputs)
        forEachWeight(parameters[0], inputs: x.count) { row, column, _, size in y[row] += size * x[column] }
        return y
    }

    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> LayerGradient {
        var gradient = LayerGradient(
            input: Array(repeating: 0, count: x.count), weight: Array(repeating: 0, count: parameters[0].count))
        forEachWeight(parameters[0], inputs: x.count) { row, column, flat, size in
            gradient.input[column] += size * dy[row]
            gradient.weight[flat] = dy[row] * x[column]
        }
        return gradient
    }

    func exact(
        _ x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]], choices: inout [Int32]?
    ) -> [Double] {
        ExactProduct(inputs: input.values, outputs: outputs)(x, batch, weights: parameters[0], bias: parameters[1])
    }

    func exactGradient(
        _ dy: [Double], x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]],
        choices: [Int32]?
    ) -> LayerGradient {
        ExactProduct(inputs: input.values, outputs: outputs).gradient(dy, x: x, batch, weights: parameters[0])
    }

    /// Every weight that is not 0, with its place and its magnitude.
    @inline(__always)
    private func forEachWeight(
        _ weights: [Float], inputs: Int, _ body: (_ row: Int, _ column: Int, _ flat: Int, _ size: Double) -> Void
    ) {
        for row in 0..<outputs {
            for column in 0..<inputs {
                let flat = row * inputs + column
                if weights[flat] != 0 { body(row, column, flat, Double(weights[flat].magnitude)) }
            }
        }
    }
}

/// The kernels of a dense layer, for one mask. Batches are [feature][width].
private protocol DenseWeights: AnyObject {
    func setLive(_ outputs: [Bool])
    /// The values of the weights have changed.
    func load()
    func forward(x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, width: Int) -> Magnitude
    /// dx = Wᵀ dy where x > 0, else +0.
    func inputGradient(
        dy: UnsafePointer<Float>, x: UnsafePointer<Float>, dx: UnsafeMutablePointer<Float>, width: Int
    ) -> Magnitude
    /// Computes what `gradients` needs of `x` alone.
    func prepareGradients(x: UnsafePointer<Float>, width: Int)
    /// Stores the gradients of weight and bias.
    func gradients(dy: UnsafePointer<Float>, x: UnsafePointer<Float>, width: Int) -> Magnitude
    /// Takes a step without having stored gradients; nil where that is no faster.
    var fusedUpdate: ((_ dy: UnsafePointer<Float>, _ width: Int, _ rule: UpdateRule) -> Void)? { get }
}

/// All weights, row by row.
private final class PaddedRows: DenseWeights {
    private let inputs, outputs: Int
    private let rectifies: Bool
    private let kernels: DenseKernels
    private let weight, bias: ParameterTensor
    private let survivors: AlignedBuffer<UInt16>
    private var live: LiveOutputs
    /// [inputs / 16][width][16]
    let transposed: AlignedBuffer<Float>

    init(_ weight: ParameterTensor, _ bias: ParameterTensor, rectifies: Bool, blockCapacity: Int, engine: Engine) {
        self.weight = weight
        self.bias = bias
        self.rectifies = rectifies
        outputs = weight.parameter.shape[0]
        inputs = weight.parameter.shape[1]
        kernels = DenseKernels(engine.instructionSet)
        survivors = weight.survivorBits()
        live = LiveOutputs(Array(0..<outputs))
        transposed = AlignedBuffer(zeroed: DenseShape.padded(inputs) * 16 * blockCapacity)
    }

    private func shape(_ width: Int) -> DenseShape { DenseShape(inputs: inputs, outputs: outputs, batch: width) }

    func setLive(_ outputs: [Bool]) { live = LiveOutputs(outputs.indices.filter { outputs[$0] }) }

    func load() {}

    func forward(x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, width: Int) -> Magnitude {
        kernels.forward(
            shape(width), weights: weight.values, bias: bias.values, live: live, rectify: rectifies, x: x, y: y)
    }

    func inputGradient(
        dy: UnsafePointer<Float>, x: UnsafePointer<Float>, dx: UnsafeMutablePointer<Float>, width: Int
    ) -> Magnitude { kernels.inputGradient(shape(width), weights: weight.values, live: live, dy: dy, x: x, dx: dx) }

    func prepareGradients(x: UnsafePointer<Float>, width: Int) {
        kernels.transpose(features: inputs, batch: width, x: x, transposed: transposed.pointer)
    }

    func gradients(dy: UnsafePointer<Float>, x: UnsafePointer<Float>, width: Int) -> Magnitude {
        kernels.weightGradient(
            shape(width), mask: survivors.pointer, dy: dy, transposed: transposed.pointer,
            weightGradient: weight.gradient, biasGradient: bias.gradient)
    }

    var fusedUpdate: ((UnsafePointer<Float>, Int, UpdateRule) -> Void)? {
        { [self] dy, width, rule in
            let magnitude = kernels.update(
                shape(width), rule: rule, mask: survivors.pointer, dy: dy, transposed: transposed.pointer,
                biasGradient: bias.gradient, weights: weight.updated, bias: bias.updated)
            weight.wasUpdated(magnitude)
            bias.wasUpdated(magnitude)
        }
    }
}

/// The surviving weights alone.
private final class Survivors: DenseWeights {
    private let rectifies: Bool
    private let kernels: SparseDense
    private let weight, bias: ParameterTensor

    init(_ weight: ParameterTensor, _ bias: ParameterTensor, rectifies: Bool, engine: Engine) {
        self.weight = weight
        self.bias = bias
        self.rectifies = rectifies
        let parameter = weight.parameter
        kernels = SparseDense(
            inputs: parameter.shape[1], outputs: parameter.shape[0],
            survivors: (weight.mask ?? Mask(dense: parameter.count)).survives, instructionSet: engine.instructionSet)
    }

    func setLive(_ outputs: [Bool]) { kernels.setLive(outputs: outputs) }

    func load() {}

    func forward(x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, width: Int) -> Magnitude {
        kernels.forward(weights: weight.values, bias: bias.values, rectify: rectifies, x: x, y: y, batch: width)
    }

    func inputGradient(
        dy: UnsafePointer<Float>, x: UnsafePointer<Float>, dx: UnsafeMutablePointer<Float>, width: Int
    ) -> Magnitude { kernels.inputGradient(weights: weight.values, dy: dy, x: x, dx: dx, batch: width) }

    func prepareGradients(x: UnsafePointer<Float>, width: Int) {}

    func gradients(dy: UnsafePointer<Float>, x: UnsafePointer<Float>, width: Int) -> Magnitude {
        kernels.weightGradient(
            dy: dy, x: x, batch: width, gradient: weight.gradient, biasGradient: bias.gradient)
    }

    var fusedUpdate: ((UnsafePointer<Float>, Int, UpdateRule) -> Void)? { nil }
}

/// All weights in bf16 tiles.
private final class Tiles: DenseWeights {
    private let rectifies: Bool
    private let kernels: TileDense
    private let weight, bias: ParameterTensor

    init(
        _ weight: ParameterTensor, _ bias: ParameterTensor, rectifies: Bool, engine: Engine, scratch: TileScratch
    ) {
        self.weight = weight
        self.bias = bias
        self.rectifies = rectifies
        kernels = TileDense(
            inputs: weight.parameter.shape[1], outputs: weight.parameter.shape[0], survivors: weight.mask?.survives,
            backend: engine.tiles, scratch: scratch)
    }

    func setLive(_ outputs: [Bool]) { kernels.setLive(outputs: outputs) }

    func load() { kernels.load(weights: weight.values) }

    func forward(x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, width: Int) -> Magnitude {
        kernels.forward(bias: bias.values, rectify: rectifies, x: x, y: y, batch: width)
    }

    func inputGradient(
        dy: UnsafePointer<Float>, x: UnsafePointer<Float>, dx: UnsafeMutablePointer<Float>, width: Int
    ) -> Magnitude { kernels.inputGradient(dy: dy, gate: x, dx: dx, batch: width) }

    func prepareGradients(x: UnsafePointer<Float>, width: Int) {}

    func gradients(dy: UnsafePointer<Float>, x: UnsafePointer<Float>, width: Int) -> Magnitude {
        kernels.weightGradient(
            dy: dy, x: x, batch: width, gradient: weight.gradient, biasGradient: bias.gradient)
    }

    var fusedUpdate: ((UnsafePointer<Float>, Int, UpdateRule) -> Void)? { nil }
}

final class DenseLayer: Layer {
    private let inputs, outputs: Int
    private let rectifies: Bool
    private let x, y: BatchMemory
    private let weight, bias: ParameterTensor
    private let blockCapacity: Int
    private let engine: Engine
    private let tileScratch: TileScratch
    private let updates: DenseKernels
    private var weights: any DenseWeights
    private var live: [Bool]
    private var isLoaded = false
    /// Whether the images' loader has left the transposed input of this batch where the kernels want it.
    var inputIsTransposed = false

    init(_ description: DenseDescription, _ place: LayerPlace) {
        guard case .features(let inputs) = place.input else {
            preconditionFailure("\(description.name) is dense and reads \(place.input)")
        }
        precondition(
            place.inputIsNotNegative || !place.needsInputGradient,
            "\(description.name) takes its input for the gate of a ReLU, and it can be negative")
        self.inputs = inputs
        outputs = description.outputs
        rectifies = description.rectifies
        x = place.x
        y = place.y
        weight = place.tensors[0]
        bias = place.tensors[1]
        blockCapacity = place.blockCapacity
        engine = place.engine
        tileScratch = place.tileScratch
        updates = DenseKernels(place.engine.instructionSet)
        live = Array(repeating: true, count: outputs)
        weights = DenseLayer.weights(
            place.mask, weight, bias, rectifies: rectifies, blockCapacity: blockCapacity, engine, tileScratch)
    }

    private static func weights(
        _ mask: Mask?, _ weight: ParameterTensor, _ bias: ParameterTensor, rectifies: Bool, blockCapacity: Int,
        _ engine: Engine, _ tileScratch: TileScratch
    ) -> any DenseWeights {
        let density = mask.map { Double($0.survivors) / Double($0.count) } ?? 1
        let isSparse =
            switch engine.path {
            case .dense: false
            case .sparse: true
            case .fastest: density < SparseDense.paysBelow
            }
        switch engine.precision {
        case .bf16:
            weight.lay(mask, .compact)
            return Tiles(weight, bias, rectifies: rectifies, engine: engine, scratch: tileScratch)
        case .f32 where isSparse:
            weight.lay(mask, .compact)
            return Survivors(weight, bias, rectifies: rectifies, engine: engine)
        case .f32:
            weight.lay(mask, .rows)
            return PaddedRows(weight, bias, rectifies: rectifies, blockCapacity: blockCapacity, engine: engine)
        }
    }

    var forwardNeed: BlockNeed { .wholeBatch }
    var backwardNeed: BlockNeed { .wholeBatch }

    func setMask(_ mask: Mask?) {
        weights = DenseLayer.weights(
            mask, weight, bias, rectifies: rectifies, blockCapacity: blockCapacity, engine, tileScratch)
        live = Array(repeating: true, count: outputs)
        isLoaded = false
    }

    func setLive(_ outputs: [Bool]) {
        guard outputs != live else { return }
        live = outputs
        weights.setLive(outputs)
        isLoaded = false
    }

    var inputsInUse: [Bool] {
        guard let mask = weight.mask else { return Array(repeating: live.contains(true), count: inputs) }
        var used = Array(repeating: false, count: inputs)
        for flat in mask.survivingIndices where live[flat / inputs] { used[flat % inputs] = true }
        return used
    }

    func parametersChanged() { isLoaded = false }

    /// Where the images' loader may leave the transposed input; nil if these kernels read it as it is.
    var transposedInput: UnsafeMutablePointer<Float>? { (weights as? PaddedRows)?.transposed.pointer }

    func beginForward(_ pass: Pass) {
        if !isLoaded { weights.load() }
        isLoaded = true
    }

    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude {
        y.clearPadding(width: pass.width)
        return weights.forward(x: x.rows, y: y.rows, width: pass.width)
    }

    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude {
        precondition(target.addend == nil, "what a dense layer reads is read by nothing else")
        return weights.inputGradient(dy: dy.rows, x: x.rows, dx: target.memory.rows, width: pass.width)
    }

    func gradients(
        _ pass: Pass, dy: BatchMemory, inputMagnitude: Magnitude, gradientMagnitude: Magnitude, stored: Bool
    ) -> Magnitude {
        if !inputIsTransposed { weights.prepareGradients(x: x.rows, width: pass.width) }
        inputIsTransposed = false
        // A fused update never stores the weights' gradient. Nearly always the sizes of its factors prove it finite;
        // where they do not, it is computed for this question.
        let bound = Double(gradientMagnitude.value) * max(Double(inputMagnitude.value), 1) * Double(pass.width)
        if !stored, weights.fusedUpdate != nil, bound < 1e38 { return Magnitude(Float(bound)) }
        return weights.gradients(dy: dy.rows, x: x.rows, width: pass.width)
    }

    func update(_ pass: Pass, dy: BatchMemory, rule: UpdateRule, stored: Bool) {
        if !stored, let fusedUpdate = weights.fusedUpdate {
            fusedUpdate(dy.rows, pass.width, rule)
        } else {
            weight.update(rule, updates)
            bias.update(rule, updates)
        }
        isLoaded = false
    }
}
