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
    /// By the digest of their texts.
    private var recipes: [Digest: Recipe] = [:]
    private var denseOf: [DenseID: Int32] = [:]
    private var chainOf: [ChainID: Int32] = [:]
    private var forecasts: [ForecastID: PruningForecast] = [:]
    /// Pruning settings that decide a chain, by number.
    private var prunings: [PruningSettings: Int32] = [:]
    private var forms: [FormID: TaskForm] = [:]
    private let denseForm = TaskForm(.dense, pruning: nil, start: .initialisation)
    private var knownDense: [TaskKey: KnownTask] = [:]
    /// The levels of a chain follow each other and share it.
    private var lastRewind: RewindSource?

    private struct DenseID: Hashable {
        var recipe: ObjectIdentifier
        var replicate: Int
    }

    /// All that decides a chain but its length, so that a short one is a prefix of a long one.
    private struct ChainID: Hashable {
        var dense: Int32
        /// In `prunings`.
        var pruning: Int32
        var pruned: ObjectIdentifier
    }

    /// A level of a chain, or a branch's at that level.
    private struct FormID: Hashable {
        var pruning: Int32
        var level: Int32
        var branch: Int32?
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
            let semantics = (dense: vocabulary.semantics(settings, false), pruned: vocabulary.semantics(settings, true))
            let dense = recipe(settings, dataset: digest, semantics: semantics.dense)
            let pruned =
                semantics.pruned == semantics.dense
                ? dense : recipe(settings, dataset: digest, semantics: semantics.pruned)
            let forecast = try forecast(settings)
            let identity = number(of: settings.pruning)
            for replicate in 0..<sweep.replicates {
                let seeds = Seeds(base: sweep.seed, replicate: replicate)
                let denseIndex = addDense(dense, seeds: seeds, replicate: replicate, known: known)
                chainOfRun.append(
                    addChain(
                        settings.pruning, identity, recipe: pruned, dense: denseIndex, seeds: seeds, forecast: forecast,
                        known: known))
                guard tasks.count <= maximumTasks else {
                    throw PlanLimitError(sweep: sweep.name, maximumTasks: maximumTasks)
                }
            }
        }
    }

    /// The recipe object, one for equal content. Dense and pruned levels differ in the components they run.
    private mutating func recipe(_ settings: Settings, dataset: Digest, semantics: [String: Int]) -> Recipe {
        guard let numerics = vocabulary.numerics[settings.training.precision] else {
            preconditionFailure("precision \(settings.training.precision) was checked and is not in the vocabulary")
        }
        let text = RecipeText(
            numerics: numerics, dataset: dataset, data: settings.data, model: settings.model,
            training: settings.training, semantics: semantics)
        if let same = recipes[text.digest] { return same }
        let recipe = Recipe(
            numerics: numerics, dataset: dataset, data: settings.data, model: settings.model,
            training: settings.training, semantics: semantics, text: text,
            memoryBytes: vocabulary.memoryBytes(settings, shape(of: settings.dataset)))
        recipes[text.digest] = recipe
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
        let index = add(denseForm, recipe: recipe, seeds: seeds, parent: nil, known: known)
        denseOf[id] = index
        return index
    }

    /// One for all settings whose chains are prefixes of each other.
    private mutating func number(of pruning: PruningSettings) -> Int32 {
        var identity = pruning
        identity.levels = 0
        if pruning.rewind == 0 { identity.rewindOptimizer = .restore }
        if let same = prunings[identity] { return same }
        let number = Int32(prunings.count)
        prunings[identity] = number
        return number
    }

    /// - Parameter identity: `number(of: pruning)`.
    private mutating func addChain(
        _ pruning: PruningSettings, _ identity: Int32, recipe: Recipe, dense: Int32, seeds: Seeds,
        forecast: PruningForecast, known: (TaskKey) -> KnownTask?
    ) -> Int32 {
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
        let first = chains[chainIndex].levels.count + 1
        guard first <= pruning.levels else { return Int32(chainIndex) }
        chains[chainIndex].levels.reserveCapacity(pruning.levels)
        for level in first...pruning.levels {
            // A one-shot level goes from the dense network to its counts at once.
            let parent = pruning.schedule == .oneShot ? dense : chains[chainIndex].levels.last ?? dense
            let form = form(FormID(pruning: identity, level: Int32(level)), pruning)
            chains[chainIndex].levels.append(
                add(form, recipe: recipe, seeds: seeds, parent: parent, dense: dense, known: known))
            for position in branches.indices {
                let form = self.form(
                    FormID(pruning: identity, level: Int32(level), branch: Int32(position)), pruning)
                chains[chainIndex].branches[position].append(
                    add(form, recipe: recipe, seeds: seeds, parent: parent, dense: dense, known: known))
            }
        }
        return Int32(chainIndex)
    }

    private mutating func form(_ id: FormID, _ pruning: PruningSettings) -> TaskForm {
        if let same = forms[id] { return same }
        let level = Int(id.level)
        // Each task puts its own parent and trajectory in the place of this one.
        let anyone = tasks[0].key
        var step = TrainingTask.PruningStep(
            parent: anyone, criterion: pruning.criterion, scope: pruning.scope, rates: pruning.rate,
            repetitions: pruning.schedule == .oneShot ? level : 1, level: level,
            initialisationScale: pruning.initialisationScale)
        var start: TrainingTask.Start =
            pruning.rewind == 0
            ? .initialisation : .rewound(trajectory: anyone, step: pruning.rewind, optimizer: pruning.rewindOptimizer)
        var role = PlannedTask.Role.level(level)
        if let position = id.branch {
            let branch = branches[Int(position)]
            branch.change(&step, &start)
            role = .branch(branch.name, level: level)
        }
        // Weights of a trajectory are not drawn, and so not scaled.
        if case .rewound = start { step.initialisationScale = .none }
        let form = TaskForm(role, pruning: step, start: start)
        forms[id] = form
        return form
    }

    private mutating func add(
        _ form: TaskForm, recipe: Recipe, seeds: Seeds, parent: Int32?, dense: Int32? = nil,
        known: (TaskKey) -> KnownTask?
    ) -> Int32 {
        let parentKey = parent.map { tasks[Int($0)].key }
        let trajectory = dense.map { tasks[Int($0)].key }
        let key = recipe.text.key(
            seeds: seeds, pruning: form.pruning(parent: parentKey), start: form.start(trajectory: trajectory),
            stopAfter: form.stopAfter)
        if let same = indexOfKey[key] { return same }
        let knowledge = known(key)
        var keepSteps: [Int] = []
        if form === denseForm, let knowledge {
            knownDense[key] = knowledge
            // What other sweeps asked for stays asked for.
            if case .pending(let asked) = knowledge { keepSteps = asked.sorted() }
            if case .running(let asked) = knowledge { keepSteps = asked.sorted() }
        }
        if let stopAfter = form.stopAfter { keepSteps = [stopAfter] }
        let isDone = if case .done = knowledge { true } else { false }
        var rewind: RewindSource?
        if let step = form.rewindStep, let dense {
            rewind = checkpointSource(step: step, dense: dense, isWanted: !isDone, known: known)
        }
        let index = Int32(tasks.count)
        tasks.append(
            PlannedTask(
                key: key, keepSteps: keepSteps, priority: 0, isDone: isDone, recipe: recipe, seeds: seeds, form: form,
                parent: parentKey, parentIndex: parent, rewind: rewind))
        indexOfKey[key] = index
        return index
    }

    /// The task that leaves θk: the dense training, or a replay if that one is past keeping it and someone still
    /// waits for it.
    private mutating func checkpointSource(
        step: Int, dense: Int32, isWanted: Bool, known: (TaskKey) -> KnownTask?
    ) -> RewindSource {
        let task = tasks[Int(dense)]
        let canKeep =
            switch knownDense[task.key] {
            case nil, .pending, .failed: true
            case .running(let asked): asked.contains(step)
            case .done(let outputs): outputs.contains(.step(step))
            }
        var source = dense
        if canKeep || !isWanted {
            let position = task.keepSteps.firstIndex { $0 >= step } ?? task.keepSteps.count
            if position == task.keepSteps.count || task.keepSteps[position] != step {
                tasks[Int(dense)].keepSteps.insert(step, at: position)
            }
        } else {
            let replay = TaskForm(.replay(step: step), pruning: nil, start: .initialisation, stopAfter: step)
            source = add(replay, recipe: task.recipe, seeds: task.seeds, parent: nil, known: known)
        }
        if let last = lastRewind, last.trajectory == task.key, last.index == source { return last }
        let rewind = RewindSource(trajectory: task.key, source: tasks[Int(source)].key, index: source)
        lastRewind = rewind
        return rewind
    }

    // MARK: Afterwards

    /// The cost of the dearest chain of waiting tasks, own cost included, so that the longest chains start first.
    mutating func setPriorities() {
        for index in tasks.indices.reversed() {
            let total = tasks[index].priority + tasks[index].cost
            tasks[index].priority = total
            if let parent = tasks[index].parentIndex { raise(parent, to: total) }
            if let rewind = tasks[index].rewind { raise(rewind.index, to: total) }
        }
    }

    private mutating func raise(_ index: Int32, to priority: Int) {
        tasks[Int(index)].priority = max(tasks[Int(index)].priority, priority)
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
