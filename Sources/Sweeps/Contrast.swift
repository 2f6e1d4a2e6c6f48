import Lottery
import Verdicts

/// What a setting does for tickets: the gap in accuracy between ticket and control at one value of an axis, less the gap at
/// another value, paired by seed (a difference of differences).
///
/// A recipe that trains any network better raises tickets and controls alike. Only the gap says whether the ticket's
/// initialisation has come to matter more, which is what the warmup challenge asks (SCIENCE). Where `refine` adds seeds, each look
/// spends its share of the error; nothing is adjusted for the number of levels and panels: name beforehand the one that is to be
/// decided by.
public struct Contrast: Hashable, Sendable, Encodable {
    /// Two points that differ in the axis alone.
    public struct Panel: Hashable, Sendable, Encodable {
        /// The other axes.
        public let point: PointCoordinates
        public let from: AxisValue
        public let to: AxisValue
        /// Levels that both points have and beside which the control stands, but for those before which a chain was ended on
        /// purpose.
        public let levels: [Level]
        /// Why a point has nothing to compare, if it has not: a dense network diverged, or tasks failed.
        public let reason: String?

        private enum CodingKeys: String, CodingKey { case point, from, to, levels, reason }

        /// An unknown reason is null, so that every panel has the same keys.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(point, forKey: .point)
            try container.encode(from, forKey: .from)
            try container.encode(to, forKey: .to)
            try container.encode(levels, forKey: .levels)
            try container.encode(reason, forKey: .reason)
        }
    }

    public struct Level: Hashable, Sendable, Encodable {
        public let level: Int
        /// Measured, or expected until all are done. Where the axis decides what is pruned the two differ, and so do the
        /// networks that are compared.
        public let densityFrom: Double
        public let densityTo: Double
        /// Pairs: the replicates that both points have results of; 0 until all are done.
        public let replicates: Int
        /// Accuracy of the ticket less that of the control, as a fraction of the test set; nil until all are done, and where
        /// the panel's reason keeps them from being compared.
        public let gapFrom: Estimate?
        public let gapTo: Estimate?
        /// `gapTo` less `gapFrom`, with the unadjusted 95 % t interval of the pairs.
        public let difference: Estimate?
        /// Two-sided, of the claim that there is a difference, over all looks that are reached; nil for fewer than two pairs.
        public let pValue: Double?
        /// Whether the gap is larger at `to`, at 2.5 % to either side.
        public let isLarger: Decision
        /// Replicates that would decide it; nil where it is decided, or none are known to.
        public let moreSeeds: MoreSeeds?

        private enum CodingKeys: String, CodingKey {
            case level, replicates, difference
            case densityFrom = "density_from"
            case densityTo = "density_to"
            case gapFrom = "gap_from"
            case gapTo = "gap_to"
            case pValue = "p_value"
            case isLarger = "is_larger"
            case moreSeeds = "more_seeds"
        }

        /// Unknown values are null, so that every level has the same keys.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(level, forKey: .level)
            try container.encode(densityFrom, forKey: .densityFrom)
            try container.encode(densityTo, forKey: .densityTo)
            try container.encode(replicates, forKey: .replicates)
            try container.encode(LeaderboardRow.MaybeEstimate(gapFrom), forKey: .gapFrom)
            try container.encode(LeaderboardRow.MaybeEstimate(gapTo), forKey: .gapTo)
            try container.encode(LeaderboardRow.MaybeEstimate(difference), forKey: .difference)
            try container.encode(pValue, forKey: .pValue)
            try container.encode(isLarger, forKey: .isLarger)
            try container.encode(moreSeeds, forKey: .moreSeeds)
        }
    }

    public let sweep: String
    /// As the sweep calls it.
    public let axis: String
    /// The branch that tickets are held against, or `dense`.
    public let control: String
    /// In the order of points. Of points that differ in the axis alone each stands beside the first of them.
    public let panels: [Panel]

    /// The name of the dense network among controls.
    public static let dense = "dense"

    /// - Parameters:
    ///   - axis: a setting that the sweep varies, by its path or short name.
    ///   - control: a branch of the sweep, or `dense`.
    ///   - results: what the store holds for a task.
    /// - Throws: `AtlasError` for an axis or a control that the sweep has not, or where no two points differ in the axis
    ///   alone.
    public init(
        plan: Plan, axis name: String, control: String, results: (TaskKey) -> CellResult
    ) throws(AtlasError) {
        let sweep = plan.sweep
        let axis = try Atlas.axis(name)
        guard sweep.axes.contains(where: { $0.name == axis }) else {
            let axes =
                sweep.axes.isEmpty ? "it has no axes" : "its axes are \(sweep.axes.map(\.name).joined(separator: ", "))"
            throw AtlasError(message: "the sweep \"\(sweep.name)\" does not vary \(axis); \(axes)")
        }
        let controls = sweep.branches.map(\.name) + [Contrast.dense]
        let branch = sweep.branches.firstIndex { $0.name == control }
        guard branch != nil || control == Contrast.dense else {
            throw AtlasError(
                message:
                    "the sweep \"\(sweep.name)\" has no branch \"\(control)\"; it has \(controls.joined(separator: ", "))"
            )
        }
        self.sweep = sweep.name
        self.axis = axis
        self.control = control

        let cells = plan.tasks.map { Cell(results($0.key), rates: $0.rates) }
        let extent = Extent(plan: plan, cells: cells)
        let others = sweep.axes.map(\.name).filter { $0 != axis }
        var firsts: [PointCoordinates: (value: AxisValue, evidence: PointEvidence)] = [:]
        var panels: [Panel] = []
        for (point, extent) in zip(sweep.points, extent.points) {
            let coordinates = PointCoordinates(sweep: sweep, point: point)
            let rest = coordinates.restricted(to: others)
            let value = coordinates[axis]!  // an axis of the sweep, checked above
            let evidence = PointEvidence(plan: plan, point: point, cells: cells, extent: extent)
            guard let first = firsts[rest] else {
                firsts[rest] = (value, evidence)
                continue
            }
            let pairs = zip(first.evidence.levels, evidence.levels).enumerated().filter { index, pair in
                branch.map { sweep.branches[$0].stands(beside: index + 1) } ?? true
                    && !pair.0.isBeyondStop && !pair.1.isBeyondStop
            }
            let levels = pairs.map { index, pair in
                Level(
                    level: index + 1, densities: (pair.0.density, pair.1.density),
                    from: Contrast.gaps(pair.0, first.evidence, branch), to: Contrast.gaps(pair.1, evidence, branch),
                    looks: sweep.looks)
            }
            let reasons = [first.evidence, evidence].compactMap { $0.incomparable ?? $0.failure }
            panels.append(
                Panel(point: rest, from: first.value, to: value, levels: levels, reason: reasons.first))
        }
        guard !panels.isEmpty else {
            throw AtlasError(
                message:
                    "no two points of the sweep \"\(sweep.name)\" differ in \(axis) alone, so there is nothing to compare"
            )
        }
        self.panels = panels
    }

    /// Ticket and control, replicate by replicate; nil until all are done, and where a network that they are measured by diverged.
    private static func gaps(
        _ level: PointEvidence.Level, _ evidence: PointEvidence, _ branch: Int?
    ) -> (tickets: [Outcome], controls: [Outcome])? {
        guard evidence.incomparable == nil, let tickets = level.outcomes,
            let controls = branch.map({ level.branches[$0] }) ?? evidence.dense
        else { return nil }
        return (tickets, controls)
    }
}

