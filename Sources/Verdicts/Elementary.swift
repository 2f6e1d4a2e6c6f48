/// Elementary functions from IEEE operations alone, so that a leaderboard reads the same on every machine; libm's
/// last bits differ between versions.
package enum Elementary {
    private static let logarithmOfTwoHigh = 0x1.62e42feep-1
    private static let logarithmOfTwoLow = 0x1.a39ef35793c76p-33

    /// ln x for finite x > 0, to within 2 units in the last place.
    package static func logarithm(_ x: Double) -> Double {
        precondition(x > 0 && x.isFinite, "no logarithm of \(x)")
        var fraction = x.significand
        var exponent = Double(x.exponent)
        if fraction > 1.4142135623730951 {
            fraction /= 2
            exponent += 1
        }
        // ln m = 2 artanh s with s = (m − 1)/(m + 1), |s| < 0.172.
        let s = (fraction - 1) / (fraction + 1)
        let square = s * s
        var sum = 0.0
        for term in stride(from: 27, through: 3, by: -2) { sum = (sum + 1 / Double(term)) * square }
        return exponent * logarithmOfTwoHigh + (2 * s * (1 + sum) + exponent * logarithmOfTwoLow)
    }

    /// eˣ for |x| ≤ 700, to within 2 units in the last place.
    package static func exponential(_ x: Double) -> Double {
        precondition(abs(x) <= 700, "e to the \(x) is out of range")
        let power = (x / (logarithmOfTwoHigh + logarithmOfTwoLow)).rounded()
        let rest = (x - power * logarithmOfTwoHigh) - power * logarithmOfTwoLow
        var sum = 1.0
        for term in stride(from: 18.0, through: 1, by: -1) { sum = 1 + rest / term * sum }
        return sum * Double(sign: .plus, exponent: Int(power), significand: 1)
    }

    /// arctan x for x ≥ 0.
    package static func arctangent(_ x: Double) -> Double {
        precondition(x >= 0, "arctangent is asked for \(x) ≥ 0 only")
        if x > 1 { return .pi / 2 - arctangent(1 / x) }
        // Halving the angle twice brings x below tan(π/16), where the series needs 13 terms.
        var reduced = x
        for _ in 0..<2 { reduced /= 1 + (1 + reduced * reduced).squareRoot() }
        let square = reduced * reduced
        var sum = 0.0
        for term in stride(from: 27, through: 3, by: -2) { sum = (1 / Double(term) - sum) * square }
        return 4 * reduced * (1 - sum)
    }

    /// The density of the standard normal distribution.
    package static func normalDensity(_ x: Double) -> Double {
        abs(x) > 37 ? 0 : exponential(-x * x / 2) * 0.3989422804014327
    }

    /// P(Z ≤ x) of the standard normal distribution, to within 1e-12 absolutely (Abramowitz & Stegun 26.2.11).
    package static func normalCumulative(_ x: Double) -> Double {
        if abs(x) > 7.5 { return x > 0 ? 1 : 0 }
        var term = x
        var sum = x
        var odd = 1.0
        while abs(term) > 1e-17 * abs(sum) {
            odd += 2
            term *= x * x / odd
            sum += term
        }
        return min(1, max(0, 0.5 + normalDensity(x) * sum))
    }

    /// The x with P(Z ≤ x) = `probability`, by bisection.
    /// - Precondition: 0 < `probability` < 1.
    package static func normalQuantile(_ probability: Double) -> Double {
        precondition(probability > 0 && probability < 1, "no quantile at \(probability)")
        var low = -7.5
        var high = 7.5
        while true {
            let middle = (low + high) / 2
            guard middle > low, middle < high, high - low > 1e-9 else { return middle }
            if normalCumulative(middle) < probability { low = middle } else { high = middle }
        }
    }
}
