import Lottery
import Verdicts

/// How sparse tickets become over two settings, by default learning-rate warmup and learning rate: a panel of cells for
/// each combination of the other axes, such as depth and rewind step. Whether depth needs warmup before winning tickets
/// appear can be read off such panels; they are a pure function of a leaderboard.
public struct Atlas: Hashable, Sendable, Encodable {
    /// One of the two settings, with its values in the order of rows or columns.
    public struct Side: Hashable, Sendable, Encodable {
        /// As the sweep calls it.
        public let axis: String
        /// Numbers ascending, anything else in the order of the grid. A setting that is no axis of the sweep has one
        /// value, nil.
        public let values: [AxisValue?]
    }

    /// All points that differ in the two settings only.
    public struct Panel: Hashable, Sendable, Encodable {
        /// The other axes that tell this panel from the rest; those that move together with one of these are left out.
        public let point: PointCoordinates
        /// By rows, then columns.
        public let cells: [Cell]
    }

    /// One point of the sweep.
    public struct Cell: Hashable, Sendable, Encodable {
        /// Indices into the values of `rows` and `columns`.
        public let row: Int
        public let column: Int
        /// Density of the sparsest winning ticket by the means over replicates; nil if none wins, or none yet.
        public let winningDensity: Double?
        /// Density of the sparsest matching ticket; nil if none matches, or none yet.
        public let matchingDensity: Double?
        /// The word of the planned tests on winning at `winningDensity`, and on matching at `matchingDensity`; nil where
        /// there is no such density. Winning is undecided where it is not tested; where none matches, the point's word on that.
        public let winningDecided: Decision?
        public let matchingDecided: Decision?
        /// Density of the chain's last level, or of the last before a chain was ended early. A ticket of this density says
        /// that the limit lies there or below.
        public let lastDensity: Double?
        /// What the leaderboard says of the point; `decided` is of its headline's ticket.
        public let verdict: Verdict
        public let decided: Decision
        /// Test accuracy of the dense network, as a fraction.
        public let dense: Estimate?
        /// Replicate 0's ticket of the headline, and its density, which is neither of those above where winning is tested at
        /// others.
        public let ticket: String?
        public let ticketDensity: Double?
        /// Whether all trainings that are asked for are done. Not in JSON, where `verdict` is enough.
        public let isDone: Bool

        private enum CodingKeys: String, CodingKey {
            case row, column, verdict, decided, dense, ticket
            case winningDensity = "winning_density"
            case matchingDensity = "matching_density"
            case winningDecided = "winning_decided"
            case matchingDecided = "matching_decided"
            case lastDensity = "last_density"
            case ticketDensity = "ticket_density"
        }

        /// Unknown values are null rather than left out, so that every cell has the same keys.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(row, forKey: .row)
            try container.encode(column, forKey: .column)
            try container.encode(winningDensity, forKey: .winningDensity)
            try container.encode(matchingDensity, forKey: .matchingDensity)
            try container.encode(winningDecided, forKey: .winningDecided)
            try container.encode(matchingDecided, forKey: .matchingDecided)
            try container.encode(lastDensity, forKey: .lastDensity)
            try container.encode(verdict, forKey: .verdict)
            try container.encode(decided, forKey: .decided)
            try container.encode(LeaderboardRow.MaybeEstimate(dense), forKey: .dense)
            try container.encode(ticket, forKey: .ticket)
            try container.encode(ticketDensity, forKey: .ticketDensity)
        }

        /// - Parameter levels: of the point's curve.
        fileprivate init(_ entry: LeaderboardRow, _ levels: [DensityCurve.Level], row: Int, column: Int) {
            self.row = row
            self.column = column
            winningDensity = entry.winningDensity
            matchingDensity = entry.matchingDensity
            lastDensity = entry.lastDensity
            verdict = entry.verdict
            decided = entry.decided
            dense = entry.dense
            ticket = entry.ticket
            ticketDensity = entry.density
            isDone = entry.trainingsDone == entry.trainings
            winningDecided = entry.winningDensity.flatMap { density in
                levels.last { $0.density == density && $0.verdict == .winning }?.winning
            }
            matchingDecided =
                entry.matchingDensity.map { density in
                    levels.last { $0.density == density && $0.verdict != .stopped }?.matching ?? .undecided
                } ?? (entry.verdict == .failed ? nil : entry.decided)
        }

