import Lottery

/// Adds runs one by one; each task once.
struct PlanBuilder {
    let sweep: Sweep
    let vocabulary: Vocabulary
    private let branches: [Branch]

    private var slots: [PlanStorage.Slot] = []
    private var indices = KeyIndices()
    private(set) var chains: Chains
    private var recipes: [Recipe] = []
    private var surroundings: [Recipe.Surroundings] = []
    private var checkpoints: [CheckpointSources] = []
    private var keepSteps: [Int32: [Int]] = [:]
    private var forms = [TaskForm(.dense, pruning: nil, start: .initialisation)]

    /// By the digest of their texts.
    private var recipeOfText: [Digest: Int32] = [:]
    /// Whose memory is in those of recipes, beside the first point's of each.
    private var needsSeen: Set<MemoryNeedID> = []
    private var placeOfSurroundings: [Recipe.Surroundings: Int32] = [:]
    private var denseOf: [DenseID: Int32] = [:]
    private var chainOf: [ChainID: Int32] = [:]
    private var forecasts: [ForecastID: Int32] = [:]
    /// Pruning settings that decide a chain, by number.
    private var prunings: [PruningSettings: Int32] = [:]
    private var formOf: [FormID: Int32] = [:]
    private var controls: [ControlID: Writing] = [:]
    private var formOfReplay: [Int: Int32] = [:]
    private var knownDense: [Int32: KnownTask] = [:]

    /// In `forms`.
    private static let denseForm: Int32 = 0

    private struct DenseID: Hashable {
        var recipe: Int32
        var replicate: Int32
    }

    /// All that decides a chain but its length, so that a short one is a prefix of a long one.
    private struct ChainID: Hashable {
        var dense: Int32
        /// In `prunings`.
        var pruning: Int32
        var pruned: Int32
        /// Nil where masks are of the chain itself.
        var giver: GiverID?
    }

    /// A chain of another recipe that masks come from.
    private struct GiverID: Hashable {
        /// The recipe of its dense training; the replicate is that of the chain.
        var dense: Int32
        var pruning: Int32
        var pruned: Int32
    }

    /// The chain whose trainings are pruned for the levels of a chain: that one itself, or another recipe's.
    private struct Giver {
        var place: Place
        /// In `prunings`.
        var identity: Int32
        /// Nil where nothing has use for it: see `needsDense`.
        var dense: Int32?
    }

    /// A level of a chain, or a branch's at that level.
    private struct FormID: Hashable {
        var pruning: Int32
        var level: Int32
        var branch: Int32?
        var isSearch = false
        var isSibling = false
    }

    /// A dense network that stands beside a level.
    private struct ControlID: Hashable {
        var branch: Int32
        var settings: Settings
        var level: Int
    }

    /// A recipe while its tasks are added.
    private struct Writing {
        var recipe: Int32
        var text: RecipeText
    }

    /// What the tasks of a point are added with.
    private struct Place {
        var point: Int
        /// With pruning resolved.
        var settings: Settings
        var dataset: Digest
        var dense: Writing
        var pruned: Writing
        var replicate: Int32
        var seeds: Seeds
    }

    /// What may have another memory need than other points of a recipe.
    private struct MemoryNeedID: Hashable {
        let recipe: Int32
        let criterion: String
        let examples: Int
        let search: MaskSearch
        let prunes: Bool

        init(_ recipe: Int32, _ pruning: PruningSettings) {
            self.recipe = recipe
            (criterion, examples, search) = (pruning.criterion, pruning.examples, pruning.search)
            prunes = pruning.levels > 0
        }
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
        branches = sweep.branches.map { wanted in
            guard let branch = Branch.named(wanted.name) else {
                preconditionFailure("branch \(wanted.name) was checked and is not in the table")
            }
            return branch
        }
        chains = Chains(
            runs: sweep.runCount, branches: branches.count,
            hasSearches: sweep.points.contains { $0.settings.pruning.search != .full },
            hasSiblings: sweep.instability != nil, hasTransplants: sweep.transplant != nil)
    }

