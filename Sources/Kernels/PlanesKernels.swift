import CKernels

/// `MapKernels` for maps in f32, `PlanesShape`, for one instruction set.
public struct PlanesKernels: MapKernels {
    private let code: tk_isa

    public init(_ instructionSet: InstructionSet = .current) {
        precondition(instructionSet.isSupported, "\(instructionSet) does not run on this processor")
        code = instructionSet.code
    }

    public func loadImages(
        _ images: UnsafePointer<UInt8>, indices: UnsafePointer<Int32>, count: Int, shape: PlanesShape, blocks: Int,
        means: UnsafePointer<Float>, deviations: UnsafePointer<Float>, y: UnsafeMutableRawPointer
    ) {
        precondition(count > 0 && count <= 16 * blocks, "\(count) images in \(blocks) blocks of 16")
        var shape = shape.code
        tk_load_planes(code, images, indices, count, &shape, blocks, means, deviations, y.floats)
    }

    public func maxPool(
        _ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        precondition(shape.height >= 2 && shape.width >= 2, "pooling of \(shape)")
        var shape = shape.code
        return Magnitude(bits: tk_max_pool(code, &shape, x.floats, y.floats, blocks))
    }

    public func maxPoolGradient(
        _ shape: PlanesShape, x: UnsafeRawPointer, dy: UnsafeRawPointer, addend: UnsafeRawPointer?,
        gate: UnsafeRawPointer?, dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        precondition(shape.height >= 2 && shape.width >= 2, "pooling of \(shape)")
        var shape = shape.code
        return Magnitude(
            bits: tk_max_pool_gradient(
                code, &shape, x.floats, dy.floats, addend?.floats, gate?.floats, dx.floats, blocks))
    }

    /// The gradient of a `maxPool` whose x came out of a ReLU and was never stored, gate applied: dy where the element
    /// of x won and is positive, else +0.
    /// - Parameters:
    ///   - shape: that of x and dx, with even height and width.
    ///   - winners: one for each line of y; see `Convolution.forwardPooled`.
    ///   - y: the maxima, planes of `shape.halved`, as is dy.
    public func maxPoolGradient(
        _ shape: PlanesShape, winners: UnsafePointer<UInt64>, y: UnsafeRawPointer, dy: UnsafeRawPointer,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        precondition(shape.height.isMultiple(of: 2) && shape.width.isMultiple(of: 2), "pooling of \(shape)")
        var shape = shape.code
        return Magnitude(
            bits: tk_max_pool_winners_gradient(code, &shape, winners, y.floats, dy.floats, dx.floats, blocks))
    }

    public func averagePool(
        _ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(bits: tk_average_pool(code, &shape, x.floats, y, blocks))
    }

    public func averagePoolGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_average_pool_gradient(code, &shape, dy, addend?.floats, gate?.floats, dx.floats, blocks))
    }

    public func flatten(_ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutablePointer<Float>, blocks: Int) {
        var shape = shape.code
        tk_flatten(code, &shape, x.floats, y, blocks)
    }

    public func flattenGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_flatten_gradient(code, &shape, dy, addend?.floats, gate?.floats, dx.floats, blocks))
    }

    public func padShortcut(
        input: PlanesShape, outputs: Int, stride: Int, x: UnsafeRawPointer, y: UnsafeMutableRawPointer, blocks: Int
    ) {
        precondition(outputs >= input.channels && stride > 0, "\(outputs) outputs, stride \(stride), of \(input)")
        var shape = input.code
        tk_pad_shortcut(code, &shape, outputs, stride, x.floats, y.floats, blocks)
    }

    public func padShortcutGradient(
        input: PlanesShape, outputs: Int, stride: Int, dy: UnsafeRawPointer, addend: UnsafeRawPointer?,
        gate: UnsafeRawPointer?, dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        precondition(outputs >= input.channels && stride > 0, "\(outputs) outputs, stride \(stride), of \(input)")
        var shape = input.code
        return Magnitude(
            bits: tk_pad_shortcut_gradient(
                code, &shape, outputs, stride, dy.floats, addend?.floats, gate?.floats, dx.floats, blocks))
    }

    public func accumulate(
        _ shape: PlanesShape, dy: UnsafeRawPointer, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_accumulate(code, &shape, dy.floats, addend?.floats, gate?.floats, dx.floats, blocks))
    }

    public func batchNormApply(
        _ shape: PlanesShape, z: UnsafeRawPointer, scale: UnsafePointer<Float>, shift: UnsafePointer<Float>,
        shortcut: UnsafeRawPointer?, rectify: Bool, live: UnsafePointer<UInt8>?, y: UnsafeMutableRawPointer,
        blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_batch_norm_apply(
                code, &shape, z.floats, scale, shift, shortcut?.floats, rectify ? 1 : 0, live, y.floats, blocks))
    }

    public func batchNormGradientSums(
        _ shape: PlanesShape, dy: UnsafeRawPointer, z: UnsafeRawPointer, mean: UnsafePointer<Float>,
        inverseDeviation: UnsafePointer<Float>, sums: UnsafeMutablePointer<Float>, examples: Int
    ) {
        var shape = shape.code
        tk_batch_norm_gradient_sums(code, &shape, dy.floats, z.floats, mean, inverseDeviation, sums, examples)
    }

    public func batchNormGradient(
        _ shape: PlanesShape, dy: UnsafeRawPointer, z: UnsafeRawPointer, a: UnsafePointer<Float>,
        b: UnsafePointer<Float>, c: UnsafePointer<Float>, live: UnsafePointer<UInt8>?, examples: Int,
        dz: UnsafeMutableRawPointer
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_batch_norm_gradient(code, &shape, dy.floats, z.floats, a, b, c, live, examples, dz.floats))
    }
}
