import Lottery

/// A sweep as tasks, all keys known before anything ran. What two runs have in common is one task: the dense training
/// for all prune rates, rewind steps and branches; a chain's prefix for all its depths; a chain's masks for its
/// controls.
///
/// The same sweep, vocabulary and knowledge give the same plan, in the same order.
public struct Plan: Sendable {
    public let sweep: Sweep
    /// Parents first.
    public let tasks: PlannedTasks
    public let summary: PlanSummary
    let chains: Chains
    private let criterionTraits: [String: CriterionTraits]

    /// Tasks above which a sweep is refused before the rest of it is planned: it would not fit in memory.
    public static let tasksAtMost = 50_000_000

    /// - Parameters:
    ///   - maximumTasks: with more it throws `PlanLimitError`.
    ///   - dataDigest: content digest of a data set by name; what it throws is thrown on.
    ///   - known: what the store holds of a task, nil if nothing. A checkpoint that nobody kept gets a replay task.
    public init(
        sweep: Sweep, vocabulary: Vocabulary, maximumTasks: Int = Plan.tasksAtMost,
        dataDigest: (String) throws -> Digest, known: (TaskKey) -> KnownTask? = { _ in nil }
    ) throws {
        var builder = PlanBuilder(sweep: sweep, vocabulary: vocabulary)
        try builder.addAllRuns(maximumTasks: maximumTasks, dataDigest: dataDigest, known: known)
        builder.setPriorities()
        self.sweep = sweep
        criterionTraits = vocabulary.criterionTraits
        summary = builder.summary()
        chains = builder.chains
        tasks = PlannedTasks(plan: builder.finish())
    }

    /// Where a task is in `tasks`; nil if the plan does not have it.
    /// - Complexity: O(1).
    public func index(of key: TaskKey) -> Int? { tasks.plan.index(of: key) }

    /// The tasks of one run.
    public func run(point: Int, replicate: Int) -> PlannedRun {
        precondition((0..<sweep.replicates).contains(replicate), "replicate \(replicate) of \(sweep.replicates)")
        let levels = 1..<sweep.points.levels(at: point) + 1
        let chain = chains.ofRun(point * sweep.replicates + replicate)
        return PlannedRun(
            point: point, replicate: replicate, dense: Int(chain.dense),
            levels: levels.map { chains.task(of: chain, level: $0) },
            searches: levels.compactMap { chains.search(of: chain, level: $0) },
            branches: sweep.branches.indices.map { branch in
                levels.map { chains.branch(branch, of: chain, level: $0) }
            },
            masks: sweep.transplant == nil ? [] : levels.compactMap { chains.mask(of: chain, level: $0) },
            siblings: sweep.instability == nil
                ? [] : (0..<levels.upperBound).map { chains.sibling(of: chain, level: $0) },
            densities: Array(chains.forecast(of: chain).densities.prefix(levels.upperBound)))
    }

    /// A point's settings as its tasks have them, with what its criterion was published with in the place of what the
    /// spec left to it.
    func resolved(_ settings: Settings) -> Settings {
        var settings = settings
        settings.pruning = settings.pruning.resolved(
            for: criterionTraits[settings.pruning.criterion] ?? CriterionTraits())
        return settings
    }

    /// The indices of one run's tasks, each once, in no order.
    public func tasks(ofRun run: Int) -> Set<Int> {
        let levels = sweep.points.levels(at: run / sweep.replicates)
        return chains.tasks(of: chains.ofRun(run), levels: levels)
    }

    /// Survivors that each level of a point will have.
    public func forecast(point: Int) -> PruningForecast {
        chains.forecast(of: chains.ofRun(point * sweep.replicates))
    }
}

/// A sweep has more tasks than a plan may have.
public struct PlanLimitError: Error, Hashable, Sendable, CustomStringConvertible {
    public var sweep: String
    public var maximumTasks: Int

    public var description: String {
        "the sweep “\(sweep)” has more than \(maximumTasks.grouped) tasks; shorten an axis or the chains, or make several "
            + "sweeps"
    }
}

/// One run as indices into `Plan.tasks`.
public struct PlannedRun: Hashable, Sendable {
    public let point: Int
    public let replicate: Int
    public let dense: Int
    /// Level n is at n − 1.
    public let levels: [Int]
    /// The training that level n's mask is got from is at n − 1; empty where the level before is pruned itself.
    public let searches: [Int]
    /// For each of the sweep's branches, in its order: that beside level n is at n − 1, nil if there is none.
    public let branches: [[Int?]]
    /// The training that level n prunes is at n − 1, where all of them are of another recipe; else empty. A one-shot
    /// chain has one for all.
    public let masks: [Int]
    /// What the training of level n is compared with is at n, nil if it has no sibling; empty where the sweep has none
    /// at all.
    public let siblings: [Int?]
    /// Expected density of each level, from level 0 on.
    public let densities: [Double]
}
