import CKernels

/// What batch normalisation computes of each channel for `MapKernels`, in f32 whatever maps are stored in. N is the
/// number of pixels of a channel over all real examples.
public enum BatchNorm {
    /// What is added to a variance before its root: PyTorch's default.
    public static let epsilon = tk_batch_norm_epsilon
    /// The share of the new batch in running statistics: PyTorch's default.
    public static let momentum = tk_batch_norm_momentum

    /// Mean, 1 / √(variance + ε), scale and shift of each channel from sums [block][channel][2], and the running
    /// statistics.
    ///
    /// In f64, each operation rounded: S and Q are added over blocks ascending; mean = S / N; variance = Q / N − mean²,
    /// 0 where that is below 0 (a NaN stays); then 1 / √(variance + ε). `mean` and `inverseDeviation` are their
    /// roundings to f32. scale = γ · inverseDeviation is one f32 product; shift = β − mean · scale is taken in f64 from
    /// those f32 values and rounded to f32.
    ///
    /// Running statistics become 0.1 · new + 0.9 · running, in f64, rounded to f32; the new mean is the f64 one and the
    /// new variance the unbiased one, variance · N / (N − 1) in f64. For N = 1, which PyTorch refuses, it is the biased
    /// one, 0.
    /// - Parameters:
    ///   - count: N, pixels of a channel over all real examples.
    ///   - runningMean: one per channel, or nil; so is `runningVariance`.
    public static func statistics(
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

    /// Scale and shift of each channel for evaluation: as `statistics` computes them, from the running mean and
    /// variance.
    public static func running(
        channels: Int, gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, runningMean: UnsafePointer<Float>,
        runningVariance: UnsafePointer<Float>, scale: UnsafeMutablePointer<Float>, shift: UnsafeMutablePointer<Float>
    ) {
        tk_batch_norm_running(channels, gamma, beta, runningMean, runningVariance, scale, shift)
    }

    /// dβ = Σdy and dγ = Σdy·x̂ of each channel, and the coefficients of `MapKernels.batchNormGradient`.
    ///
    /// In f64 from f32 values, each operation rounded; B and G are the two sums, added over blocks ascending:
    /// dβ = f32(B), dγ = f32(G), f = γ · inverseDeviation, a = f32(f), b = f32(−f · inverseDeviation · (G / N)),
    /// c = f32(−f · (B / N) − b · mean) with b as rounded, so that a·dy + b·z + c = f · (dy − B / N − x̂ · G / N).
    /// - Parameter count: N, pixels of a channel over all real examples.
    /// - Returns: the largest magnitude among dγ, dβ, a, b and c.
    public static func gradientCoefficients(
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
}
