import Lottery

/// The learning rate of every step: linear warmup, then step decay.
///
/// rate(t) = base · w(t) · Π by, over the decays with at ≤ t, where w(t) = (t + 1) / warmup for t < warmup, else 1.
/// With base 0.1, warmup 4 and {at: 6, by: 0.5}: rate(0) = 0.025, rate(3) = 0.1, rate(5) = 0.1, rate(6) = 0.05.
/// Computed in f64 in that order, then rounded to f32 once.
public struct LearningRate: Hashable, Sendable {
    private let base: Double
    private let warmup: Int
    private let decay: [Decay]

    public init(_ settings: TrainingSettings) {
        base = settings.learningRate
        warmup = settings.warmup
        decay = settings.decay
    }

    /// The rate of the step after `step` steps are done (the first is 0).
    public subscript(step: Int) -> Float {
        var rate = base
        if step < warmup { rate *= Double(step + 1) / Double(warmup) }
        for decay in decay where step >= decay.at { rate *= decay.by }
        return Float(rate)
    }
}