    mutating func addAllRuns(
        maximumTasks: Int, dataDigest: (String) throws -> Digest, known: (TaskKey) -> KnownTask?
    ) throws {
        var digests: [String: Digest] = [:]
        for point in sweep.points {
            let dataset = point.settings.dataset
            let digest = try digests[dataset] ?? dataDigest(dataset)
            digests[dataset] = digest
            var place = place(point.index, point.settings, dataset: digest, isOwn: false)
            // One recipe for both is a chain like any other.
            var masks = point.maskSettings.flatMap { masks in
                masks == point.settings || masks.pruning.levels == 0
                    ? nil : self.place(point.index, masks, dataset: digest, isOwn: true)
            }
            let forecast = try forecast(place.settings)
            let identity = number(of: place.settings.pruning)
            let maskIdentity = masks.map { number(of: $0.settings.pruning) }
            for replicate in 0..<sweep.replicates {
                place.replicate = Int32(replicate)
                place.seeds = Seeds(base: sweep.seed, replicate: replicate)
                let denseIndex = addDense(place, known: known)
                var giver: Giver?
                if masks != nil, let maskIdentity {
                    masks!.replicate = place.replicate
                    masks!.seeds = place.seeds
                    giver = Giver(
                        place: masks!, identity: maskIdentity,
                        dense: needsDense(masks!.settings.pruning) ? addDense(masks!, known: known) : nil)
                }
                chains.addRun(
                    try addChain(
                        place.settings.pruning, identity, place, dense: denseIndex, giver: giver, forecast: forecast,
                        known: known))
                guard slots.count <= maximumTasks else {
                    throw PlanLimitError(sweep: sweep.name, maximumTasks: maximumTasks)
                }
            }
        }
    }

    /// What the tasks of settings are added with, before it is known for which replicate.
    /// - Parameter isOwn: whether the settings are others than the point's.
    private mutating func place(_ point: Int, _ settings: Settings, dataset: Digest, isOwn: Bool) -> Place {
        var settings = settings
        settings.data = settings.data.simplified(for: shape(of: settings.dataset))
        settings.pruning = settings.pruning.resolved(for: traits(of: settings.pruning))
        let semantics = (dense: vocabulary.semantics(settings, false), pruned: vocabulary.semantics(settings, true))
        let dense = recipe(point, settings, dataset: dataset, semantics: semantics.dense, isOwn: isOwn)
        let pruned =
            semantics.pruned == semantics.dense
            ? dense : recipe(point, settings, dataset: dataset, semantics: semantics.pruned, isOwn: isOwn)
        return Place(
            point: point, settings: settings, dataset: dataset, dense: dense, pruned: pruned, replicate: 0,
            seeds: Seeds(base: sweep.seed, replicate: 0))
    }

    private func traits(of pruning: PruningSettings) -> CriterionTraits {
        vocabulary.criterionTraits[pruning.criterion] ?? CriterionTraits()
    }

    /// The recipe, one for equal content. Dense and pruned levels differ in the components they run.
    private mutating func recipe(
        _ point: Int, _ settings: Settings, dataset: Digest, semantics: [String: Int], isOwn: Bool = false
    ) -> Writing {
        guard let numerics = vocabulary.numerics[settings.training.precision] else {
            preconditionFailure("precision \(settings.training.precision) was checked and is not in the vocabulary")
        }
        let text = RecipeText(
            numerics: numerics, dataset: dataset, data: settings.data, model: settings.model,
            training: settings.training, semantics: semantics)
        let known = recipeOfText[text.digest]
        if let known, !needsSeen.insert(MemoryNeedID(known, settings.pruning)).inserted {
            return Writing(recipe: known, text: text)
        }
        var surroundings = Recipe.Surroundings(
            numerics: numerics, dataset: dataset, data: settings.data, semantics: semantics,
            memoryBytes: vocabulary.memoryBytes(settings, shape(of: settings.dataset)))
        if let known {
            // Points that share it may prune by what takes more memory.
            let held = self.surroundings[Int(recipes[Int(known)].surroundings)].memoryBytes
            surroundings.memoryBytes = max(surroundings.memoryBytes, held)
            recipes[Int(known)].surroundings = place(of: surroundings)
            return Writing(recipe: known, text: text)
        }
        let index = Int32(recipes.count)
        recipes.append(
            Recipe(
                point: Int32(point), surroundings: place(of: surroundings), iterations: settings.training.iterations,
                own: isOwn ? Recipe.Own(model: settings.model, training: settings.training) : nil))
        recipeOfText[text.digest] = index
        return Writing(recipe: index, text: text)
    }

