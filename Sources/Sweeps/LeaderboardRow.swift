import Lottery
import Verdicts

/// One point's headline. Its JSON keys are a fixed face; further ones may be added.
public struct LeaderboardRow: Hashable, Sendable {
    /// From 1.
    public private(set) var rank: Int
    public let sweep: String
    public internal(set) var point: PointCoordinates
    public let verdict: Verdict
    /// The planned tests' word on the verdict, at the rates of `TestDesign`.
    public let decided: Decision
    /// Density of the ticket; nil only if there is none.
    public let density: Double?
    /// Test accuracy of the ticket, as a fraction.
    public let accuracy: Estimate?
    /// Test accuracy of the dense network of the same recipe; nil until it is done.
    public let dense: Estimate?
    /// Steps to the least validation loss.
    public let earlyStop: EarlyStop?
    /// Between the dense trainings and their siblings; nil where no training of the sweep has one.
    public let denseBarrier: Barrier?
    /// Likewise of the ticket.
    public let ticketBarrier: Barrier?
    /// Replicates that the numbers are of: those of the last complete look.
    public let replicates: Int
    /// Replicate 0's ticket, by the first digits of its task's key.
    public let ticket: String?

    /// Ticket − dense in accuracy, with the unadjusted t interval.
    public let difference: Estimate?
    /// The same by resampling; nil below eight replicates.
    public let bootstrap: Estimate?
    /// Replicates that would decide what is undecided; nil where no number of them is known to.
    public let moreSeeds: MoreSeeds?
    /// Replicates that are asked for: more than `replicates` while those that `refine` added are trained.
    public let replicatesAsked: Int
    /// Numbers of replicates at which points are tested.
    public let looks: [Int]
    /// What the ticket is taken for where the verdict says something else of the chain: `winning`, where its means say so and
    /// winning is tested of it, or `matching`.
    public let found: Verdict?
    public let level: Int?
    public let matchingDensity: Double?
    public let winningDensity: Double?
    /// Of the chain's last level, or of the last before the chain was ended early.
    public let lastDensity: Double?
    public let matchingMargin: Double
    public let controls: [Control]
    /// Whether the ticket beats both random reinit and the random mask; nil unless the sweep has both.
    public let beatsControls: Decision?
    public let bestDense: BestDense?
    /// Trainings of the chain that are done, of how many, and how many of them diverged. The dense network and the chain
    /// that gives the masks are included; branches, siblings and early-bird searches are not.
    public let trainingsDone: Int
    public let trainings: Int
    public let diverged: Int
    /// Where pruning emptied a layer, if it did.
    public let collapse: LayerCollapse?
    /// Why a failed point failed.
    public let reason: String?
    let pointIndex: Int

    /// Mean steps of ticket (`mean`, `low`, `high`) and dense network, and the geometric mean of their ratio.
    public struct EarlyStop: Hashable, Sendable, Codable {
        public let mean: Double
        public let low: Double?
        public let high: Double?
        public let dense: Double
        public let ratio: Estimate
    }

    /// A branch at the ticket's density.
    public struct Control: Hashable, Sendable, Codable {
        public let branch: String
        /// Nil until the branch is done, and where the sweep has none beside this level.
        public let accuracy: Estimate?
        /// Ticket − control.
        public let difference: Estimate?
        /// Whether the ticket beats the control; nil where the sweep has none beside this level.
        public let beaten: Decision?
        /// Replicates that would decide it.
        public let moreSeeds: MoreSeeds?

        private enum CodingKeys: String, CodingKey {
            case branch, accuracy, difference, beaten
            case moreSeeds = "more_seeds"
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(branch, forKey: .branch)
            try container.encode(accuracy, forKey: .accuracy)
            try container.encode(difference, forKey: .difference)
            try container.encode(beaten, forKey: .beaten)
            try container.encode(moreSeeds, forKey: .moreSeeds)
        }
    }

