/// Student's t distribution with whole degrees of freedom, where the incomplete beta function is a finite sum
/// (Abramowitz & Stegun 26.7.3 and 26.7.4). Accurate to 1e-12.
public struct StudentT: Hashable, Sendable {
    public let degrees: Int

    /// - Precondition: `degrees >= 1`.
    public init(degrees: Int) {
        precondition(degrees >= 1, "Student's t has no \(degrees) degrees of freedom")
        self.degrees = degrees
    }

    /// P(|T| ≤ t) for t ≥ 0.
    /// - Complexity: O(degrees).
    public func probability(within t: Double) -> Double {
        precondition(t >= 0, "a distance is not negative: \(t)")
        guard t.isFinite else { return 1 }
        let cosineSquared = Double(degrees) / (Double(degrees) + t * t)
        let sine = t / (Double(degrees) + t * t).squareRoot()
        if degrees.isMultiple(of: 2) {
            var term = 1.0
            var sum = 1.0
            for k in stride(from: 2, to: degrees, by: 2) {
                term *= cosineSquared * Double(k - 1) / Double(k)
                sum += term
            }
            return sine * sum
        }
        let angle = Elementary.arctangent(t / Double(degrees).squareRoot())
        guard degrees > 1 else { return angle * 2 / .pi }
        var term = cosineSquared.squareRoot()
        var sum = term
        for k in stride(from: 3, to: degrees, by: 2) {
            term *= cosineSquared * Double(k - 1) / Double(k)
            sum += term
        }
        return (angle + sine * sum) * 2 / .pi
    }

    /// P(T ≤ t).
    public func cumulative(_ t: Double) -> Double {
        let half = probability(within: abs(t)) / 2
        return t < 0 ? 0.5 - half : 0.5 + half
    }

    /// The t with P(T ≤ t) = `probability`, by bisection.
    /// - Precondition: 0 < `probability` < 1.
    public func quantile(_ probability: Double) -> Double {
        precondition(probability > 0 && probability < 1, "no quantile at \(probability)")
        if probability < 0.5 { return -quantile(1 - probability) }
        let within = 2 * probability - 1
        var high = 1.0
        while high < 1e18, self.probability(within: high) < within { high *= 2 }
        var low = 0.0
        while true {
            let middle = (low + high) / 2
            guard middle > low, middle < high else { return middle }
            if self.probability(within: middle) < within { low = middle } else { high = middle }
        }
    }

    /// The t that a two-sided 95 % interval reaches to.
    public static func reach95(degrees: Int) -> Double {
        degrees <= table95.count ? table95[degrees - 1] : StudentT(degrees: degrees).quantile(0.975)
    }

    // A leaderboard asks for the same few numbers for each of its rows.
    private static let table95 = (1...64).map { StudentT(degrees: $0).quantile(0.975) }
}
