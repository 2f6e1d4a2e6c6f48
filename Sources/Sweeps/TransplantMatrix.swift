import Lottery
import Verdicts

/// What masks of each recipe come to under each recipe: rows are recipes that masks come from, columns those that
/// networks are trained with.
public struct TransplantMatrix: Hashable, Sendable {
    public let sweep: String
    /// One for each choice of what both recipes share and each level: first of those, then of levels from 1 on.
    public let panels: [Panel]
    /// All cells, panel by panel, row by row. These are what `tombola leaderboard --matrix --json` prints.
    public var cells: [Cell] { panels.flatMap { $0.cells.flatMap { $0.compactMap(\.self) } } }

    public struct Panel: Hashable, Sendable {
        /// Values of the axes that both recipes share.
        public let shared: PointCoordinates
        public let level: Int
        /// Measured, or expected until all replicates are done; the mean over the cells, which differ in rounding at
        /// most.
        public let density: Double
        public let maskFrom: [PointCoordinates]
        public let train: [PointCoordinates]
        /// Accuracy of the dense network of each column.
        public let dense: [Estimate?]
        /// By row, then column; nil where the sweep has no such point, or its chain is shorter.
        public let cells: [[Cell?]]
    }

    /// One level of one point.
    public struct Cell: Hashable, Sendable {
        public let sweep: String
        public let shared: PointCoordinates
        public let maskFrom: PointCoordinates
        public let train: PointCoordinates
        public let level: Int
        public let density: Double
        /// Test accuracy under the mask; nil until all replicates are done.
        public let accuracy: Estimate?
        /// Test accuracy of the dense network that is trained with the same recipe.
        public let dense: Estimate?
        /// The one less the other, paired by seed.
        public let difference: Estimate?
        /// As in `DensityCurve.Level`.
        public let verdict: Verdict?
        /// What the test says of matching.
        public let matching: Decision?
        /// Whether this level is its point's headline on the leaderboard.
        public let isHeadline: Bool
        public let ticket: String?
    }

    /// Nil for a sweep of one recipe.
    public init?(_ board: Leaderboard) {
        guard let recipes = board.recipes else { return nil }
        sweep = board.sweep
        let headlines = Dictionary(uniqueKeysWithValues: board.rows.map { ($0.pointIndex, $0.level) })
        var panels: [Panel] = []
        for shared in recipes.map(\.shared).uniqued() {
            let points = recipes.indices.filter { recipes[$0].shared == shared }
            let rows = points.map { recipes[$0].maskFrom }.uniqued()
            let columns = points.map { recipes[$0].train }.uniqued()
            let deepest = points.map { board.curves[$0].levels.count - 1 }.max() ?? 0
            for level in 1..<max(1, deepest) + 1 {
                let cells = rows.map { row in
                    columns.map { column -> Cell? in
                        guard
                            let point = points.first(where: {
                                recipes[$0].maskFrom == row && recipes[$0].train == column
                            })
                        else { return nil }
                        return Cell(
                            board.curves[point], recipes[point], level: level, headline: headlines[point] ?? nil)
                    }
                }
                let densities = cells.joined().compactMap { $0?.density }
                guard let density = Estimate(densities)?.mean else { continue }
                let dense = columns.map { column in
                    points.first { recipes[$0].train == column }.flatMap { board.curves[$0].levels[0].accuracy }
                }
                panels.append(
                    Panel(
                        shared: shared, level: level, density: density, maskFrom: rows, train: columns, dense: dense,
                        cells: cells))
            }
        }
        self.panels = panels
    }
}

extension TransplantMatrix.Cell {
    fileprivate init?(_ curve: DensityCurve, _ recipes: PointRecipes, level: Int, headline: Int?) {
        guard curve.levels.indices.contains(level) else { return nil }
        let found = curve.levels[level]
        sweep = curve.sweep
        (shared, maskFrom, train) = (recipes.shared, recipes.maskFrom, recipes.train)
        (self.level, density) = (level, found.density)
        (accuracy, difference) = (found.accuracy, found.difference)
        dense = curve.levels[0].accuracy
        (verdict, matching) = (found.verdict, found.matching)
        isHeadline = headline == level
        ticket = found.ticket
    }
}

/// Unknown values are null, so that every cell has the same keys.
extension TransplantMatrix.Cell: Encodable {
    private enum CodingKeys: String, CodingKey {
        case sweep, shared, train, level, density, accuracy, dense, difference, verdict, matching, ticket
        case maskFrom = "mask_from"
        case isHeadline = "is_headline"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(sweep, forKey: .sweep)
        try container.encode(shared, forKey: .shared)
        try container.encode(maskFrom, forKey: .maskFrom)
        try container.encode(train, forKey: .train)
        try container.encode(level, forKey: .level)
        try container.encode(density, forKey: .density)
        try container.encode(LeaderboardRow.MaybeEstimate(accuracy), forKey: .accuracy)
        try container.encode(LeaderboardRow.MaybeEstimate(dense), forKey: .dense)
        try container.encode(LeaderboardRow.MaybeEstimate(difference), forKey: .difference)
        try container.encode(verdict, forKey: .verdict)
        try container.encode(matching, forKey: .matching)
        try container.encode(isHeadline, forKey: .isHeadline)
        try container.encode(ticket, forKey: .ticket)
    }
}
