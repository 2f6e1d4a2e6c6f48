import CKernels

/// The kernels over planes that hold no weights of a convolution: loading, pooling, shortcuts and batch normalisation, for one
/// instruction set. The order of every sum and each rounding stand in `planes.h`.
///
/// Planes are as `PlanesShape` says; `blocks` counts groups of 16 examples. Halos are never written, so they stay +0. Features are
/// [feature][blocks · 16], as dense layers read them; rows that pad their number are the caller's.
///
/// Kernels that yield a gradient take an `addend`, what else flows into the same tensor (it may be `dx` itself), and a `gate`, the
/// tensor itself where a ReLU made it: with v the kernel's own value, dx = v + addend, + 0.0, and +0 where the gate is ≤ 0 or
/// NaN. They write all of `dx` but its halo.
///
/// A magnitude is that of all that was stored, padding examples included. Every kernel reads and writes each tensor once.
public struct PlanesKernels: Sendable {
    /// What batch normalisation adds to a variance before its root: PyTorch's default.
    public static let batchNormEpsilon = tk_batch_norm_epsilon
    /// The share of the new batch in running statistics: PyTorch's default.
    public static let batchNormMomentum = tk_batch_norm_momentum

    public let instructionSet: InstructionSet
    private let code: tk_isa

    public init(_ instructionSet: InstructionSet = .current) {
        precondition(instructionSet.isSupported, "\(instructionSet) does not run on this processor")
        self.instructionSet = instructionSet
        code = instructionSet.code
    }

    /// y = (pixel / 255 − mean) / deviation of images[indices], bit for bit as `DenseKernels.loadImages` computes it; padding
    /// examples repeat the last image.
    /// - Parameters:
    ///   - images: [image][channel][height][width].
    ///   - indices: `count` of them, 1 ... 16 · blocks.
    ///   - means: one per channel, as are `deviations`; of pixels in 0 ... 1.
    public func loadImages(
        _ images: UnsafePointer<UInt8>, indices: UnsafePointer<Int32>, count: Int, shape: PlanesShape, blocks: Int,
        means: UnsafePointer<Float>, deviations: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>
    ) {
        precondition(count > 0 && count <= 16 * blocks, "\(count) images in \(blocks) blocks of 16")
        var shape = shape.code
        tk_load_planes(code, images, indices, count, &shape, blocks, means, deviations, y)
    }
}

// MARK: - Pooling and flattening

extension PlanesKernels {
    /// The largest of each 2 × 2 pixels, stride 2; an odd last row or column is left out, as in PyTorch. Of equals the first in
    /// row-major order wins; a NaN wins over numbers, and the last NaN over others.
    ///
    /// A batch normalisation that pooled its results as it stores them would save reading x here, 4 of the 13 bytes per element that the
    /// two kernels move; x must still be stored, as the gradient reads it.
    /// - Parameters:
    ///   - x: planes of `shape`.
    ///   - y: planes of `shape.halved`.
    /// - Precondition: `shape` has at least 2 rows and 2 columns.
    public func maxPool(
        _ shape: PlanesShape, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        precondition(shape.height >= 2 && shape.width >= 2, "pooling of \(shape)")
        var shape = shape.code
        return Magnitude(bits: tk_max_pool(code, &shape, x, y, blocks))
    }

    /// The gradient of `maxPool`: its own value is dy where the element of x won, else +0.
    /// - Parameters:
    ///   - x: planes of `shape`, as they were pooled. The winners are found again rather than stored.
    ///   - dy: planes of `shape.halved`.
    ///   - dx: planes of `shape`, as are `addend` and `gate`; x may be the gate.
    public func maxPoolGradient(
        _ shape: PlanesShape, x: UnsafePointer<Float>, dy: UnsafePointer<Float>, addend: UnsafePointer<Float>?,
        gate: UnsafePointer<Float>?, dx: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        precondition(shape.height >= 2 && shape.width >= 2, "pooling of \(shape)")
        var shape = shape.code
        return Magnitude(bits: tk_max_pool_gradient(code, &shape, x, dy, addend, gate, dx, blocks))
    }