    private mutating func place(of new: Recipe.Surroundings) -> Int32 {
        if let same = placeOfSurroundings[new] { return same }
        let place = Int32(surroundings.count)
        surroundings.append(new)
        placeOfSurroundings[new] = place
        return place
    }

    private func shape(of dataset: String) -> DatasetShape {
        guard let shape = vocabulary.datasets.first(where: { $0.name == dataset }) else {
            preconditionFailure("data set \(dataset) was checked and is not in the vocabulary")
        }
        return shape
    }

    /// In `chains`.
    private mutating func forecast(_ settings: Settings) throws -> Int32 {
        let id = ForecastID(
            dataset: settings.dataset, resize: settings.data.resize, model: settings.model, pruning: settings.pruning)
        if let same = forecasts[id] { return same }
        let shape = try shape(of: settings.dataset).resized(to: settings.data.resize)
        let forecast = chains.add(
            PruningForecast(layers: try vocabulary.layers(settings.model, shape), pruning: settings.pruning))
        forecasts[id] = forecast
        return forecast
    }

    // MARK: Tasks

    private mutating func addDense(_ place: Place, known: (TaskKey) -> KnownTask?) -> Int32 {
        let id = DenseID(recipe: place.dense.recipe, replicate: place.replicate)
        if let index = denseOf[id] { return index }
        let index = add(PlanBuilder.denseForm, place.dense, place, parent: nil, known: known)
        denseOf[id] = index
        return index
    }

    /// Whether a chain that gives its masks to another one needs its dense training. Early-bird searches train in its
    /// place, and go back to θ0 without it; nobody looks at how good it is.
    private func needsDense(_ pruning: PruningSettings) -> Bool {
        guard pruning.search == .earlyBird else { return true }
        let rewinds = pruning.rewind > 0 && pruning.retrain == .weightRewinding
        if rewinds, pruning.schedule == .iterative, pruning.levels > 1 { return true }
        return zip(sweep.branches, branches).contains { wanted, branch in
            if case .oneShot = branch.kind { wanted.count(to: pruning.levels) > 0 } else { false }
        }
    }

    /// One for all settings whose chains are prefixes of each other.
    private mutating func number(of pruning: PruningSettings) -> Int32 {
        var identity = pruning
        identity.levels = 0
        if pruning.rewind == 0 || pruning.retrain != .weightRewinding { identity.rewindOptimizer = .restore }
        if let same = prunings[identity] { return same }
        let number = Int32(prunings.count)
        prunings[identity] = number
        return number
    }

    /// - Parameters:
    ///   - identity: `number(of: pruning)`.
    ///   - giver: the chain of another recipe that masks come from; nil for the chain itself.
    private mutating func addChain(
        _ pruning: PruningSettings, _ identity: Int32, _ place: Place, dense: Int32, giver other: Giver?,
        forecast: Int32,
        known: (TaskKey) -> KnownTask?
    ) throws -> Int32 {
        let id = ChainID(
            dense: dense, pruning: identity, pruned: place.pruned.recipe,
            giver: other.map {
                GiverID(dense: $0.place.dense.recipe, pruning: $0.identity, pruned: $0.place.pruned.recipe)
            })
        let giver = other ?? Giver(place: place, identity: identity, dense: dense)
        let chain: Int32
        if let same = chainOf[id] {
            chain = same
        } else {
            let sibling = addSibling(
                of: dense, level: 0, pruning, identity, place, parent: nil, dense: dense, giver: giver, known: known)
            chain = chains.add(dense: dense, sibling: sibling, forecast: forecast)
            chainOf[id] = chain
        }
        chains.lengthen(chain, forecast: forecast)
        let first = Int(chains.chains[Int(chain)].levels) + 1
        guard first <= pruning.levels else { return chain }
        // What the next level is pruned from; nil for a dense training that is not there, in whose place a search comes.
        var parent = giver.dense
        if first > 1, pruning.schedule == .iterative, pruning.at == .end {
            if let other, pruning.search == .full {
                // The last of them gave no mask to anyone so far.
                parent = (1..<first).reduce(other.dense) { addLevel($1, of: other, parent: $0, known: known) }
            } else {
                parent = pruned(after: first - 1, of: chain)
            }
        }
        chains.open(chain)
        for level in first...pruning.levels {
            // A one-shot level goes from the dense network to its counts at once. One that ranks the weights of a step
            // needs no level before it.
            if pruning.schedule == .oneShot || pruning.at != .end { parent = giver.dense }
            var search: Int32?
            if pruning.search == .earlyBird {
                let trained = parent == giver.dense ? nil : parent
                let searching = add(
                    searchForm(giver.identity, level: level, giver.place.settings.pruning), giver.place.pruned,
                    giver.place,
                    parent: trained, dense: giver.dense, known: known)
                search = searching
                parent = searching
            }
            guard let pruned = parent else { preconditionFailure("level \(level) has nothing to prune") }
            let own = add(
                form(FormID(pruning: identity, level: Int32(level)), pruning), place.pruned, place, parent: pruned,
                dense: dense, giver: giver, known: known)
            var tasks = [own]
            for position in branches.indices {
                guard sweep.branches[position].stands(beside: level) else {
                    tasks.append(-1)
                    continue
                }
                tasks.append(
                    try addBranch(
                        Int32(position), FormID(pruning: identity, level: Int32(level), branch: Int32(position)), place,
                        parent: pruned, dense: dense, giver: giver,
                        surviving: chains.forecasts[Int(forecast)].surviving[level], known: known))
            }
            let sibling = addSibling(
                of: own, level: level, pruning, identity, place, parent: pruned, dense: dense, giver: giver,
                known: known)
            chains.append(tasks, search: search, sibling: sibling, mask: other == nil ? nil : pruned, to: chain)
            if search == nil {
                let isNeeded = level < pruning.levels && pruning.schedule == .iterative && pruning.at == .end
                parent =
                    other == nil
                    ? own : isNeeded ? addLevel(level, of: giver, parent: pruned, known: known) : giver.dense
            }
        }
        return chain
    }

