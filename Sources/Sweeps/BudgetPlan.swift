import Lottery

/// What of a sweep fits into an amount of core time. Times are predicted, of what is not done yet, and count a training
/// that several runs share once.
public struct BudgetPlan: Hashable, Sendable, Codable {
    /// A smaller sweep.
    public struct Choice: Hashable, Sendable, Codable {
        /// Replicates, or levels.
        public let count: Int
        public let seconds: Double
    }

    /// Core-seconds that there are.
    public let budget: Double
    /// Core-seconds of the whole sweep; of an adaptive one a bound, which takes all chains to go to their end and
    /// `refine` to use its budget.
    public let seconds: Double
    /// The sweep with fewer replicates of each point, from one up to all; where `refine` adds them, with as many as at
    /// each look.
    public let replicates: [Choice]
    /// The sweep with chains that end earlier, from none but dense networks up to all levels.
    public let levels: [Choice]

    public var fits: Bool { seconds <= budget }
    /// Nil if not even one replicate fits.
    public var mostReplicates: Choice? { replicates.last { $0.seconds <= budget } }
    /// Nil if not even the dense networks fit.
    public var mostLevels: Choice? { levels.last { $0.seconds <= budget } }
}

extension Plan {
    /// - Parameters:
    ///   - budget: core-seconds.
    ///   - cost: core-seconds of a training, on the data set of that name, with that density.
    public func budget(
        of budget: Double, costing cost: (_ task: PlannedTask, _ dataset: String, _ density: Double) throws -> Double
    ) rethrows -> BudgetPlan {
        /// The smallest sweep that has a task.
        struct Need {
            var replicate = Int.max
            var level = Int.max
            var density = 1.0
            var dataset = ""
        }
        var needs = Array(repeating: Need(), count: tasks.count)
        for point in sweep.points {
            for replicate in 0..<sweep.replicates {
                let run = run(point: point.index, replicate: replicate)
                func need(_ index: Int, _ level: Int) {
                    needs[index].replicate = min(needs[index].replicate, replicate)
                    needs[index].level = min(needs[index].level, level)
                    needs[index].density = run.densities[level]
                    needs[index].dataset = point.settings.dataset
                }
                need(run.dense, 0)
                for (position, index) in run.levels.enumerated() { need(index, position + 1) }
                for branch in run.branches {
                    for (position, index) in branch.enumerated() { if let index { need(index, position + 1) } }
                }
                for (level, index) in run.siblings.enumerated() { if let index { need(index, level) } }
            }
        }
        // What no run has but a task of one starts from: searches, replays, another recipe's levels. Parents come
        // first.
        for index in tasks.indices.reversed() where needs[index].level < .max {
            for input in tasks[index].inputs {
                guard case .output(let key, _) = input.source, let source = self.index(of: key) else { continue }
                let isNew = needs[source].level == .max
                needs[source].replicate = min(needs[source].replicate, needs[index].replicate)
                needs[source].level = min(needs[source].level, needs[index].level)
                // It is the network before that pruning; near enough.
                if isNew {
                    (needs[source].density, needs[source].dataset) = (needs[index].density, needs[index].dataset)
                }
            }
        }
        var ofReplicate = Array(repeating: 0.0, count: sweep.replicates)
        var ofLevel = Array(repeating: 0.0, count: sweep.points.deepest + 1)
        var ofTask = Array(repeating: 0.0, count: tasks.count)
        for (index, (need, task)) in zip(needs, tasks).enumerated() where need.level < .max && !task.isDone {
            let seconds = try cost(task, need.dataset, need.density)
            ofTask[index] = seconds
            ofReplicate[need.replicate] += seconds
            ofLevel[need.level] += seconds
        }
        // Of the runs beyond the first look `refine` may have a number that it does not exceed.
        var all = ofReplicate.reduce(0, +)
        if let most = sweep.refinement?.budget {
            let first = ofReplicate.prefix(sweep.looks[0]).reduce(0, +)
            let dearest =
                sweep.points.indices.flatMap { point in
                    (sweep.looks[0]..<sweep.replicates).map { replicate in
                        withInputs(tasks(ofRun: point * sweep.replicates + replicate)).reduce(0) { $0 + ofTask[$1] }
                    }
                }.max() ?? 0
            all = min(all, first + Double(most) * dearest)
        }
        func sums(_ parts: [Double], first: Int) -> [BudgetPlan.Choice] {
            var sum = 0.0
            return parts.enumerated().map { index, part in
                sum += part
                return BudgetPlan.Choice(count: first + index, seconds: sum)
            }
        }
        let counts = sweep.refinement.map { Set($0.looks) }
        return BudgetPlan(
            budget: budget, seconds: all,
            replicates: sums(ofReplicate, first: 1).filter { counts?.contains($0.count) ?? true },
            levels: sums(ofLevel, first: 0))
    }

    /// Some tasks, and all that they start from.
    private func withInputs(_ some: Set<Int>) -> Set<Int> {
        var found = some
        var left = Array(some)
        while let index = left.popLast() {
            for input in tasks[index].inputs {
                guard case .output(let key, _) = input.source, let source = self.index(of: key) else { continue }
                if found.insert(source).inserted { left.append(source) }
            }
        }
        return found
    }
}
