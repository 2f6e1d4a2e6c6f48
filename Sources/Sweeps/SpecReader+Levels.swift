import Lottery

/// A level that a section names, as it is written.
struct NamedLevel {
    /// `instability.levels`
    var section: String
    var level: Int
    var line: Int
}

/// Lists of levels, of which several sections have one.
extension SpecReader {
    private static let deepestLevel = 200

    /// The section of the levels beside which a branch stands.
    static func levels(ofBranch name: String) -> String { "levels of \(name)" }

    /// - Parameter first: 0 where the dense network may be among them, else 1.
    /// - Returns: the levels ascending, or nil for all.
    mutating func readLevels(_ node: SpecNode, of section: String, from first: Int) throws(SpecError) -> [Int]? {
        if case .scalar("all") = node.content { return nil }
        let dense = first == 0 ? ", where 0 is the dense network" : ""
        guard case .list(let items) = node.content, !items.isEmpty else {
            throw error(
                node.line,
                "\"\(section)\" must be all, or a list of levels such as [\(first), 5]\(dense), not \(node.written)")
        }
        var levels: [Int] = []
        for item in items {
            guard case .scalar(let text) = item.content, let level = Int(text),
                (first...SpecReader.deepestLevel).contains(level)
            else {
                throw error(
                    item.line,
                    "a level is a whole number in \(first)…\(SpecReader.deepestLevel)\(dense), not \(item.written)")
            }
            guard !levels.contains(level) else {
                throw error(item.line, "\"\(section)\" names \(level) twice; keep one")
            }
            levels.append(level)
            namedLevels.append(NamedLevel(section: section, level: level, line: item.line))
        }
        return levels.sorted()
    }

    /// A level that no chain has is a mistake.
    func checkLevels(of section: String, against points: GridPoints) throws(SpecError) {
        let deepest = points.deepest
        guard let beyond = namedLevels.first(where: { $0.section == section && $0.level > deepest }) else { return }
        throw error(
            beyond.line,
            deepest == 0
                ? "\"\(section)\" names level \(beyond.level), but no point prunes; raise \"pruning.levels\", or name 0 alone"
                : "\"\(section)\" names level \(beyond.level), but no chain goes beyond level \(deepest); raise \"pruning.levels\" to "
                    + "\(beyond.level), or name levels up to \(deepest)")
    }
}
