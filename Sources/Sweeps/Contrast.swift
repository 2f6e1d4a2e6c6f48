import Lottery
import Verdicts

/// What a setting does for tickets: the gap in accuracy between ticket and control at one value of an axis, less the gap at
/// another value, paired by seed (a difference of differences).
///
/// A recipe that trains any network better raises tickets and controls alike. Only the gap says whether the ticket's
/// initialisation has come to matter more, which is what a study of warmup asks. Where `refine` adds seeds, each look
/// spends its share of the error. The levels that are to be decided by are to be named beforehand; those of all panels share the
/// error (Bonferroni), and other levels are described, not tested.
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
        /// Why none of it can be compared, if that is so: a dense network diverged, or no level is left.
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

    /// Which way the gap differs at `to`, where that is tested.
    public enum Direction: String, Hashable, Sendable, Codable {
        case larger, smaller, undecided
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
        /// a reason keeps them from being compared. Of the pairs alone, once there are any.
        public let gapFrom: Estimate?
        public let gapTo: Estimate?
        /// `gapTo` less `gapFrom`, with the unadjusted 95 % t interval of the pairs.
        public let difference: Estimate?
        /// Two-sided, of the claim that there is a difference, over all looks that are reached and times the number of tests;
        /// nil for fewer than two pairs, and at a level that is not tested.
        public let pValue: Double?
        /// Decided where the p is at most 5 %, which is 2.5 % to either side; nil at a level that is not tested.
        public let direction: Direction?
        /// Replicates that would decide it; nil where it is decided, or none are known to.
        public let moreSeeds: MoreSeeds?
        /// Tickets and controls of the pairs that diverged: each counts as no image right.
        public let divergedFrom: Int
        public let divergedTo: Int
        /// Why it is not compared and will not be: a training failed or was cancelled.
        public let reason: String?

        private enum CodingKeys: String, CodingKey {
            case level, replicates, difference, direction, reason
            case densityFrom = "density_from"
            case densityTo = "density_to"
            case gapFrom = "gap_from"
            case gapTo = "gap_to"
            case pValue = "p_value"
            case moreSeeds = "more_seeds"
            case divergedFrom = "diverged_from"
            case divergedTo = "diverged_to"
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
            try container.encode(direction, forKey: .direction)
            try container.encode(moreSeeds, forKey: .moreSeeds)
            try container.encode(divergedFrom, forKey: .divergedFrom)
            try container.encode(divergedTo, forKey: .divergedTo)
            try container.encode(reason, forKey: .reason)
        }
    }

    public let sweep: String
    /// As the sweep calls it.
    public let axis: String
    /// The branch that tickets are held against, or `dense`.
    public let control: String
    /// How many levels of all panels are tested.
    public let tests: Int
    /// In the order of points. Of points that differ in the axis alone each stands beside the first of them.
    public let panels: [Panel]

    /// The name of the dense network among controls.
    public static let dense = "dense"

    /// - Parameters:
    ///   - axis: a setting that the sweep varies, by its path or short name.
    ///   - control: a branch of the sweep, or `dense`.
    ///   - named: the levels to be decided by; all if it is empty.
    ///   - results: what the store holds for a task.
    /// - Throws: `AtlasError` for an axis, a control or a level that the sweep has not, or where no two points differ in the
    ///   axis alone.
    public init(
        plan: Plan, axis name: String, control: String, named: Set<Int> = [], results: (TaskKey) -> CellResult
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
        var firsts: [PointCoordinates: Side] = [:]
        var pairs: [Pair] = []
        for (point, extent) in zip(sweep.points, extent.points) {
            let coordinates = PointCoordinates(sweep: sweep, point: point)
            let rest = coordinates.restricted(to: others)
            let value = coordinates[axis]!  // an axis of the sweep, checked above
            let evidence = PointEvidence(plan: plan, point: point, cells: cells, extent: extent)
            let side = Side(
                name: "\(axis) \(value)", value: value, evidence: evidence,
                runs: (0..<extent.tested).map { plan.run(point: point.index, replicate: $0) }, branch: branch)
            guard let first = firsts[rest] else {
                firsts[rest] = side
                continue
            }
            let levels = first.evidence.levels.indices.filter { index in
                evidence.levels.indices.contains(index)
                    && branch.map { sweep.branches[$0].stands(beside: index + 1) } ?? true
                    && !first.evidence.levels[index].isBeyondStop && !evidence.levels[index].isBeyondStop
            }
            pairs.append(Pair(rest: rest, from: first, to: side, levels: levels))
        }
        guard !pairs.isEmpty else {
            throw AtlasError(
                message:
                    "no two points of the sweep \"\(sweep.name)\" differ in \(axis) alone, so there is nothing to compare"
            )
        }
        let present = Set(pairs.flatMap(\.levels).map { $0 + 1 })
        if let absent = named.subtracting(present).min() {
            let list = present.sorted().map(String.init).joined(separator: ", ")
            throw AtlasError(
                message: "no level \(absent) can be compared"
                    + (list.isEmpty ? "" : "; beside \(control) there are the levels \(list)"))
        }
        let isTested = { (index: Int) in named.isEmpty || named.contains(index + 1) }
        let tests = pairs.reduce(0) { $0 + $1.levels.count(where: isTested) }
        self.tests = tests
        panels = pairs.map { pair in
            let levels = pair.levels.map {
                Level(
                    index: $0, from: pair.from, to: pair.to, cells, looks: sweep.looks,
                    tests: isTested($0) ? tests : nil)
            }
            var reasons = [pair.from, pair.to].compactMap { side in
                side.evidence.incomparable.map { "\(side.name): \($0)" }
            }
            if levels.isEmpty { reasons.append("both have no level beside which \(control) stands") }
            return Panel(
                point: pair.rest, from: pair.from.value, to: pair.to.value, levels: levels,
                reason: reasons.isEmpty ? nil : reasons.joined(separator: "; "))
        }
    }

    /// What a panel is made of.
    private struct Pair {
        var rest: PointCoordinates
        var from: Side
        var to: Side
        /// Indices of the levels that can be compared.
        var levels: [Int]
    }

    /// One point of a panel.
    fileprivate struct Side {
        /// `warmup 500`
        var name: String
        var value: AxisValue
        var evidence: PointEvidence
        /// Of the replicates that are tested.
        var runs: [PlannedRun]
        /// Nil: tickets are held against the dense network.
        var branch: Int?

        /// Ticket less control, replicate by replicate; nil until all are done, and where a network that they are
        /// measured by diverged.
        func gap(_ index: Int) -> PairedSample? {
            let level = evidence.levels[index]
            guard evidence.incomparable == nil, let tickets = level.outcomes,
                let controls = branch.map({ level.branches[$0] }) ?? evidence.dense
            else { return nil }
            return PairedSample(tickets, minus: controls)
        }

        /// Tasks of the tickets and of the controls of the first replicates.
        private func trainings(_ index: Int, of replicates: Int) -> [Int] {
            let runs = runs.prefix(replicates)
            return runs.map { $0.levels[index] }
                + runs.compactMap { run in branch.map { run.branches[$0][index] } ?? run.dense }
        }

        /// How many of them diverged.
        func diverged(_ index: Int, of replicates: Int, _ cells: [Cell]) -> Int {
            trainings(index, of: replicates).count { cells[$0].divergedAt != nil }
        }

        /// Why the level will not be compared.
        func reason(_ index: Int, _ cells: [Cell]) -> String? {
            // What fails or is cancelled takes along all that starts from it, the tickets' dense network included.
            for task in trainings(index, of: runs.count) {
                switch cells[task].state {
                case .failed(let reason): return "\(name): \(reason)"
                case .stopped: return "\(name): a training was cancelled"
                case .pending, .done: break
                }
            }
            return nil
        }
    }
}

