import Lottery

/// Reads the parts of a spec, each with its place, and finds what is wrong with them.
struct SpecReader {
    let file: String
    let vocabulary: Vocabulary
    let values: SettingReader

    var name = ""
    var base = Settings()
    var axes: [AxisSource] = []
    var replicates = 1
    var branches: [SweepBranch] = []
    var seed: UInt64 = 0
    var excludes: [(text: String, line: Int, rule: ExcludeRule)] = []
    /// Indices of those that hold for no point.
    var idleExcludes: [Int] = []
    var refinement: Refinement?
    var stopRule: StopRule?
    var winningAt: [(density: Double, line: Int)] = []
    var instability: Instability?
    /// Levels that sections name, as they are written.
    var namedLevels: [NamedLevel] = []
    /// What it says of one recipe alone, by row of the table.
    var recipes: [RecipeSide: [Int: SettingWrite]] = [:]
    /// Where sections that others are checked against are written.
    var lines: [String: Int] = [:]

    /// Where each setting is written outside of axes, by row of the table.
    private(set) var baseWrites: [Int: SettingWrite] = [:]
    /// Where the size of the sweep is decided.
    private var gridLine = 1
    private var nameLine = 1
    private(set) var branchesLine = 1
    /// Where to point when no line is to blame.
    var sweepLine: Int { nameLine }

    static let sections = [
        "name", "branches", "replicates", "seed", "refine", "stop_when", "winning_at", "instability", "mask_from",
        "train", "grid", "zip", "exclude",
    ]
    static let axisSections = ["grid", "zip", "exclude"]
    static let maximumReplicates = 10_000
    static let maximumNameLetters = 100

    init(file: String, vocabulary: Vocabulary) {
        self.file = file
        self.vocabulary = vocabulary
        values = SettingReader(file: file, vocabulary: vocabulary)
    }

    func error(_ line: Int, _ message: String) -> SpecError { SpecError(file: file, line: line, message: message) }

    mutating func read(_ root: SpecNode) throws(SpecError) {
        guard case .map(let entries) = root.content else {
            throw error(root.line, "a spec is a map of settings; see sweeps/quickstart.yaml for an example")
        }
        var later: [String: SpecNode.Entry] = [:]
        for entry in entries {
            switch entry.key {
            case "name": try readName(entry)
            case "branches": try readBranches(entry)
            case "replicates":
                replicates = try integer(entry, in: 1...SpecReader.maximumReplicates)
                lines["replicates"] = entry.line
            case "refine": try readRefinement(entry)
            case "stop_when": try readStopRule(entry)
            case "winning_at": try readWinningAt(entry)
            case "instability": try readInstability(entry)
            case "mask_from": try readRecipe(.maskFrom, entry)
            case "train": try readRecipe(.train, entry)
            case "seed": seed = try readSeed(entry)
            case "grid", "zip", "exclude": later[entry.key] = entry
            default: try readSetting(prefix: "", entry)
            }
        }
        guard !name.isEmpty else {
            throw error(root.line, "the sweep has no name; give it one, such as name: \(suggestedName)")
        }
        try checkRules()
        base.apply(sorted: baseWrites.values.sorted { $0.row < $1.row })
        // Axes come after the settings they vary, and exclude after the axes it speaks of, in whatever order they
        // stand.
        if let grid = later["grid"] { try readGrid(grid) }
        if let zip = later["zip"] { try readZip(zip) }
        if let exclude = later["exclude"] { try readExclude(exclude) }
        gridLine = (later["grid"] ?? later["zip"])?.line ?? nameLine
        try checkDefaults()
    }

    private var suggestedName: String {
        let stem = file.split(separator: "/").last.map { $0.prefix { $0 != "." } } ?? ""
        return SpecReader.isName(String(stem)) ? String(stem) : "my-sweep"
    }