extension Contrast.Level {
    fileprivate typealias Gaps = (tickets: [Outcome], controls: [Outcome])

    fileprivate init(level: Int, densities: (Double, Double), from: Gaps?, to: Gaps?, looks: [Int]) {
        self.level = level
        (densityFrom, densityTo) = densities
        func gap(_ gaps: Gaps?) -> PairedSample? { gaps.map { PairedSample($0.tickets, minus: $0.controls) } }
        let (first, second) = (gap(from), gap(to))
        gapFrom = first.flatMap { Estimate($0.differences) }
        gapTo = second.flatMap { Estimate($0.differences) }
        guard let first, let second else {
            (replicates, difference, pValue, isLarger, moreSeeds) = (0, nil, nil, .undecided, nil)
            return
        }
        // Where `refine` added seeds to one of the points, the others have no pair.
        let pairs = zip(second.differences, first.differences).map { $0 - $1 }
        let sample = PairedSample(pairs, resolution: max(first.resolution, second.resolution))
        replicates = pairs.count
        difference = Estimate(pairs)
        let design = TestDesign(margin: 0, rewoundToStart: true, looks: looks)
        let above = design.probability(with: pairs.count) { sample.probability(above: 0, first: $0) }
        let below = design.probability(with: pairs.count) { sample.probability(below: 0, first: $0) }
        pValue = pairs.count < 2 ? nil : min(1, 2 * min(above, below))
        isLarger = above <= TestDesign.error ? .yes : below <= TestDesign.error ? .no : .undecided
        moreSeeds = isLarger == .undecided ? sample.moreSeeds(toDecide: 0, error: design.errorPerLook) : nil
    }
}
