import Lottery
import Verdicts

/// What is known of one task when a leaderboard is made.
public enum CellResult: Hashable, Sendable {
    case pending
    case done(LevelSummary)
    case failed(reason: String)
    /// Ended early on purpose.
    case stopped
}

/// A sweep's points ranked by the tickets they gave: a pure function of plan and results, so that two stores with the
/// same results give the same bytes.
public struct Leaderboard: Hashable, Sendable, Codable {
    public let sweep: String
    /// Axis names as written; a row's `point` has one value for each.
    public let axes: [String]
    public let branches: [String]
    /// Best first: decided tickets, then undecided ones, then points without a ticket; in each by density, accuracy and
    /// point order. These are what `tombola leaderboard --json` prints.
    public let rows: [LeaderboardRow]
    /// Accuracy by density, one curve per point in point order; empty if they were not asked for.
    public let curves: [DensityCurve]
    /// Of each point in point order; nil unless masks are found under one recipe and trained under another.
    public let recipes: [PointRecipes]?

    /// - Parameters:
    ///   - withCurves: false leaves out what takes most of the time.
    ///   - results: what the store holds for a task.
    public init(plan: Plan, withCurves: Bool = true, results: (TaskKey) -> CellResult) {
        sweep = plan.sweep.name
        axes = plan.sweep.axes.map(\.name)
        branches = plan.sweep.branches.map(\.name)
        // Points share tasks, so each result is asked for once.
        let cells = plan.tasks.map { Cell(results($0.key), rates: $0.rates) }
        let extent = Extent(plan: plan, cells: cells)
        let evidence = zip(plan.sweep.points, extent.points).map {
            PointEvidence(plan: plan, point: $0, cells: cells, extent: $1)
        }
        recipes =
            plan.sweep.transplant == nil
            ? nil : plan.sweep.points.compactMap { PointRecipes(sweep: plan.sweep, point: $0) }
        let bestDense = BestDense(plan: plan, evidence: evidence)
        curves =
            withCurves
            ? zip(plan.sweep.points, evidence).map { DensityCurve(plan: plan, point: $0, evidence: $1) } : []
        rows = zip(plan.sweep.points, evidence)
            .map { LeaderboardRow(plan: plan, point: $0, evidence: $1, bestDense: bestDense.recipe(for: $0.settings)) }
            .sorted(by: LeaderboardRow.ranksBefore)
            .enumerated().map { $1.ranked($0 + 1) }
    }

    private enum CodingKeys: String, CodingKey { case sweep, axes, branches, rows, curves, recipes }

    /// JSON objects have no order; the axes' order comes from the leaderboard.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        sweep = try container.decode(String.self, forKey: .sweep)
        axes = try container.decode([String].self, forKey: .axes)
        recipes = try container.decodeIfPresent([PointRecipes].self, forKey: .recipes)
        branches = try container.decode([String].self, forKey: .branches)
        let axes = axes
        rows = try container.decode([LeaderboardRow].self, forKey: .rows).map {
            var row = $0
            row.point.order(by: axes)
            return row
        }
        curves = try container.decode([DensityCurve].self, forKey: .curves).map {
            var curve = $0
            curve.point.order(by: axes)
            return curve
        }
    }
}

/// One result, in the few numbers that verdicts need.
struct Cell {
    enum State: Equatable {
        case pending
        case done
        case failed(reason: String)
        case stopped
    }

    var state: State
    var density = 1.0
    /// Layers without a survivor: pruning has cut the network in two.
    var emptied: [String] = []
    var divergedAt: Int?
    var final: Evaluation?
    var earlyStop: Evaluation?
    /// Of a sibling: the error barrier to its peer; nil if it diverged.
    var barrier: Double?

    /// - Parameter rates: those of the task; nil for a dense one.
    init(_ result: CellResult, rates: PruneRates?) {
        switch result {
        case .pending: state = .pending
        case .failed(let reason): state = .failed(reason: reason)
        case .stopped: state = .stopped
        case .done(let summary):
            state = .done
            // Layers that are never pruned are not counted (glossary, “density”), and only rates tell which those are.
            let prunable = summary.layers.filter { layer in rates.map { $0[layer.kind] > .zero } ?? true }
            let weights = prunable.reduce(0) { $0 + $1.weights }
            density = weights == 0 ? 1 : Double(prunable.reduce(0) { $0 + $1.surviving }) / Double(weights)
            emptied = summary.layers.filter { $0.weights > 0 && $0.surviving == 0 }.map(\.name)
            divergedAt = summary.divergedAt
            final = summary.final
            earlyStop = summary.earlyStop
            barrier = summary.connectivity?.barrier
        }
    }