    /// The mean of each map: one chain of adds from +0 in row-major order, times the reciprocal of height · width rounded to f32.
    /// - Parameters:
    ///   - x: planes of `shape`.
    ///   - y: features [channel][blocks · 16].
    public func averagePool(
        _ shape: PlanesShape, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(bits: tk_average_pool(code, &shape, x, y, blocks))
    }

    /// The gradient of `averagePool`: its own value is dy times the same reciprocal, at every pixel.
    /// - Parameters:
    ///   - dy: features [channel][blocks · 16].
    ///   - dx: planes of `shape`, as are `addend` and `gate`.
    public func averagePoolGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafePointer<Float>?, gate: UnsafePointer<Float>?,
        dx: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(bits: tk_average_pool_gradient(code, &shape, dy, addend, gate, dx, blocks))
    }

    /// Copies planes to features in PyTorch's order: feature (channel · height + row) · width + column.
    /// - Parameters:
    ///   - x: planes of `shape`.
    ///   - y: features; rows from channels · height · width on are not written.
    public func flatten(
        _ shape: PlanesShape, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, blocks: Int
    ) {
        var shape = shape.code
        tk_flatten(code, &shape, x, y, blocks)
    }

    /// The gradient of `flatten`: its own value is dy of the feature.
    /// - Parameters:
    ///   - dy: features.
    ///   - dx: planes of `shape`, as are `addend` and `gate`.
    public func flattenGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafePointer<Float>?, gate: UnsafePointer<Float>?,
        dx: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(bits: tk_flatten_gradient(code, &shape, dy, addend, gate, dx, blocks))
    }
}

// MARK: - Shortcuts

extension PlanesKernels {
    /// The shortcut without weights between maps of different sizes (option A of He et al. 2016, section 4.2): every `stride`-th row
    /// and column from the first, with (outputs − channels) / 2 channels of +0 before, rounded down, and the rest of them after.
    ///
    /// `batchNormApply` reads the result once. Reading `input` there instead would save writing and reading it: with twice as many
    /// outputs and stride 2, 8 of the 18 bytes per element that the two kernels move.
    /// - Parameters:
    ///   - x: planes of `input`.
    ///   - y: planes of `input.shortcut(outputs:stride:)`.
    /// - Precondition: `outputs` is at least `input.channels`.
    public func padShortcut(
        input: PlanesShape, outputs: Int, stride: Int, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>,
        blocks: Int
    ) {
        precondition(outputs >= input.channels && stride > 0, "\(outputs) outputs, stride \(stride), of \(input)")
        var shape = input.code
        tk_pad_shortcut(code, &shape, outputs, stride, x, y, blocks)
    }

    /// The gradient of `padShortcut`: its own value is dy where the pixel was taken, else +0.
    /// - Parameters:
    ///   - dy: planes of `input.shortcut(outputs:stride:)`.
    ///   - dx: planes of `input`, as are `addend` and `gate`.
    public func padShortcutGradient(
        input: PlanesShape, outputs: Int, stride: Int, dy: UnsafePointer<Float>, addend: UnsafePointer<Float>?,
        gate: UnsafePointer<Float>?, dx: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        precondition(outputs >= input.channels && stride > 0, "\(outputs) outputs, stride \(stride), of \(input)")
        var shape = input.code
        return Magnitude(
            bits: tk_pad_shortcut_gradient(code, &shape, outputs, stride, dy, addend, gate, dx, blocks))
    }

    /// The gradient of a tensor that is used as it is: its own value is dy.
    ///
    /// The kernel that yields the other gradient of the tensor can take this dy as its addend instead, in the same pass.
    /// - Parameters:
    ///   - dy: planes of `shape`; it may be `dx`.
    ///   - dx: planes of `shape`, as are `addend` and `gate`.
    public func accumulate(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafePointer<Float>?, gate: UnsafePointer<Float>?,
        dx: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(bits: tk_accumulate(code, &shape, dy, addend, gate, dx, blocks))
    }
}

// MARK: - Batch normalisation

