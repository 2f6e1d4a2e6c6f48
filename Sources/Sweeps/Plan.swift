import Lottery

/// A sweep as tasks, all keys known before anything ran. What two runs have in common is one task: the dense training
/// for all prune rates, rewind steps and branches; a chain's prefix for all its depths; a chain's masks for its
/// controls.
///
/// The same sweep, vocabulary and knowledge give the same plan, in the same order.
public struct Plan: Sendable {
    public let sweep: Sweep
    /// Parents first.
    public let tasks: [PlannedTask]
    public let summary: PlanSummary
    /// One chain for each distinct (recipe, pruning, replicate), with the indices of its tasks.
    let chains: [Chain]
    /// Index in `chains` for each point and replicate, point by point.
    let chainOfRun: [Int32]

    struct Chain: Sendable {
        var dense: Int32
        /// Task index of each level, from level 1 on; as many as the deepest run asks for.
        var levels: [Int32] = []
        /// Per branch, task index from level 1 on.
        var branches: [[Int32]]
        var forecast: PruningForecast
    }

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
        tasks = builder.tasks
        chains = builder.chains
        chainOfRun = builder.chainOfRun
        summary = builder.summary()
    }

    /// The tasks of one run.
    public func run(point: Int, replicate: Int) -> PlannedRun {
        precondition((0..<sweep.replicates).contains(replicate), "replicate \(replicate) of \(sweep.replicates)")
        let levels = sweep.points[point].settings.pruning.levels
        let chain = chains[Int(chainOfRun[point * sweep.replicates + replicate])]
        return PlannedRun(
            point: point, replicate: replicate, dense: Int(chain.dense),
            levels: chain.levels.prefix(levels).map(Int.init),
            branches: chain.branches.map { $0.prefix(levels).map(Int.init) },
            densities: Array(chain.forecast.densities.prefix(levels + 1)))
    }

    /// Survivors that each level of a point will have.
    public func forecast(point: Int) -> PruningForecast { chains[Int(chainOfRun[point * sweep.replicates])].forecast }
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
    /// For each of the sweep's branches, in its order: level n is at n − 1.
    public let branches: [[Int]]
    /// Expected density of each level, from level 0 on.
    public let densities: [Double]
}
