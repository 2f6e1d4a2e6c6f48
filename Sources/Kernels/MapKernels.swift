import CKernels

/// The kernels over maps that hold no weights of a convolution: loading, pooling, shortcuts and batch normalisation.
///
/// `PlanesKernels` has them for maps in f32, `PairPlanesKernels` for maps in bf16. What a map is in memory is all that
/// the two differ in, so maps are pointers without a type here. The order of every sum and each rounding stand in
/// `planes.h` and `pair_planes.h`.
///
/// `blocks` counts groups of 16 examples. Halos are never written, so they stay +0. Features are f32, [feature][blocks
/// · 16], as dense layers read them; rows that pad their number are the caller's.
///
/// Kernels that yield a gradient take an `addend`, what else flows into the same tensor (it may be `dx` itself), and a
/// `gate`, the tensor itself where a ReLU made it: with v the kernel's own value, dx = v + addend, + 0.0, and +0 where
/// the gate is ≤ 0 or NaN. They write all of `dx` but its halo.
///
/// A magnitude is that of all that was stored, padding examples included. Every kernel reads and writes each tensor
/// once.
public protocol MapKernels: Sendable {
    /// y = (pixel / 255 − mean) / deviation of images[indices], bit for bit as `DenseKernels.loadImages` computes it,
    /// then rounded to what maps are stored in; padding examples repeat the last image.
    /// - Parameters:
    ///   - images: [image][channel][height][width].
    ///   - indices: `count` of them, 1 ... 16 · blocks.
    ///   - means: one per channel, as are `deviations`; of pixels in 0 ... 1.
    func loadImages(
        _ images: UnsafePointer<UInt8>, indices: UnsafePointer<Int32>, count: Int, shape: PlanesShape, blocks: Int,
        means: UnsafePointer<Float>, deviations: UnsafePointer<Float>, y: UnsafeMutableRawPointer
    )

    // MARK: Pooling and flattening

    /// The largest of each 2 × 2 pixels, stride 2; an odd last row or column is left out, as in PyTorch. Of equals the
    /// first in row-major order wins; a NaN wins over numbers, and the last NaN over others.
    ///
    /// A batch normalisation that pooled its results as it stores them would save reading x here, a third of what the
    /// two kernels move; x must still be stored, as the gradient reads it.
    /// - Parameters:
    ///   - x: maps of `shape`.
    ///   - y: maps of `shape.halved`.
    /// - Precondition: `shape` has at least 2 rows and 2 columns.
    func maxPool(_ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutableRawPointer, blocks: Int) -> Magnitude

