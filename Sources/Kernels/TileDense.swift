import CKernels

/// A dense layer under one mask whose products are those of bf16 tiles: weights and activations are rounded to bf16,
/// sums and all that is stored are f32. The order of every sum stands in `tile_kernels.h`; the backend changes no bit.
/// Pruned weights cost as much as others.
///
/// Weights and their gradient are compact: the survivors in PyTorch's order, [output][input] flat, padded with +0 to a
/// multiple of 16. Batches are stored [feature][example], with room for `DenseShape.padded` rows.
///
/// One thread at a time may use an object and its scratch memory.
public final class TileDense {
    public let inputs: Int
    public let outputs: Int
    public var survivorCount: Int { layer.survivorCount }
    private let layer: TileLayer
    private let kernels: DenseKernels

    /// - Parameter survivors: [output][input] flat; nil where all survive.
    public init(
        inputs: Int, outputs: Int, survivors: [Bool]?, backend: TileBackend = .current,
        scratch: TileScratch = TileScratch()
    ) {
        precondition(inputs > 0 && outputs > 0, "a dense layer of \(inputs) inputs and \(outputs) outputs")
        self.inputs = inputs
        self.outputs = outputs
        layer = TileLayer(
            TileDense.code(inputs: inputs, outputs: outputs), survivors: survivors, backend: backend, scratch: scratch)
        kernels = DenseKernels(backend.instructionSet)
    }

    /// Bytes of an object of the shape.
    public static func byteCount(inputs: Int, outputs: Int) -> Int {
        TileLayer.byteCount(code(inputs: inputs, outputs: outputs))
    }
    /// Bytes of scratch memory that a pass takes at most, for a batch of `blocks` times 16 examples.
    public static func scratchByteCount(inputs: Int, outputs: Int, blocks: Int) -> Int {
        TileLayer.scratchByteCount(code(inputs: inputs, outputs: outputs), blocks: blocks)
    }

    private static func code(inputs: Int, outputs: Int) -> tk_tile_layer {
        tk_tile_layer(inputs: inputs, outputs: outputs, height: 1, width: 1, kernel: 1, stride: 1, features: 1)
    }

    /// Chooses which outputs take part in the forward pass and in the input gradient; all do at first. Weights are to
    /// be loaded after it.
    public func setLive(outputs: [Bool]) { layer.setLive(outputs: outputs) }

    /// Takes over compact weights; to be called after each change of theirs.
    public func load(weights: UnsafePointer<Float>) { layer.load(weights: weights) }

    /// y = W x + b for live outputs, +0 for the others; `rectify` applies ReLU.
    public func forward(
        bias: UnsafePointer<Float>?, rectify: Bool, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, batch: Int
    ) -> Magnitude {
        layer.forward(
            x: x, bias: bias, rectify: rectify, y: y, blocks: blocks(of: batch), examples: batch, sums: nil)
    }

    /// dx = Wᵀ dy over live outputs where the gate is positive, else +0; the rows past `inputs` become +0.
    /// - Parameter gate: [input][batch]: x itself where it came from a ReLU; nil for none.
    public func inputGradient(
        dy: UnsafePointer<Float>, gate: UnsafePointer<Float>?, dx: UnsafeMutablePointer<Float>, batch: Int
    ) -> Magnitude {
        (dx + inputs * batch).update(repeating: 0, count: (DenseShape.padded(inputs) - inputs) * batch)
        return layer.inputGradient(dy: dy, addend: nil, gate: gate, dx: dx, blocks: blocks(of: batch))
    }

    /// dW = dy xᵀ of every survivor, dead outputs' included, and db = Σ dy.
    /// - Parameters:
    ///   - x: [input][batch], not transposed.
    ///   - gradient: compact.
    ///   - biasGradient: `outputs` rounded up to a multiple of 16; the padding becomes +0.
    public func weightGradient(
        dy: UnsafePointer<Float>, x: UnsafePointer<Float>, batch: Int, gradient: UnsafeMutablePointer<Float>,
        biasGradient: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        let magnitude = layer.weightGradient(
            x: x, dy: dy, blocks: blocks(of: batch), gradient: gradient, biasGradient: nil)
        return max(
            magnitude, kernels.biasGradient(outputs: outputs, batch: batch, dy: dy, biasGradient: biasGradient))
    }

    private func blocks(of batch: Int) -> Int {
        precondition(batch > 0 && batch.isMultiple(of: 16), "a padded batch of \(batch)")
        return batch / 16
    }
}