    /// A level of a chain that gives masks to another one, which has use for it alone.
    /// - Parameter parent: what it prunes itself.
    private mutating func addLevel(
        _ level: Int, of giver: Giver, parent: Int32?, known: (TaskKey) -> KnownTask?
    ) -> Int32 {
        add(
            form(FormID(pruning: giver.identity, level: Int32(level)), giver.place.settings.pruning),
            giver.place.pruned,
            giver.place, parent: parent, dense: giver.dense, known: known)
    }

    /// The task that is pruned for the level after `level`, unless that one goes back to the dense network.
    private func pruned(after level: Int, of chain: Int32) -> Int32 {
        let chain = chains.chains[Int(chain)]
        return Int32(chains.search(of: chain, level: level) ?? chains.task(of: chain, level: level))
    }

    private mutating func addBranch(
        _ position: Int32, _ id: FormID, _ place: Place, parent: Int32, dense: Int32, giver: Giver, surviving: Int,
        known: (TaskKey) -> KnownTask?
    ) throws -> Int32 {
        let form = form(id, place.settings.pruning)
        switch branches[Int(position)].kind {
        case .pruned: return add(form, place.pruned, place, parent: parent, dense: dense, giver: giver, known: known)
        case .oneShot:
            return add(form, place.pruned, place, parent: giver.dense, dense: dense, giver: giver, known: known)
        case .dense(let control):
            let writing = try self.control(
                control, ControlID(branch: position, settings: place.settings, level: Int(id.level)), place,
                surviving: surviving)
            return add(form, writing, place, parent: nil, known: known)
        }
    }

    /// The recipe of a control that is a dense network.
    private mutating func control(
        _ control: (DenseControl) -> Settings?, _ id: ControlID, _ place: Place, surviving: Int
    ) throws -> Writing {
        if let same = controls[id] { return same }
        let shape = try shape(of: id.settings.dataset).resized(to: id.settings.data.resize)
        let changed = control(
            DenseControl(
                settings: id.settings, level: id.level, surviving: surviving,
                layers: try vocabulary.layers(id.settings.model, shape),
                layersOf: { [vocabulary] model in
                    // One that the family does not make is no candidate.
                    try? vocabulary.layers(model, shape)
                }))
        guard let changed else {
            preconditionFailure("\(branches[Int(id.branch)].name) of level \(id.level) was checked and cannot be made")
        }
        let writing = recipe(
            place.point, changed, dataset: place.dataset, semantics: vocabulary.semantics(changed, false), isOwn: true)
        controls[id] = writing
        return writing
    }