/// Ioffe and Szegedy 2015, as PyTorch's BatchNorm2d: each channel to mean 0 and variance 1 over the pixels of a batch, then γ and β.
/// Padding examples are left out of all sums; N below is the number of real examples times height · width.
///
/// Forward: `batchNormSums`, `batchNormStatistics`, `batchNormApply`; for evaluation `batchNormRunning`, `batchNormApply`.
/// Backward: `batchNormGradientSums`, `batchNormGradientCoefficients`, `batchNormGradient`.
/// A convolution can make the sums of `batchNormSums` as it stores its results, which saves 4 of the 12 bytes per element that the
/// forward kernels move. Were Σdy and Σdy·x̂ made where dy is stored, that would save 4 of the 20 bytes of the backward ones.
extension PlanesKernels {
    /// Σz and Σz² of each block and channel: in each lane a chain of adds and a chain of fma(z, z, ·) in tile order, then the tree.
    ///
    /// Sums of a map are f32, so the variance of a channel loses digits where its mean is large beside its deviation: its relative
    /// error grows like (mean / deviation)² · 1e-6.
    /// - Parameters:
    ///   - z: planes of `shape`.
    ///   - examples: real ones; there are examples / 16 blocks, rounded up.
    ///   - sums: [block][channel][2].
    public func batchNormSums(
        _ shape: PlanesShape, z: UnsafePointer<Float>, examples: Int, sums: UnsafeMutablePointer<Float>
    ) {
        var shape = shape.code
        tk_batch_norm_sums(code, &shape, z, examples, sums)
    }

    /// Mean, 1 / √(variance + ε), scale and shift of each channel from sums [block][channel][2], and the running statistics.
    ///
    /// In f64, each operation rounded: S and Q are added over blocks ascending; mean = S / N; variance = Q / N − mean², 0 where that
    /// is below 0 (a NaN stays); then 1 / √(variance + ε). `mean` and `inverseDeviation` are their roundings to f32.
    /// scale = γ · inverseDeviation is one f32 product; shift = β − mean · scale is taken in f64 from those f32 values and rounded to f32.
    ///
    /// Running statistics become 0.1 · new + 0.9 · running, in f64, rounded to f32; the new mean is the f64 one and the new variance the
    /// unbiased one, variance · N / (N − 1) in f64. For N = 1, which PyTorch refuses, it is the biased one, 0.
    /// - Parameters:
    ///   - count: N, pixels of a channel over all real examples.
    ///   - runningMean: one per channel, or nil; so is `runningVariance`.
    public func batchNormStatistics(
        channels: Int, blocks: Int, count: Int, sums: UnsafePointer<Float>, gamma: UnsafePointer<Float>,
        beta: UnsafePointer<Float>, mean: UnsafeMutablePointer<Float>, inverseDeviation: UnsafeMutablePointer<Float>,
        scale: UnsafeMutablePointer<Float>, shift: UnsafeMutablePointer<Float>,
        runningMean: UnsafeMutablePointer<Float>?, runningVariance: UnsafeMutablePointer<Float>?
    ) {
        precondition(count > 0, "statistics of \(count) values")
        tk_batch_norm_statistics(
            channels, blocks, count, sums, gamma, beta, mean, inverseDeviation, scale, shift, runningMean,
            runningVariance)
    }

    /// Scale and shift of each channel for evaluation: as `batchNormStatistics` computes them, from the running mean and variance.
    public func batchNormRunning(
        channels: Int, gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, runningMean: UnsafePointer<Float>,
        runningVariance: UnsafePointer<Float>, scale: UnsafeMutablePointer<Float>, shift: UnsafeMutablePointer<Float>
    ) {
        tk_batch_norm_running(channels, gamma, beta, runningMean, runningVariance, scale, shift)
    }

