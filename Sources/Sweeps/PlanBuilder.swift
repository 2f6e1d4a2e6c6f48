import Lottery

/// Adds runs one by one; each task once.
struct PlanBuilder {
    let sweep: Sweep
    let vocabulary: Vocabulary
    private let branches: [Branch]

    var tasks: [PlannedTask] = []
    var chains: [Plan.Chain] = []
    var chainOfRun: [Int32] = []
    private var indexOfKey: [TaskKey: Int32] = [:]
    private var recipes: [RecipeID: [Recipe]] = [:]
    private var denseOf: [DenseID: Int32] = [:]
    private var chainOf: [ChainID: Int32] = [:]
    private var forecasts: [ForecastID: PruningForecast] = [:]
    private var knownDense: [TaskKey: KnownTask] = [:]

    private struct RecipeID: Hashable {
        var dataset: String
        var data: DataSettings
        var model: ModelSettings
        var training: TrainingSettings
    }

    private struct DenseID: Hashable {
        var recipe: ObjectIdentifier
        var replicate: Int
    }

    /// All that decides a chain but its length, so that a short one is a prefix of a long one.
    private struct ChainID: Hashable {
        var dense: Int32
        var pruning: PruningSettings
        var pruned: ObjectIdentifier
    }

    private struct ForecastID: Hashable {
        var dataset: String
        var resize: Int?
        var model: ModelSettings
        var pruning: PruningSettings
    }

    init(sweep: Sweep, vocabulary: Vocabulary) {
        self.sweep = sweep
        self.vocabulary = vocabulary
        branches = sweep.branches.map { name in
            guard let branch = Branch.named(name) else {
                preconditionFailure("branch \(name) was checked and is not in the table")
            }
            return branch
        }
    }

    mutating func addAllRuns(
        maximumTasks: Int, dataDigest: (String) throws -> Digest, known: (TaskKey) -> KnownTask?
    ) throws {
        var digests: [String: Digest] = [:]
        chainOfRun.reserveCapacity(sweep.runCount)
        for point in sweep.points {
            var settings = point.settings
            settings.data = settings.data.simplified(for: shape(of: settings.dataset))
            let digest = try digests[settings.dataset] ?? dataDigest(settings.dataset)
            digests[settings.dataset] = digest
            let dense = recipe(settings, dataset: digest, isPruned: false)
            let pruned = recipe(settings, dataset: digest, isPruned: true)
            let forecast = try forecast(settings)
            for replicate in 0..<sweep.replicates {
                let seeds = Seeds(base: sweep.seed, replicate: replicate)
                let denseIndex = addDense(dense, seeds: seeds, replicate: replicate, known: known)
                chainOfRun.append(
                    addChain(
                        settings.pruning, recipe: pruned, dense: denseIndex, seeds: seeds, forecast: forecast,
                        known: known))
                guard tasks.count <= maximumTasks else {
                    throw PlanLimitError(sweep: sweep.name, maximumTasks: maximumTasks)
                }
            }
        }
    }

    /// The recipe object, one for equal content. Dense and pruned levels differ in the components they run.
    private mutating func recipe(_ settings: Settings, dataset: Digest, isPruned: Bool) -> Recipe {
        let id = RecipeID(
            dataset: settings.dataset, data: settings.data, model: settings.model, training: settings.training)
        let semantics = vocabulary.semantics(settings, isPruned)
        guard let numerics = vocabulary.numerics[settings.training.precision] else {
            preconditionFailure("precision \(settings.training.precision) was checked and is not in the vocabulary")
        }
        if let same = recipes[id]?.first(where: { $0.semantics == semantics }) { return same }
        let recipe = Recipe(
            numerics: numerics, dataset: dataset, data: settings.data, model: settings.model,
            training: settings.training,
            semantics: semantics)
        recipes[id, default: []].append(recipe)
        return recipe
    }

    private func shape(of dataset: String) -> DatasetShape {
        guard let shape = vocabulary.datasets.first(where: { $0.name == dataset }) else {
            preconditionFailure("data set \(dataset) was checked and is not in the vocabulary")
        }
        return shape
    }

