import Lottery

/// What a spec says of masks found under one recipe and trained under another: `mask_from` and `train`.
extension SpecReader {
    /// Whether the two recipes are told apart at all.
    var transplants: Bool { !recipes.isEmpty || axes.contains { $0.side != nil } }

    mutating func readRecipe(_ side: RecipeSide, _ entry: SpecNode.Entry) throws(SpecError) {
        guard case .map(let entries) = entry.value.content, !entries.isEmpty else {
            let images =
                side == .train && !entry.value.isEmpty ? "; the number of training images is \"data.train\"" : ""
            throw error(
                entry.value.line,
                "\"\(side.rawValue)\" must be a map of settings, such as \(side.rawValue): {lr: 0.01, warmup: 0}, not "
                    + entry.value.written + images)
        }
        var writes: [Int: SettingWrite] = [:]
        for inner in entries { try readRecipeSetting(side, prefix: "", inner, into: &writes) }
        recipes[side] = writes
        lines[side.rawValue] = entry.line
    }

    private func readRecipeSetting(
        _ side: RecipeSide, prefix: String, _ entry: SpecNode.Entry, into section: inout [Int: SettingWrite]
    ) throws(SpecError) {
        let path = prefix.isEmpty ? entry.key : "\(prefix).\(entry.key)"
        try refuseCircle(side, path, line: entry.line)
        // As a number it is `data.train`.
        if path == RecipeSide.train.rawValue, entry.value.isMap { throw nested(path, in: side, line: entry.line) }
        if prefix.isEmpty, let section = sectionOfAllPoints(path) {
            throw error(
                entry.line,
                SpecReader.axisSections.contains(section)
                    ? "\"\(path)\" does not stand inside \"\(side.rawValue)\"; give it at the top of the spec, with axes such as "
                        + "\(side.rawValue).lr: [0.01, 0.1]"
                    : "\"\(path)\" is the same for both recipes and for all points of a sweep; give \"\(section)\" outside of "
                        + "\"\(side.rawValue)\"")
        }
        guard let row = SettingNames.rowOfAxisName[path] else {
            guard SettingNames.isSection(path), case .map(let entries) = entry.value.content else {
                throw values.unknown(path, line: entry.line, among: RecipeSide.names)
            }
            for inner in entries { try readRecipeSetting(side, prefix: path, inner, into: &section) }
            return
        }
        try checkRecipe(side, row: row, line: entry.line)
        for var write in try values.writes(row: row, name: "\(side.rawValue).\(path)", node: entry.value) {
            write.side = side
            guard let first = section.updateValue(write, forKey: write.row) else { continue }
            throw error(
                write.line,
                "\"\(side.rawValue)\" gives \"\(SettingNames.table[write.row].path)\" twice, first on line \(first.line); keep one"
            )
        }
    }

    /// A chain that gives masks has its own, so that masks of masks would have no beginning.
    func refuseCircle(_ side: RecipeSide, _ name: String, line: Int) throws(SpecError) {
        let inner = RecipeSide.split(name).side
        if inner == .train { throw nested(name, in: side, line: line) }
        guard name == RecipeSide.maskFrom.rawValue || inner != nil else { return }
        throw error(
            line,
            "\"\(name)\" inside \"\(side.rawValue)\" goes in a circle: the chain that masks come from takes none from another; give the "
                + "settings themselves, such as mask_from: {lr: 0.01}")
    }

    private func nested(_ name: String, in side: RecipeSide, line: Int) -> SpecError {
        let remedy =
            side == .train
            ? "give the settings themselves, such as train: {lr: 0.1}" : "put \"train\" beside \"\(side.rawValue)\""
        return error(
            line,
            "\"\(name)\" inside \"\(side.rawValue)\" is a recipe inside a recipe, which has none of its own; "
                + remedy)
    }

    /// Refuses settings that must be the same under both recipes.
    /// - Parameter row: in the table of settings.
    func checkRecipe(_ side: RecipeSide, row: Int, line: Int) throws(SpecError) {
        let path = SettingNames.table[row].path
        guard !RecipeSide.mayDiffer(path) else { return }
        let why =
            if path.hasPrefix("model.") {
                "must stay fixed, because a mask fits the network that it was found in; give it outside, for both recipes"
            } else if path == "dataset" || path.hasPrefix("data.") {
                "must stay fixed, because both recipes see the same images; give it outside, for both recipes"
            } else if path.hasPrefix("pruning.") {
                "must stay fixed, because it decides the masks, which both recipes have in common; give it outside"
            } else {
                "belongs to neither recipe; give it outside"
            }
        throw error(line, "\"\(path)\" in \"\(side.rawValue)\" \(why)")
    }

