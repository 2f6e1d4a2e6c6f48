import Lottery

/// What a spec says of tests, of added replicates and of chains that end early.
extension SpecReader {
    // MARK: One section each

    mutating func readRefinement(_ entry: SpecNode.Entry) throws(SpecError) {
        guard case .map(let entries) = entry.value.content else {
            throw error(
                entry.value.line,
                "\"refine\" must be a map, such as refine: {looks: [5, 8, 12], budget: 40}, not \(entry.value.written)")
        }
        var looks: [Int]?
        var budget: Int?
        for inner in entries {
            switch inner.key {
            case "looks": looks = try readLooks(inner)
            case "budget":
                budget = try integer(inner, in: 1...Sweep.runsAtMost, name: "refine.budget")
                lines["refine.budget"] = inner.line
            default: throw values.unknown(inner.key, line: inner.line, among: ["looks", "budget"])
            }
        }
        guard let looks else {
            throw error(
                entry.line, "\"refine\" needs the numbers of replicates at which to look, such as looks: [5, 8, 12]")
        }
        refinement = Refinement(looks: looks, budget: budget)
        lines["refine"] = entry.line
    }

    private func readLooks(_ entry: SpecNode.Entry) throws(SpecError) -> [Int] {
        guard case .list(let items) = entry.value.content, (2...Refinement.looksAtMost).contains(items.count) else {
            throw error(
                entry.value.line,
                "\"refine.looks\" must be a list of 2 to \(Refinement.looksAtMost) numbers of replicates, such as "
                    + "[5, 8, 12], not \(entry.value.written)")
        }
        var looks: [Int] = []
        for item in items {
            guard case .scalar(let text) = item.content, let look = Int(text),
                (1...SpecReader.maximumReplicates).contains(look)
            else {
                throw error(
                    item.line,
                    "a look is a whole number of replicates in 2…\(SpecReader.maximumReplicates), not \(item.written)")
            }
            guard look >= 2 else {
                throw error(item.line, "a look at one replicate decides nothing; begin with 2 or more, such as 5")
            }
            if let last = looks.last, look <= last {
                throw error(
                    item.line,
                    "looks must ascend, but \(look) comes after \(last); each is a number of replicates in all")
            }
            looks.append(look)
        }
        return looks
    }

    mutating func readStopRule(_ entry: SpecNode.Entry) throws(SpecError) {
        guard case .map(let entries) = entry.value.content else {
            throw error(
                entry.value.line,
                "\"stop_when\" must be a map, such as stop_when: {margin: 0.05, levels: 2}, not \(entry.value.written)")
        }
        var margin: Double?
        var levels = 2
        for inner in entries {
            switch inner.key {
            case "margin":
                guard case .scalar(let text) = inner.value.content, let value = text.numericValue, value > 0, value <= 1
                else {
                    throw error(
                        inner.value.line,
                        "\"stop_when.margin\" must be a fraction of the test set above 0 and at most 1, such as 0.05, not "
                            + inner.value.written)
                }
                margin = value
            case "levels":
                levels = try integer(inner, in: 1...200, name: "stop_when.levels")
                lines["stop_when.levels"] = inner.line
            default: throw values.unknown(inner.key, line: inner.line, among: ["margin", "levels"])
            }
        }
        guard let margin else {
            throw error(
                entry.line,
                "\"stop_when\" needs the margin below the dense network at which a chain ends, such as margin: 0.05")
        }
        stopRule = StopRule(margin: margin, levels: levels)
        lines["stop_when"] = entry.line
    }

    mutating func readWinningAt(_ entry: SpecNode.Entry) throws(SpecError) {
        guard case .list(let items) = entry.value.content, !items.isEmpty else {
            throw error(
                entry.value.line,
                "\"winning_at\" must be a list of densities, such as [0.211, 0.135, 0.036], not \(entry.value.written)")
        }
        for item in items {
            guard case .scalar(let text) = item.content, let density = text.numericValue, density > 0, density < 1
            else {
                throw error(
                    item.line,
                    "a density is a fraction of the weights above 0 and below 1, such as 0.211, not \(item.written)")
            }
            guard !winningAt.contains(where: { $0.density == density }) else {
                throw error(item.line, "\"winning_at\" names \(item.written) twice; keep one")
            }
            winningAt.append((density, item.line))
        }
        lines["winning_at"] = entry.line
    }

    // MARK: Together