    private mutating func forecast(_ settings: Settings) throws -> PruningForecast {
        let id = ForecastID(
            dataset: settings.dataset, resize: settings.data.resize, model: settings.model, pruning: settings.pruning)
        if let same = forecasts[id] { return same }
        let shape = try shape(of: settings.dataset).resized(to: settings.data.resize)
        let forecast = PruningForecast(layers: try vocabulary.layers(settings.model, shape), pruning: settings.pruning)
        forecasts[id] = forecast
        return forecast
    }

    // MARK: Tasks

    private mutating func addDense(_ recipe: Recipe, seeds: Seeds, replicate: Int, known: (TaskKey) -> KnownTask?)
        -> Int32
    {
        let id = DenseID(recipe: ObjectIdentifier(recipe), replicate: replicate)
        if let index = denseOf[id] { return index }
        let index = add(
            .dense, recipe: recipe, seeds: seeds, pruning: nil, start: .initialisation, parent: nil, known: known)
        denseOf[id] = index
        return index
    }

    private mutating func addChain(
        _ pruning: PruningSettings, recipe: Recipe, dense: Int32, seeds: Seeds, forecast: PruningForecast,
        known: (TaskKey) -> KnownTask?
    ) -> Int32 {
        var identity = pruning
        identity.levels = 0
        if pruning.rewind == 0 { identity.rewindOptimizer = .restore }
        let id = ChainID(dense: dense, pruning: identity, pruned: ObjectIdentifier(recipe))
        let chainIndex: Int
        if let same = chainOf[id] {
            chainIndex = Int(same)
        } else {
            chainIndex = chains.count
            chains.append(Plan.Chain(dense: dense, branches: sweep.branches.map { _ in [] }, forecast: forecast))
            chainOf[id] = Int32(chainIndex)
        }
        if chains[chainIndex].forecast.surviving.count < forecast.surviving.count {
            chains[chainIndex].forecast = forecast
        }
        let denseKey = tasks[Int(dense)].key
        let start: TrainingTask.Start =
            pruning.rewind == 0
            ? .initialisation : .rewound(trajectory: denseKey, step: pruning.rewind, optimizer: pruning.rewindOptimizer)
        for level in chains[chainIndex].levels.count + 1..<max(pruning.levels, chains[chainIndex].levels.count) + 1 {
            // A one-shot level goes from the dense network to its counts at once.
            let parent = pruning.schedule == .oneShot ? dense : chains[chainIndex].levels.last ?? dense
            let step = TrainingTask.PruningStep(
                parent: tasks[Int(parent)].key, criterion: pruning.criterion, scope: pruning.scope, rates: pruning.rate,
                repetitions: pruning.schedule == .oneShot ? level : 1, level: level,
                initialisationScale: pruning.initialisationScale)
            let index = add(
                .level(level), recipe: recipe, seeds: seeds, pruning: step, start: start, parent: parent, dense: dense,
                known: known)
            chains[chainIndex].levels.append(index)
            for (position, branch) in branches.enumerated() {
                var (controlStep, controlStart) = (step, start)
                branch.change(&controlStep, &controlStart)
                let index = add(
                    .branch(branch.name, level: level), recipe: recipe, seeds: seeds, pruning: controlStep,
                    start: controlStart, parent: parent, dense: dense, known: known)
                chains[chainIndex].branches[position].append(index)
            }
        }
        return Int32(chainIndex)
    }

