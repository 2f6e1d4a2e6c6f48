import Lottery

/// The names by which specs speak of settings.
enum SettingNames {
    static let table = Settings.table

    /// Row of `Settings.table` by path; the optimizer's name has two.
    static let rowOfPath: [String: Int] = {
        var rows = Dictionary(uniqueKeysWithValues: table.enumerated().map { ($0.element.path, $0.offset) })
        rows["training.optimizer.name"] = rows["training.optimizer"]
        return rows
    }()

    /// Row by path or short name, as axes may be called.
    static let rowOfAxisName: [String: Int] = rowOfPath.merging(
        table.enumerated().compactMap { row in row.element.shortName.map { ($0, row.offset) } },
        uniquingKeysWith: { path, _ in path })

    /// Rows that write a part of what a row writes: `pruning.rate.output` of `pruning.rate`.
    static let partsOfRow: [Int: [Int]] = Dictionary(
        uniqueKeysWithValues: table.indices.compactMap { row in
            let parts = table.indices.filter { table[$0].path.hasPrefix(table[row].path + ".") }
            return parts.isEmpty ? nil : (row, parts)
        })

    static let axisNames: [String] = table.flatMap { [$0.shortName, $0.path].compactMap { $0 } }

    /// Names that may follow `prefix` and a point: `rate` and `levels` after `pruning`.
    static func children(of prefix: String) -> [String] {
        var names: [String] = []
        for path in table.map(\.path) + ["training.optimizer.name"] {
            guard prefix.isEmpty || path.hasPrefix(prefix + ".") else { continue }
            let rest = prefix.isEmpty ? Substring(path) : path.dropFirst(prefix.count + 1)
            let name = String(rest.prefix { $0 != "." })
            if !names.contains(name) { names.append(name) }
        }
        return names
    }

    static func isSection(_ path: String) -> Bool { table.contains { $0.path.hasPrefix(path + ".") } }
}

/// One row of the table of settings to be written, and where the spec says so.
struct SettingWrite: Sendable {
    var row: Int
    var value: SettingValue
    var line: Int
    /// The recipe that it is for alone; nil for both.
    var side: RecipeSide?
}

/// Checks single values: that they suit their setting, and that the vocabulary has the names.
struct SettingReader {
    let file: String
    let vocabulary: Vocabulary

    /// The rows that `node`, given for the setting of `row`, writes. A map may write several: `{name: sgd, momentum:
    /// 0.9}`.
    func writes(row: Int, name: String, node: SpecNode) throws(SpecError) -> [SettingWrite] {
        let setting = SettingNames.table[row]
        if node.isEmpty {
            throw SpecError(file: file, line: node.line, message: "\"\(name)\" has no value; it is \(setting.meaning)")
        }
        if case .map(let entries) = node.content {
            if setting.path == "training.optimizer" { return try optimizerWrites(entries) }
            if setting.path == "pruning.rate" {
                for entry in entries { try checkRate(entry) }
            }
        }
        let write = SettingWrite(row: row, value: node.settingValue, line: node.line)
        try check(write, name: name)
        return [write]
    }

    private func optimizerWrites(_ entries: [SpecNode.Entry]) throws(SpecError) -> [SettingWrite] {
        var writes: [SettingWrite] = []
        for entry in entries {
            guard let row = SettingNames.rowOfPath["training.optimizer.\(entry.key)"] else {
                throw unknown(entry.key, line: entry.line, among: SettingNames.children(of: "training.optimizer"))
            }
            writes += try self.writes(row: row, name: entry.key, node: entry.value)
        }
        return writes
    }

    private func checkRate(_ entry: SpecNode.Entry) throws(SpecError) {
        guard let row = SettingNames.rowOfPath["pruning.rate.\(entry.key)"] else {
            throw unknown(entry.key, line: entry.line, among: SettingNames.children(of: "pruning.rate"))
        }
        _ = try writes(row: row, name: "pruning.rate.\(entry.key)", node: entry.value)
    }

    private func check(_ write: SettingWrite, name: String) throws(SpecError) {
        var scratch = Settings()
        do {
            try SettingNames.table[write.row].write(&scratch, write.value)
        } catch {
            throw SpecError(file: file, line: write.line, message: "\"\(name)\" \(error)")
        }
        guard case .scalar(let text) = write.value, let known = knownNames(of: SettingNames.table[write.row].path),
            !known.names.contains(text)
        else { return }
        throw SpecError(
            file: file, line: write.line,
            message: "unknown \(known.kind) \"\(text)\"" + suggestion(for: text, among: known.names))
    }

    /// What the vocabulary knows for a setting that is a registered name.
    func knownNames(of path: String) -> (kind: String, names: [String])? {
        switch path {
        case "dataset": ("data set", vocabulary.datasets.map(\.name))
        case "model.family": ("model family", vocabulary.models)
        case "model.initialisation": ("initialisation", vocabulary.initialisations)
        case "training.optimizer": ("optimizer", vocabulary.optimizers)
        case "pruning.criterion": ("pruning criterion", vocabulary.criteria)
        default: nil
        }
    }

    func unknown(_ name: String, line: Int, among names: [String]) -> SpecError {
        SpecError(file: file, line: line, message: "unknown setting \"\(name)\"" + suggestion(for: name, among: names))
    }
}

extension Settings {
    /// Applies `writes` in table order, so that what covers more comes before what covers less: `pruning.rate`, then
    /// `pruning.rate.output`.
    /// - Precondition: `SettingReader` has checked each write.
    mutating func apply(sorted writes: [SettingWrite]) {
        for write in writes {
            do {
                try SettingNames.table[write.row].write(&self, write.value)
            } catch {
                preconditionFailure("a checked value was refused: \(SettingNames.table[write.row].path) \(error)")
            }
        }
    }
}
