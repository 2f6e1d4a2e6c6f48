import CKernels

/// What clipping a gradient needs. One loop serves every instruction set.
public enum GradientNorm {
    /// Σ v² in f64, values ascending. Zeros change nothing, so a tensor's survivors alone have the sum of the whole tensor.
    /// - Complexity: O(count), at the latency of one f64 addition a value: about a millisecond per million.
    public static func sumOfSquares(count: Int, _ values: UnsafePointer<Float>) -> Double {
        tk_sum_of_squares(count, values)
    }

    /// values *= factor.
    public static func scale(count: Int, _ values: UnsafeMutablePointer<Float>, by factor: Float) {
        tk_scale(count, factor, values)
    }
}
