import Sweeps
import Verdicts

/// Atlases as panels for people, and as CSV.
enum AtlasText {
    /// What a cell's signs say.
    private static let signs = """
        sparsest winning / sparsest matching density, by the means over replicates; – none, ≤ the chain ended while it still matched, \
        … not all done, * borne out by the tests
        """

    static func legend(of atlases: [Atlas]) -> String {
        let isStopped = atlases.contains { $0.panels.contains { $0.cells.contains { $0.verdict == .stopped } } }
        return signs + (isStopped ? "; stopped: the chain was ended early, and sparser tickets were not trained" : "")
            + (atlases.contains(where: hasBlanks) ? "; blank where the sweep has no such point" : "")
    }

    private static func hasBlanks(_ atlas: Atlas) -> Bool {
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
        func star(_ decided: Decision?, _ claim: Decision) -> String { decided == claim ? " *" : "" }
        var text =
            words(cell.winningDensity) + star(cell.winningDecided, .yes) + " / " + words(cell.matchingDensity)
            + star(cell.matchingDecided, cell.matchingDensity == nil ? .no : .yes)
        if cell.verdict == .stopped { text += " stopped" }
        if !cell.isDone { text += " …" }
        return .init(text, cell.winningDensity != nil ? .green : cell.matchingDensity != nil ? .cyan : .dim)
    }

    /// A row for each cell, every number in full.
    static func csv(_ atlas: Atlas) -> TextGrid {
        let others = atlas.panels.first?.point.coordinates.map(\.axis) ?? []
        let titles =
            ["sweep"] + others + [
                atlas.rows.axis, atlas.columns.axis, "winning_density", "winning_decided", "matching_density",
                "matching_decided", "last_density", "verdict", "decided", "dense", "dense_low", "dense_high", "ticket",
                "ticket_density",
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
                fields += [number(cell.winningDensity), cell.winningDecided?.rawValue ?? ""]
                fields += [number(cell.matchingDensity), cell.matchingDecided?.rawValue ?? ""]
                fields.append(number(cell.lastDensity))
                fields += [cell.verdict.rawValue, cell.decided.rawValue]
                fields += [cell.dense?.mean, cell.dense?.low, cell.dense?.high].map(number)
                fields += [cell.ticket ?? "", number(cell.ticketDensity)]
                grid.append(fields.map { .init($0) })
            }
        }
        return grid
    }
}