    /// The training that level `level` gets its mask from: that of the level before, which for a one-shot level is the
    /// dense one.
    private mutating func searchForm(_ identity: Int32, level: Int, _ pruning: PruningSettings) -> Int32 {
        let id = FormID(pruning: identity, level: Int32(level), isSearch: true)
        if let same = formOf[id] { return same }
        let anyone = slots[0].key
        let next = form(FormID(pruning: identity, level: Int32(level)), pruning)
        guard let step = forms[Int(next)].pruning(parent: anyone) else {
            preconditionFailure("level \(level) prunes nothing")
        }
        let trained =
            level == 1 || pruning.schedule == .oneShot
            ? PlanBuilder.denseForm : form(FormID(pruning: identity, level: Int32(level - 1)), pruning)
        let before = forms[Int(trained)]
        let form = add(
            TaskForm(
                .search(level: level), pruning: before.pruning(parent: anyone), start: before.start(trajectory: anyone),
                search: TrainingTask.EarlyBird(for: step)))
        formOf[id] = form
        return form
    }

    /// The sibling of a level, or of the dense training; nil if the sweep asks for none.
    /// - Parameter parent: what the level prunes.
    private mutating func addSibling(
        of own: Int32, level: Int, _ pruning: PruningSettings, _ identity: Int32, _ place: Place, parent: Int32?,
        dense: Int32,
        giver: Giver, known: (TaskKey) -> KnownTask?
    ) -> Int32? {
        guard let instability = sweep.instability, instability.contains(level) else { return nil }
        return add(
            siblingForm(identity, level: level, pruning, instability), level == 0 ? place.dense : place.pruned, place,
            parent: parent, dense: dense, giver: giver, peer: own, known: known)
    }

    private mutating func siblingForm(
        _ identity: Int32, level: Int, _ pruning: PruningSettings, _ instability: Instability
    ) -> Int32 {
        let id = FormID(pruning: identity, level: Int32(level), isSibling: true)
        if let same = formOf[id] { return same }
        let anyone = slots[0].key
        var step: TrainingTask.PruningStep?
        // The dense training went through step k with its optimizer as it was there, whatever levels do.
        var start: TrainingTask.Start =
            pruning.rewind == 0
            ? .initialisation : .rewound(trajectory: anyone, step: pruning.rewind, optimizer: .restore)
        if level > 0 {
            let own = forms[Int(form(FormID(pruning: identity, level: Int32(level)), pruning))]
            (step, start) = (own.pruning(parent: anyone), own.start(trajectory: anyone))
        }
        let form = add(TaskForm(.sibling(level: level), pruning: step, start: start, instability: instability))
        formOf[id] = form
        return form
    }

    private mutating func form(_ id: FormID, _ pruning: PruningSettings) -> Int32 {
        if let same = formOf[id] { return same }
        let level = Int(id.level)
        // Each task puts its own parent and trajectory in the place of this one.
        let anyone = slots[0].key
        let traits = traits(of: pruning)
        let at: Int? = if case .step(let step) = pruning.at { step } else { nil }
        let isOneShot = pruning.schedule == .oneShot
        var step = TrainingTask.PruningStep(
            parent: anyone, at: at, criterion: pruning.criterion, scope: pruning.scope, rates: pruning.rate,
            repetitions: isOneShot ? level : 1, stages: at != nil && !isOneShot ? level : 1,
            rounds: pruning.rounds ?? traits.rounds, examples: traits.readsExamples ? pruning.examples : nil,
            level: level,
            initialisationScale: pruning.initialisationScale)
        var start: TrainingTask.Start =
            switch pruning.retrain {
            case .weightRewinding where pruning.rewind == 0: .initialisation
            case .weightRewinding:
                .rewound(trajectory: anyone, step: pruning.rewind, optimizer: pruning.rewindOptimizer)
            case .learningRateRewinding: .retrained(step: pruning.rewind, rate: .scheduled)
            case .fineTuning: .retrained(step: pruning.rewind, rate: .last)
            }
        var role = PlannedTask.Role.level(level)
        if let position = id.branch {
            let branch = branches[Int(position)]
            role = .branch(branch.name, level: level)
            switch branch.kind {
            case .pruned(let change): change(&step, &start)
            case .oneShot: (step.repetitions, step.stages) = (level, 1)
            case .dense:
                let form = add(TaskForm(role, pruning: nil, start: .initialisation))
                formOf[id] = form
                return form
            }
        }
        // Trained weights are not drawn, and so not scaled.
        switch start {
        case .rewound, .retrained: step.initialisationScale = .none
        case .initialisation, .reinitialised, .varied: break
        }
        let form = add(TaskForm(role, pruning: step, start: start))
        formOf[id] = form
        return form
    }

