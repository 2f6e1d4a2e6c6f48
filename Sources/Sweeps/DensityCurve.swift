import Lottery
import Verdicts

/// Accuracy of one point by density, the dense network first: what `leaderboard --by-density` prints.
public struct DensityCurve: Hashable, Sendable, Codable {
    public let sweep: String
    public internal(set) var point: PointCoordinates
    public let replicates: Int
    public let levels: [Level]

    public struct Level: Hashable, Sendable, Codable {
        /// 0 is the dense network.
        public let level: Int
        /// Measured, or expected until all replicates are done.
        public let density: Double
        /// Test accuracy; nil until all replicates are done.
        public let accuracy: Estimate?
        /// Accuracy less that of the dense network, with the unadjusted t interval; nil at level 0.
        public let difference: Estimate?
        /// The same by resampling; nil below eight replicates.
        public let bootstrap: Estimate?
        /// Mean step of the least validation loss.
        public let earlyStop: Double?
        /// That step over the dense network's, as a geometric mean over replicates; nil at level 0.
        public let earlyStopRatio: Estimate?
        /// Between the level's trainings and their siblings; nil where no training of the sweep has one.
        public let barrier: Barrier?
        /// From the means: `winning`, `matching` or `none`; `pending` until all replicates are done; `stopped` beyond
        /// where the chain was ended on purpose, and where trainings were cancelled; `failed` where a training failed,
        /// the dense network diverged, or that which gave the masks. Nil at level 0 alone.
        public let verdict: Verdict?
        /// By the fixed sequence from the densest level on, which goes no further than the first that is not `yes`.
        public let matching: Decision?
        /// The adjusted p of matching.
        public let matchingP: Double?
        public let matchingMoreSeeds: MoreSeeds?
        /// By Holm's procedure over the densities that the spec names.
        public let winning: Decision?
        /// The adjusted p of winning; 1 at a density that the spec does not name.
        public let winningP: Double?
        public let winningMoreSeeds: MoreSeeds?
        /// In the order of the sweep's branches; empty at level 0.
        public let controls: [LeaderboardRow.Control]
        /// Replicate 0's ticket at this level.
        public let ticket: String?

        private enum CodingKeys: String, CodingKey {
            case level, density, accuracy, difference, bootstrap, barrier, verdict, matching, winning, controls, ticket
            case earlyStop = "early_stop"
            case earlyStopRatio = "early_stop_ratio"
            case matchingP = "matching_p"
            case winningP = "winning_p"
            case matchingMoreSeeds = "matching_more_seeds"
            case winningMoreSeeds = "winning_more_seeds"
        }

        /// Unknown values are null rather than left out, so that every level of a sweep has the same keys.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(level, forKey: .level)
            try container.encode(density, forKey: .density)
            try container.encode(LeaderboardRow.MaybeEstimate(accuracy), forKey: .accuracy)
            try container.encode(LeaderboardRow.MaybeEstimate(difference), forKey: .difference)
            try container.encode(LeaderboardRow.MaybeEstimate(bootstrap), forKey: .bootstrap)
            try container.encode(earlyStop, forKey: .earlyStop)
            try container.encode(LeaderboardRow.MaybeEstimate(earlyStopRatio), forKey: .earlyStopRatio)
            try container.encodeIfPresent(barrier, forKey: .barrier)
            try container.encode(verdict, forKey: .verdict)
            try container.encode(matching, forKey: .matching)
            try container.encode(matchingP, forKey: .matchingP)
            try container.encode(matchingMoreSeeds, forKey: .matchingMoreSeeds)
            try container.encode(winning, forKey: .winning)
            try container.encode(winningP, forKey: .winningP)
            try container.encode(winningMoreSeeds, forKey: .winningMoreSeeds)
            try container.encode(controls, forKey: .controls)
            try container.encode(ticket, forKey: .ticket)
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            level = try container.decode(Int.self, forKey: .level)
            density = try container.decode(Double.self, forKey: .density)
            accuracy = try container.decode(LeaderboardRow.MaybeEstimate.self, forKey: .accuracy).estimate
            difference = try container.decode(LeaderboardRow.MaybeEstimate.self, forKey: .difference).estimate
            // A coordinator of an earlier version does not say this, nor p and seeds.
            bootstrap = try container.decodeIfPresent(LeaderboardRow.MaybeEstimate.self, forKey: .bootstrap)?.estimate
            earlyStop = try container.decode(Double?.self, forKey: .earlyStop)
            earlyStopRatio =
                try container.decodeIfPresent(LeaderboardRow.MaybeEstimate.self, forKey: .earlyStopRatio)?.estimate
            barrier = try container.decodeIfPresent(Barrier.self, forKey: .barrier)
            verdict = try container.decode(Verdict?.self, forKey: .verdict)
            matching = try container.decode(Decision?.self, forKey: .matching)
            matchingP = try container.decodeIfPresent(Double.self, forKey: .matchingP)
            matchingMoreSeeds = try container.decodeIfPresent(MoreSeeds.self, forKey: .matchingMoreSeeds)
            winning = try container.decode(Decision?.self, forKey: .winning)
            winningP = try container.decodeIfPresent(Double.self, forKey: .winningP)
            winningMoreSeeds = try container.decodeIfPresent(MoreSeeds.self, forKey: .winningMoreSeeds)
            controls = try container.decode([LeaderboardRow.Control].self, forKey: .controls)
            ticket = try container.decode(String?.self, forKey: .ticket)
        }

