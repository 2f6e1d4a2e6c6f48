import Lottery

/// What trainings cost together.
public struct TrainingCost: Hashable, Sendable, Codable {
    public var steps = 0
    /// Processor time, in seconds: what a core would have taken that did nothing else. Of a training that changed
    /// machines it is that of all its steps; what was trained and lost, and then trained again, counts once.
    public var seconds = 0.0
    /// Floating-point operations of training steps, on surviving weights. Those of evaluations and of ranking weights by
    /// gradients are not among them, though their time is in `seconds`.
    public var flops = 0.0
    /// Bytes that kernels read and write in these steps, were nothing cached.
    public var bytes = 0.0

    static func + (left: TrainingCost, right: TrainingCost) -> TrainingCost {
        TrainingCost(
            steps: left.steps + right.steps, seconds: left.seconds + right.seconds, flops: left.flops + right.flops,
            bytes: left.bytes + right.bytes)
    }

    /// That of the first steps alone.
    func first(_ count: Int) -> TrainingCost {
        guard count < steps else { return self }
        let share = Double(max(count, 0)) / Double(steps)
        return TrainingCost(
            steps: max(count, 0), seconds: seconds * share, flops: flops * share, bytes: bytes * share)
    }
}

extension Plan {
    /// All that some tasks start from, directly or not, by index: up to which step each must be trained for that, `.max`
    /// for to its end.
    fileprivate func beginnings(of some: some Sequence<Int>) -> [Int: Int] {
        var needed: [Int: Int] = [:]
        var left = Array(some)
        while let index = left.popLast() {
            for input in tasks[index].inputs {
                guard case .output(let key, let name) = input.source, let source = self.index(of: key) else { continue }
                let step = name.checkpointStep ?? .max
                if needed[source] == nil { left.append(source) }
                needed[source] = max(needed[source] ?? 0, step)
            }
        }
        return needed
    }

    /// A chain's levels, to their ends, and all that they start from.
    fileprivate func wholeChain(_ levels: some Sequence<Int>) -> [Int: Int] {
        beginnings(of: levels).merging(levels.map { ($0, .max) }) { max($0, $1) }
    }
}

/// What the search for each point's ticket cost, and what the ticket saves: per replicate, as the mean over replicates.
///
/// The search is all that must be trained before the ticket's own training can begin, as far as it is needed: for an
/// iterative chain the dense network and every level before; a one-shot ticket needs the dense network alone, one whose
/// mask comes from the weights of step k the dense network's first k steps, one that is ranked at initialisation
/// nothing. Trainings of another recipe count where the mask comes from there, searches that early-bird ends where
/// there are such. A search that found nothing is all of the chain, as far as it is trained. Controls are no part of it.
public struct CostLedger: Hashable, Sendable {
    public let sweep: String
    public let axes: [String]
    /// In the leaderboard's order, one for each point.
    public let rows: [Row]

    public struct Row: Hashable, Sendable, Codable {
        public let rank: Int
        public let sweep: String
        public let point: PointCoordinates
        /// Nil where no ticket was found, as is all that is said of one.
        public let level: Int?
        public let density: Double?
        public let ticket: String?
        public let dense: TrainingCost
        public let search: TrainingCost
        /// The ticket's own training.
        public let training: TrainingCost?
        /// Share of the dense training's operations that the ticket's own does without; negative if it has more.
        public let savedFlops: Double?
        /// Trainings of the ticket in place of the dense network after which the search is paid for, in operations; nil
        /// if it never is.
        public let paidAfter: Int?

        private enum CodingKeys: String, CodingKey {
            case rank, sweep, point, level, density, ticket, dense, search, training
            case savedFlops = "saved_flops"
            case paidAfter = "paid_after"
        }

        /// Unknown values are null rather than left out, so that every row has the same keys.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(rank, forKey: .rank)
            try container.encode(sweep, forKey: .sweep)
            try container.encode(point, forKey: .point)
            try container.encode(level, forKey: .level)
            try container.encode(density, forKey: .density)
            try container.encode(ticket, forKey: .ticket)
            try container.encode(dense, forKey: .dense)
            try container.encode(search, forKey: .search)
            try container.encode(training, forKey: .training)
            try container.encode(savedFlops, forKey: .savedFlops)
            try container.encode(paidAfter, forKey: .paidAfter)
        }
    }

    public init(plan: Plan, leaderboard: Leaderboard, tables: Records) {
        sweep = plan.sweep.name
        axes = plan.sweep.axes.map(\.name)
        let extent = Extent(plan: plan) { CellResult(tables.results($0)) }
        rows = leaderboard.rows.map {
            Row($0, plan: plan, tables: tables, levels: extent.points[$0.pointIndex].levels)
        }
    }
}

extension CostLedger.Row {
    /// - Parameter levels: how many the chain has come to ask for.
    init(_ row: LeaderboardRow, plan: Plan, tables: Records, levels: Int) {
        let runs = (0..<row.replicates).map { plan.run(point: row.pointIndex, replicate: $0) }
        let dataset = plan.sweep.points[row.pointIndex].settings.dataset
        func mean(_ trainings: (PlannedRun) -> [Int: Int]) -> TrainingCost {
            let all = runs.flatMap { trainings($0).sorted { $0.key < $1.key } }.reduce(TrainingCost()) {
                sum, training in
                let task = plan.tasks[training.key]
                guard let cost = tables.cost(of: task, dataset: dataset) else { return sum }
                return sum + cost.first(training.value - task.firstStep)
            }
            let count = Double(runs.count)
            return TrainingCost(
                steps: Int((Double(all.steps) / count).rounded()), seconds: all.seconds / count,
                flops: all.flops / count, bytes: all.bytes / count)
        }
        rank = row.rank
        sweep = row.sweep
        point = row.point
        level = row.level
        density = row.density
        ticket = row.ticket
        dense = mean { [$0.dense: .max] }
        guard let level = row.level else {
            search = mean { plan.wholeChain($0.levels.prefix(levels)) }
            training = nil
            savedFlops = nil
            paidAfter = nil
            return
        }
        search = mean { plan.beginnings(of: [$0.levels[level - 1]]) }
        let training = mean { [$0.levels[level - 1]: .max] }
        self.training = training
        savedFlops = dense.flops > 0 ? 1 - training.flops / dense.flops : 0
        let saved = dense.flops - training.flops
        paidAfter = saved > 0 ? Int((search.flops / saved).rounded(.up)) : nil
    }
}