    private mutating func add(_ form: TaskForm) -> Int32 {
        forms.append(form)
        return Int32(forms.count - 1)
    }

    private mutating func add(
        _ formIndex: Int32, _ writing: Writing, _ place: Place, parent: Int32?, dense: Int32? = nil,
        giver: Giver? = nil,
        peer: Int32? = nil, known: (TaskKey) -> KnownTask?
    ) -> Int32 {
        let form = forms[Int(formIndex)]
        let key = writing.text.key(
            seeds: form.seeds(place.seeds), pruning: form.pruning(parent: parent.map { slots[Int($0)].key }),
            start: form.start(trajectory: dense.map { slots[Int($0)].key }), search: form.search,
            connection: form.connection(peer: peer.map { slots[Int($0)].key }), stopAfter: form.stopAfter)
        if let same = indices.find(key, keyAt: { slots[$0].key }) { return Int32(same) }
        let knowledge = known(key)
        let isDone =
            if case .done(let outputs) = knowledge {
                // Of a replay that is done the checkpoint may be gone by now; then it is made again.
                form.stopAfter.map { outputs.contains(.step($0)) } ?? true
            } else {
                false
            }
        var sources: Int32?
        if let dense {
            sources = checkpoints(
                for: form, dense: dense, giver: giver, peer: peer, place, isWanted: !isDone, known: known)
        }
        // A replay may have been added meanwhile.
        let index = Int32(slots.count)
        slots.append(
            PlanStorage.Slot(
                key: key, form: formIndex, recipe: writing.recipe, replicate: place.replicate, parent: parent,
                checkpoints: sources, isDone: isDone))
        indices.add(key, at: Int(index)) { slots[$0].key }
        if form.isDense, let knowledge {
            knownDense[index] = knowledge
            switch knowledge {
            // What other sweeps asked for stays asked for.
            case .pending(let asked), .running(let asked): if !asked.isEmpty { keepSteps[index] = asked.sorted() }
            case .done, .failed: break
            }
        }
        if let stopAfter = form.stopAfter { keepSteps[index] = [stopAfter] }
        return index
    }

    /// What the task needs of the dense training's checkpoints and of its peer, in `checkpoints`; nil if it needs
    /// nothing.
    /// - Parameter giver: whose dense training is ranked; nil for the task's own.
    private mutating func checkpoints(
        for form: TaskForm, dense: Int32, giver: Giver?, peer: Int32?, _ place: Place, isWanted: Bool,
        known: (TaskKey) -> KnownTask?
    ) -> Int32? {
        var sources = CheckpointSources(trajectory: dense, peer: peer)
        if let step = form.rewindStep {
            sources.rewind = checkpointSource(step: step, dense: dense, place, isWanted: isWanted, known: known)
        }
        // θ0 is drawn again.
        if let step = form.rankedStep, step > 0 {
            sources.ranked = checkpointSource(
                step: step, dense: giver?.dense ?? dense, giver?.place ?? place, isWanted: isWanted, known: known)
        }
        guard sources.rewind != nil || sources.ranked != nil || peer != nil else { return nil }
        // The levels of a chain follow each other and share it.
        if checkpoints.last != sources { checkpoints.append(sources) }
        return Int32(checkpoints.count - 1)
    }

    /// The task that leaves θk: the dense training, or a replay if that one is past keeping it and someone still
    /// waits for it.
    private mutating func checkpointSource(
        step: Int, dense: Int32, _ place: Place, isWanted: Bool, known: (TaskKey) -> KnownTask?
    ) -> Int32 {
        let canKeep =
            switch knownDense[dense] {
            case nil, .pending, .failed: true
            case .running(let asked): asked.contains(step)
            case .done(let outputs): outputs.contains(.step(step))
            }
        guard canKeep || !isWanted else {
            let form = formOfReplay[step] ?? add(replayForm(step))
            formOfReplay[step] = form
            return add(form, place.dense, place, parent: nil, known: known)
        }
        keep(step, of: dense)
        return dense
    }

    private func replayForm(_ step: Int) -> TaskForm {
        TaskForm(.replay(step: step), pruning: nil, start: .initialisation, stopAfter: step)
    }

