import Lottery
import Verdicts

/// The error barrier between the trainings of a level and their siblings, over the replicates: linear mode connectivity
/// (Frankle et al. 2020, section 3), as a share of the test images.
public struct Barrier: Hashable, Sendable {
    /// Mean over the replicates, with the 95 % interval of t; nil until all are done, or if any diverged.
    public let estimate: Estimate?
    /// Trainings and siblings that diverged: where a network that was never trained ends says nothing.
    public let diverged: Int

    init(estimate: Estimate?, diverged: Int) {
        self.estimate = estimate
        self.diverged = diverged
    }

    /// Whether the mean is below 2 points, as the paper draws the line; nil without a mean of several seeds, since one
    /// decides nothing.
    public var isStable: Bool? { estimate.flatMap { $0.low == nil ? nil : $0.mean < Connectivity.stableBelow } }
}

/// Unknown values are null, so that `level.barrier.mean` always reads.
extension Barrier: Codable {
    private enum CodingKeys: String, CodingKey { case mean, low, high, stable, diverged }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(estimate?.mean, forKey: .mean)
        try container.encode(estimate?.low, forKey: .low)
        try container.encode(estimate?.high, forKey: .high)
        try container.encode(isStable, forKey: .stable)
        try container.encode(diverged, forKey: .diverged)
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        estimate = try LeaderboardRow.MaybeEstimate(from: decoder).estimate
        diverged = try container.decode(Int.self, forKey: .diverged)
    }
}

extension Barrier {
    /// - Parameters:
    ///   - runs: those of one point.
    ///   - level: 0 for the dense network; it may have no sibling.
    init(of level: Int, in runs: [PlannedRun], cells: [Cell]) {
        var barriers: [Double] = []
        var diverged = 0
        for run in runs {
            guard let sibling = run.siblings[level] else { continue }
            let own = cells[level == 0 ? run.dense : run.levels[level - 1]]
            diverged += [own, cells[sibling]].count { $0.divergedAt != nil }
            if own.state == .done, let barrier = cells[sibling].barrier { barriers.append(barrier) }
        }
        self.init(
            estimate: barriers.count == runs.count && diverged == 0 ? Estimate(barriers) : nil, diverged: diverged)
    }
}
