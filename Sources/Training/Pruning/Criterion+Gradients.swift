import Lottery

// Criteria that look at derivatives of the training loss on a few images of each class (`LossGradient` says on which).
// The papers rank all layers together, which is the scope `global`.
extension Criterion {
    private static let ofGradients = CriterionTraits(at: .step(0), ranksAnew: true, readsExamples: true)
    private static let ofCurvature = CriterionTraits(
        at: .step(0), ranksAnew: true, readsExamples: true, readsCurvature: true)

    /// |w · ∂L/∂w|, the product exact in f64 (Lee et al. 2019; their division by the sum over all weights changes no order).
    public static let snip = Criterion(name: "snip", traits: ofGradients) { (context) throws(TrainingError) in
        let gradients = try context.network.gradient(context.weights, context.masks)
        return zip(context.weights, gradients).map { weights, gradients in
            zip(weights, gradients).map { key(of: (Double($0) * $1).magnitude) }
        }
    }

    /// w · (H g), lowest first: the weights whose removal leaves most of the gradient's flow stay (Wang et al. 2020,
    /// where the highest −w · (H g) go first). Logits are not divided by a temperature, as the paper's code but not its
    /// equations have it. A network without gradient has H g = 0.
    public static let grasp = Criterion(name: "grasp", semanticsVersion: 2, traits: ofCurvature) {
        (context) throws(TrainingError) in
        let products = try context.network.curvature(context.weights, context.masks)
        return zip(context.weights, products).map { weights, products in
            zip(weights, products).map { key(of: Double($0) * $1) }
        }
    }
}