    /// What the two recipes of a point cannot have in common with their masks; nil if all is well.
    func misfit(training: Settings, masks: Settings) -> Misfit? {
        guard training.pruning.levels > 0, training != masks else { return nil }
        let traits = vocabulary.criterionTraits[training.pruning.criterion] ?? CriterionTraits()
        let criterion = training.pruning.criterion
        if training.pruning.resolved(for: traits).at == .step(0) {
            return Misfit(
                paths: ["pruning.rank_at", "pruning.criterion"],
                message:
                    "\(criterion) ranks the initialisation here, so that masks are the same under every recipe and there is nothing to "
                    + "transplant; leave out mask_from and train, or give a later pruning.rank_at")
        }
        if training.pruning.retrain != .weightRewinding {
            return Misfit(
                paths: ["pruning.retrain"],
                message:
                    "\(training.pruning.retrain.rawValue) goes on with the weights that were pruned, which are the other recipe's; "
                    + "set train: {retrain: weight-rewinding}")
        }
        if traits.readsExamples,
            (training.training.batch, training.training.labelSmoothing) != (
                masks.training.batch, masks.training.labelSmoothing
            )
        {
            return Misfit(
                paths: ["training.batch", "training.label_smoothing", "pruning.criterion"],
                message:
                    "\(criterion) ranks by gradients, which depend on batch and label_smoothing, so both recipes must have the same; "
                    + "give them outside of mask_from and train")
        }
        if branches.contains(where: { $0.name == "dense-budget" }) {
            return Misfit(
                paths: [],
                message:
                    "what a chain under two recipes costs is no budget of one of them, so there is no dense-budget beside it; leave out "
                    + "the branch, or mask_from and train")
        }
        return nil
    }

    /// Where the two recipes are told apart.
    var recipeLine: Int {
        RecipeSide.allCases.compactMap { lines[$0.rawValue] }.first ?? axes.first { $0.side != nil }?.line ?? sweepLine
    }

    /// What the points must be for two recipes to be of any use.
    func checkTransplant(against points: GridPoints) throws(SpecError) {
        guard transplants else { return }
        let line = recipeLine
        guard points.deepest > 0 else {
            throw error(line, "masks are to be transplanted, but no point prunes; raise \"pruning.levels\"")
        }
        for source in axes where source.side == nil {
            let rows = Set(source.writes.joined().map(\.row))
            guard RecipeSide.allCases.allSatisfy({ rows.isSubset(of: rowsOfOwn($0)) }) else { continue }
            throw error(
                source.line,
                "axis \"\(source.axis.name)\" changes nothing, because both mask_from and train give values of their own; leave it out"
            )
        }
        guard points.allSatisfy({ $0.maskSettings == $0.settings }) else { return }
        throw error(
            line,
            "every mask would be trained under the recipe that it comes from; give mask_from or train a value that differs, such as "
                + "mask_from: {lr: 0.01}, or leave them out")
    }

    // MARK: Settings of a recipe

    /// Rows for which a recipe has values of its own, from its section or from axes.
    func rowsOfOwn(_ side: RecipeSide) -> Set<Int> {
        Set(recipes[side, default: [:]].keys).union(
            axes.filter { $0.side == side }.flatMap { $0.writes.joined().map(\.row) })
    }

    /// Which settings tell the two recipes apart.
    var transplant: Transplant? {
        guard transplants else { return nil }
        let rows = RecipeSide.allCases.reduce(into: Set<Int>()) { $0.formUnion(rowsOfOwn($1)) }
        func fixed(_ side: RecipeSide) -> PointCoordinates {
            PointCoordinates(rows: recipes[side, default: [:]].keys.sorted(), of: settings(writing: [], for: side))
        }
        return Transplant(
            rows: rows.sorted(),
            sharedAxes: axes.indices.filter { index in
                axes[index].side == nil && !Set(axes[index].writes.joined().map(\.row)).isSubset(of: rows)
            }, maskFrom: fixed(.maskFrom), train: fixed(.train))
    }

    /// The recipes' share of what a spec means; nothing where there is one recipe only, so that old digests stay.
    var recipeLines: [String] {
        RecipeSide.allCases.flatMap { side in
            recipes[side, default: [:]].keys.sorted().map { row in
                let setting = SettingNames.table[row]
                return "\(side.rawValue).\(setting.path)=\(setting.read(settings(writing: [], for: side)))"
            }
        }
    }
}