    /// The dense network of the best recipe for the same model and data.
    public struct BestDense: Hashable, Sendable, Codable {
        public let point: PointCoordinates
        public let accuracy: Estimate
        /// Ticket − best dense.
        public let difference: Estimate?
        /// Whether the ticket matches it.
        public let matching: Decision

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(point, forKey: .point)
            try container.encode(accuracy, forKey: .accuracy)
            try container.encode(difference, forKey: .difference)
            try container.encode(matching, forKey: .matching)
        }
    }

    init(plan: Plan, point: GridPoint, evidence: PointEvidence, bestDense best: Sweeps.BestDense.Recipe?) {
        let headline = evidence.headline
        let level = headline.level.map { evidence.levels[$0] }
        let comparison = level?.comparison
        rank = 0
        sweep = plan.sweep.name
        self.point = PointCoordinates(sweep: plan.sweep, point: point)
        verdict = headline.verdict
        decided = headline.decided
        density = level?.density
        accuracy = comparison?.ticket
        dense = evidence.dense.flatMap { Estimate($0.map(\.accuracy)) }
        if let steps = comparison?.ticketEarlyStop, let denseSteps = comparison?.denseEarlyStop,
            let ratio = comparison?.earlyStopRatio
        {
            earlyStop = EarlyStop(
                mean: steps.mean, low: steps.low, high: steps.high, dense: denseSteps.mean, ratio: ratio)
        } else {
            earlyStop = nil
        }
        denseBarrier = evidence.barriers.first
        ticketBarrier =
            evidence.barriers.isEmpty
            ? nil : headline.level.map { evidence.barriers[$0 + 1] } ?? Barrier(estimate: nil, diverged: 0)
        replicates = evidence.extent.tested
        replicatesAsked = evidence.extent.replicates
        looks = evidence.looks
        moreSeeds = headline.moreSeeds
        let run = plan.run(point: point.index, replicate: 0)
        ticket = headline.level.map { plan.tasks[run.levels[$0]].key.digest.short }
        difference = comparison?.difference
        bootstrap = comparison?.bootstrap
        found = headline.found
        self.level = headline.level.map { $0 + 1 }
        matchingDensity = headline.sparsestMatching.map { evidence.levels[$0].density }
        winningDensity = headline.sparsestWinning.map { evidence.levels[$0].density }
        lastDensity = evidence.levels.last { !$0.isBeyondStop }?.density
        matchingMargin = point.settings.matchingMargin
        controls = LeaderboardRow.controls(
            of: plan.sweep.branches, at: level, number: self.level, looks: evidence.looks)
        beatsControls = LeaderboardRow.conjunction(of: controls)
        bestDense = best.flatMap { best in
            guard let accuracy = Estimate(best.outcomes.map(\.accuracy)) else { return nil }
            // One of the two may have more replicates by now: what both have is paired.
            let against = level?.outcomes.map { tickets in
                let count = min(tickets.count, best.outcomes.count)
                return Comparison(
                    tickets: Array(tickets.prefix(count)), dense: Array(best.outcomes.prefix(count)),
                    design: TestDesign(
                        margin: point.settings.matchingMargin, rewoundToStart: false, looks: evidence.looks))
            }
            let test = against.map { ChainTest(levels: [(level?.density ?? 1, $0)]) }
            return BestDense(
                point: PointCoordinates(sweep: plan.sweep, point: best.point), accuracy: accuracy,
                difference: against?.difference,
                matching: test?.matching[0]?.decision ?? .undecided)
        }
        trainingsDone = evidence.trainingsDone
        trainings = evidence.trainings
        diverged = evidence.diverged
        collapse = evidence.collapse
        reason = evidence.failure ?? evidence.incomparable
        pointIndex = point.index
    }

    /// The branches at a level, beside its tickets.
    /// - Parameter number: of the level; nil where there is no ticket.
    static func controls(
        of branches: [SweepBranch], at level: PointEvidence.Level?, number: Int?, looks: [Int]
    ) -> [Control] {
        branches.enumerated().map { index, branch in
            guard let tickets = level?.outcomes, let control = level?.branches[index] else {
                let isThere = number.map(branch.stands) ?? true
                return Control(
                    branch: branch.name, accuracy: nil, difference: nil, beaten: isThere ? .undecided : nil,
                    moreSeeds: nil)
            }
            let sample = PairedSample(tickets, minus: control)
            let beaten = Finding(that: tickets, beat: control, looks: looks).decision
            let error = TestDesign.error / Double(looks.count)
            return Control(
                branch: branch.name, accuracy: Estimate(control.map(\.accuracy)),
                difference: Estimate(sample.differences),
                beaten: beaten, moreSeeds: beaten == .undecided ? sample.moreSeeds(toDecide: 0, error: error) : nil)
        }
    }

    /// The glossary's “beats its controls”. Both must be beaten, so each is tested at the whole error.
    private static func conjunction(of controls: [Control]) -> Decision? {
        let both = ["random-reinit", "random-mask"].map { name in controls.first { $0.branch == name }.flatMap(\.beaten)
        }
        guard let first = both[0], let second = both[1] else { return nil }
        if first == .no || second == .no { return .no }
        return first == .yes && second == .yes ? .yes : .undecided
    }

    func ranked(_ rank: Int) -> LeaderboardRow {
        var row = self
        row.rank = rank
        return row
    }

    static func ranksBefore(_ one: LeaderboardRow, _ other: LeaderboardRow) -> Bool {
        func tier(_ row: LeaderboardRow) -> Int { row.density == nil ? 2 : row.decided == .yes ? 0 : 1 }
        func order(_ row: LeaderboardRow) -> (Int, Double, Double, Int) {
            // In steps of what is a tie: means of the same counts differ by rounding.
            let accuracy = ((row.accuracy?.mean ?? row.dense?.mean ?? 0) / TestDesign.tie).rounded()
            return (tier(row), row.density ?? 1, -accuracy, row.pointIndex)
        }
        return order(one) < order(other)
    }
}