    private mutating func add(
        _ role: PlannedTask.Role, recipe: Recipe, seeds: Seeds, pruning: TrainingTask.PruningStep?,
        start: TrainingTask.Start,
        stopAfter: Int? = nil, parent: Int32?, dense: Int32? = nil, known: (TaskKey) -> KnownTask?
    ) -> Int32 {
        var pruning = pruning
        // Weights from a checkpoint are not drawn.
        if case .rewound = start { pruning?.initialisationScale = .none }
        let task = TrainingTask(
            numerics: recipe.numerics, dataset: recipe.dataset, data: recipe.data, model: recipe.model,
            training: recipe.training,
            seeds: seeds, pruning: pruning, start: start, stopAfter: stopAfter, semantics: recipe.semantics)
        let key = task.key
        if let same = indexOfKey[key] { return same }
        let knowledge = known(key)
        var keepSteps: [Int] = []
        if stopAfter == nil, pruning == nil, let knowledge {
            knownDense[key] = knowledge
            // What other sweeps asked for stays asked for.
            if case .pending(let asked) = knowledge { keepSteps = asked.sorted() }
            if case .running(let asked) = knowledge { keepSteps = asked.sorted() }
        }
        if let stopAfter { keepSteps = [stopAfter] }
        let isDone = if case .done = knowledge { true } else { false }
        var rewindIndex: Int32?
        if case .rewound(_, let step, _) = start, let dense {
            rewindIndex = checkpointSource(step: step, dense: dense, isWanted: !isDone, known: known)
        }
        let index = Int32(tasks.count)
        tasks.append(
            PlannedTask(
                key: key, role: role, keepSteps: keepSteps, priority: 0, isDone: isDone, recipe: recipe, seeds: seeds,
                pruning: pruning, start: start, stopAfter: stopAfter, parentIndex: parent, rewindIndex: rewindIndex,
                rewindSource: rewindIndex.map { tasks[Int($0)].key }))
        indexOfKey[key] = index
        return index
    }

    /// The task that leaves θk: the dense training, or a replay if that one is past keeping it and someone still
    /// waits for it.
    private mutating func checkpointSource(
        step: Int, dense: Int32, isWanted: Bool, known: (TaskKey) -> KnownTask?
    ) -> Int32 {
        let task = tasks[Int(dense)]
        let canKeep =
            switch knownDense[task.key] {
            case nil, .pending, .failed: true
            case .running(let asked): asked.contains(step)
            case .done(let outputs): outputs.contains(.step(step))
            }
        if canKeep || !isWanted {
            let position = task.keepSteps.firstIndex { $0 >= step } ?? task.keepSteps.count
            if position == task.keepSteps.count || task.keepSteps[position] != step {
                tasks[Int(dense)].keepSteps.insert(step, at: position)
            }
            return dense
        }
        return add(
            .replay(step: step), recipe: task.recipe, seeds: task.seeds, pruning: nil, start: .initialisation,
            stopAfter: step,
            parent: nil, known: known)
    }

    // MARK: Afterwards

    /// The cost of the dearest chain of waiting tasks, own cost included, so that the longest chains start first.
    mutating func setPriorities() {
        for index in tasks.indices.reversed() {
            let total = tasks[index].priority + tasks[index].cost
            tasks[index].priority = total
            for parent in [tasks[index].parentIndex, tasks[index].rewindIndex] {
                guard let parent else { continue }
                tasks[Int(parent)].priority = max(tasks[Int(parent)].priority, total)
            }
        }
    }

    func summary() -> PlanSummary {
        var densities: Set<Double> = []
        var trainings = 0
        var withoutSharing = 0
        var stepsWithoutSharing = 0
        for (point, settings) in sweep.points.map(\.settings).enumerated() {
            let levels = settings.pruning.levels
            let chain = chains[Int(chainOfRun[point * sweep.replicates])]
            densities.formUnion(chain.forecast.densities.prefix(levels + 1))
            trainings += levels + 1
            withoutSharing += 1 + levels * (1 + sweep.branches.count)
            let iterations = settings.training.iterations
            stepsWithoutSharing += iterations
            for level in 0..<levels {
                stepsWithoutSharing += tasks[Int(chain.levels[level])].cost
                for branch in chain.branches { stepsWithoutSharing += tasks[Int(branch[level])].cost }
            }
        }
        return PlanSummary(
            sweep: sweep.name, points: sweep.points.count, excluded: sweep.excludedCount, runs: sweep.runCount,
            levels: trainings * sweep.replicates, tasks: tasks.count,
            tasksWithoutSharing: withoutSharing * sweep.replicates,
            tasksDone: tasks.count(where: \.isDone), steps: tasks.reduce(0) { $0 + $1.cost },
            stepsWithoutSharing: stepsWithoutSharing * sweep.replicates,
            stepsRemaining: tasks.reduce(0) { $0 + ($1.isDone ? 0 : $1.cost) },
            axes: sweep.axes.map {
                PlanSummary.Axis(name: $0.name, path: $0.path, values: $0.values.map(AxisValue.init))
            },
            branches: sweep.branches, replicates: sweep.replicates, densities: densities.sorted(by: >))
    }
}
