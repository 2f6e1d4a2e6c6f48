/// A mean over replicates with its 95 % interval.
public struct Estimate: Hashable, Sendable {
    public let mean: Double
    /// Nil for one replicate: one seed says nothing about the spread.
    public let low: Double?
    public let high: Double?

    public init(mean: Double, low: Double?, high: Double?) {
        self.mean = mean
        self.low = low
        self.high = high
    }

    /// The mean of `values` and its t interval; nil if there are none.
    public init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        let count = Double(values.count)
        // From the first value on, so that the mean of equal values is that value to the last bit.
        let mean = values[0] + values.reduce(0) { $0 + ($1 - values[0]) } / count
        guard values.count > 1 else {
            self.init(mean: mean, low: nil, high: nil)
            return
        }
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let deviation = (squares / (count - 1) / count).squareRoot()
        let reach = StudentT.reach95(degrees: values.count - 1) * deviation
        self.init(mean: mean, low: mean - reach, high: mean + reach)
    }

    /// The geometric mean of positive `values`, with the interval of their logarithms.
    public init?(geometric values: [Double]) { self.init(geometricOfLogarithms: values.map(Elementary.logarithm)) }

    init?(geometricOfLogarithms values: [Double]) {
        guard let logarithms = Estimate(values) else { return nil }
        func restored(_ value: Double) -> Double { Elementary.exponential(min(max(value, -700), 700)) }
        self.init(
            mean: restored(logarithms.mean), low: logarithms.low.map(restored), high: logarithms.high.map(restored))
    }
}

extension Estimate: Codable {
    private enum CodingKeys: String, CodingKey { case mean, low, high }

    /// Unknown bounds are written as null rather than left out, so that every row has the same keys.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(mean, forKey: .mean)
        try container.encode(low, forKey: .low)
        try container.encode(high, forKey: .high)
    }
}
