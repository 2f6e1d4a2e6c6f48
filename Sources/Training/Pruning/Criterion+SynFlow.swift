import Lottery

extension Criterion {
    /// |w| · ∂R/∂|w|, where R is the synaptic flow: the sum over all paths from inputs to outputs of the product of their weights' magnitudes
    /// (Tanaka et al. 2020, algorithm 1). It looks at no data. 100 rounds, the survivors' count falling exponentially,
    /// are what keeps every layer alive.
    public static let synflow = Criterion(
        name: "synflow", traits: CriterionTraits(at: .step(0), rounds: 100, ranksAnew: true)
    ) {
        (context) throws(TrainingError) in
        let gradients = try context.network.flowGradient(context.weights)
        return zip(context.weights, gradients).map { weights, gradients in
            zip(weights, gradients).map { key(of: Double($0.magnitude) * $1) }
        }
    }
}
