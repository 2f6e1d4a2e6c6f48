/// What one training came to, as verdicts see it.
public struct Outcome: Hashable, Sendable {
    /// Share of the test set that the network gets right; 0 if training diverged, since NaN gets no image right.
    public var accuracy: Double
    /// The step of least validation loss; nil if training diverged or was never evaluated.
    public var earlyStop: Int?
    /// Images that `accuracy` counts; nil if that is not known.
    public var testImages: Int?

    public init(accuracy: Double, earlyStop: Int?, testImages: Int? = nil) {
        self.accuracy = accuracy
        self.earlyStop = earlyStop
        self.testImages = testImages
    }
}

extension PairedSample {
    /// `ones` less `others` in accuracy, told apart no finer than one test image.
    /// - Precondition: as many of either.
    public init(_ ones: [Outcome], minus others: [Outcome]) {
        precondition(ones.count == others.count, "\(ones.count) outcomes beside \(others.count)")
        let images = (ones + others).compactMap(\.testImages).max()
        self.init(
            zip(ones, others).map { $0.accuracy - $1.accuracy }, resolution: images.map { 1 / Double($0) } ?? 0)
    }

    /// The logarithm of `ones`' early-stop step over that of `others`, up to the first replicate where one has none.
    init(logarithmsOf ones: [Outcome], over others: [Outcome]) {
        var logarithms: [Double] = []
        for (one, other) in zip(ones, others) {
            guard let steps = one.earlyStop, let otherSteps = other.earlyStop else { break }
            // The first evaluation is after a step at the earliest; whatever comes here, the ratio is finite.
            logarithms.append(Elementary.logarithm(Double(max(steps, 1)) / Double(max(otherSteps, 1))))
        }
        self.init(logarithms)
    }
}

/// Tickets of one density against their dense networks, paired by replicate.
///
/// A ticket that diverged is a result: it gets no image right and stops nowhere. A training that failed or is not done
/// is none; its level has no comparison, since what is left over would be a choice.
public struct Comparison: Hashable, Sendable {
    public let ticket: Estimate
    public let dense: Estimate
    /// Ticket − dense in accuracy, with the unadjusted interval.
    public let difference: Estimate
    /// Mean early-stop steps; nil if any replicate has none.
    public let ticketEarlyStop: Estimate?
    public let denseEarlyStop: Estimate?
    /// Early-stop step of the ticket over that of the dense network, as a geometric mean.
    public let earlyStopRatio: Estimate?
    public let design: TestDesign
    let accuracy: PairedSample
    let logRatio: PairedSample

    /// - Parameters:
    ///   - tickets: by replicate, from 0 on.
    ///   - design: what is tested of them, and when.
    /// - Precondition: as many dense networks as tickets, at least one.
    public init(tickets: [Outcome], dense denses: [Outcome], design: TestDesign) {
        precondition(
            !tickets.isEmpty && tickets.count == denses.count,
            "\(tickets.count) tickets beside \(denses.count) dense networks")
        func estimate(_ values: [Double]) -> Estimate {
            Estimate(values)!  // not empty, checked above
        }
        ticket = estimate(tickets.map(\.accuracy))
        dense = estimate(denses.map(\.accuracy))
        accuracy = PairedSample(tickets, minus: denses)
        difference = estimate(accuracy.differences)
        logRatio = PairedSample(logarithmsOf: tickets, over: denses)
        let isKnown = logRatio.differences.count == tickets.count
        func steps(_ outcomes: [Outcome]) -> Estimate? {
            isKnown ? Estimate(outcomes.compactMap(\.earlyStop).map(Double.init)) : nil
        }
        ticketEarlyStop = steps(tickets)
        denseEarlyStop = steps(denses)
        earlyStopRatio = isKnown ? Estimate(geometricOfLogarithms: logRatio.differences) : nil
        self.design = design
    }

    /// Whether the means say that the ticket is at most the margin below its dense network.
    public var matches: Bool { difference.mean > -design.margin + TestDesign.tie }

    /// Whether the means say that the ticket, rewound to step 0, is at least as accurate and stops no later.
    public var wins: Bool {
        guard design.rewoundToStart, matches, isNotBelow, let ratio = earlyStopRatio else { return false }
        return ratio.mean <= 1 + TestDesign.tie
    }

    private var isNotBelow: Bool { difference.mean >= -TestDesign.tie }

    /// The difference by resampling; nil below `Bootstrap.leastCount` replicates.
    public var bootstrap: Estimate? { Bootstrap.estimate(accuracy.differences) }

    // MARK: Claims, each by its p over all looks that are reached

    /// L > −ε.
    var matchingProbability: Double {
        design.probability(with: accuracy.differences.count) { accuracy.probability(above: -design.margin, first: $0) }
    }

    /// U < −ε.
    var missingProbability: Double {
        design.probability(with: accuracy.differences.count) { accuracy.probability(below: -design.margin, first: $0) }
    }

    /// L > −ε, the mean difference not negative, and the upper bound of log(early-stop ticket ÷ dense) at most 0. Each
    /// part is tested at the full error, since all must hold (an intersection–union test; Berger 1982).
    var winningProbability: Double {
        guard design.rewoundToStart else { return 1 }
        return design.probability(with: logRatio.differences.count) { count in
            guard let mean = accuracy.moments(first: count)?.mean, mean >= -TestDesign.tie else { return 1 }
            return max(
                accuracy.probability(above: -design.margin, first: count), logRatio.probability(atMost: 0, first: count)
            )
        }
    }

    /// Less accurate than the dense network, or slower: two ways to lose, so each has half the error.
    var losingProbability: Double {
        guard design.rewoundToStart else { return 0 }
        let below = design.probability(with: accuracy.differences.count) { accuracy.probability(below: 0, first: $0) }
        let later = design.probability(with: logRatio.differences.count) { logRatio.probability(above: 0, first: $0) }
        return min(1, 2 * min(below, later))
    }

    func moreSeedsToMatch() -> MoreSeeds? {
        accuracy.moreSeeds(toDecide: -design.margin, error: design.errorPerLook)
    }

    /// - Parameter rivals: hypotheses that Holm's procedure has this one share the error with, itself included.
    func moreSeedsToWin(rivals: Int) -> MoreSeeds? {
        let error = design.errorPerLook
        let count = logRatio.differences.count
        if wins {
            let share = error / Double(rivals)
            var most: MoreSeeds?
            // A part that holds already waits for the other.
            if accuracy.probability(above: -design.margin, first: count) > share {
                guard let seeds = accuracy.moreSeeds(toDecide: -design.margin, error: share) else { return nil }
                most = seeds
            }
            if logRatio.probability(atMost: 0, first: count) > share {
                guard let seeds = logRatio.moreSeeds(toDecide: 0, error: share) else { return nil }
                most = max(most ?? seeds, seeds)
            }
            return most
        }
        let losses = [
            isNotBelow ? nil : accuracy.moreSeeds(toDecide: 0, error: error / 2),
            earlyStopRatio.map { $0.mean > 1 } == true ? logRatio.moreSeeds(toDecide: 0, error: error / 2) : nil,
        ]
        return losses.compactMap { $0 }.min()
    }
}
