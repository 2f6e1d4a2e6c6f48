import CKernels

/// A convolution under one mask whose products are those of bf16 tiles: maps are stored in bf16 (`PairPlanes`), weights
/// are rounded to it, sums and gradients of weights are f32. The order of every sum stands in `tile_kernels.h`; the
/// backend changes no bit. Pruned weights cost as much as others.
///
/// One thread at a time may use an object and its scratch memory.
public final class TileConvolution {
    public let shape: ConvolutionShape
    public var survivorCount: Int { layer.survivorCount }
    private let layer: TileLayer

    /// - Parameter survivors: [output][input][row][column]; nil where all survive.
    public init(
        shape: ConvolutionShape, survivors: [Bool]?, backend: TileBackend = .current,
        scratch: TileScratch = TileScratch()
    ) {
        self.shape = shape
        layer = TileLayer(
            TileConvolution.code(shape), survivors: survivors, backend: backend, scratch: scratch)
    }

    /// Bytes of an object of the shape.
    public static func byteCount(shape: ConvolutionShape) -> Int { TileLayer.byteCount(code(shape)) }
    /// Bytes of scratch memory that a pass takes at most, for a batch of `blocks` times 16 examples.
    public static func scratchByteCount(shape: ConvolutionShape, blocks: Int) -> Int {
        TileLayer.scratchByteCount(code(shape), blocks: blocks)
    }

    private static func code(_ shape: ConvolutionShape) -> tk_tile_layer {
        tk_tile_layer(
            inputs: shape.input.channels, outputs: shape.outputs, height: shape.input.height, width: shape.input.width,
            kernel: shape.kernel, stride: shape.stride, features: 0)
    }

    /// Chooses the outputs that take part: the others become +0, and their gradients do not reach the input. At first
    /// all take part. Weights are to be loaded after it.
    public func setLive(outputs: [Bool]) { layer.setLive(outputs: outputs) }

    /// Takes over compact weights; to be called after each change of theirs.
    public func load(weights: UnsafePointer<Float>) { layer.load(weights: weights) }

    /// y = Σ W x + b, halo left as it is.
    /// - Parameters:
    ///   - x: pair planes of `shape.input`.
    ///   - bias: `shape.outputs` floats; nil for none.
    ///   - rectify: whether y ≤ 0 becomes +0.
    ///   - y: pair planes of `shape.output`.
    ///   - examples: lanes past these are left out of the sums.
    ///   - sums: becomes [block][output][2], Σ y and Σ y² over each block, if it is given.
    /// - Returns: the largest magnitude among results and sums.
    public func forward(
        x: UnsafeRawPointer, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutableRawPointer,
        blocks: Int, examples: Int, sums: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        layer.forward(x: x, bias: bias, rectify: rectify, y: y, blocks: blocks, examples: examples, sums: sums)
    }

    /// dx = Σ Wᵀ dy + addend where the gate is positive, else +0; halo left as it is.
    /// - Parameters:
    ///   - dy: pair planes of `shape.output`; finite in outputs that do not take part.
    ///   - addend: pair planes of `shape.input`, which may be `dx`; nil for none.
    ///   - gate: pair planes of `shape.input`: x itself where it came from a ReLU; nil for none.
    ///   - dx: pair planes of `shape.input`.
    public func inputGradient(
        dy: UnsafeRawPointer, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        layer.inputGradient(dy: dy, addend: addend, gate: gate, dx: dx, blocks: blocks)
    }

    /// dW = Σ dy x for the survivors, and db = Σ dy; both +0 in outputs that do not take part.
    /// - Parameters:
    ///   - x: pair planes of `shape.input`.
    ///   - dy: pair planes of `shape.output`; +0 in the halo and in padding examples.
    ///   - gradient: compact, a multiple of 16 floats; the padding becomes +0.
    ///   - biasGradient: `shape.outputs` floats, if it is wanted.
    /// - Returns: the largest magnitude among both gradients.
    public func weightGradient(
        x: UnsafeRawPointer, dy: UnsafeRawPointer, blocks: Int, gradient: UnsafeMutablePointer<Float>,
        biasGradient: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        layer.weightGradient(x: x, dy: dy, blocks: blocks, gradient: gradient, biasGradient: biasGradient)
    }
}
