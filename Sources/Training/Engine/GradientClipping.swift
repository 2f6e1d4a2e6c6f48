import Kernels
import Lottery

/// Scales a gradient down to a largest L2 norm, over all parameters together (Pascanu et al. 2013), as PyTorch's
/// `clip_grad_norm_` does.
public struct GradientClipping: Hashable, Sendable {
    /// Of the order in which the norm is summed (`GradientNorm`), too.
    public static let semanticsVersion = 2

    public let largestNorm: Double

    /// Nil where the settings set no limit.
    public init?(_ settings: TrainingSettings) {
        guard settings.clip > 0 else { return nil }
        largestNorm = settings.clip
    }

    /// What the gradient is to be multiplied by: largest norm / (norm + 1e-6), at most 1; nil where that is 1.
    ///
    /// Computed in f64, then rounded to f32 once. A norm of 5 under a limit of 1 gives 0.2 less 4e-8, one of 0.5 gives
    /// nil.
    /// - Parameter sumsOfSquares: of each parameter's gradient (`GradientNorm.sumOfSquares`), in the order of the
    ///   parameters.
    public func factor(sumsOfSquares: some Sequence<Double>) -> Float? {
        let norm = Reproducible.sqrt(sumsOfSquares.reduce(0, +))
        precondition(norm.isFinite, "clipping a gradient of norm \(norm)")
        let factor = largestNorm / (norm + 1e-6)
        return factor < 1 ? Float(factor) : nil
    }
}