    /// Rules that contradict each other or leave nothing to decide.
    mutating func checkRules() throws(SpecError) {
        if let refinement {
            if let line = lines["replicates"], replicates != refinement.looks[0] {
                throw error(
                    line,
                    "\"replicates\" is \(replicates), but \"refine\" on line \(lines["refine"] ?? line) looks first at "
                        + "\(refinement.looks[0]); leave \"replicates\" out, or make them equal")
            }
            replicates = refinement.looks[refinement.looks.count - 1]
        } else if let line = lines["winning_at"], replicates < 2 {
            throw error(
                line,
                "\"winning_at\" names densities to be tested, but one replicate decides nothing; "
                    + "set \"replicates\" to 2 or more, such as 5")
        }
    }

    /// What the points must be for the rules to make sense.
    func checkRules(against points: GridPoints) throws(SpecError) {
        if let line = lines["refine"], points.deepest == 0 {
            throw error(
                line, "\"refine\" adds replicates where a verdict is undecided, but no point prunes; leave it out")
        }
        if let stopRule, let line = lines["stop_when"],
            let point = points.first(where: { $0.settings.matchingMargin >= stopRule.margin })
        {
            throw error(
                line,
                "\"stop_when.margin\" \(stopRule.margin) would end chains that still match, since \"matching_margin\" is "
                    + "\(point.settings.matchingMargin); raise it above that")
        }
        guard let line = lines["winning_at"] else { return }
        guard points.contains(where: { $0.settings.pruning.rewindsToStart && $0.settings.pruning.levels > 0 }) else {
            throw error(
                line,
                "\"winning_at\" names densities to be tested for winning, but \(whyNothingWins(points)), or leave it "
                    + "out")
        }
        var chains = NamedChains(vocabulary: vocabulary)
        var known: Set<Double> = []
        var missing = winningAt
        for point in points where !missing.isEmpty {
            let densities = chains.densities(of: point.settings)
            missing.removeAll { NamedDensity.level(of: $0.density, in: densities) != nil }
            known.formUnion(densities.dropFirst())
        }
        guard let stray = missing.first else { return }
        let near = known.sorted { abs($0 - stray.density) < abs($1 - stray.density) }.prefix(2).sorted(by: >)
        throw error(
            stray.line,
            "no chain of the sweep has the density \(stray.density) that \"winning_at\" names; the nearest are "
                + near.map { "\($0.roundedForPeople)" }.joined(separator: " and "))
    }

    /// Why no ticket of the sweep could win, and the remedy.
    private func whyNothingWins(_ points: GridPoints) -> String {
        guard points.deepest > 0 else { return "no point prunes; raise \"pruning.levels\"" }
        let ways = points.lazy.map(\.settings.pruning).filter { $0.levels > 0 }.map(\.retrain)
        guard let way = ways.first, !ways.contains(.weightRewinding) else {
            return "no point rewinds to step 0; add \"rewind\" 0"
        }
        return "\(way.rawValue) goes on with trained weights instead of those of step 0; add \"retrain\" "
            + "\(Retraining.weightRewinding.rawValue)"
    }

    /// The rules' share of what a spec means; nothing where there are none, so that old digests stay.
    var ruleLines: [String] {
        var lines: [String] = []
        if let refinement {
            lines.append("refine=\(refinement.looks),\(refinement.budget.map(String.init) ?? "none")")
        }
        if let stopRule { lines.append("stop_when=\(stopRule.margin),\(stopRule.levels)") }
        if !winningAt.isEmpty { lines.append("winning_at=\(winningAt.map(\.density))") }
        if let instability {
            let levels = instability.levels.map { "\($0)" } ?? "all"
            lines.append("instability=\(levels),\(instability.points),\(instability.batchNorm.rawValue)")
        }
        return lines
    }
}

/// Expected densities of the points' chains, each computed once.
struct NamedChains {
    private struct Chain: Hashable {
        var dataset: String
        var resize: Int?
        var model: ModelSettings
        var pruning: PruningSettings
    }

    let vocabulary: Vocabulary
    private var known: [Chain: [Double]] = [:]

    init(vocabulary: Vocabulary) { self.vocabulary = vocabulary }

    /// Empty for a network that the checks of the point refuse.
    mutating func densities(of settings: Settings) -> [Double] {
        let chain = Chain(
            dataset: settings.dataset, resize: settings.data.resize, model: settings.model, pruning: settings.pruning)
        if let densities = known[chain] { return densities }
        var densities: [Double] = []
        // Checked with the point.
        if let shape = vocabulary.datasets.first(where: { $0.name == settings.dataset }),
            let layers = try? vocabulary.layers(settings.model, shape.resized(to: settings.data.resize))
        {
            densities = PruningForecast(layers: layers, pruning: settings.pruning).densities
        }
        known[chain] = densities
        return densities
    }
}

extension Double {
    /// To four digits, as densities are written.
    var roundedForPeople: Double { (self * 10_000).rounded() / 10_000 }
}
