import CKernels

/// `MapKernels` for maps in bf16, `PairPlanes`: they compute in f32 and round what they store.
public struct PairPlanesKernels: MapKernels {
    private let code: tk_tile_backend

    public init(_ backend: TileBackend = .current) {
        precondition(backend.isSupported, "\(backend) does not run on this processor")
        code = backend.code
    }

    public func loadImages(
        _ images: UnsafePointer<UInt8>, indices: UnsafePointer<Int32>, count: Int, shape: PlanesShape, blocks: Int,
        means: UnsafePointer<Float>, deviations: UnsafePointer<Float>, y: UnsafeMutableRawPointer
    ) {
        precondition(count > 0 && count <= 16 * blocks, "\(count) images in \(blocks) blocks of 16")
        var shape = shape.code
        tk_pairs_load_planes(code, images, indices, count, &shape, blocks, means, deviations, y.words)
    }

    public func maxPool(
        _ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        precondition(shape.height >= 2 && shape.width >= 2, "pooling of \(shape)")
        var shape = shape.code
        return Magnitude(bits: tk_pairs_max_pool(code, &shape, x.words, y.words, blocks))
    }

    public func maxPoolGradient(
        _ shape: PlanesShape, x: UnsafeRawPointer, dy: UnsafeRawPointer, addend: UnsafeRawPointer?,
        gate: UnsafeRawPointer?, dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        precondition(shape.height >= 2 && shape.width >= 2, "pooling of \(shape)")
        var shape = shape.code
        return Magnitude(
            bits: tk_pairs_max_pool_gradient(
                code, &shape, x.words, dy.words, addend?.words, gate?.words, dx.words, blocks))
    }

    public func averagePool(
        _ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(bits: tk_pairs_average_pool(code, &shape, x.words, y, blocks))
    }

    public func averagePoolGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_pairs_average_pool_gradient(code, &shape, dy, addend?.words, gate?.words, dx.words, blocks))
    }

    public func flatten(_ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutablePointer<Float>, blocks: Int) {
        var shape = shape.code
        tk_pairs_flatten(code, &shape, x.words, y, blocks)
    }

    public func flattenGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_pairs_flatten_gradient(code, &shape, dy, addend?.words, gate?.words, dx.words, blocks))
    }

    public func padShortcut(
        input: PlanesShape, outputs: Int, stride: Int, x: UnsafeRawPointer, y: UnsafeMutableRawPointer, blocks: Int
    ) {
        precondition(outputs >= input.channels && stride > 0, "\(outputs) outputs, stride \(stride), of \(input)")
        var shape = input.code
        tk_pairs_pad_shortcut(code, &shape, outputs, stride, x.words, y.words, blocks)
    }

    public func padShortcutGradient(
        input: PlanesShape, outputs: Int, stride: Int, dy: UnsafeRawPointer, addend: UnsafeRawPointer?,
        gate: UnsafeRawPointer?, dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        precondition(outputs >= input.channels && stride > 0, "\(outputs) outputs, stride \(stride), of \(input)")
        var shape = input.code
        return Magnitude(
            bits: tk_pairs_pad_shortcut_gradient(
                code, &shape, outputs, stride, dy.words, addend?.words, gate?.words, dx.words, blocks))
    }

    public func accumulate(
        _ shape: PlanesShape, dy: UnsafeRawPointer, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_pairs_accumulate(code, &shape, dy.words, addend?.words, gate?.words, dx.words, blocks))
    }

    public func batchNormApply(
        _ shape: PlanesShape, z: UnsafeRawPointer, scale: UnsafePointer<Float>, shift: UnsafePointer<Float>,
        shortcut: UnsafeRawPointer?, rectify: Bool, live: UnsafePointer<UInt8>?, y: UnsafeMutableRawPointer,
        blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_pairs_batch_norm_apply(
                code, &shape, z.words, scale, shift, shortcut?.words, rectify ? 1 : 0, live, y.words, blocks))
    }

    public func batchNormGradientSums(
        _ shape: PlanesShape, dy: UnsafeRawPointer, z: UnsafeRawPointer, mean: UnsafePointer<Float>,
        inverseDeviation: UnsafePointer<Float>, sums: UnsafeMutablePointer<Float>, examples: Int
    ) {
        var shape = shape.code
        tk_pairs_batch_norm_gradient_sums(code, &shape, dy.words, z.words, mean, inverseDeviation, sums, examples)
    }

    public func batchNormGradient(
        _ shape: PlanesShape, dy: UnsafeRawPointer, z: UnsafeRawPointer, a: UnsafePointer<Float>,
        b: UnsafePointer<Float>, c: UnsafePointer<Float>, live: UnsafePointer<UInt8>?, examples: Int,
        dz: UnsafeMutableRawPointer
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_pairs_batch_norm_gradient(code, &shape, dy.words, z.words, a, b, c, live, examples, dz.words))
    }
}
