/// Differences of replicates, each of two trainings with the same seeds, and one-sided t tests of their mean.
public struct PairedSample: Hashable, Sendable {
    /// Replicate by replicate, from 0 on.
    public let differences: [Double]
    /// The least spread that can be told apart: the standard deviation is never taken to be below it. Two of a few
    /// seeds often get the same count of images right, and a spread of zero would decide anything.
    public let resolution: Double

    /// - Parameter resolution: 0 or more.
    public init(_ differences: [Double], resolution: Double = 0) {
        precondition(differences.allSatisfy(\.isFinite), "differences are \(differences)")
        self.differences = differences
        self.resolution = resolution
    }

    /// Mean and standard deviation of the first `count`; nil for fewer than two, which say nothing about the spread.
    func moments(first count: Int) -> (mean: Double, deviation: Double)? {
        guard count >= 2, count <= differences.count else { return nil }
        let values = differences.prefix(count)
        // From the first value on, so that the mean of equal values is that value to the last bit.
        let mean = values[0] + values.reduce(0) { $0 + ($1 - values[0]) } / Double(count)
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (mean, max((squares / Double(count - 1)).squareRoot(), resolution))
    }

    /// p of the claim that the mean is above `bound`; a tie is not. Of the first `count` replicates, 1 if there are not as many or
    /// fewer than two.
    public func probability(above bound: Double, first count: Int) -> Double {
        tail(first: count) { $0 - bound - TestDesign.tie }
    }

    /// p of the claim that the mean is below `bound`; a tie is not.
    public func probability(below bound: Double, first count: Int) -> Double {
        tail(first: count) { bound - TestDesign.tie - $0 }
    }

    /// p of the claim that the mean is at most `bound`; a tie is.
    public func probability(atMost bound: Double, first count: Int) -> Double {
        tail(first: count) { bound + TestDesign.tie - $0 }
    }

    private func tail(first count: Int, _ distance: (Double) -> Double) -> Double {
        guard let (mean, deviation) = moments(first: count) else { return 1 }
        let distance = distance(mean)
        // The same in every replicate, and no resolution to hold against it: it is as it is.
        guard deviation > 0 else { return distance > 0 ? 0 : 1 }
        return 1 - StudentT(degrees: count - 1).cumulative(distance * Double(count).squareRoot() / deviation)
    }

    /// How many more replicates a test of `bound` needs, on whichever side of it the mean lies; nil for one replicate.
    /// - Parameter error: chance of a false `yes` that the test allows, in 0…1.
    public func moreSeeds(toDecide bound: Double, error: Double) -> MoreSeeds? {
        guard let (mean, deviation) = moments(first: differences.count) else { return nil }
        return MoreSeeds(beyond: differences.count, distance: abs(mean - bound), deviation: deviation, error: error)
    }
}

/// How many replicates more would decide what is undecided, were mean and spread what they are so far.
public enum MoreSeeds: Hashable, Sendable, Comparable {
    case about(Int)
    case above50

    /// The chance with which so many decide.
    public static let power = 0.8
    /// Above this, the difference is too small to be worth the search.
    public static let most = 50

    package init(beyond count: Int, distance: Double, deviation: Double, error: Double) {
        guard distance > 0 else {
            self = .above50
            return
        }
        let effect = distance / max(deviation, .leastNormalMagnitude)
        let range = (count + 1)...(count + MoreSeeds.most + 1)
        func decides(_ count: Int) -> Bool {
            count == range.upperBound || StudentT.power(count: count, effect: effect, error: error) >= MoreSeeds.power
        }
        // A good guess first (Guenther 1981, “Sample size formulas for normal theory t tests”), then step by step.
        let normal = Elementary.normalQuantile(1 - error)
        let reach = (normal + Elementary.normalQuantile(MoreSeeds.power)) / effect
        let guess = reach * reach + normal * normal / 2
        var seeds = Int(min(max(guess, Double(range.lowerBound)), Double(range.upperBound)).rounded(.up))
        while seeds > range.lowerBound, decides(seeds - 1) { seeds -= 1 }
        while !decides(seeds) { seeds += 1 }
        self = seeds == range.upperBound ? .above50 : .about(seeds - count)
    }
}

extension MoreSeeds: CustomStringConvertible {
    /// `about 4 more seeds`, `> 50 more seeds`.
    public var description: String {
        switch self {
        case .about(let count): "about \(count) more seed\(count == 1 ? "" : "s")"
        case .above50: "> \(MoreSeeds.most) more seeds"
        }
    }
}

extension MoreSeeds: Codable {
    private static let above = "> \(most)"

    /// A number, or `"> 50"`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .about(let count): try container.encode(count)
        case .above50: try container.encode(MoreSeeds.above)
        }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let count = try? container.decode(Int.self) {  // not a number: the text
            self = .about(count)
        } else if try container.decode(String.self) == MoreSeeds.above {
            self = .above50
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no number of seeds")
        }
    }
}
