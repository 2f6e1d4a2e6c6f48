import CKernels

/// What convolutions and dense layers over bf16 tiles have in common. Tensors are pair planes or f32 features, as
/// `tile_kernels.h` says.
final class TileLayer {
    let survivorCount: Int
    let backend: TileBackend
    private var layer: tk_tile_layer
    /// Words as `tk_tile_mask_words` has them; nil where all weights survive.
    private let mask: [UInt16]?
    private let forwardWeights: AlignedBuffer<UInt16>
    private let backwardWeights: AlignedBuffer<UInt16>
    /// Which outputs take part; nil where all do.
    private var live: [UInt8]?
    private let scratch: TileScratch

    /// - Parameter survivors: [output][input][row][column]; nil where all survive.
    init(_ layer: tk_tile_layer, survivors: [Bool]?, backend: TileBackend, scratch: TileScratch) {
        let weightCount = layer.outputs * layer.inputs * layer.kernel * layer.kernel
        precondition(backend.isSupported, "\(backend) does not run on this processor")
        precondition(survivors.map { $0.count == weightCount } ?? true, "a mask of another size")
        self.layer = layer
        self.backend = backend
        self.scratch = scratch
        var layer = layer
        forwardWeights = AlignedBuffer(zeroed: tk_tile_forward_count(&layer))
        backwardWeights = AlignedBuffer(zeroed: tk_tile_backward_count(&layer))
        survivorCount = survivors?.count { $0 } ?? weightCount
        guard let survivors, survivorCount < weightCount else {
            mask = nil
            return
        }
        let row = layer.inputs * layer.kernel * layer.kernel
        let rowWords = (row + 15) / 16
        var mask = [UInt16](repeating: 0, count: tk_tile_mask_words(&layer))
        for flat in 0..<weightCount where survivors[flat] {
            mask[flat / row * rowWords + flat % row / 16] |= 1 << (flat % row % 16)
        }
        self.mask = mask
    }

    /// Bytes of an object: weights for either direction, and a mask.
    static func byteCount(_ layer: tk_tile_layer) -> Int {
        var layer = layer
        return 2 * (tk_tile_forward_count(&layer) + tk_tile_backward_count(&layer) + tk_tile_mask_words(&layer))
            + layer.outputs
    }

    static func scratchByteCount(_ layer: tk_tile_layer, blocks: Int) -> Int {
        var layer = layer
        return tk_tile_scratch_bytes(&layer, blocks)
    }

    /// Weights are to be loaded after it.
    func setLive(outputs: [Bool]) {
        precondition(outputs.count == layer.outputs, "\(outputs.count) of \(layer.outputs) outputs")
        live = outputs.allSatisfy { $0 } ? nil : outputs.map { $0 ? 1 : 0 }
    }

    func load(weights: UnsafePointer<Float>) {
        tk_tile_load(backend.code, &layer, mask, live, weights, forwardWeights.pointer, backwardWeights.pointer)
    }

    func forward(
        x: UnsafeRawPointer, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutableRawPointer,
        blocks: Int, examples: Int, sums: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        Magnitude(
            bits: tk_tile_forward(
                backend.code, &layer, forwardWeights.pointer, bias, live, rectify ? 1 : 0, x, y, blocks, examples,
                sums, scratch(for: blocks)))
    }

    func inputGradient(
        dy: UnsafeRawPointer, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        Magnitude(
            bits: tk_tile_input_gradient(
                backend.code, &layer, backwardWeights.pointer, dy, addend, gate, dx, blocks, scratch(for: blocks)))
    }

    func weightGradient(
        x: UnsafeRawPointer, dy: UnsafeRawPointer, blocks: Int, gradient: UnsafeMutablePointer<Float>,
        biasGradient: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        let magnitude = Magnitude(
            bits: tk_tile_weight_gradient(
                backend.code, &layer, mask, live, x, dy, blocks, gradient, biasGradient, scratch(for: blocks)))
        for place in survivorCount..<(survivorCount + 15) / 16 * 16 { gradient[place] = 0 }
        return magnitude
    }

    private func scratch(for blocks: Int) -> UnsafeMutableRawPointer {
        precondition(blocks > 0, "\(blocks) blocks of 16 examples")
        return scratch.pointer(byteCount: tk_tile_scratch_bytes(&layer, blocks))
    }
}
