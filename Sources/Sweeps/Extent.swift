import Lottery
import Verdicts

/// How far each point of a sweep goes: all replicates and levels of the plan, unless `refine` and `stop_when` say
/// otherwise. It follows from plan and results alone.
///
/// Results only ever add to it: what is asked for once stays asked for, in whatever order results come. So a sweep that
/// was interrupted ends with the same tasks, and the same leaderboard, as one that was not.
public struct Extent: Hashable, Sendable {
    public struct Point: Hashable, Sendable {
        /// Replicates that are asked for.
        public var replicates: Int
        /// Of those, the replicates of the last look that is complete; those of the first before that.
        public var tested: Int
        /// Levels that are asked for.
        public var levels: Int
        /// Whether `stop_when` ended the chain before its last level, which then is `levels`.
        public var isStopped: Bool

        public init(replicates: Int, tested: Int, levels: Int, isStopped: Bool) {
            self.replicates = replicates
            self.tested = tested
            self.levels = levels
            self.isStopped = isStopped
        }
    }

    public private(set) var points: [Point]

    /// - Parameter results: what the store holds for a task.
    public init(plan: Plan, results: (TaskKey) -> CellResult) {
        self.init(plan: plan, cells: plan.isAdaptive ? plan.tasks.map { Cell(results($0.key), rates: $0.rates) } : [])
    }

    /// - Parameter cells: by task of the plan; none are needed unless it is adaptive.
    init(plan: Plan, cells: [Cell]) {
        let sweep = plan.sweep
        let first = sweep.looks[0]
        points = sweep.points.map { point in
            guard let rule = sweep.stopRule else {
                return Point(
                    replicates: first, tested: first, levels: point.settings.pruning.levels, isStopped: false)
            }
            let (levels, isStopped) = Extent.levels(of: point, in: plan, cells, rule)
            return Point(replicates: first, tested: first, levels: levels, isStopped: isStopped)
        }
        if let refinement = sweep.refinement { refine(refinement, plan, cells) }
    }

    // MARK: stop_when

    /// As many levels as no result yet to come can take back, and whether these are all there will be.
    private static func levels(
        of point: GridPoint, in plan: Plan, _ cells: [Cell], _ rule: StopRule
    ) -> (levels: Int, isStopped: Bool) {
        let settings = point.settings
        let all = settings.pruning.levels
        let runs = (0..<plan.sweep.looks[0]).map { plan.run(point: point.index, replicate: $0) }
        var below = 0
        for level in 0..<all {
            var differences: [Double] = []
            for run in runs {
                guard let ticket = cells[run.levels[level]].outcome(settings.report),
                    let dense = cells[run.dense].outcome(settings.report)
                else { break }
                differences.append(ticket.accuracy - dense.accuracy)
            }
            guard differences.count == runs.count, let mean = Estimate(differences)?.mean else {
                return (min(all, level + rule.levels - below), false)
            }
            // Means at the margin itself are off by rounding.
            below = mean < -rule.margin - 1e-12 ? below + 1 : 0
            if below == rule.levels { return (level + 1, level + 1 < all) }
        }
        return (all, false)
    }

    // MARK: refine

    private enum Look {
        /// Not all results are there.
        case waiting
        /// More replicates would help.
        case undecided(MoreSeeds)
        /// Decided, or beyond help.
        case settled
        /// A task failed or was cancelled, so that no test can be made.
        case broken
    }

    /// Goes from look to look. Where the budget is not enough for all that are undecided, those that need the fewest
    /// seeds come first, once all are known; where it is enough whatever comes, nobody waits.
    private mutating func refine(_ refinement: Refinement, _ plan: Plan, _ cells: [Cell]) {
        var left = refinement.budget ?? .max
        var candidates = Array(points.indices)
        // Points of earlier looks that may still come to this one.
        var others = 0
        for (look, next) in zip(refinement.looks, refinement.looks.dropFirst()) {
            var undecided: [(point: Int, seeds: MoreSeeds)] = []
            for index in candidates {
                switch self.look(at: look, point: plan.sweep.points[index], plan, cells) {
                case .waiting: others += 1
                case .undecided(let seeds):
                    points[index].tested = look
                    undecided.append((index, seeds))
                case .settled: points[index].tested = look
                case .broken: break
                }
            }
            let added = next - look
            let affordable = left / added
            if undecided.count + others > affordable {
                guard others == 0 else { return }
                undecided.sort { ($0.seeds, $0.point) < ($1.seeds, $1.point) }
                undecided.removeLast(undecided.count - affordable)
            }
            left -= added * (undecided.count + others)
            candidates = undecided.map(\.point).sorted()
            for index in candidates { points[index].replicates = next }
        }
        for index in candidates {
            switch look(at: points[index].replicates, point: plan.sweep.points[index], plan, cells) {
            case .undecided, .settled: points[index].tested = points[index].replicates
            case .waiting, .broken: break
            }
        }
    }

    private func look(at look: Int, point: GridPoint, _ plan: Plan, _ cells: [Cell]) -> Look {
        var extent = points[point.index]
        extent.replicates = look
        extent.tested = look
        let evidence = PointEvidence(plan: plan, point: point, cells: cells, extent: extent)
        switch evidence.progress {
        case .pending: return .waiting
        case .failed: return .broken
        case .stopped where evidence.wasCancelled: return .broken
        case .stopped, .complete: break
        }
        let headline = evidence.headline
        return headline.decided == .undecided ? headline.moreSeeds.map(Look.undecided) ?? .settled : .settled
    }
}

extension Plan {
    /// Whether what is trained depends on results.
    public var isAdaptive: Bool { sweep.refinement != nil || sweep.stopRule != nil }

    /// Whether each task is asked for.
    public func isAsked(within extent: Extent) -> [Bool] {
        guard isAdaptive else { return Array(repeating: true, count: tasks.count) }
        var isAsked = Array(repeating: false, count: tasks.count)
        for (point, extent) in zip(sweep.points, extent.points) {
            for replicate in 0..<extent.replicates {
                let run = run(point: point.index, replicate: replicate)
                isAsked[run.dense] = true
                for index in run.levels.prefix(extent.levels) { isAsked[index] = true }
                for branch in run.branches {
                    for index in branch.prefix(extent.levels) { if let index { isAsked[index] = true } }
                }
                for sibling in run.siblings.prefix(extent.levels + 1) { if let sibling { isAsked[sibling] = true } }
            }
        }
        // What no run has but a task of one starts from, such as a replay. Parents come first.
        for index in tasks.indices.reversed() where isAsked[index] {
            for input in tasks[index].inputs {
                if case .output(let key, _) = input.source, let source = self.index(of: key) { isAsked[source] = true }
            }
        }
        return isAsked
    }
}
