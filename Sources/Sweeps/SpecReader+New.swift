import Lottery

/// What a new sweep is refused for, though its spec can be read: it would train what decides nothing.
///
/// Stores hold specs that are older than these rules, and those must stay readable. So nothing here is thrown while a
/// spec is read; whoever takes one on asks for it.
extension SpecReader {
    func checkAsNew(_ points: GridPoints) throws(SpecError) {
        try checkStopRule(points)
        try checkBudget()
        try checkWinningLevels(points)
        try checkPoints(points)
        try checkExamples(points)
        try checkExcludes()
        try checkRecipeConstants()
        try checkMasksDiffer(points)
    }

    // MARK: Rules

    private func checkStopRule(_ points: GridPoints) throws(SpecError) {
        guard let stopRule, let line = lines["stop_when"] else { return }
        guard replicates >= 2 else {
            throw error(
                line,
                "\"stop_when\" ends chains, but one replicate decides nothing; set \"replicates\" to 2 or more, such as 5"
            )
        }
        let deepest = points.deepest
        guard deepest > 0 else {
            throw error(line, "\"stop_when\" ends chains, but no point prunes; leave it out")
        }
        // After the last level nothing is left to end.
        guard stopRule.levels >= deepest else { return }
        let remedy =
            deepest == 1
            ? "raise \"pruning.levels\", or leave it out"
            : "lower \"stop_when.levels\" to \(deepest - 1) or less, or raise \"pruning.levels\""
        throw error(
            lines["stop_when.levels"] ?? line,
            "\"stop_when\" waits for \(stopRule.levels) \(stopRule.levels == 1 ? "level" : "levels in a row"), but no chain has more "
                + "than \(deepest), so that it ends none early; \(remedy)")
    }

    /// A budget is spent on whole steps from one look to the next.
    private func checkBudget() throws(SpecError) {
        guard let refinement, let budget = refinement.budget, let line = lines["refine.budget"] else { return }
        let added = refinement.looks[1] - refinement.looks[0]
        guard budget < added else { return }
        throw error(
            line,
            "\"refine.budget\" is \(budget), but a point needs \(added) more runs for its look at "
                + "\(refinement.looks[1]), so that nothing is ever added; raise it to \(added) or more, or leave it out"
        )
    }

    /// Densities that are one level wherever a chain has them are tested once, whatever the spec seems to say.
    private func checkWinningLevels(_ points: GridPoints) throws(SpecError) {
        guard winningAt.count > 1 else { return }
        var chains = NamedChains(vocabulary: vocabulary)
        var pairs: [(first: Int, second: Int)] = []
        for second in winningAt.indices { for first in 0..<second { pairs.append((first, second)) } }
        var example: [Int: (level: Int, density: Double)] = [:]
        for point in points where !pairs.isEmpty {
            let densities = chains.densities(of: point.settings)
            let levels = winningAt.map { NamedDensity.level(of: $0.density, in: densities) }
            pairs.removeAll { levels[$0.first] != levels[$0.second] }
            for (place, level) in levels.enumerated() { if let level { example[place] = (level, densities[level]) } }
        }
        guard let pair = pairs.first, let found = example[pair.second] else { return }
        let (first, second) = (winningAt[pair.first], winningAt[pair.second])
        throw error(
            second.line,
            "\"winning_at\" names \(first.density) and \(second.density), which are both level \(found.level) of the "
                + "chain, at density \(found.density.roundedForPeople); keep one")
    }
}

// Points and recipes
extension SpecReader {
    private func checkPoints(_ points: GridPoints) throws(SpecError) {
        // A large grid takes seconds to go through, which most have no need of.
        guard ["report", "pruning.search", "pruning.criterion"].contains(where: isWritten) else { return }
        let checks = PointChecks(vocabulary: vocabulary)
        for point in points {
            guard let (misfit, side) = checks.misfitAsNew(in: point.settings, masks: point.maskSettings) else {
                continue
            }
            let position = points.position(of: point.index)
            let chosen = axes.map { position[$0.dimension] }
            throw specError(
                misfit, writes: zip(axes, chosen).flatMap { $0.writes[$1] }, chosen: chosen,
                side: transplants ? side : nil)
        }
    }

