import Kernels
import Lottery

/// The learning rate of every step: linear warmup, then a schedule.
///
/// rate(t) = base · w(t) · s(t), where w(t) = (t + 1) / warmup for t < warmup, else 1, and with the progress
/// p(t) = max(0, t − warmup) / (iterations − warmup):
/// - step: s(t) = Π by, over the decays with at ≤ t.
///   With base 0.1, warmup 4 and {at: 6, by: 0.5}: rate(0) = 0.025, rate(3) = 0.1, rate(5) = 0.1, rate(6) = 0.05.
/// - cosine: s(t) = (1 + cos(π p(t))) / 2 (Loshchilov and Hutter 2017, without restarts).
///   With base 0.1, warmup 4 and 10 iterations: rate(0) = 0.025, rate(3) = rate(4) = 0.1, rate(7) = 0.05,
///   rate(9) = 0.0066987….
/// - linear: s(t) = 1 − p(t). So: rate(0) = 0.025, rate(3) = rate(4) = 0.1, rate(7) = 0.05, rate(9) = 0.1 / 6.
///
/// Cosine and linear would be 0 at step `iterations`, the first that is not taken.
/// Computed in f64 in that order, then rounded to f32 once.
public struct LearningRate: Hashable, Sendable {
    private let base: Double
    private let warmup: Int
    private let schedule: LearningRateSchedule
    private let decay: [Decay]
    private let iterations: Int
    private let isConstant: Bool

    /// - Parameter rate: `last` for the rate of the step before `iterations` at every step, as fine-tuning has it.
    public init(_ settings: TrainingSettings, rate: TrainingTask.RetrainingRate = .scheduled) {
        isConstant = rate == .last
        base = settings.learningRate
        warmup = settings.warmup
        schedule = settings.schedule
        decay = settings.decay
        iterations = settings.iterations
    }

    /// The rate of the step after `step` steps are done (the first is 0).
    public subscript(step: Int) -> Float {
        let step = isConstant ? iterations - 1 : step
        var rate = base
        if step < warmup { rate *= Double(step + 1) / Double(warmup) }
        let progress = step <= warmup ? 0 : Double(step - warmup) / Double(iterations - warmup)
        switch schedule {
        case .step: for decay in decay where step >= decay.at { rate *= decay.by }
        case .cosine: rate *= (1 + Reproducible.cos(Double.pi * progress)) / 2
        case .linear: rate *= 1 - progress
        }
        return Float(rate)
    }
}