    /// y = fma(z, scale, shift), + shortcut if there is one, + 0.0; `rectify` applies ReLU to that.
    /// - Parameters:
    ///   - z: planes of `shape`; y may be its memory, or the shortcut's. z is needed again by the gradient.
    ///   - live: 0 for a channel that becomes +0 whatever it holds; nil where all live.
    public func batchNormApply(
        _ shape: PlanesShape, z: UnsafePointer<Float>, scale: UnsafePointer<Float>, shift: UnsafePointer<Float>,
        shortcut: UnsafePointer<Float>?, rectify: Bool, live: UnsafePointer<UInt8>?, y: UnsafeMutablePointer<Float>,
        blocks: Int
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_batch_norm_apply(code, &shape, z, scale, shift, shortcut, rectify ? 1 : 0, live, y, blocks))
    }

    /// Σdy and Σdy·x̂ of each block and channel, x̂ = (z − mean) · inverseDeviation rounded after each of the two: in each lane a chain
    /// of adds and a chain of fma(dy, x̂, ·) in tile order, then the tree.
    /// - Parameters:
    ///   - dy: planes of `shape`, the gradient of what `batchNormApply` gave before the shortcut was added, gated if there was a ReLU.
    ///   - z: planes of `shape`.
    ///   - sums: [block][channel][2].
    ///   - examples: real ones; there are examples / 16 blocks, rounded up.
    public func batchNormGradientSums(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, z: UnsafePointer<Float>, mean: UnsafePointer<Float>,
        inverseDeviation: UnsafePointer<Float>, sums: UnsafeMutablePointer<Float>, examples: Int
    ) {
        var shape = shape.code
        tk_batch_norm_gradient_sums(code, &shape, dy, z, mean, inverseDeviation, sums, examples)
    }

    /// dβ = Σdy and dγ = Σdy·x̂ of each channel, and the coefficients of `batchNormGradient`.
    ///
    /// In f64 from f32 values, each operation rounded; B and G are the two sums, added over blocks ascending:
    /// dβ = f32(B), dγ = f32(G), f = γ · inverseDeviation, a = f32(f), b = f32(−f · inverseDeviation · (G / N)),
    /// c = f32(−f · (B / N) − b · mean) with b as rounded, so that a·dy + b·z + c = f · (dy − B / N − x̂ · G / N).
    /// - Parameter count: N, pixels of a channel over all real examples.
    /// - Returns: the largest magnitude among dγ, dβ, a, b and c.
    public func batchNormGradientCoefficients(
        channels: Int, blocks: Int, count: Int, sums: UnsafePointer<Float>, gamma: UnsafePointer<Float>,
        mean: UnsafePointer<Float>, inverseDeviation: UnsafePointer<Float>, dGamma: UnsafeMutablePointer<Float>,
        dBeta: UnsafeMutablePointer<Float>, a: UnsafeMutablePointer<Float>, b: UnsafeMutablePointer<Float>,
        c: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        precondition(count > 0, "a gradient over \(count) values")
        return Magnitude(
            bits: tk_batch_norm_gradient_coefficients(
                channels, blocks, count, sums, gamma, mean, inverseDeviation, dGamma, dBeta, a, b, c))
    }

    /// dz = fma(a, dy, fma(b, z, c)) + 0.0; +0 in padding examples and dead channels.
    /// - Parameters:
    ///   - dy: planes of `shape`, as in `batchNormGradientSums`; dz may be its memory, or that of z.
    ///   - live: 0 for a channel that becomes +0 whatever it holds; nil where all live.
    ///   - examples: real ones; there are examples / 16 blocks, rounded up.
    public func batchNormGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, z: UnsafePointer<Float>, a: UnsafePointer<Float>,
        b: UnsafePointer<Float>, c: UnsafePointer<Float>, live: UnsafePointer<UInt8>?, examples: Int,
        dz: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(bits: tk_batch_norm_gradient(code, &shape, dy, z, a, b, c, live, examples, dz))
    }
}

extension PlanesShape {
    /// What `PlanesKernels.maxPool` makes of it: half the rows and columns, rounded down.
    public var halved: PlanesShape { PlanesShape(channels: channels, height: height / 2, width: width / 2) }

    /// What `PlanesKernels.padShortcut` makes of it.
    public func shortcut(outputs: Int, stride: Int) -> PlanesShape {
        PlanesShape(channels: outputs, height: (height - 1) / stride + 1, width: (width - 1) / stride + 1)
    }

    var code: tk_planes_shape { tk_planes_shape(channels: channels, height: height, width: width) }
}