        /// Whether the chain ended before its tickets failed, so that the limit is `lastDensity` or lies below it.
        public var isCensored: Bool { verdict == .censored }
    }

    public let sweep: String
    public let rows: Side
    public let columns: Side
    /// In the order of the sweep's points.
    public let panels: [Panel]

    /// - Parameters:
    ///   - board: with its curves.
    ///   - rows: the setting that differs from row to row, by its path or short name.
    ///   - columns: that which differs from column to column.
    /// - Throws: `AtlasError` for a setting that does not exist, the same setting twice, or a sweep that varies
    ///   neither.
    public init(_ board: Leaderboard, rows: String, columns: String) throws(AtlasError) {
        let rowAxis = try Atlas.axis(rows)
        let columnAxis = try Atlas.axis(columns)
        guard rowAxis != columnAxis else {
            throw AtlasError(message: "rows and columns are both \"\(rowAxis)\"; give two settings")
        }
        guard try Atlas.varies(board, rows, columns) else {
            let axes = board.axes.isEmpty ? "it has no axes" : "its axes are \(board.axes.joined(separator: ", "))"
            throw AtlasError(
                message:
                    "the sweep \"\(board.sweep)\" varies neither \(rowAxis) nor \(columnAxis); \(axes): say which with --rows and --columns"
            )
        }
        sweep = board.sweep
        let points = board.rows.sorted { $0.pointIndex < $1.pointIndex }
        let rowValues = Atlas.values(of: rowAxis, in: points)
        let columnValues = Atlas.values(of: columnAxis, in: points)
        self.rows = Side(axis: rowAxis, values: rowValues)
        self.columns = Side(axis: columnAxis, values: columnValues)

        let others = board.axes.filter { $0 != rowAxis && $0 != columnAxis }
        var panels: [(point: PointCoordinates, cells: [Cell])] = []
        for entry in points {
            // Both values are among those that were just collected.
            let row = rowValues.firstIndex(of: entry.point[rowAxis])!
            let column = columnValues.firstIndex(of: entry.point[columnAxis])!
            let cell = Cell(entry, board.curves[entry.pointIndex].levels, row: row, column: column)
            let point = entry.point.restricted(to: others)
            if let index = panels.firstIndex(where: { $0.point == point }) {
                panels[index].cells.append(cell)
            } else {
                panels.append((point, [cell]))
            }
        }
        let telling = Atlas.tellingAxes(others, panels.map(\.point))
        self.panels = panels.map { panel in
            Panel(
                point: panel.point.restricted(to: telling),
                cells: panel.cells.sorted { ($0.row, $0.column) < ($1.row, $1.column) })
        }
    }

    /// Whether either setting is an axis of the sweep.
    /// - Throws: `AtlasError` for a setting that does not exist.
    public static func varies(_ board: Leaderboard, _ rows: String, _ columns: String) throws(AtlasError) -> Bool {
        let axes = [try axis(rows), try axis(columns)]
        return axes.contains { board.axes.contains($0) }
    }

    /// An axis' name in a leaderboard: the short name of a setting, or its path, behind the recipe it is of if it is of
    /// one.
    static func axis(_ name: String) throws(AtlasError) -> String {
        let (side, setting) = RecipeSide.split(name)
        guard let row = SettingNames.rowOfAxisName[setting] else {
            throw AtlasError(
                message: "unknown setting \"\(name)\"" + suggestion(for: name, among: SettingNames.axisNames))
        }
        let short = SettingNames.table[row].shortName ?? SettingNames.table[row].path
        return side.map { "\($0.rawValue).\(short)" } ?? short
    }

    private static func values(of axis: String, in points: [LeaderboardRow]) -> [AxisValue?] {
        var values: [AxisValue?] = []
        for point in points where !values.contains(point.point[axis]) { values.append(point.point[axis]) }
        let numbers = values.map { $0?.description.numericValue }
        guard numbers.allSatisfy({ $0 != nil }) else { return values }
        return zip(values, numbers.map { $0! }).sorted { $0.1 < $1.1 }.map(\.0)
    }

    /// Axes of which none follows from those before it: of a network's depth and the batch size that moves with it, the
    /// depth.
    private static func tellingAxes(_ axes: [String], _ points: [PointCoordinates]) -> [String] {
        var telling: [String] = []
        for axis in axes {
            var valueOf: [PointCoordinates: AxisValue?] = [:]
            let follows = points.allSatisfy { point in
                let value = valueOf[point.restricted(to: telling), default: point[axis]]
                valueOf[point.restricted(to: telling)] = value
                return value == point[axis]
            }
            if !follows { telling.append(axis) }
        }
        return telling
    }
}

/// Why an atlas cannot be drawn, in a sentence with its remedy.
public struct AtlasError: Error, Hashable, CustomStringConvertible {
    public let message: String

    public var description: String { message }
}