extension Contrast.Level {
    /// - Parameter tests: among how many the error is shared; nil where the level is not tested.
    fileprivate init(
        index: Int, from: Contrast.Side, to: Contrast.Side, _ cells: [Cell], looks: [Int], tests: Int?
    ) {
        level = index + 1
        densityFrom = from.evidence.levels[index].density
        densityTo = to.evidence.levels[index].density
        let (first, second) = (from.gap(index), to.gap(index))
        guard let first, let second else {
            gapFrom = first.flatMap { Estimate($0.differences) }
            gapTo = second.flatMap { Estimate($0.differences) }
            (replicates, difference, pValue, moreSeeds) = (0, nil, nil, nil)
            direction = tests == nil ? nil : .undecided
            (divergedFrom, divergedTo) = (0, 0)
            reason = from.reason(index, cells) ?? to.reason(index, cells)
            return
        }
        reason = nil
        // Where `refine` added seeds to one of the points, those have no pair.
        replicates = min(first.differences.count, second.differences.count)
        divergedFrom = from.diverged(index, of: replicates, cells)
        divergedTo = to.diverged(index, of: replicates, cells)
        gapFrom = Estimate(Array(first.differences.prefix(replicates)))
        gapTo = Estimate(Array(second.differences.prefix(replicates)))
        let pairs = zip(second.differences, first.differences).map { $0 - $1 }
        let sample = PairedSample(pairs, resolution: max(first.resolution, second.resolution))
        difference = Estimate(pairs)
        guard let tests else {
            (pValue, direction, moreSeeds) = (nil, nil, nil)
            return
        }
        let design = TestDesign(margin: 0, rewoundToStart: true, looks: looks)
        let above = Double(tests) * design.probability(with: pairs.count) { sample.probability(above: 0, first: $0) }
        let below = Double(tests) * design.probability(with: pairs.count) { sample.probability(below: 0, first: $0) }
        pValue = pairs.count < 2 ? nil : min(1, 2 * min(above, below))
        direction = above <= TestDesign.error ? .larger : below <= TestDesign.error ? .smaller : .undecided
        moreSeeds =
            direction == .undecided ? sample.moreSeeds(toDecide: 0, error: design.errorPerLook / Double(tests)) : nil
    }
}
