import Sweeps
import Verdicts

/// Leaderboards as CSV: every number in full, unknown ones empty.
enum LeaderboardCSV {
    static func grid(_ board: Leaderboard) -> TextGrid {
        var titles = ["rank", "sweep"] + board.axes
        titles += ["verdict", "found", "decided", "density"]
        for name in ["accuracy", "dense", "difference"] { titles += estimateTitles(name) }
        titles += estimateTitles("early_stop") + ["early_stop_dense"] + estimateTitles("early_stop_ratio")
        for branch in board.branches { titles += estimateTitles(branch) + ["beats_\(branch)"] }
        titles += ["replicates", "ticket", "reason"]

        var grid = TextGrid(titles.map { .init($0) })
        for row in board.rows {
            var fields = ["\(row.rank)", row.sweep] + row.point.coordinates.map(\.value.description)
            fields += [row.verdict.rawValue, row.found?.rawValue ?? "", row.decided.rawValue, number(row.density)]
            for estimate in [row.accuracy, row.dense, row.difference] { fields += numbers(estimate) }
            fields += [
                number(row.earlyStop?.mean), number(row.earlyStop?.low), number(row.earlyStop?.high),
                number(row.earlyStop?.dense),
            ]
            fields += numbers(row.earlyStop?.ratio)
            for control in row.controls { fields += numbers(control.accuracy) + [control.beaten.rawValue] }
            fields += ["\(row.replicates)", row.ticket ?? "", row.reason ?? ""]
            grid.append(fields.map { .init($0) })
        }
        return grid
    }

    /// One row per point and level.
    static func gridByDensity(_ board: Leaderboard) -> TextGrid {
        var titles = ["sweep"] + board.axes + ["level", "density"]
        titles +=
            estimateTitles("accuracy") + estimateTitles("difference") + [
                "early_stop", "verdict", "matching", "winning",
            ]
        for branch in board.branches { titles += estimateTitles(branch) + ["beats_\(branch)"] }
        titles.append("ticket")

        var grid = TextGrid(titles.map { .init($0) })
        for curve in board.curves {
            for level in curve.levels {
                var fields =
                    [curve.sweep] + curve.point.coordinates.map(\.value.description) + [
                        "\(level.level)", number(level.density),
                    ]
                fields += numbers(level.accuracy) + numbers(level.difference) + [number(level.earlyStop)]
                fields += [
                    level.verdict?.rawValue ?? "", level.matching?.rawValue ?? "", level.winning?.rawValue ?? "",
                ]
                for index in board.branches.indices {
                    let control = level.controls.indices.contains(index) ? level.controls[index] : nil
                    fields += numbers(control?.accuracy) + [control?.beaten.rawValue ?? ""]
                }
                fields.append(level.ticket ?? "")
                grid.append(fields.map { .init($0) })
            }
        }
        return grid
    }

    private static func estimateTitles(_ name: String) -> [String] { [name, "\(name)_low", "\(name)_high"] }

    private static func numbers(_ estimate: Estimate?) -> [String] {
        [number(estimate?.mean), number(estimate?.low), number(estimate?.high)]
    }

    private static func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
}
