import Lottery

// What training did to a weight (Zhou et al. 2019, “Deconstructing lottery tickets”, section 3).
extension Criterion {
    private static let ofChange = CriterionTraits(readsStart: true)

    /// |θT| − |θ0|, in f64: weights that training made small go first.
    public static let magnitudeIncrease = Criterion(name: "magnitude-increase", traits: ofChange) {
        (context) throws(TrainingError) in
        try keys(context) { trained, initial in key(of: Double(trained.magnitude) - Double(initial.magnitude)) }
    }

    /// |θT − θ0|, in f64: weights that training moved least go first.
    public static let movement = Criterion(name: "movement", traits: ofChange) { (context) throws(TrainingError) in
        try keys(context) { trained, initial in key(of: (Double(trained) - Double(initial)).magnitude) }
    }

    /// max(0, θT · sign(θ0)): `magnitude`, but that all weights whose sign has changed rank with 0, the paper's “large
    /// final, same sign”.
    public static let magnitudeSameSign = Criterion(name: "magnitude-same-sign", traits: ofChange) {
        (context) throws(TrainingError) in
        try keys(context) { trained, initial in
            keepsSign(trained, initial) ? key(of: Double(trained.magnitude)) : key(of: 0.0)
        }
    }

    /// |θT| − |θ0|, but that all weights whose sign has changed rank below the others, and with each other.
    public static let magnitudeIncreaseSameSign = Criterion(name: "magnitude-increase-same-sign", traits: ofChange) {
        (context) throws(TrainingError) in
        try keys(context) { trained, initial in
            keepsSign(trained, initial) ? key(of: Double(trained.magnitude) - Double(initial.magnitude)) : 0
        }
    }

    /// A weight that was or is 0 has no sign to keep.
    private static func keepsSign(_ trained: Float, _ initial: Float) -> Bool {
        trained > 0 && initial > 0 || trained < 0 && initial < 0
    }

    private static func keys(_ context: Context, _ key: (Float, Float) -> UInt64) throws(TrainingError) -> [[UInt64]] {
        let initial = try context.network.initial()
        return zip(context.weights, initial).map { weights, initial in
            zip(weights, initial).map { key($0, $1) }
        }
    }
}