    private mutating func keep(_ step: Int, of task: Int32) {
        let steps = keepSteps[task] ?? []
        let position = steps.firstIndex { $0 >= step } ?? steps.count
        if position == steps.count || steps[position] != step {
            keepSteps[task, default: []].insert(step, at: position)
        }
    }

    // MARK: Afterwards

    /// The cost of the dearest chain of waiting tasks, own cost included, so that the longest chains start first.
    mutating func setPriorities() {
        for index in slots.indices.reversed() {
            let slot = slots[index]
            let total = slot.priority + slot.cost(recipes, forms)
            slots[index].priority = total
            // Where the weights of a step are ranked, its checkpoint is waited for instead.
            if let parent = slot.parent, forms[Int(slot.form)].rankedStep == nil { raise(parent, to: total) }
            guard let sources = slot.checkpoints.map({ checkpoints[Int($0)] }) else { continue }
            for source in [sources.rewind, sources.ranked, sources.peer] { if let source { raise(source, to: total) } }
        }
    }

    private mutating func raise(_ index: Int32, to priority: Int) {
        slots[Int(index)].priority = max(slots[Int(index)].priority, priority)
    }

    func finish() -> PlanStorage {
        PlanStorage(
            sweep: sweep, slots: slots, indices: indices, forms: forms, recipes: recipes, surroundings: surroundings,
            checkpoints: checkpoints, keepSteps: keepSteps)
    }

    func summary() -> PlanSummary {
        var densities: Set<Double> = []
        var trainings = 0
        var alone = (tasks: 0, steps: 0)
        // By task, the last point whose run it was counted for. Replicates differ in what is done already alone.
        var countedFor = [Int32](repeating: -1, count: slots.count)
        var left: [Int32] = []
        for point in sweep.points {
            let levels = point.settings.pruning.levels
            let chain = chains.ofRun(point.index * sweep.replicates)
            densities.formUnion(chains.forecast(of: chain).densities.prefix(levels + 1))
            trainings += levels + 1
            chains.forEachTask(of: chain, levels: levels) { left.append(Int32($0)) }
            while let index = left.popLast() {
                guard countedFor[Int(index)] != point.index else { continue }
                countedFor[Int(index)] = Int32(point.index)
                let slot = slots[Int(index)]
                if forms[Int(slot.form)].stopAfter == nil {
                    alone.tasks += 1
                    alone.steps += cost(Int(index))
                }
                if let parent = slot.parent { left.append(parent) }
                guard let sources = slot.checkpoints.map({ checkpoints[Int($0)] }) else { continue }
                left.append(sources.trajectory)
                for source in [sources.rewind, sources.ranked, sources.peer] { if let source { left.append(source) } }
            }
        }
        alone = (alone.tasks * sweep.replicates, alone.steps * sweep.replicates)
        // What a store lost is done again once, however many runs start from it.
        for slot in slots where forms[Int(slot.form)].stopAfter != nil {
            alone.tasks += 1
            alone.steps += slot.cost(recipes, forms)
        }
        var steps = (all: 0, remaining: 0)
        for slot in slots {
            let cost = slot.cost(recipes, forms)
            steps.all += cost
            if !slot.isDone { steps.remaining += cost }
        }
        return PlanSummary(
            sweep: sweep.name, points: sweep.points.count, excluded: sweep.excludedCount, runs: sweep.runCount,
            levels: trainings * sweep.replicates, tasks: slots.count,
            tasksWithoutSharing: alone.tasks,
            tasksDone: slots.count(where: \.isDone), steps: steps.all,
            stepsWithoutSharing: alone.steps, stepsRemaining: steps.remaining,
            axes: sweep.axes.map {
                PlanSummary.Axis(name: $0.name, path: $0.path, values: $0.values.map(AxisValue.init))
            },
            branches: sweep.branches.map(\.name), replicates: sweep.replicates, densities: densities.sorted(by: >),
            instability: sweep.instability.map { instability in
                PlanSummary.Siblings(
                    instability,
                    tasks: slots.count { if case .sibling = forms[Int($0.form)].role { true } else { false } })
            }, maskFrom: sweep.transplant?.maskFrom, train: sweep.transplant?.train)
    }

    private func cost(_ task: Int) -> Int { slots[task].cost(recipes, forms) }
}
