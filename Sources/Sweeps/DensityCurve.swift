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
        /// Accuracy less that of the dense network; nil at level 0.
        public let difference: Estimate?
        /// Mean step of the least validation loss.
        public let earlyStop: Double?
        /// From the means: `winning`, `matching` or `none`; nil at level 0 and until done.
        public let verdict: Verdict?
        /// Matching by the paired t interval.
        public let matching: Decision?
        public let winning: Decision?
        /// In the order of the sweep's branches; empty at level 0.
        public let controls: [LeaderboardRow.Control]
        /// Replicate 0's ticket at this level.
        public let ticket: String?

        private enum CodingKeys: String, CodingKey {
            case level, density, accuracy, difference, verdict, matching, winning, controls, ticket
            case earlyStop = "early_stop"
        }

        /// Unknown values are null rather than left out, so that every level has the same keys.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(level, forKey: .level)
            try container.encode(density, forKey: .density)
            try container.encode(LeaderboardRow.MaybeEstimate(accuracy), forKey: .accuracy)
            try container.encode(LeaderboardRow.MaybeEstimate(difference), forKey: .difference)
            try container.encode(earlyStop, forKey: .earlyStop)
            try container.encode(verdict, forKey: .verdict)
            try container.encode(matching, forKey: .matching)
            try container.encode(winning, forKey: .winning)
            try container.encode(controls, forKey: .controls)
            try container.encode(ticket, forKey: .ticket)
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            level = try container.decode(Int.self, forKey: .level)
            density = try container.decode(Double.self, forKey: .density)
            accuracy = try container.decode(LeaderboardRow.MaybeEstimate.self, forKey: .accuracy).estimate
            difference = try container.decode(LeaderboardRow.MaybeEstimate.self, forKey: .difference).estimate
            earlyStop = try container.decode(Double?.self, forKey: .earlyStop)
            verdict = try container.decode(Verdict?.self, forKey: .verdict)
            matching = try container.decode(Decision?.self, forKey: .matching)
            winning = try container.decode(Decision?.self, forKey: .winning)
            controls = try container.decode([LeaderboardRow.Control].self, forKey: .controls)
            ticket = try container.decode(String?.self, forKey: .ticket)
        }

        init(
            level: Int, density: Double, accuracy: Estimate?, difference: Estimate?, earlyStop: Double?,
            verdict: Verdict?,
            matching: Decision?, winning: Decision?, controls: [LeaderboardRow.Control], ticket: String?
        ) {
            self.level = level
            self.density = density
            self.accuracy = accuracy
            self.difference = difference
            self.earlyStop = earlyStop
            self.verdict = verdict
            self.matching = matching
            self.winning = winning
            self.controls = controls
            self.ticket = ticket
        }
    }

    init(plan: Plan, point: GridPoint, evidence: PointEvidence) {
        sweep = plan.sweep.name
        self.point = PointCoordinates(sweep: plan.sweep, point: point)
        replicates = plan.sweep.replicates
        let run = plan.run(point: point.index, replicate: 0)
        let replicates = plan.sweep.replicates
        var levels = [
            Level(
                level: 0, density: 1, accuracy: evidence.dense.flatMap { Estimate($0.map(\.accuracy)) },
                difference: nil,
                earlyStop: Self.meanEarlyStop(evidence.dense, replicates: replicates), verdict: nil, matching: nil,
                winning: nil,
                controls: [], ticket: nil)
        ]
        for (index, level) in evidence.levels.enumerated() {
            let comparison = level.comparison
            levels.append(
                Level(
                    level: index + 1, density: level.density,
                    accuracy: level.outcomes.flatMap { Estimate($0.map(\.accuracy)) },
                    difference: comparison?.difference,
                    earlyStop: Self.meanEarlyStop(level.outcomes, replicates: replicates),
                    verdict: comparison.map {
                        $0.wins ? Verdict.winning : $0.matches ? Verdict.matching : Verdict.none
                    },
                    matching: comparison?.matching, winning: comparison?.winning,
                    controls: LeaderboardRow.controls(of: plan.sweep.branches, at: level),
                    ticket: level.outcomes == nil ? nil : plan.tasks[run.levels[index]].key.digest.short))
        }
        self.levels = levels
    }

    private static func meanEarlyStop(_ outcomes: [Outcome]?, replicates: Int) -> Double? {
        let steps = outcomes?.compactMap(\.earlyStop) ?? []
        return steps.count == replicates ? Estimate(steps.map(Double.init))?.mean : nil
    }
}
