import Sweeps
import Verdicts

/// Matrices of masks and recipes, for people and as CSV.
enum MatrixText {
    static func title(_ panel: TransplantMatrix.Panel) -> String {
        let shared = LeaderboardText.words(for: panel.shared)
        return "level \(panel.level), density \(Format.density(panel.density))" + (shared.isEmpty ? "" : ", \(shared)")
    }

    /// One row for each recipe that masks come from, and one for the dense networks.
    static func table(_ panel: TransplantMatrix.Panel) -> TextGrid {
        var grid = TextGrid(
            [.init("masks from")] + panel.train.map { .init("trained with \(LeaderboardText.words(for: $0))") })
        grid.append([.init("(dense)")] + panel.dense.map { .init(LeaderboardText.accuracy($0)) })
        for (recipe, cells) in zip(panel.maskFrom, panel.cells) {
            grid.append([.init(LeaderboardText.words(for: recipe), .bold)] + cells.map(cell))
        }
        return grid
    }

    private static func cell(_ cell: TransplantMatrix.Cell?) -> TextGrid.Cell {
        guard let cell else { return .init("–") }
        // A coordinator of an earlier version says nothing of what is not done.
        let verdict = cell.verdict ?? .pending
        let accuracy = cell.accuracy.map { LeaderboardText.accuracy($0) }
        let difference = cell.difference.map { "(\(LeaderboardText.difference($0)))" }
        return .init(
            [accuracy, difference, verdict.rawValue].compactMap(\.self).joined(separator: " "),
            LeaderboardText.colour(of: verdict))
    }

    /// One row per cell: every number in full, unknown ones empty.
    static func csv(_ matrix: TransplantMatrix) -> TextGrid {
        func names(_ coordinates: PointCoordinates?, _ prefix: String = "") -> [String] {
            coordinates?.coordinates.map { prefix + $0.axis } ?? []
        }
        let first = matrix.cells.first
        var titles =
            ["sweep"] + names(first?.shared) + names(first?.maskFrom, "mask_from.") + names(first?.train, "train.")
        titles += ["level", "density"]
        for name in ["accuracy", "dense", "difference"] { titles += [name, "\(name)_low", "\(name)_high"] }
        titles += ["verdict", "matching", "is_headline", "ticket"]
        var grid = TextGrid(titles.map { .init($0) })
        for cell in matrix.cells {
            var fields = [cell.sweep]
            for coordinates in [cell.shared, cell.maskFrom, cell.train] {
                fields += coordinates.coordinates.map(\.value.description)
            }
            fields += ["\(cell.level)", "\(cell.density)"]
            for estimate in [cell.accuracy, cell.dense, cell.difference] {
                fields += [estimate?.mean, estimate?.low, estimate?.high].map { $0.map { "\($0)" } ?? "" }
            }
            fields += [
                cell.verdict?.rawValue ?? "", cell.matching?.rawValue ?? "", "\(cell.isHeadline)", cell.ticket ?? "",
            ]
            grid.append(fields.map { .init($0) })
        }
        return grid
    }
}
