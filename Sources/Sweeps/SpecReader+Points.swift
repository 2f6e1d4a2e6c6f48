import Lottery

extension SpecReader {
    /// All points that `exclude` keeps, each checked, and the count of those left out. Notes which of its conditions left
    /// out none.
    mutating func expand() throws(SpecError) -> (points: GridPoints, excluded: Int) {
        let counts = dimensions
        var position = Array(repeating: 0, count: counts.count)
        let hasRecipes = transplants
        let fixed = fixedSettings
        var points = GridPoints(fixed, axes, counts: counts, hasRecipes: hasRecipes)
        var excluded = 0
        var checks = PointChecks(vocabulary: vocabulary)
        var idle = Set(excludes.indices)
        let conditions = axes.map { ExcludeRule.Value.all(of: $0.axis.values) }
        repeat {
            let chosen = axes.map { position[$0.dimension] }
            let operands = zip(conditions, chosen).map { $0[$1] }
            let held = excludes.indices.filter { excludes[$0].rule.holds(for: operands) }
            guard held.isEmpty else {
                excluded += 1
                idle.subtract(held)
                continue
            }
            let writes = zip(axes, chosen).flatMap { $0.writes[$1] }
            let settings = hasRecipes ? fixed.settings(writing: writes, for: .train) : fixed.settings(writing: writes)
            if let misfit = checks.misfit(in: settings) ?? checks.misfit(in: settings, branches: branches) {
                throw specError(misfit, writes: writes, chosen: chosen, side: hasRecipes ? .train : nil)
            }
            if hasRecipes {
                let masks = fixed.settings(writing: writes, for: .maskFrom)
                if let misfit = checks.misfit(in: masks) {
                    throw specError(misfit, writes: writes, chosen: chosen, side: .maskFrom)
                }
                if let misfit = self.misfit(training: settings, masks: masks) {
                    throw specError(misfit, writes: writes, chosen: chosen, side: nil)
                }
            }
            points.append(position, levels: settings.pruning.levels)
        } while advance(&position, within: counts)
        guard !points.isEmpty else {
            throw error(excludes[0].line, "exclude leaves none of \(excluded) points; drop a condition")
        }
        try checkBranches(beside: points)
        idleExcludes = idle.sorted()
        return (points, excluded)
    }

    /// A branch that no point has a use for is a mistake.
    private func checkBranches(beside points: GridPoints) throws(SpecError) {
        guard !branches.isEmpty else { return }
        guard points.deepest > 0 else {
            throw error(
                branchesLine,
                "branches start from levels that are pruned, and no point has any; raise \"pruning.levels\", or leave out "
                    + "branches")
        }
        for branch in branches { try checkLevels(of: SpecReader.levels(ofBranch: branch.name), against: points) }
        if branches.contains(where: { $0.name == "one-shot" }),
            points.allSatisfy({ $0.settings.pruning.schedule == .oneShot })
        {
            throw error(
                branchesLine,
                "with the schedule one-shot every level is what the branch \"one-shot\" would be; leave out one of them"
            )
        }
    }

    /// Steps to the next position, the last dimension fastest; false after the last one.
    private func advance(_ position: inout [Int], within counts: [Int]) -> Bool {
        for dimension in counts.indices.reversed() {
            position[dimension] += 1
            if position[dimension] < counts[dimension] { return true }
            position[dimension] = 0
        }
        return false
    }

    /// Points at the line of the first setting of the misfit that the spec gives, an axis before a fixed setting.
    /// - Parameter side: the recipe that it is a misfit of; nil where there is one only, or it is of both.
    func specError(
        _ misfit: Misfit, writes: [SettingWrite], chosen: [Int], side: RecipeSide?
    ) -> SpecError {
        let rows = misfit.paths.compactMap { SettingNames.rowOfPath[$0] }
        let sides = side.map { [$0] } ?? RecipeSide.allCases
        let sections = sides.compactMap { recipes[$0] }
        let line =
            rows.lazy.compactMap { row -> Int? in
                let own = writes.last { write in write.row == row && write.side.map(sides.contains) ?? false }
                let common = writes.last { $0.row == row && $0.side == nil }
                return (own ?? sections.compactMap { $0[row] }.first ?? common ?? baseWrites[row])?.line
            }.first ?? sides.compactMap { lines[$0.rawValue] }.first ?? sweepLine
        let involved = zip(axes, chosen).filter { source, choice in
            source.writes[choice].contains { rows.contains($0.row) }
                && (source.side.map(sides.contains) ?? true)
        }
        let values = involved.map { "\($0.axis.name) is \($0.axis.values[$1])" }.joined(separator: " and ")
        // Which of them, where the recipes differ in one of the settings.
        let recipe = RecipeSide.allCases.contains { !rowsOfOwn($0).isDisjoint(with: rows) } ? side : nil
        let place = [recipe.map { "under \($0.rawValue)" }, values.isEmpty ? nil : "where \(values)"].compactMap { $0 }
        return error(line, misfit.message + (place.isEmpty ? "" : " (\(place.joined(separator: ", ")))"))
    }
}

