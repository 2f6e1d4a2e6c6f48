import Lottery

/// The interval of a mean by resampling, beside that of the t distribution, for what is not normal.
///
/// Percentile-t: the resampled means in units of their own standard errors, whose quantiles take the place of t's
/// (Efron & Tibshirani 1993, “An Introduction to the Bootstrap”, section 12.5; second-order accurate for a mean, Hall
/// 1988). Intervals of bare percentiles, BCa's among them, never leave the range of the data and are too short for a
/// dozen values.
///
/// The resamples are the same for every mean of as many values, and on every machine.
public enum Bootstrap {
    /// Fewer values have too few distinct resamples.
    public static let leastCount = 8
    /// 2.5 % of one more than these is whole.
    static let resamples = 1_999
    private static let rank = 50

    /// The mean of `values` and its 95 % interval; nil for too few.
    /// - Complexity: O(resamples · values).
    public static func estimate(_ values: [Double]) -> Estimate? {
        guard values.count >= leastCount, let whole = PairedSample(values).moments(first: values.count) else {
            return nil
        }
        let count = Double(values.count)
        let error = whole.deviation / count.squareRoot()
        guard error > 0 else { return Estimate(mean: whole.mean, low: whole.mean, high: whole.mean) }
        let random = CounterRandom(seed: 0, purpose: .bootstrap)
        var studentised: [Double] = []
        studentised.reserveCapacity(resamples)
        for resample in 0..<resamples {
            var sum = 0.0
            var squares = 0.0
            for start in stride(from: 0, to: values.count, by: 4) {
                let words = random.words(epoch: resample, index: UInt64(start / 4))
                for lane in 0..<min(4, values.count - start) {
                    let index = Int((UInt64(words[lane]) * UInt64(values.count)) >> 32)
                    let deviation = values[index] - whole.mean
                    sum += deviation
                    squares += deviation * deviation
                }
            }
            let shift = sum / count
            let variance = max(0, squares - count * shift * shift) / (count - 1)
            // A resample of one value over and over has no spread; it is as far out as there is.
            if variance <= whole.deviation * whole.deviation * 1e-24 {
                studentised.append(shift > 0 ? .infinity : shift < 0 ? -.infinity : 0)
            } else {
                studentised.append(shift / (variance / count).squareRoot())
            }
        }
        studentised.sort()
        let least = studentised[rank - 1]
        let most = studentised[resamples - rank]
        // So many equal values that whole resamples have no spread leave the interval without an end.
        guard least.isFinite, most.isFinite else { return nil }
        return Estimate(mean: whole.mean, low: whole.mean - most * error, high: whole.mean - least * error)
    }
}