        /// The dense network.
        init(dense evidence: PointEvidence) {
            level = 0
            density = 1
            accuracy = evidence.dense.flatMap { Estimate($0.map(\.accuracy)) }
            difference = nil
            bootstrap = nil
            earlyStop = DensityCurve.meanEarlyStop(evidence.dense)
            earlyStopRatio = nil
            barrier = evidence.barriers.first
            verdict = nil
            matching = nil
            matchingP = nil
            matchingMoreSeeds = nil
            winning = nil
            winningP = nil
            winningMoreSeeds = nil
            controls = []
            ticket = nil
        }

        /// The level at `index` of `evidence.levels`.
        init(_ index: Int, of evidence: PointEvidence, branches: [SweepBranch], ticket: String) {
            let level = evidence.levels[index]
            let comparison = level.comparison
            self.level = index + 1
            density = level.density
            accuracy = level.outcomes.flatMap { Estimate($0.map(\.accuracy)) }
            difference = comparison?.difference
            bootstrap = comparison?.bootstrap
            earlyStop = DensityCurve.meanEarlyStop(level.outcomes)
            earlyStopRatio = comparison?.earlyStopRatio
            barrier = evidence.barriers.isEmpty ? nil : evidence.barriers[index + 1]
            verdict = comparison.map { $0.wins ? .winning : $0.matches ? .matching : .none } ?? level.lack
            matching = evidence.test.matching[index]?.decision
            matchingP = evidence.test.matching[index]?.probability
            matchingMoreSeeds = evidence.test.moreSeedsToMatch(at: index)
            winning = evidence.test.winning[index]?.decision
            winningP = evidence.test.winning[index]?.probability
            winningMoreSeeds = evidence.test.moreSeedsToWin(at: index)
            controls = LeaderboardRow.controls(
                of: branches, at: level, number: index + 1, looks: evidence.looks)
            self.ticket = level.outcomes == nil ? nil : ticket
        }
    }

    init(plan: Plan, point: GridPoint, evidence: PointEvidence) {
        sweep = plan.sweep.name
        self.point = PointCoordinates(sweep: plan.sweep, point: point)
        replicates = evidence.extent.tested
        let run = plan.run(point: point.index, replicate: 0)
        levels =
            [Level(dense: evidence)]
            + evidence.levels.indices.map {
                Level(
                    $0, of: evidence, branches: plan.sweep.branches,
                    ticket: plan.tasks[run.levels[$0]].key.digest.short)
            }
    }

    /// Nil if any replicate has none.
    fileprivate static func meanEarlyStop(_ outcomes: [Outcome]?) -> Double? {
        guard let outcomes else { return nil }
        let steps = outcomes.compactMap(\.earlyStop)
        return steps.count == outcomes.count ? Estimate(steps.map(Double.init))?.mean : nil
    }
}
