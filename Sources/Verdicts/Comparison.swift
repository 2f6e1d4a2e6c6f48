/// What one training came to, as verdicts see it.
public struct Outcome: Hashable, Sendable {
    /// Share of the test set that the network gets right; 0 if training diverged, since NaN gets no image right.
    public var accuracy: Double
    /// The step of least validation loss; nil if training diverged or was never evaluated.
    public var earlyStop: Int?

    public init(accuracy: Double, earlyStop: Int?) {
        self.accuracy = accuracy
        self.earlyStop = earlyStop
    }
}

/// What a test says of a claim.
public enum Decision: String, Hashable, Sendable, Codable, CaseIterable {
    case yes
    case no
    case undecided
}

/// Tickets of one density against their dense networks, paired by replicate.
public struct Comparison: Hashable, Sendable {
    public let ticket: Estimate
    public let dense: Estimate
    /// Ticket − dense in accuracy.
    public let difference: Estimate
    /// Mean early-stop steps; nil if any replicate has none.
    public let ticketEarlyStop: Estimate?
    public let denseEarlyStop: Estimate?
    /// Early-stop step of the ticket over that of the dense network, as a geometric mean.
    public let earlyStopRatio: Estimate?
    private let margin: Double
    private let rewoundToStart: Bool

    /// Two numbers closer than this are a tie. Accuracies are counts over a test set and early stops are counts of
    /// steps: means that differ are much further apart, and what is closer is rounding (0.9733 − 0.9753 > −0.002).
    private static let resolution = 1e-12

    /// - Parameters:
    ///   - margin: ε of matching, as a fraction of the test set.
    ///   - rewoundToStart: whether the survivors went back to step 0; only then can a ticket be winning.
    /// - Precondition: as many dense networks as tickets, at least one.
    public init(tickets: [Outcome], dense denses: [Outcome], margin: Double, rewoundToStart: Bool) {
        precondition(
            !tickets.isEmpty && tickets.count == denses.count,
            "\(tickets.count) tickets beside \(denses.count) dense networks")
        func estimate(_ values: [Double]) -> Estimate {
            Estimate(values)!  // not empty, checked above
        }
        ticket = estimate(tickets.map(\.accuracy))
        dense = estimate(denses.map(\.accuracy))
        difference = estimate(zip(tickets, denses).map { $0.accuracy - $1.accuracy })
        let ticketSteps = tickets.compactMap(\.earlyStop).map(Double.init)
        let denseSteps = denses.compactMap(\.earlyStop).map(Double.init)
        let known = ticketSteps.count == tickets.count && denseSteps.count == denses.count
        ticketEarlyStop = known ? Estimate(ticketSteps) : nil
        denseEarlyStop = known ? Estimate(denseSteps) : nil
        // A network that is best at step 0 counts as one step, which keeps the ratio finite.
        earlyStopRatio =
            known ? Estimate(geometric: zip(ticketSteps, denseSteps).map { max($0, 1) / max($1, 1) }) : nil
        self.margin = margin
        self.rewoundToStart = rewoundToStart
    }

    /// Whether the means say that the ticket is at most the margin below its dense network.
    public var matches: Bool { difference.mean > -margin + Self.resolution }

    /// Whether the means say that the ticket, rewound to step 0, is at least as accurate and stops no later.
    public var wins: Bool {
        guard rewoundToStart, matches, isNotBelow, let ratio = earlyStopRatio else { return false }
        return ratio.mean <= 1 + Self.resolution
    }

    /// The interval's word on matching: yes if all of it is above −ε, no if all of it is below. One seed never decides.
    public var matching: Decision {
        guard let low = difference.low, let high = difference.high else { return .undecided }
        if low > -margin + Self.resolution { return .yes }
        return high < -margin - Self.resolution ? .no : .undecided
    }

    private var isNotBelow: Bool { difference.mean >= -Self.resolution }

    /// The intervals' word on winning: yes if L > −ε, the mean difference is not negative and the ratio's upper bound
    /// is at most 1.
    public var winning: Decision {
        guard rewoundToStart, matching != .no else { return .no }
        guard let high = difference.high, let ratio = earlyStopRatio, let ratioLow = ratio.low,
            let ratioHigh = ratio.high
        else {
            return .undecided
        }
        if matching == .yes, isNotBelow, ratioHigh <= 1 + Self.resolution { return .yes }
        return high < -Self.resolution || ratioLow > 1 + Self.resolution ? .no : .undecided
    }

    /// Whether the first of two paired sets of outcomes is more accurate: yes if L > 0, no if U ≤ 0.
    public static func beats(_ ones: [Outcome], _ others: [Outcome]) -> Decision {
        precondition(ones.count == others.count, "\(ones.count) outcomes beside \(others.count)")
        guard let difference = Estimate(zip(ones, others).map { $0.accuracy - $1.accuracy }),
            let low = difference.low, let high = difference.high
        else { return .undecided }
        if low > resolution { return .yes }
        return high <= resolution ? .no : .undecided
    }
}
