import Sweeps
import Verdicts

/// Atlases as panels for people, and as CSV.
enum AtlasText {
    /// What a cell's signs say.
    static let legend = """
        sparsest winning / sparsest matching density, by the means over replicates; – none, ≤ the chain ended while it still matched, \
        … not all done, * borne out by the tests
        """

    /// And what a blank one does, where there are any.
    static let blanks = "; blank where the sweep has no such point"

    static func hasBlanks(_ atlas: Atlas) -> Bool {
        let places = atlas.rows.values.count * atlas.columns.values.count
        return atlas.panels.contains { $0.cells.count < places }
    }

    /// `depth 11, rewind 0`; empty where the sweep has one panel.
    static func title(_ panel: Atlas.Panel) -> String { LeaderboardText.words(for: panel.point) }

    static func table(_ panel: Atlas.Panel, of atlas: Atlas) -> TextGrid {
        var grid = TextGrid(
            [.init(atlas.rows.axis, .right)]
                + atlas.columns.values.map {
                    .init([atlas.columns.axis, $0?.description].compactMap(\.self).joined(separator: " "))
                })
        for (row, value) in atlas.rows.values.enumerated() {
            grid.append(
                [.init(value?.description ?? "–")]
                    + atlas.columns.values.indices.map { column in
                        panel.cells.first { $0.row == row && $0.column == column }.map(cell) ?? .init("")
                    })
        }
        return grid
    }

    private static func cell(_ cell: Atlas.Cell) -> TextGrid.Cell {
        if cell.verdict == .failed { return .init("failed", .red) }
        func words(_ density: Double?) -> String {
            guard let density else { return "–" }
            return (cell.isCensored && density == cell.lastDensity ? "≤ " : "") + Format.density(density)
        }
        let isBorneOut = cell.decided == (cell.matchingDensity == nil ? .no : .yes)
        func star(_ isDecided: Bool) -> String { isBorneOut && isDecided ? " *" : "" }
        var text =
            words(cell.winningDensity) + star(cell.isDecidedOfWinning) + " / " + words(cell.matchingDensity)
            + star(cell.isDecidedOfMatching)
        if !cell.isDone { text += " …" }
        return .init(text, cell.winningDensity != nil ? .green : cell.matchingDensity != nil ? .cyan : .dim)
    }

    /// A row for each cell, every number in full.
    static func csv(_ atlas: Atlas) -> TextGrid {
        let others = atlas.panels.first?.point.coordinates.map(\.axis) ?? []
        let titles =
            ["sweep"] + others + [
                atlas.rows.axis, atlas.columns.axis, "winning_density", "matching_density", "last_density", "verdict",
                "decided", "dense",
                "dense_low", "dense_high", "ticket",
            ]
        func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
        var grid = TextGrid(titles.map { .init($0) })
        for panel in atlas.panels {
            for cell in panel.cells {
                var fields = [atlas.sweep] + panel.point.coordinates.map(\.value.description)
                fields += [
                    atlas.rows.values[cell.row]?.description ?? "",
                    atlas.columns.values[cell.column]?.description ?? "",
                ]
                fields += [cell.winningDensity, cell.matchingDensity, cell.lastDensity].map(number)
                fields += [cell.verdict.rawValue, cell.decided.rawValue]
                fields += [cell.dense?.mean, cell.dense?.low, cell.dense?.high].map(number) + [cell.ticket ?? ""]
                grid.append(fields.map { .init($0) })
            }
        }
        return grid
    }
}
