/// The t statistic where the hypothesis of no difference is false: what the power of a t test follows from.
public struct NoncentralT: Hashable, Sendable {
    public let degrees: Int
    /// δ: the true mean over its standard error.
    public let noncentrality: Double

    /// - Precondition: `degrees >= 1`.
    public init(degrees: Int, noncentrality: Double) {
        precondition(degrees >= 1, "Student's t has no \(degrees) degrees of freedom")
        self.degrees = degrees
        self.noncentrality = noncentrality
    }

    /// P(T > t) for t > 0, to within 1e-6: over z the normal density times P(χ² < ν ((z + δ) / t)²), by Simpson's rule.
    /// - Complexity: O(degrees).
    public func probability(above t: Double) -> Double {
        precondition(t > 0, "the distribution is asked for the upper tail only, not for \(t)")
        let low = max(-noncentrality, -6)
        let high = 6.0
        guard low < high else { return 0 }
        let steps = 128
        let width = (high - low) / Double(steps)
        var sum = 0.0
        for index in 0...steps {
            let z = low + Double(index) * width
            let root = (z + noncentrality) / t
            let weight = index == 0 || index == steps ? 1.0 : index.isMultiple(of: 2) ? 2 : 4
            sum += weight * Elementary.normalDensity(z) * chiSquare(below: Double(degrees) * root * root)
        }
        return min(1, sum * width / 3)
    }

    /// P(χ² ≤ x) with `degrees` degrees of freedom, a finite sum (Abramowitz & Stegun 26.4.4 and 26.4.5).
    private func chiSquare(below x: Double) -> Double {
        guard x > 0 else { return 0 }
        guard x < 1_200 else { return 1 }
        if degrees.isMultiple(of: 2) {
            var term = Elementary.exponential(-x / 2)
            var sum = term
            for k in stride(from: 2, to: degrees, by: 2) {
                term *= x / Double(k)
                sum += term
            }
            return max(0, 1 - sum)
        }
        let root = x.squareRoot()
        var term = 2 * Elementary.normalDensity(root) * root
        var sum = 0.0
        for k in stride(from: 1, to: degrees, by: 2) {
            sum += term
            term *= x / Double(k + 2)
        }
        return max(0, 2 * Elementary.normalCumulative(root) - 1 - sum)
    }
}

extension StudentT {
    /// The chance that a one-sided t test with this error decides, where the true mean lies `effect` standard
    /// deviations beyond the bound and `count` values are drawn.
    /// - Precondition: `count >= 2`.
    public static func power(count: Int, effect: Double, error: Double) -> Double {
        precondition(count >= 2, "one value has no spread, and decides nothing")
        let degrees = count - 1
        return NoncentralT(degrees: degrees, noncentrality: effect * Double(count).squareRoot())
            .probability(above: StudentT(degrees: degrees).quantile(1 - error))
    }
}