    /// The outcome as the spec reports it; nil until done. A diverged network gets no image right.
    func outcome(_ report: ReportedStep) -> Outcome? {
        guard state == .done else { return nil }
        // How many images there are only results that did not diverge say; of those compared the most counts.
        guard divergedAt == nil, let final else { return Outcome(accuracy: 0, earlyStop: nil, testImages: 1) }
        let reported = report == .final ? final : earlyStop ?? final
        return Outcome(accuracy: reported.testAccuracy, earlyStop: earlyStop?.step, testImages: reported.testCount)
    }
}

/// A point's results, all replicates of its last complete look side by side.
struct PointEvidence {
    struct Level {
        /// Measured once done, expected before.
        var density: Double
        /// One per replicate; nil until all are done.
        var outcomes: [Outcome]?
        var comparison: Comparison?
        /// Per branch; nil for one that does not stand beside the level, too.
        var branches: [[Outcome]?]
        /// Whether the chain was ended on purpose before this level.
        var isBeyondStop: Bool
        /// Why there is no comparison: `pending`, `stopped` or `failed`; nil where there is one.
        var lack: Verdict?
    }

    let extent: Extent.Point
    let looks: [Int]
    var dense: [Outcome]?
    /// Level n is at n − 1.
    var levels: [Level] = []
    /// Of level n at n, from the dense network on; empty where nothing has a sibling.
    var barriers: [Barrier] = []
    let test: ChainTest
    var progress = ChainProgress.complete
    /// Whether trainings of its chains were cancelled, or waited for such.
    private(set) var wasCancelled = false
    var failure: String?
    /// Why no level can be compared with the dense network, if none can.
    var incomparable: String?
    /// Validation accuracy of the dense network after the last step, for choosing the best recipe; nil until all are
    /// done.
    var denseValidation: [Double]?
    /// Trainings of the chain that are asked for (dense included, and the chain that gives the masks; branches, siblings
    /// and early-bird searches not), and how many are done and how many of those diverged.
    var trainings = 0
    var trainingsDone = 0
    var diverged = 0
    /// The first level of any replicate's chain at which a layer is empty, with these layers.
    var collapse: LayerCollapse?

    init(plan: Plan, point: GridPoint, cells: [Cell], extent: Extent.Point) {
        let settings = point.settings
        self.extent = extent
        looks = plan.sweep.looks
        let runs = (0..<extent.tested).map { plan.run(point: point.index, replicate: $0) }
        let design = plan.sweep.testDesign(of: settings, densities: runs[0].densities)
        func outcomes(_ index: (PlannedRun) -> Int?) -> [Outcome]? {
            let known = runs.compactMap { run in index(run).flatMap { cells[$0].outcome(settings.report) } }
            return known.count == runs.count ? known : nil
        }
        let dense = outcomes(\.dense)
        self.dense = dense
        incomparable = PointEvidence.incomparable(runs, cells, settings.pruning)
        let validation = runs.compactMap {
            cells[$0.dense].divergedAt == nil ? cells[$0.dense].final?.validationAccuracy : nil
        }
        denseValidation = validation.count == runs.count ? validation : nil
        for level in 0..<settings.pruning.levels {
            // What another point or an earlier spec trained beyond does not count: it is there or not by chance.
            let isBeyondStop = extent.isStopped && level >= extent.levels
            let tickets = isBeyondStop ? nil : outcomes { $0.levels[level] }
            let measured = tickets == nil ? nil : Estimate(runs.map { cells[$0.levels[level]].density })?.mean
            let comparison =
                incomparable == nil
                ? zipped(tickets, dense).map { Comparison(tickets: $0, dense: $1, design: design) } : nil
            var lack: Verdict?
            if isBeyondStop {
                lack = .stopped
            } else if comparison == nil {
                lack =
                    incomparable == nil
                    ? PointEvidence.lack(runs.flatMap { [cells[$0.dense], cells[$0.levels[level]]] }) : .failed
            }
            levels.append(
                Level(
                    density: measured ?? runs[0].densities[level + 1], outcomes: tickets, comparison: comparison,
                    branches: plan.sweep.branches.indices.map { branch in
                        isBeyondStop ? nil : outcomes { $0.branches[branch][level] }
                    }, isBeyondStop: isBeyondStop, lack: lack))
        }
        test = ChainTest(levels: levels.map { level in level.comparison.map { (level.density, $0) } })
        if plan.sweep.instability != nil {
            barriers = (0..<settings.pruning.levels + 1).map { level in
                level > 0 && levels[level - 1].isBeyondStop
                    ? Barrier(estimate: nil, diverged: 0) : Barrier(of: level, in: runs, cells: cells)
            }
        }

        let length = extent.isStopped ? extent.levels : settings.pruning.levels
        var isTestedPending = false
        for replicate in 0..<extent.replicates {
            let run = plan.run(point: point.index, replicate: replicate)
            // A mask that a search gives is of no chain.
            let masks = run.masks.prefix(length).filter { !run.searches.contains($0) }
            for index in ([run.dense] + run.levels.prefix(length) + masks).uniqued() {
                trainings += 1
                switch cells[index].state {
                case .done:
                    trainingsDone += 1
                    if cells[index].divergedAt != nil { diverged += 1 }
                case .pending: if replicate < extent.tested { isTestedPending = true }
                case .stopped: wasCancelled = true
                case .failed(let reason): failure = failure ?? reason
                }
            }
        }
        for level in 0..<settings.pruning.levels where collapse == nil {
            let emptied = runs.map { cells[$0.levels[level]].emptied }.first { !$0.isEmpty }
            collapse = emptied.map { LayerCollapse(level: level + 1, layers: $0) }
        }
        if failure != nil {
            progress = .failed
        } else if wasCancelled {
            progress = .stopped
        } else if isTestedPending {
            progress = .pending
        } else if extent.isStopped {
            progress = .stopped
        }
        // A rule that waits for levels that will never come asks for none beyond them.
        let end: Verdict? = progress == .failed ? .failed : wasCancelled ? .stopped : nil
        for level in levels.indices.dropFirst(extent.levels) where levels[level].lack == .pending {
            levels[level].lack = end ?? .pending
        }
    }