    // MARK: Sections of their own

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= maximumNameLetters && text != "." && text != ".."
            && text.utf8.allSatisfy { letter in
                switch letter {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    private mutating func readName(_ entry: SpecNode.Entry) throws(SpecError) {
        guard case .scalar(let text) = entry.value.content, SpecReader.isName(text) else {
            throw error(
                entry.line,
                "\"name\" must be 1 to \(SpecReader.maximumNameLetters) letters, digits, \".\", \"_\" or "
                    + "\"-\", not \"\(entry.value.settingValue)\""
            )
        }
        name = text
        nameLine = entry.line
    }

    func integer(
        _ entry: SpecNode.Entry, in range: ClosedRange<Int>, name: String? = nil
    ) throws(SpecError) -> Int {
        guard case .scalar(let text) = entry.value.content, let value = Int(text.filter { $0 != "_" }),
            range.contains(value)
        else {
            throw error(
                entry.value.line,
                "\"\(name ?? entry.key)\" must be a whole number in \(range.lowerBound)…\(range.upperBound), not "
                    + "\(entry.value.written)"
            )
        }
        return value
    }

    private func readSeed(_ entry: SpecNode.Entry) throws(SpecError) -> UInt64 {
        guard case .scalar(let text) = entry.value.content, let value = UInt64(text.filter { $0 != "_" }) else {
            throw error(
                entry.value.line,
                "\"seed\" must be a whole number of at least 0 and below 2⁶⁴, not \(entry.value.written)")
        }
        return value
    }

    /// What both plans and the training core can make.
    private var knownBranches: [String] { vocabulary.branches.filter { Branch.named($0) != nil } }

    private mutating func readBranches(_ entry: SpecNode.Entry) throws(SpecError) {
        guard case .list(let items) = entry.value.content else {
            throw error(
                entry.value.line,
                "\"branches\" must be a list such as [\(knownBranches.joined(separator: ", "))], not "
                    + "\(entry.value.written)"
            )
        }
        branchesLine = entry.line
        for item in items { try readBranch(item) }
    }

    private mutating func readBranch(_ item: SpecNode) throws(SpecError) {
        var levels: [Int]?
        let name: SpecNode
        switch item.content {
        case .scalar: name = item
        case .map(let entries):
            guard let named = entries.first(where: { $0.key == "name" })?.value, case .scalar = named.content else {
                throw error(
                    item.line,
                    "a branch needs its name, such as {name: \(knownBranches[0]), levels: [4, 6]}, not \(item.written)")
            }
            name = named
            for inner in entries where inner.key != "name" {
                guard inner.key == "levels" else {
                    throw values.unknown(inner.key, line: inner.line, among: ["name", "levels"])
                }
                levels = try readLevels(inner.value, of: SpecReader.levels(ofBranch: name.written), from: 1)
            }
        case .list, .empty:
            throw error(item.line, "a branch must be a single name, or {name: …, levels: […]}, not \(item.written)")
        }
        guard case .scalar(let branch) = name.content, knownBranches.contains(branch) else {
            throw error(
                name.line, "unknown branch \"\(name.written)\"" + suggestion(for: name.written, among: knownBranches))
        }
        guard !branches.contains(where: { $0.name == branch }) else {
            throw error(name.line, "branch \"\(branch)\" is given twice; keep one")
        }
        branches.append(SweepBranch(name: branch, levels: levels))
    }

    // MARK: Settings by path

    private mutating func readSetting(prefix: String, _ entry: SpecNode.Entry) throws(SpecError) {
        let path = prefix.isEmpty ? entry.key : "\(prefix).\(entry.key)"
        if let row = SettingNames.rowOfPath[path] {
            for write in try values.writes(row: row, name: path, node: entry.value) { try record(write) }
            return
        }
        guard SettingNames.isSection(path) else { throw unknownSetting(prefix: prefix, entry) }
        switch entry.value.content {
        case .map(let entries):
            for inner in entries { try readSetting(prefix: path, inner) }
        case .empty:
            throw error(
                entry.line,
                "\"\(path)\" is empty; give it settings "
                    + "(\(SettingNames.children(of: path).joined(separator: ", "))), or leave it out"
            )
        case .scalar, .list:
            let child = SettingNames.children(of: path)[0]
            throw error(
                entry.value.line,
                "\"\(path)\" must be a map of settings, such as \(path): {\(child): \(entry.value.settingValue)}")
        }
    }

    private mutating func record(_ write: SettingWrite) throws(SpecError) {
        if let first = baseWrites.updateValue(write, forKey: write.row) {
            throw error(
                write.line,
                "\"\(SettingNames.table[write.row].path)\" is given twice, first on line \(first.line); keep one")
        }
    }

    private func unknownSetting(prefix: String, _ entry: SpecNode.Entry) -> SpecError {
        func path(ofShort name: String) -> String? {
            SettingNames.table.first { $0.shortName == name && $0.path != name }?.path
        }
        if let path = path(ofShort: entry.key) {
            return error(
                entry.line, "\"\(entry.key)\" serves in grid, zip and exclude only; here the setting is \"\(path)\"")
        }
        let local =
            entry.key.contains(".")
            ? SettingNames.table.map(\.path)
            : SettingNames.children(of: prefix) + (prefix.isEmpty ? SpecReader.sections : [])
        if let nearest = nearestName(to: entry.key, among: local) {
            return error(entry.line, "unknown setting \"\(entry.key)\"; did you mean \"\(nearest)\"?")
        }
        if let nearest = nearestName(to: entry.key, among: SettingNames.axisNames) {
            let remedy = path(ofShort: nearest).map { " (outside grid, zip and exclude it is \"\($0)\")" } ?? ""
            return error(entry.line, "unknown setting \"\(entry.key)\"; did you mean \"\(nearest)\"?\(remedy)")
        }
        let place = prefix.isEmpty ? "a spec" : "\"\(prefix)\""
        return error(entry.line, "unknown setting \"\(entry.key)\"; \(place) has \(local.joined(separator: ", "))")
    }

    // MARK: Axes

    private mutating func readGrid(_ entry: SpecNode.Entry) throws(SpecError) {
        guard case .map(let axisEntries) = entry.value.content else {
            if entry.value.isEmpty { throw emptyGrid(entry) }
            throw error(
                entry.value.line,
                "\"grid\" must be a map of axes, such as grid: {lr: [0.01, 0.1]}, not \(entry.value.written)")
        }
        guard !axisEntries.isEmpty else { throw emptyGrid(entry) }
        for axis in axisEntries { try readAxis(axis, zipGroup: nil, dimension: (axes.last?.dimension ?? -1) + 1) }
    }

    private func emptyGrid(_ entry: SpecNode.Entry) -> SpecError {
        error(
            entry.line,
            "\"\(entry.key)\" is empty; give it an axis, such as \(entry.key): {lr: [0.01, 0.1]}, or leave it out")
    }

    private mutating func readZip(_ entry: SpecNode.Entry) throws(SpecError) {
        let groups: [SpecNode]
        switch entry.value.content {
        case .list(let items): groups = items
        case .map: groups = [entry.value]
        case .empty, .scalar:
            throw error(
                entry.value.line,
                "\"zip\" must be a list of maps of axes, such as zip: [{lr: [0.01, 0.1], warmup: [0, 500]}]")
        }
        for (group, node) in groups.enumerated() {
            guard case .map(let axisEntries) = node.content, !axisEntries.isEmpty else {
                throw error(
                    node.line,
                    "a zip group must be a map of axes, such as {lr: [0.01, 0.1], warmup: [0, 500]}, not "
                        + "\(node.written)"
                )
            }
            let dimension = (axes.last?.dimension ?? -1) + 1
            let firstOfGroup = axes.count
            for axis in axisEntries {
                try readAxis(axis, zipGroup: group, dimension: dimension)
                let (first, added) = (axes[firstOfGroup], axes[axes.count - 1])
                guard added.axis.values.count == first.axis.values.count else {
                    throw error(
                        axis.line,
                        "axes of one zip group move together, but \"\(axis.key)\" has "
                            + "\(added.axis.values.count) \(added.axis.values.count == 1 ? "value" : "values") and "
                            + "\"\(first.axis.name)\" has \(first.axis.values.count); give them as many, or move one to grid"
                    )
                }
            }
            try checkDuplicates(of: Array(axes[firstOfGroup...]))
        }
    }

    private mutating func readAxis(_ entry: SpecNode.Entry, zipGroup: Int?, dimension: Int) throws(SpecError) {
        let (side, name) = RecipeSide.split(entry.key)
        try refuseSectionAsAxis(name, entry, side)
        if let side { try refuseCircle(side, name, line: entry.line) }
        guard let row = SettingNames.rowOfAxisName[name] else {
            throw values.unknown(entry.key, line: entry.line, among: SettingNames.axisNames)
        }
        if let side { try checkRecipe(side, row: row, line: entry.line) }
        let setting = SettingNames.table[row]
        if let other = axes.first(where: { $0.row == row && $0.side == side }) {
            throw error(entry.line, "\"\(entry.key)\" is an axis already, on line \(other.line); keep one")
        }
        guard case .list(let items) = entry.value.content else {
            throw error(
                entry.value.line,
                "axis \"\(entry.key)\" needs a list of values, such as "
                    + "[\(entry.value.isEmpty ? "…" : entry.value.settingValue.description)]"
            )
        }
        guard !items.isEmpty else {
            throw error(entry.value.line, "axis \"\(entry.key)\" has no values; give it some, or leave it out")
        }
        var writes: [[SettingWrite]] = []
        for item in items {
            writes.append(
                try values.writes(row: row, name: entry.key, node: item).map { write in
                    var write = write
                    write.side = side
                    return write
                })
        }
        let rows = Set(writes.joined().map(\.row))
        for other in axes where other.side == side {
            guard let both = other.writes.joined().first(where: { rows.contains($0.row) }) else { continue }
            throw error(
                entry.line,
                "\"\(entry.key)\" and the axis \"\(other.axis.name)\" on line \(other.line) both set "
                    + "\"\(SettingNames.table[both.row].path)\"; let one of them do it")
        }
        let prefix = side.map { "\($0.rawValue)." } ?? ""
        let axis = Axis(
            name: prefix + setting.name, path: prefix + setting.path, values: items.map(\.settingValue),
            zipGroup: zipGroup)
        let source = AxisSource(
            axis: axis, row: row, line: entry.line, writes: writes, side: side, dimension: dimension)
        if zipGroup == nil { try checkDuplicates(of: [source]) }
        axes.append(source)
    }

    /// A section of the spec speaks of all points at once.
    private func refuseSectionAsAxis(_ name: String, _ entry: SpecNode.Entry, _ side: RecipeSide?) throws(SpecError) {
        let hasMaps = if case .list(let items) = entry.value.content { items.contains { $0.isMap } } else { false }
        if side == nil, let recipe = RecipeSide(rawValue: name), recipe != .train || hasMaps || entry.value.isMap {
            throw error(
                entry.line,
                "\"\(name)\" as a whole is no axis; make axes of its settings, such as \(name).lr: [0.01, 0.1]")
        }
        guard let section = sectionOfAllPoints(name) else { return }
        if SpecReader.axisSections.contains(section) {
            throw error(entry.line, "\"\(entry.key)\" is no setting; give \"\(section)\" at the top of the spec")
        }
        throw error(
            entry.line,
            "\"\(entry.key)\" is the same for all points of a sweep and so no axis; give \"\(section)\" outside of grid "
                + "and zip, or make a sweep for each value")
    }

    /// The section that a name is of, if points cannot differ in it.
    func sectionOfAllPoints(_ name: String) -> String? {
        let section = String(name.prefix { $0 != "." })
        return RecipeSide(rawValue: section) == nil && SpecReader.sections.contains(section) ? section : nil
    }

    /// The fixed settings, over which those of axes are written.
    var fixedSettings: FixedSettings { FixedSettings(settings: base, writes: baseWrites, recipes: recipes) }

    func settings(writing writes: [SettingWrite]) -> Settings { fixedSettings.settings(writing: writes) }

    func settings(writing writes: [SettingWrite], for side: RecipeSide) -> Settings {
        fixedSettings.settings(writing: writes, for: side)
    }

    /// Values that mean the same, such as 0.1 and 1e-1, would make two points of one. In a zip group the tuple counts.
    private func checkDuplicates(of group: [AxisSource]) throws(SpecError) {
        var seen: [[Settings]: Int] = [:]
        let hasSides = group.contains { $0.side != nil }
        for index in group[0].writes.indices {
            let writes = group.flatMap { $0.writes[index] }
            let settings =
                [self.settings(writing: writes.filter { $0.side == nil })]
                + (hasSides ? RecipeSide.allCases.map { self.settings(writing: writes, for: $0) } : [])
            guard let first = seen.updateValue(index, forKey: settings) else { continue }
            let values = group.map { "\($0.axis.values[index])" }.joined(separator: ", ")
            let names = group.map { "\"\($0.axis.name)\"" }.joined(separator: ", ")
            let line = group[0].writes[index].first?.line ?? group[0].line
            throw error(
                line, "axis \(names) has the value \(values) twice, in places \(first + 1) and \(index + 1); keep one")
        }
    }

    private mutating func readExclude(_ entry: SpecNode.Entry) throws(SpecError) {
        let items: [SpecNode]
        switch entry.value.content {
        case .list(let list): items = list
        case .scalar: items = [entry.value]
        case .empty, .map:
            throw error(
                entry.value.line, "\"exclude\" must be a list of conditions, such as [\"lr == 0.01 && warmup > 0\"]")
        }
        let columns = axes.map { source in
            ExcludeRule.Column(
                names: [source.axis.name, source.axis.path],
                isNumeric: ExcludeRule.Value.all(of: source.axis.values).allSatisfy {
                    if case .number = $0 { true } else { false }
                })
        }
        for item in items {
            guard case .scalar(let text) = item.content else {
                throw error(item.line, "a condition of exclude must be a text in quotes, not \(item.written)")
            }
            do {
                excludes.append((text, item.line, try ExcludeRule(text, columns: columns)))
            } catch {
                throw SpecError(
                    file: file, line: item.line,
                    message: "exclude \"\(text)\" \(error.message) (at its letter \(error.position + 1))")
            }
        }
    }

    // MARK: The whole

    /// Names that the spec leaves at their defaults must be known as well.
    private func checkDefaults() throws(SpecError) {
        let written = Set(baseWrites.keys).union(axes.flatMap { $0.writes.flatMap { $0.map(\.row) } })
        for (row, setting) in SettingNames.table.enumerated() where !written.contains(row) {
            guard let known = values.knownNames(of: setting.path) else { continue }
            let name = setting.read(base)
            guard known.names.contains(name) else {
                throw error(
                    nameLine,
                    "\"\(setting.path)\" must be given, since this build has no \(known.kind) \"\(name)\"; "
                        + "known are \(known.names.joined(separator: ", "))"
                )
            }
        }
    }

    /// Values along each dimension: an axis of the grid, or a zip group.
    var dimensions: [Int] {
        var counts: [Int] = []
        for source in axes where source.dimension == counts.count { counts.append(source.axis.values.count) }
        return counts
    }

    func checkRunCount(maximumRuns: Int) throws(SpecError) {
        var runs = replicates
        for count in dimensions {
            let (product, overflow) = runs.multipliedReportingOverflow(by: count)
            runs = overflow ? .max : product
            if overflow { break }
        }
        guard runs > min(maximumRuns, Sweep.runsAtMost) else { return }
        let size = runs == .max ? "the grid has more than 2⁶³ runs" : "the grid has \(runs.grouped) runs"
        let mayBeAllowed = runs <= Sweep.runsAtMost
        let remedy =
            mayBeAllowed
            ? "more than \(maximumRuns.grouped); shorten an axis, or say --yes if you mean it"
            : "more than the \(Sweep.runsAtMost.grouped) that a sweep may have; shorten an axis, or make several sweeps"
        throw SpecError(file: file, line: gridLine, message: "\(size), \(remedy)", runCount: mayBeAllowed ? runs : nil)
    }

    /// Digest of what the spec means.
    var digest: Digest {
        var lines = ["tombola spec 1", "name=\(name)", "replicates=\(replicates)", "seed=\(seed)"]
        lines += [Setting.Part.training, .pruning, .report].flatMap { base.canonicalLines(of: $0) }
        lines += branches.map { branch in
            let levels = branch.levels.map { " levels=" + $0.map(String.init).joined(separator: ",") }
            return "branch=\(branch.name)\(levels ?? "")"
        }
        for source in axes {
            let values = source.writes.map { writes in
                let settings =
                    source.side.map { self.settings(writing: writes, for: $0) } ?? self.settings(writing: writes)
                return Set(writes.map(\.row)).sorted().map { SettingNames.table[$0].read(settings) }.joined(
                    separator: "|")
            }
            lines.append("axis=\(source.axis.path),\(source.dimension):\(values.joined(separator: ";"))")
        }
        lines += ruleLines + recipeLines
        lines += excludes.map { "exclude=" + $0.text.filter { !$0.isWhitespace } }
        return Digest.of(lines.joined(separator: "\n").utf8)
    }
}

extension SpecNode {
    /// The value for an error message.
    var written: String {
        let text = isEmpty ? "nothing" : settingValue.description
        return text.count <= 60 ? text : text.prefix(57) + "…"
    }
}

extension Int {
    /// With a comma between thousands: 1,000,000.
    var grouped: String {
        var digits = String(magnitude)
        var end = digits.count - 3
        while end > 0 {
            digits.insert(",", at: digits.index(digits.startIndex, offsetBy: end))
            end -= 3
        }
        return self < 0 ? "-\(digits)" : digits
    }
}
