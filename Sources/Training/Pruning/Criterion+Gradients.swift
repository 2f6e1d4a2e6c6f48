import Kernels
import Lottery

// Criteria that look at gradients of the training loss on a few images of each class (`LossGradient` says on which).
// The papers rank all layers together, which is the scope `global`.
extension Criterion {
    private static let ofGradients = CriterionTraits(at: .step(0), ranksAnew: true, readsExamples: true)

    /// |w · ∂L/∂w|, the product exact in f64 (Lee et al. 2019; their division by the sum over all weights changes no order).
    public static let snip = Criterion(name: "snip", traits: ofGradients) { (context) throws(TrainingError) in
        let gradients = try context.network.gradient(context.weights, context.masks)
        return zip(context.weights, gradients).map { weights, gradients in
            zip(weights, gradients).map { key(of: (Double($0) * $1).magnitude) }
        }
    }

    /// w · (H g), lowest first: the weights whose removal leaves most of the gradient's flow stay (Wang et al. 2020,
    /// where the highest −w · (H g) go first). Logits are not divided by a temperature, as the paper's code but not its
    /// equations have it.
    ///
    /// H g is the central difference (∇L(w + ε g) − ∇L(w − ε g)) / 2ε over the weights of all layers, where ε is the
    /// largest power of two with ε · ‖g‖ ≤ 2⁻²⁰ · ‖w‖. A wider one carries some unit over the kink of its ReLU, and the
    /// jump of the gradient there is not curvature; a narrower one drowns in the rounding of f32. For LeNet-300-100 at
    /// θ0, 5 % of whose weights survive, 99.7 % of the survivors are those of exact double backward (44 % at 2⁻¹⁰). A
    /// network with many more units crosses kinks even so, and its scores are coarser. Norms are sequential f64 sums in
    /// flat order. A network without gradient has H g = 0.
    public static let grasp = Criterion(name: "grasp", traits: ofGradients) { (context) throws(TrainingError) in
        let products = try curvature(context)
        return zip(context.weights, products).map { weights, products in
            zip(weights, products).map { key(of: Double($0) * $1) }
        }
    }

    /// H g at the context's weights.
    private static func curvature(_ context: Context) throws(TrainingError) -> [[Double]] {
        let gradient = try context.network.gradient(context.weights, context.masks)
        let length = Reproducible.sqrt(sumOfSquares(gradient.joined()))
        let size = Reproducible.sqrt(sumOfSquares(context.weights.joined().lazy.map { Double($0) }))
        let widest = 0x1p-20 * size / length
        guard widest.isNormal else { return gradient.map { $0.map { _ in 0 } } }
        let step = widest.binade
        func moved(_ direction: Double) -> [[Float]] {
            zip(context.weights, gradient).map { weights, gradient in
                zip(weights, gradient).map { Float(Double($0) + direction * step * $1) }
            }
        }
        let ahead = try context.network.gradient(moved(1), context.masks)
        let behind = try context.network.gradient(moved(-1), context.masks)
        return zip(ahead, behind).map { ahead, behind in zip(ahead, behind).map { ($0 - $1) / (2 * step) } }
    }

    private static func sumOfSquares(_ values: some Sequence<Double>) -> Double {
        values.reduce(0) { $0 + $1 * $1 }
    }
}
