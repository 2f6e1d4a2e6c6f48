import Lottery

/// What a spec says of siblings: `instability`.
extension SpecReader {
    static let connectionPoints = 3...1_000
    private static let instabilityKeys = ["levels", "points", "batch_norm"]

    mutating func readInstability(_ entry: SpecNode.Entry) throws(SpecError) {
        guard case .map(let entries) = entry.value.content, !entries.isEmpty else {
            throw error(
                entry.value.line,
                "\"instability\" must be a map, such as instability: {levels: [0, 5]} or {levels: all}, not \(entry.value.written)")
        }
        var levels: [Int]?
        var points = 30
        var batchNorm = BatchNormPolicy.interpolated
        for inner in entries {
            switch inner.key {
            case "levels": levels = try readInstabilityLevels(inner.value)
            case "points": points = try integer(inner, in: SpecReader.connectionPoints, name: "instability.points")
            case "batch_norm":
                guard case .scalar(let text) = inner.value.content, let policy = BatchNormPolicy(rawValue: text) else {
                    throw error(
                        inner.value.line,
                        "\"instability.batch_norm\" must be \(BatchNormPolicy.allCases.map(\.rawValue).joined(separator: " or ")), not "
                            + inner.value.written)
                }
                batchNorm = policy
            default: throw values.unknown(inner.key, line: inner.line, among: SpecReader.instabilityKeys)
            }
        }
        instability = Instability(levels: levels, points: points, batchNorm: batchNorm)
        lines["instability"] = entry.line
    }

    /// Nil for all.
    private mutating func readInstabilityLevels(_ node: SpecNode) throws(SpecError) -> [Int]? {
        if case .scalar("all") = node.content { return nil }
        guard case .list(let items) = node.content, !items.isEmpty else {
            throw error(
                node.line,
                "\"instability.levels\" must be all, or a list of levels such as [0, 5], where 0 is the dense network, not \(node.written)")
        }
        for item in items {
            guard case .scalar(let text) = item.content, let level = Int(text), (0...200).contains(level) else {
                throw error(item.line, "a level is a whole number in 0…200, where 0 is the dense network, not \(item.written)")
            }
            guard !instabilityLevels.contains(where: { $0.level == level }) else {
                throw error(item.line, "\"instability.levels\" names \(level) twice; keep one")
            }
            instabilityLevels.append((level, item.line))
        }
        return instabilityLevels.map(\.level).sorted()
    }

    /// What the points must be for siblings to be of any use.
    func checkInstability(against points: [GridPoint]) throws(SpecError) {
        guard instability != nil, let line = lines["instability"] else { return }
        let deepest = points.map(\.settings.pruning.levels).max() ?? 0
        if let beyond = instabilityLevels.first(where: { $0.level > deepest }) {
            throw error(
                beyond.line,
                deepest == 0
                    ? "\"instability.levels\" names level \(beyond.level), but no point prunes; raise \"pruning.levels\", or name 0 alone"
                    : "\"instability.levels\" names level \(beyond.level), but no chain goes beyond level \(deepest); raise "
                        + "\"pruning.levels\" to \(beyond.level), or name levels up to \(deepest)")
        }
        // Where nothing is pruned nothing is rewound, and only siblings begin at that step.
        if let point = points.first(where: { $0.settings.pruning.rewind >= $0.settings.training.iterations }) {
            throw error(
                line,
                "a sibling that starts at step \(point.settings.pruning.rewind), to which \"pruning.rewind\" goes back, has nothing to train, "
                    + "since training ends at step \(point.settings.training.iterations); lower \"pruning.rewind\"")
        }
    }
}