    /// The gradient of `maxPool`: its own value is dy where the element of x won, else +0.
    /// - Parameters:
    ///   - x: maps of `shape`, as they were pooled. The winners are found again rather than stored.
    ///   - dy: maps of `shape.halved`.
    ///   - dx: maps of `shape`, as are `addend` and `gate`; x may be the gate.
    func maxPoolGradient(
        _ shape: PlanesShape, x: UnsafeRawPointer, dy: UnsafeRawPointer, addend: UnsafeRawPointer?,
        gate: UnsafeRawPointer?, dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude

    /// The mean of each map: one chain of adds from +0 in row-major order, times the reciprocal of height · width
    /// rounded to f32.
    /// - Parameters:
    ///   - x: maps of `shape`.
    ///   - y: features [channel][blocks · 16].
    func averagePool(
        _ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude

    /// The gradient of `averagePool`: its own value is dy times the same reciprocal, at every pixel.
    /// - Parameters:
    ///   - dy: features [channel][blocks · 16].
    ///   - dx: maps of `shape`, as are `addend` and `gate`.
    func averagePoolGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude

    /// Copies maps to features in PyTorch's order: feature (channel · height + row) · width + column.
    /// - Parameters:
    ///   - x: maps of `shape`.
    ///   - y: features; rows from channels · height · width on are not written.
    func flatten(_ shape: PlanesShape, x: UnsafeRawPointer, y: UnsafeMutablePointer<Float>, blocks: Int)

    /// The gradient of `flatten`: its own value is dy of the feature.
    /// - Parameters:
    ///   - dy: features.
    ///   - dx: maps of `shape`, as are `addend` and `gate`.
    func flattenGradient(
        _ shape: PlanesShape, dy: UnsafePointer<Float>, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude

    // MARK: Shortcuts

    /// The shortcut without weights between maps of different sizes (option A of He et al. 2016, section 4.2): every
    /// `stride`-th row and column from the first, with (outputs − channels) / 2 channels of +0 before, rounded down,
    /// and the rest of them after.
    ///
    /// `batchNormApply` reads the result once. Reading `input` there instead would save writing and reading it: with
    /// twice as many outputs and stride 2, 8 of the 18 bytes per f32 element that the two kernels move.
    /// - Parameters:
    ///   - x: maps of `input`.
    ///   - y: maps of `input.shortcut(outputs:stride:)`.
    /// - Precondition: `outputs` is at least `input.channels`.
    func padShortcut(
        input: PlanesShape, outputs: Int, stride: Int, x: UnsafeRawPointer, y: UnsafeMutableRawPointer, blocks: Int
    )

    /// The gradient of `padShortcut`: its own value is dy where the pixel was taken, else +0.
    /// - Parameters:
    ///   - dy: maps of `input.shortcut(outputs:stride:)`.
    ///   - dx: maps of `input`, as are `addend` and `gate`.
    func padShortcutGradient(
        input: PlanesShape, outputs: Int, stride: Int, dy: UnsafeRawPointer, addend: UnsafeRawPointer?,
        gate: UnsafeRawPointer?, dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude

    /// The gradient of a tensor that is used as it is: its own value is dy.
    ///
    /// The kernel that yields the other gradient of the tensor can take this dy as its addend instead, in the same
    /// pass.
    /// - Parameters:
    ///   - dy: maps of `shape`; it may be `dx`.
    ///   - dx: maps of `shape`, as are `addend` and `gate`.
    func accumulate(
        _ shape: PlanesShape, dy: UnsafeRawPointer, addend: UnsafeRawPointer?, gate: UnsafeRawPointer?,
        dx: UnsafeMutableRawPointer, blocks: Int
    ) -> Magnitude

    // MARK: Batch normalisation
    //
    // Ioffe and Szegedy 2015, as PyTorch's BatchNorm2d: each channel to mean 0 and variance 1 over the pixels of a
    // batch, then γ and β. Padding examples are left out of all sums; N is the number of real examples times height ·
    // width.
    //
    // Forward: `BatchNorm.statistics`, `batchNormApply`; for evaluation `BatchNorm.running`, `batchNormApply`.
    // Backward: `batchNormGradientSums`, `BatchNorm.gradientCoefficients`, `batchNormGradient`. What the statistics are
    // made of, Σz and Σz² of each block and channel, [block][channel][2], the convolution before leaves as it stores z:
    // in each lane a chain of adds and a chain of fma(z, z, ·) in tile order, then the tree. Sums of a map are f32, so
    // the variance of a channel loses digits where its mean is large beside its deviation: its relative error grows
    // like (mean / deviation)² · 1e-6. Were Σdy and Σdy·x̂ made where dy is stored, that would save a fifth of what the
    // backward kernels move.

    /// y = fma(z, scale, shift), + shortcut if there is one, + 0.0; `rectify` applies ReLU to that.
    /// - Parameters:
    ///   - z: maps of `shape`; y may be its memory, or the shortcut's. z is needed again by the gradient.
    ///   - live: 0 for a channel that becomes +0 whatever it holds; nil where all live.
    func batchNormApply(
        _ shape: PlanesShape, z: UnsafeRawPointer, scale: UnsafePointer<Float>, shift: UnsafePointer<Float>,
        shortcut: UnsafeRawPointer?, rectify: Bool, live: UnsafePointer<UInt8>?, y: UnsafeMutableRawPointer,
        blocks: Int
    ) -> Magnitude

    /// Σdy and Σdy·x̂ of each block and channel, x̂ = (z − mean) · inverseDeviation rounded after each of the two: in
    /// each lane a chain of adds and a chain of fma(dy, x̂, ·) in tile order, then the tree.
    /// - Parameters:
    ///   - dy: maps of `shape`, the gradient of what `batchNormApply` gave before the shortcut was added, gated if
    ///     there was a ReLU.
    ///   - z: maps of `shape`.
    ///   - sums: [block][channel][2].
    ///   - examples: real ones; there are examples / 16 blocks, rounded up.
    func batchNormGradientSums(
        _ shape: PlanesShape, dy: UnsafeRawPointer, z: UnsafeRawPointer, mean: UnsafePointer<Float>,
        inverseDeviation: UnsafePointer<Float>, sums: UnsafeMutablePointer<Float>, examples: Int
    )

    /// dz = fma(a, dy, fma(b, z, c)) + 0.0; +0 in padding examples and dead channels.
    /// - Parameters:
    ///   - dy: maps of `shape`, as in `batchNormGradientSums`; dz may be its memory, or that of z.
    ///   - live: 0 for a channel that becomes +0 whatever it holds; nil where all live.
    ///   - examples: real ones; there are examples / 16 blocks, rounded up.
    func batchNormGradient(
        _ shape: PlanesShape, dy: UnsafeRawPointer, z: UnsafeRawPointer, a: UnsafePointer<Float>,
        b: UnsafePointer<Float>, c: UnsafePointer<Float>, live: UnsafePointer<UInt8>?, examples: Int,
        dz: UnsafeMutableRawPointer
    ) -> Magnitude
}

extension PlanesShape {
    /// What `MapKernels.maxPool` makes of it: half the rows and columns, rounded down.
    public var halved: PlanesShape { PlanesShape(channels: channels, height: height / 2, width: width / 2) }

    /// What `MapKernels.padShortcut` makes of it.
    public func shortcut(outputs: Int, stride: Int) -> PlanesShape {
        PlanesShape(channels: outputs, height: (height - 1) / stride + 1, width: (width - 1) / stride + 1)
    }

    var code: tk_planes_shape { tk_planes_shape(channels: channels, height: height, width: width) }
}

extension UnsafeRawPointer {
    var floats: UnsafePointer<Float> { assumingMemoryBound(to: Float.self) }
    var words: UnsafePointer<UInt32> { assumingMemoryBound(to: UInt32.self) }
}

extension UnsafeMutableRawPointer {
    var floats: UnsafeMutablePointer<Float> { assumingMemoryBound(to: Float.self) }
    var words: UnsafeMutablePointer<UInt32> { assumingMemoryBound(to: UInt32.self) }
}