    /// What no criterion of the sweep reads. Where one does, the others beside it on the axis have it as well.
    private func checkExamples(_ points: GridPoints) throws(SpecError) {
        let path = "pruning.examples"
        guard let write = SettingNames.rowOfPath[path].flatMap({ baseWrites[$0] }) else { return }
        let readers = points.lazy.map { ($0.maskSettings ?? $0.settings).pruning.criterion }
            .contains { vocabulary.criterionTraits[$0]?.readsExamples == true }
        guard !readers, let criterion = points.first?.settings.pruning.criterion else { return }
        throw error(
            write.line,
            "examples says of how many images gradients are taken, but the criterion \(criterion) takes none; leave it out"
        )
    }

    private func checkExcludes() throws(SpecError) {
        guard let idle = idleExcludes.first.map({ excludes[$0] }) else { return }
        throw error(
            idle.line,
            "exclude \"\(idle.text)\" leaves out no point, since none is so; mend it, or leave it out")
    }

    private func isWritten(_ path: String) -> Bool {
        guard let row = SettingNames.rowOfPath[path] else { return false }
        return baseWrites[row] != nil || axes.contains { $0.writes.joined().contains { $0.row == row } }
    }

    /// Outside of recipes a constant beside an axis is the default of the setting; a recipe is short, and says what it
    /// means.
    private func checkRecipeConstants() throws(SpecError) {
        for (side, writes) in recipes.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            for (row, write) in writes.sorted(by: { $0.key < $1.key }) {
                guard
                    let axis = axes.first(where: { axis in
                        axis.side == side && axis.writes.allSatisfy { $0.contains { $0.row == row } }
                    })
                else { continue }
                throw error(
                    write.line,
                    "\"\(side.rawValue)\" gives \"\(SettingNames.table[row].path)\", which no point has, because the axis "
                        + "\"\(axis.axis.name)\" on line \(axis.line) gives each its own; keep one of them")
            }
        }
    }

    /// Recipes that differ only in what no mask comes from.
    private func checkMasksDiffer(_ points: GridPoints) throws(SpecError) {
        guard transplants else { return }
        var example: (training: Settings, masks: Settings)?
        for point in points {
            guard let masks = point.maskSettings, masks != point.settings else { continue }
            guard masksAreSame(masks, point.settings) else { return }
            example = example ?? (point.settings, masks)
        }
        // One recipe for both at every point is refused when the spec is read.
        guard let (training, masks) = example else { return }
        let names = SettingNames.table.filter { $0.read(masks) != $0.read(training) }.map(\.name)
        throw error(
            recipeLine,
            "the recipes differ in \(names.joined(separator: " and ")) alone, which changes no mask here, so that each "
                + "network finds the masks itself that it is given; leave \(recipeNames) out, or let them differ in what the "
                + "masks come from, such as mask_from: {lr: 0.01}")
    }

    private var recipeNames: String {
        RecipeSide.allCases.filter { !rowsOfOwn($0).isEmpty }.map(\.rawValue).joined(separator: " and ")
    }

    /// Whether a chain under either settings finds the same masks.
    private func masksAreSame(_ one: Settings, _ other: Settings) -> Bool {
        guard one.pruning.levels > 0 else { return true }
        return decidingMasks(one) == decidingMasks(other)
    }

    /// With defaults for all that no mask of the chain depends on.
    private func decidingMasks(_ settings: Settings) -> Settings {
        let defaults = Settings()
        var settings = settings
        settings.training.evaluateEvery = defaults.training.evaluateEvery
        settings.training.test = defaults.training.test
        settings.report = defaults.report
        settings.matchingMargin = defaults.matchingMargin
        settings.pruning = settings.pruning.resolved(
            for: vocabulary.criterionTraits[settings.pruning.criterion] ?? CriterionTraits())
        let pruning = settings.pruning
        let start = PruningSettings()
        if pruning.levels == 1 || pruning.schedule == .oneShot || pruning.at != .end {
            // All masks come from the dense network, whose training goes back to nothing.
            settings.pruning.rewind = start.rewind
            settings.pruning.rewindOptimizer = start.rewindOptimizer
            settings.pruning.retrain = start.retrain
            settings.pruning.initialisationScale = start.initialisationScale
        } else if pruning.rewindsToStart {
            settings.pruning.rewindOptimizer = start.rewindOptimizer
        } else {
            settings.pruning.initialisationScale = start.initialisationScale
            if pruning.retrain != .weightRewinding { settings.pruning.rewindOptimizer = start.rewindOptimizer }
        }
        if case .step(let step) = pruning.at {
            settings.training.decay.removeAll { $0.at >= step }
            if settings.training.schedule == .step { settings.training.iterations = defaults.training.iterations }
        }
        return settings
    }
}