/// Layer collapse: the first level of a chain at which a layer has no weight left, and which layers (`fc1.weight`)
/// those are.
public struct LayerCollapse: Hashable, Sendable, Codable {
    public let level: Int
    public let layers: [String]

    public init(level: Int, layers: [String]) {
        self.level = level
        self.layers = layers
    }
}

extension LeaderboardRow: Codable {
    private enum CodingKeys: String, CodingKey {
        case rank, sweep, point, verdict, decided, density, accuracy, dense, replicates, ticket
        case earlyStop = "early_stop"
        case denseBarrier = "dense_barrier"
        case ticketBarrier = "ticket_barrier"
        case difference, bootstrap, looks, found, level, controls, trainings, diverged, collapse, reason
        case moreSeeds = "more_seeds"
        case replicatesAsked = "replicates_asked"
        case beatsControls = "beats_controls"
        case matchingDensity = "matching_density"
        case winningDensity = "winning_density"
        case lastDensity = "last_density"
        case matchingMargin = "matching_margin"
        case bestDense = "best_dense"
        case trainingsDone = "trainings_done"
        case pointIndex = "point_index"
    }

    /// Unknown values are null rather than left out, so that every row of a sweep has the same keys.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(rank, forKey: .rank)
        try container.encode(sweep, forKey: .sweep)
        try container.encode(point, forKey: .point)
        try container.encode(verdict, forKey: .verdict)
        try container.encode(decided, forKey: .decided)
        try container.encode(density, forKey: .density)
        try container.encode(MaybeEstimate(accuracy), forKey: .accuracy)
        try container.encode(MaybeEstimate(dense), forKey: .dense)
        try container.encode(MaybeEarlyStop(earlyStop), forKey: .earlyStop)
        try container.encodeIfPresent(denseBarrier, forKey: .denseBarrier)
        try container.encodeIfPresent(ticketBarrier, forKey: .ticketBarrier)
        try container.encode(replicates, forKey: .replicates)
        try container.encode(ticket, forKey: .ticket)
        try container.encode(MaybeEstimate(difference), forKey: .difference)
        try container.encode(MaybeEstimate(bootstrap), forKey: .bootstrap)
        try container.encode(moreSeeds, forKey: .moreSeeds)
        try container.encode(replicatesAsked, forKey: .replicatesAsked)
        try container.encode(looks, forKey: .looks)
        try container.encode(found, forKey: .found)
        try container.encode(level, forKey: .level)
        try container.encode(matchingDensity, forKey: .matchingDensity)
        try container.encode(winningDensity, forKey: .winningDensity)
        try container.encode(lastDensity, forKey: .lastDensity)
        try container.encode(matchingMargin, forKey: .matchingMargin)
        try container.encode(controls, forKey: .controls)
        try container.encode(beatsControls, forKey: .beatsControls)
        try container.encode(bestDense, forKey: .bestDense)
        try container.encode(trainingsDone, forKey: .trainingsDone)
        try container.encode(trainings, forKey: .trainings)
        try container.encode(diverged, forKey: .diverged)
        try container.encode(collapse, forKey: .collapse)
        try container.encode(reason, forKey: .reason)
        try container.encode(pointIndex, forKey: .pointIndex)
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        rank = try container.decode(Int.self, forKey: .rank)
        sweep = try container.decode(String.self, forKey: .sweep)
        point = try container.decode(PointCoordinates.self, forKey: .point)
        verdict = try container.decode(Verdict.self, forKey: .verdict)
        decided = try container.decode(Decision.self, forKey: .decided)
        density = try container.decode(Double?.self, forKey: .density)
        accuracy = try container.decode(MaybeEstimate.self, forKey: .accuracy).estimate
        dense = try container.decode(MaybeEstimate.self, forKey: .dense).estimate
        earlyStop = try container.decode(MaybeEarlyStop.self, forKey: .earlyStop).earlyStop
        denseBarrier = try container.decodeIfPresent(Barrier.self, forKey: .denseBarrier)
        ticketBarrier = try container.decodeIfPresent(Barrier.self, forKey: .ticketBarrier)
        replicates = try container.decode(Int.self, forKey: .replicates)
        ticket = try container.decode(String?.self, forKey: .ticket)
        difference = try container.decode(MaybeEstimate.self, forKey: .difference).estimate
        // A coordinator of an earlier version does not say these.
        bootstrap = try container.decodeIfPresent(MaybeEstimate.self, forKey: .bootstrap)?.estimate
        moreSeeds = try container.decodeIfPresent(MoreSeeds.self, forKey: .moreSeeds)
        replicatesAsked = try container.decodeIfPresent(Int.self, forKey: .replicatesAsked) ?? replicates
        looks = try container.decodeIfPresent([Int].self, forKey: .looks) ?? [replicates]
        found = try container.decode(Verdict?.self, forKey: .found)
        level = try container.decode(Int?.self, forKey: .level)
        matchingDensity = try container.decode(Double?.self, forKey: .matchingDensity)
        winningDensity = try container.decode(Double?.self, forKey: .winningDensity)
        lastDensity = try container.decode(Double?.self, forKey: .lastDensity)
        matchingMargin = try container.decode(Double.self, forKey: .matchingMargin)
        controls = try container.decode([Control].self, forKey: .controls)
        beatsControls = try container.decodeIfPresent(Decision.self, forKey: .beatsControls)
        bestDense = try container.decode(BestDense?.self, forKey: .bestDense)
        trainingsDone = try container.decode(Int.self, forKey: .trainingsDone)
        trainings = try container.decode(Int.self, forKey: .trainings)
        diverged = try container.decode(Int.self, forKey: .diverged)
        // A coordinator of an earlier version does not say this.
        collapse = try container.decodeIfPresent(LayerCollapse.self, forKey: .collapse)
        reason = try container.decode(String?.self, forKey: .reason)
        pointIndex = try container.decode(Int.self, forKey: .pointIndex)
    }

    /// An estimate whose absence is `{"mean": null, "low": null, "high": null}`, so that `row.accuracy.mean` always
    /// reads.
    struct MaybeEstimate: Codable {
        var mean: Double?
        var low: Double?
        var high: Double?

        init(_ estimate: Estimate?) {
            mean = estimate?.mean
            low = estimate?.low
            high = estimate?.high
        }

        var estimate: Estimate? { mean.map { Estimate(mean: $0, low: low, high: high) } }

        private enum CodingKeys: String, CodingKey { case mean, low, high }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(mean, forKey: .mean)
            try container.encode(low, forKey: .low)
            try container.encode(high, forKey: .high)
        }
    }

    private struct MaybeEarlyStop: Codable {
        var mean: Double?
        var low: Double?
        var high: Double?
        var dense: Double?
        var ratio: MaybeEstimate

        init(_ earlyStop: EarlyStop?) {
            mean = earlyStop?.mean
            low = earlyStop?.low
            high = earlyStop?.high
            dense = earlyStop?.dense
            ratio = MaybeEstimate(earlyStop?.ratio)
        }

        var earlyStop: EarlyStop? {
            guard let mean, let dense, let ratio = ratio.estimate else { return nil }
            return EarlyStop(mean: mean, low: low, high: high, dense: dense, ratio: ratio)
        }

        private enum CodingKeys: String, CodingKey { case mean, low, high, dense, ratio }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(mean, forKey: .mean)
            try container.encode(low, forKey: .low)
            try container.encode(high, forKey: .high)
            try container.encode(dense, forKey: .dense)
            try container.encode(ratio, forKey: .ratio)
        }
    }
}
