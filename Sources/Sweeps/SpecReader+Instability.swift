import Lottery

/// What a spec says of siblings: `instability`.
extension SpecReader {
    static let connectionPoints = 3...1_000
    private static let instabilityKeys = ["levels", "points", "batch_norm"]

    mutating func readInstability(_ entry: SpecNode.Entry) throws(SpecError) {
        guard case .map(let entries) = entry.value.content, !entries.isEmpty else {
            throw error(
                entry.value.line,
                "\"instability\" must be a map, such as instability: {levels: [0, 5]} or {levels: all}, not \(entry.value.written)"
            )
        }
        var levels: [Int]?
        var points = 30
        var batchNorm = BatchNormPolicy.interpolated
        for inner in entries {
            switch inner.key {
            case "levels": levels = try readLevels(inner.value, of: "instability.levels", from: 0)
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

    /// What the points must be for siblings to be of any use.
    func checkInstability(against points: GridPoints) throws(SpecError) {
        guard instability != nil, let line = lines["instability"] else { return }
        try checkLevels(of: "instability.levels", against: points)
        // Where nothing is pruned nothing is rewound, and only siblings begin at that step.
        if let point = points.first(where: { $0.settings.pruning.rewind >= $0.settings.training.iterations }) {
            throw error(
                line,
                "a sibling that starts at step \(point.settings.pruning.rewind), to which \"pruning.rewind\" goes back, has nothing to train, "
                    + "since training ends at step \(point.settings.training.iterations); lower \"pruning.rewind\"")
        }
    }
}