    /// Of results that are not all done. What waits for a task that failed or was cancelled does as that.
    private static func lack(_ cells: [Cell]) -> Verdict {
        var lack = Verdict.pending
        for cell in cells {
            switch cell.state {
            case .failed: return .failed
            case .stopped: lack = .stopped
            case .pending, .done: break
            }
        }
        return lack
    }

    var headline: Headline {
        Headline(
            levels: levels.map { level in level.comparison.map { (level.density, $0) } }, test: test,
            progress: progress, length: extent.isStopped ? extent.levels : nil, isComparable: incomparable == nil)
    }

    private static func incomparable(_ runs: [PlannedRun], _ cells: [Cell], _ pruning: PruningSettings) -> String? {
        if runs.contains(where: { cells[$0.dense].divergedAt != nil }) {
            return "the dense network diverged, so there is nothing to compare with"
        }
        // What masks were taken from a step before that is as it would be.
        let lastStep = if case .step(let step) = pruning.at { step } else { Int.max }
        let giverDiverged = runs.contains { run in
            run.masks.first.flatMap { cells[$0].divergedAt }.map { $0 < lastStep } ?? false
        }
        return giverDiverged ? "the network whose weights gave the first masks diverged, so these say nothing" : nil
    }
}

private func zipped<One, Other>(_ one: One?, _ other: Other?) -> (One, Other)? {
    guard let one, let other else { return nil }
    return (one, other)
}

/// For each model and data set, the dense recipe with the best mean validation accuracy (glossary, “The verdict”):
/// tickets of a weak recipe should not look good beside a weak dense network only.
///
/// Points that share their dense trainings are one recipe, which has as many replicates as the point with the most of
/// them. Between recipes decide the replicates that all of them have: where `refine` adds some, the others would come
/// to their means by easier or harder seeds.
struct BestDense {
    struct Recipe {
        /// The first of those with the most replicates.
        var point: GridPoint
        var outcomes: [Outcome]
        /// Nil where a training diverged: a recipe that does is not the best.
        fileprivate var validation: [Double]?
    }

    private struct Subject: Hashable {
        var dataset: String
        var data: DataSettings
        var model: ModelSettings
        var report: ReportedStep

        init(_ settings: Settings) {
            dataset = settings.dataset
            data = settings.data
            model = settings.model
            // How θ0 is drawn belongs to the recipe.
            model.initialisation = ModelSettings().initialisation
            report = settings.report
        }
    }

    private var best: [Subject: Recipe] = [:]

    init(plan: Plan, evidence: [PointEvidence]) {
        // In point order, and where those of a subject are by replicate 0's dense training.
        var recipes: [Subject: [Recipe]] = [:]
        var places: [Subject: [Int: Int]] = [:]
        for (point, evidence) in zip(plan.sweep.points, evidence) {
            guard let outcomes = evidence.dense else { continue }
            let subject = Subject(point.settings)
            let dense = plan.run(point: point.index, replicate: 0).dense
            let recipe = Recipe(point: point, outcomes: outcomes, validation: evidence.denseValidation)
            guard let known = places[subject]?[dense] else {
                places[subject, default: [:]][dense] = recipes[subject]?.count ?? 0
                recipes[subject, default: []].append(recipe)
                continue
            }
            if recipes[subject]![known].outcomes.count < outcomes.count { recipes[subject]![known] = recipe }
        }
        for (subject, recipes) in recipes {
            let candidates = recipes.filter { $0.validation != nil }
            let common = candidates.map(\.outcomes.count).min() ?? 0
            var highest = -1.0
            for recipe in candidates {
                guard let mean = recipe.validation.flatMap({ Estimate(Array($0.prefix(common)))?.mean }),
                    mean > highest + TestDesign.tie
                else { continue }
                highest = mean
                best[subject] = recipe
            }
        }
    }

    func recipe(for settings: Settings) -> Recipe? { best[Subject(settings)] }
}