/// Settings that do not fit together.
struct Misfit {
    /// The settings to blame, the likeliest first.
    var paths: [String]
    var message: String
}

/// Checks whole points. What depends on a few settings only is remembered, so that a large grid costs little.
struct PointChecks {
    private struct Network: Hashable {
        var dataset: String
        var resize: Int?
        var model: ModelSettings
    }

    private struct Chain: Hashable {
        var network: Network
        var scope: PruningScope
        var rate: PruneRates
        var levels: Int
    }

    /// More would take over 11 GiB with Adam's state, before any activations.
    static let maximumWeights = 1_000_000_000

    private let vocabulary: Vocabulary
    private let datasets: [String: DatasetShape]
    private var layers: [Network: Result<[LayerShape], SettingError>] = [:]
    private var chains: [Chain: Misfit?] = [:]
    private var trainCounts: [String: Int] = [:]

    init(vocabulary: Vocabulary) {
        self.vocabulary = vocabulary
        datasets = Dictionary(vocabulary.datasets.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The first thing that does not fit; nil if all does.
    mutating func misfit(in settings: Settings) -> Misfit? {
        trainingMisfit(settings.training) ?? dataMisfit(settings) ?? modelMisfit(settings) ?? pruningMisfit(settings)
    }

    private func trainingMisfit(_ training: TrainingSettings) -> Misfit? {
        if training.warmup > training.iterations {
            return Misfit(
                paths: ["training.warmup", "training.iterations"],
                message:
                    "a warmup of \(training.warmup) steps is longer than the training's "
                    + "\(training.iterations) iterations; lower training.warmup to \(training.iterations) or less, or raise "
                    + "training.iterations"
            )
        }
        if training.schedule != .step, !training.decay.isEmpty {
            return Misfit(
                paths: ["training.decay", "training.schedule"],
                message:
                    "decay belongs to the schedule step, but the schedule is \(training.schedule.rawValue), "
                    + "which has a shape of its own; leave out one of them")
        }
        if let late = training.decay.first(where: { $0.at >= training.iterations }) {
            return Misfit(
                paths: ["training.decay", "training.iterations"],
                message:
                    "a decay at step \(late.at) comes after the training's \(training.iterations) iterations; give it an earlier step "
                    + "or leave it out, or raise training.iterations")
        }
        if vocabulary.numerics[training.precision] == nil {
            let known = Precision.allCases.filter { vocabulary.numerics[$0] != nil }
            return Misfit(
                paths: ["training.precision"],
                message:
                    "this build trains in \(known.map(\.rawValue).joined(separator: " or ")), "
                    + "not in \(training.precision.rawValue)")
        }
        let optimizer = training.optimizer
        let defaults = OptimizerSettings()
        let isAdam = optimizer.name == "adam" || optimizer.name == "adamw"
        // Beside another recipe's, a setting can be left out by its default alone.
        func stray(_ name: String, of owner: String, _ aside: String = "", unset: Double) -> Misfit {
            Misfit(
                paths: ["training.optimizer.\(name)", "training.optimizer"],
                message:
                    "\(name) is a setting of \(owner), but the optimizer is \(optimizer.name)\(aside); leave it out, or write "
                    + "optimizer: {name: \(optimizer.name), \(name): \(unset)}")
        }
        if isAdam, optimizer.momentum != defaults.momentum {
            return stray("momentum", of: "sgd", " (whose own is beta1)", unset: defaults.momentum)
        }
        if optimizer.nesterov, optimizer.name != "sgd" || optimizer.momentum == 0 {
            return Misfit(
                paths: ["training.optimizer.nesterov", "training.optimizer.momentum", "training.optimizer"],
                message:
                    "nesterov changes the momentum of sgd; set optimizer sgd and momentum, such as 0.9, or nesterov: false"
            )
        }
        if optimizer.name != "rmsprop", optimizer.alpha != defaults.alpha {
            return stray("alpha", of: "rmsprop", unset: defaults.alpha)
        }
        let ofAdam: [(name: String, isSet: Bool, unset: Double)] = [
            ("beta1", optimizer.beta1 != defaults.beta1, defaults.beta1),
            ("beta2", optimizer.beta2 != defaults.beta2, defaults.beta2),
            ("epsilon", optimizer.epsilon != defaults.epsilon && optimizer.name != "rmsprop", defaults.epsilon),
        ]
        if optimizer.name == "sgd" || optimizer.name == "rmsprop", let set = ofAdam.first(where: \.isSet) {
            return stray(set.name, of: "adam", unset: set.unset)
        }
        return nil
    }

    private mutating func dataMisfit(_ settings: Settings) -> Misfit? {
        guard let shape = datasets[settings.dataset] else {
            preconditionFailure("data set \(settings.dataset) was checked and is not in the vocabulary")
        }
        let trainCount = trainCounts[shape.name] ?? vocabulary.trainCount(shape)
        trainCounts[shape.name] = trainCount
        let used = settings.data.train ?? trainCount
        if used > trainCount {
            let here = trainCount < shape.trainCount ? " here" : ""
            return Misfit(
                paths: ["data.train", "dataset"],
                message: "\(shape.name) has \(trainCount) training images\(here), not \(used)")
        }
        if settings.data.validation >= used {
            return Misfit(
                paths: ["data.validation", "data.train", "dataset"],
                message:
                    "holding out \(settings.data.validation) of \(used) images for validation leaves none to train on; lower "
                    + "data.validation" + (used < trainCount ? ", or raise data.train" : ""))
        }
        let resized: DatasetShape
        do { resized = try shape.resized(to: settings.data.resize) } catch {
            return Misfit(paths: ["data.resize", "dataset"], message: "\"data.resize\" \(error)")
        }
        if settings.data.augment.crop >= min(resized.height, resized.width) {
            return Misfit(
                paths: ["data.augment.crop", "data.resize", "dataset"],
                message:
                    "a crop after \(settings.data.augment.crop) pixels of padding can leave nothing of "
                    + "\(resized.height)×\(resized.width) pixels; pad with fewer")
        }
        let left = used - settings.data.validation
        if settings.training.batch > left {
            return Misfit(
                paths: ["training.batch", "data.train", "data.validation", "dataset"],
                message:
                    "a batch of \(settings.training.batch) is more than the \(left) images that are left to train on; lower "
                    + "training.batch to \(left) or less")
        }
        return nil
    }

    private mutating func modelMisfit(_ settings: Settings) -> Misfit? {
        let model = settings.model
        if model.hidden != nil, model.depth != nil || model.width != nil {
            return Misfit(
                paths: [model.depth != nil ? "model.depth" : "model.width", "model.hidden"],
                message:
                    "\"model.hidden\" lists every layer, so \"model.depth\" and \"model.width\" do not go "
                    + "with it; keep one way"
            )
        }
        let paths = ["model.hidden", "model.depth", "model.width", "model.family", "dataset"]
        switch layers(of: settings) {
        case .failure(let error): return Misfit(paths: paths, message: "\(error)")
        case .success(let layers):
            let weights = layers.reduce(0) { $0 + $1.weights }
            guard weights > PointChecks.maximumWeights else { return nil }
            return Misfit(
                paths: paths,
                message: "a network of \(weights.grouped) weights does not fit in a worker's memory; "
                    + "at most \(PointChecks.maximumWeights.grouped) do")
        }
    }

    private mutating func pruningMisfit(_ settings: Settings) -> Misfit? {
        let pruning = settings.pruning
        guard pruning.levels > 0 else { return nil }
        if pruning.rewind >= settings.training.iterations {
            return Misfit(
                paths: ["pruning.rewind", "training.iterations"],
                message:
                    "rewinding to step \(pruning.rewind) leaves nothing to train, since training ends at "
                    + "step \(settings.training.iterations); lower pruning.rewind, or raise training.iterations"
            )
        }
        if let misfit = criterionMisfit(settings) { return misfit }
        let chain = Chain(
            network: network(of: settings), scope: pruning.scope, rate: pruning.rate, levels: pruning.levels)
        if let known = chains[chain] { return known }
        let misfit = chainMisfit(settings)
        chains[chain] = .some(misfit)
        return misfit
    }

    /// The first branch that some level of a point cannot have; nil if there is none.
    mutating func misfit(in settings: Settings, branches: [SweepBranch]) -> Misfit? {
        let pruning = settings.pruning
        if branches.contains(where: { $0.name == "dense-budget" }), pruning.search == .earlyBird {
            return Misfit(
                paths: ["pruning.search"],
                message:
                    "what a search by early-bird costs is known only after it, so there is no dense-budget beside it; leave out one"
            )
        }
        // The sparsest is the one that may not be there.
        guard let level = branches.first(where: { $0.name == "small-dense" })?.last(to: pruning.levels),
            case .success(let layers) = layers(of: settings),
            let shape = try? datasets[settings.dataset]?.resized(to: settings.data.resize)  // dataMisfit has looked.
        else { return nil }
        let forecast = PruningForecast(layers: layers, pruning: pruning)
        let control = DenseControl(
            settings: settings, level: level, surviving: forecast.surviving[level], layers: layers,
            layersOf: { [vocabulary] model in
                // One that the family does not make is no candidate.
                try? vocabulary.layers(model, shape)
            })
        guard control.withAsManyWeights == nil else { return nil }
        return Misfit(
            paths: ["pruning.levels", "pruning.rate"],
            message: "small-dense of level \(level) would have \(forecast.surviving[level].grouped) weights, and the "
                + "smallest dense network of this family has more; lower pruning.levels, or leave out small-dense")
    }

    private func criterionMisfit(_ settings: Settings) -> Misfit? {
        let name = settings.pruning.criterion
        let traits = vocabulary.criterionTraits[name] ?? CriterionTraits()
        let pruning = settings.pruning.resolved(for: traits)
        if case .step(let step) = pruning.at {
            if step > settings.training.iterations {
                return Misfit(
                    paths: ["pruning.rank_at", "training.iterations"],
                    message: "no weights are there to prune by at step \(step), since training ends at step "
                        + "\(settings.training.iterations); lower pruning.rank_at to \(settings.training.iterations) or less, or "
                        + "raise training.iterations")
            }
            if step == 0, traits.readsStart {
                return Misfit(
                    paths: ["pruning.rank_at", "pruning.criterion"],
                    message:
                        "\(name) compares weights with those at step 0, which leaves nothing to compare at step 0; "
                        + "leave out pruning.rank_at, or give a later step")
            }
        }
        if pruning.at != .end, pruning.retrain != .weightRewinding {
            return Misfit(
                paths: ["pruning.retrain", "pruning.rank_at", "pruning.criterion"],
                message:
                    "\(pruning.retrain.rawValue) keeps trained weights, but \(name) here prunes weights of a step before "
                    + "the end; use weight-rewinding, or rank_at: end")
        }
        if pruning.search == .earlyBird {
            let why =
                pruning.at != .end
                ? "prunes weights of a step" : traits.readsExamples ? "would take gradients after each epoch" : nil
            if let why {
                return Misfit(
                    paths: ["pruning.search", "pruning.rank_at", "pruning.criterion"],
                    message:
                        "early-bird ends the training that a mask is got from, but \(name) here \(why); use search: full"
                )
            }
        }
        guard traits.readsExamples, let shape = datasets[settings.dataset] else { return nil }
        let used = settings.data.train ?? trainCounts[shape.name] ?? shape.trainCount
        let left = used - settings.data.validation
        guard pruning.examples * shape.classes > left else { return nil }
        return Misfit(
            paths: ["pruning.examples", "pruning.criterion", "data.train", "data.validation", "dataset"],
            message:
                "\(name) looks at \(pruning.examples) images of each of \(shape.classes) classes, which are more than the "
                + "\(left) images that are left to train on; "
                + fewerExamples(
                    atMost: min(left / shape.classes, vocabulary.rarestClass(shape, settings.data)?.count ?? .max)))
    }

    private func fewerExamples(atMost count: Int) -> String {
        count > 0
            ? "lower pruning.examples to \(count) or less, or train on more images"
            : "train on more images, or use another criterion"
    }

    // MARK: Of new sweeps alone

    /// What trains, but decides nothing.
    /// - Parameters:
    ///   - settings: of the networks whose results are reported.
    ///   - masks: of the chain that the masks come from, if it is another one.
    func misfitAsNew(in settings: Settings, masks: Settings?) -> (Misfit, side: RecipeSide)? {
        if let misfit = earlyStopMisfit(settings) { return (misfit, .train) }
        return (searchMisfit(masks ?? settings) ?? rarityMisfit(masks ?? settings)).map { ($0, .maskFrom) }
    }

    /// There may be enough images for a criterion that looks at some of each class, and still too few of one class.
    private func rarityMisfit(_ settings: Settings) -> Misfit? {
        let pruning = settings.pruning
        guard pruning.levels > 0, vocabulary.criterionTraits[pruning.criterion]?.readsExamples == true,
            let shape = datasets[settings.dataset], let rarest = vocabulary.rarestClass(shape, settings.data),
            rarest.count < pruning.examples
        else { return nil }
        let used = settings.data.train ?? trainCounts[shape.name] ?? vocabulary.trainCount(shape)
        return Misfit(
            paths: ["pruning.examples", "pruning.criterion", "data.train", "data.validation", "dataset"],
            message:
                "\(pruning.criterion) looks at \(pruning.examples) images of each class, but of class \(rarest.label) there are "
                + "\(rarest.count) among the \(used - settings.data.validation) that are left to train on; "
                + fewerExamples(atMost: rarest.count))
    }

    private func earlyStopMisfit(_ settings: Settings) -> Misfit? {
        let training = settings.training
        guard settings.report == .earlyStop, training.evaluateEvery >= training.iterations else { return nil }
        return Misfit(
            paths: ["training.evaluate_every", "training.iterations", "report"],
            message:
                "early-stop reports the step of least validation loss, but with evaluate_every \(training.evaluateEvery) "
                + "nothing is evaluated before training ends at step \(training.iterations); lower training.evaluate_every"
        )
    }

    private func searchMisfit(_ settings: Settings) -> Misfit? {
        let pruning = settings.pruning
        guard pruning.search == .earlyBird, pruning.levels > 0 else { return nil }
        if pruning.criterion == "random" {
            return Misfit(
                paths: ["pruning.search", "pruning.criterion"],
                message:
                    "random draws masks without a look at the weights, so that early-bird has nothing to wait for; use "
                    + "search: full")
        }
        guard let shape = datasets[settings.dataset] else { return nil }
        let used = settings.data.train ?? trainCounts[shape.name] ?? vocabulary.trainCount(shape)
        let epoch = (used - settings.data.validation) / settings.training.batch
        let needed = TrainingTask.EarlyBird.epochs * epoch
        guard settings.training.iterations < needed else { return nil }
        return Misfit(
            paths: ["pruning.search", "training.iterations"],
            message:
                "early-bird compares the masks of \(TrainingTask.EarlyBird.epochs) epochs of \(epoch) steps each, but training "
                + "ends at step \(settings.training.iterations), before that; raise training.iterations to \(needed) or "
                + "more, or use search: full")
    }

    // MARK: Parts

    private mutating func chainMisfit(_ settings: Settings) -> Misfit? {
        guard case .success(let layers) = layers(of: settings) else { return nil }
        let forecast = PruningForecast(layers: layers, pruning: settings.pruning)
        guard let idle = forecast.firstIdleLevel else { return nil }
        let rates = ["pruning.rate", "pruning.rate.fc", "pruning.rate.conv", "pruning.rate.output"]
        guard forecast.prunable > 0 else {
            return Misfit(
                paths: rates + ["pruning.levels"],
                message: "at these prune rates no layer of the network is ever pruned; raise one, or set levels: 0")
        }
        guard idle > 1 else {
            return Misfit(
                paths: rates + ["pruning.levels"],
                message: "level 1 would prune nothing, since these prune rates come to less than one weight; raise "
                    + "\"pruning.rate\"")
        }
        return Misfit(
            paths: ["pruning.levels"] + rates,
            message:
                "level \(idle) of \(settings.pruning.levels) would prune nothing, with "
                + "\(forecast.surviving[idle]) weights left; "
                + "lower \"pruning.levels\" to \(idle - 1)")
    }

    private func network(of settings: Settings) -> Network {
        Network(dataset: settings.dataset, resize: settings.data.resize, model: settings.model)
    }

    private mutating func layers(of settings: Settings) -> Result<[LayerShape], SettingError> {
        let network = network(of: settings)
        if let known = layers[network] { return known }
        let result: Result<[LayerShape], SettingError>
        do throws(SettingError) {
            // dataMisfit has found the data set, and that it can be resized.
            let shape = try datasets[settings.dataset]!.resized(to: settings.data.resize)
            result = .success(try vocabulary.layers(settings.model, shape))
        } catch {
            result = .failure(error)
        }
        layers[network] = result
        return result
    }
}
