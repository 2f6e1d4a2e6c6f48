import Sweeps
import Verdicts

/// Leaderboards as CSV: every number in full, unknown ones empty.
enum LeaderboardCSV {
    static func grid(_ board: Leaderboard) -> TextGrid {
        var titles = ["rank", "sweep"] + board.axes
        titles += ["verdict", "found", "decided", "more_seeds", "density"]
        for name in ["accuracy", "dense", "difference", "bootstrap"] { titles += estimateTitles(name) }
        titles += estimateTitles("early_stop") + ["early_stop_dense"] + estimateTitles("early_stop_ratio")
        let hasBarriers = board.rows.contains { $0.denseBarrier != nil }
        if hasBarriers { titles += barrierTitles("dense_") + barrierTitles("ticket_") }
        for branch in board.branches { titles += estimateTitles(branch) + ["beats_\(branch)"] }
        titles += ["best_dense_point"] + estimateTitles("best_dense") + estimateTitles("best_dense_difference")
        titles += ["matches_best_dense", "beats_controls", "replicates", "replicates_asked", "ticket", "reason"]

        var grid = TextGrid(titles.map { .init($0) })
        for row in board.rows {
            var fields = ["\(row.rank)", row.sweep] + row.point.coordinates.map(\.value.description)
            fields += [row.verdict.rawValue, row.found?.rawValue ?? "", row.decided.rawValue]
            fields += [seeds(row.moreSeeds), number(row.density)]
            for estimate in [row.accuracy, row.dense, row.difference, row.bootstrap] { fields += numbers(estimate) }
            fields += [
                number(row.earlyStop?.mean), number(row.earlyStop?.low), number(row.earlyStop?.high),
                number(row.earlyStop?.dense),
            ]
            fields += numbers(row.earlyStop?.ratio)
            if hasBarriers { fields += numbers(row.denseBarrier) + numbers(row.ticketBarrier) }
            for control in row.controls { fields += numbers(control.accuracy) + [control.beaten?.rawValue ?? ""] }
            let best = row.bestDense?.point.coordinates.map { "\($0.axis) \($0.value)" }
            fields.append(best?.joined(separator: "; ") ?? "")
            fields += numbers(row.bestDense?.accuracy) + numbers(row.bestDense?.difference)
            fields.append(row.bestDense?.matching.rawValue ?? "")
            fields += [row.beatsControls?.rawValue ?? "", "\(row.replicates)", "\(row.replicatesAsked)"]
            fields += [row.ticket ?? "", row.reason ?? ""]
            grid.append(fields.map { .init($0) })
        }
        return grid
    }

    /// One row per point and level.
    static func gridByDensity(_ board: Leaderboard) -> TextGrid {
        var titles = ["sweep"] + board.axes + ["level", "density"]
        titles +=
            estimateTitles("accuracy") + estimateTitles("difference") + estimateTitles("bootstrap") + [
                "early_stop"
            ] + estimateTitles("early_stop_ratio") + [
                "verdict", "matching", "matching_p", "matching_more_seeds", "winning", "winning_p",
                "winning_more_seeds",
            ]
        let hasBarriers = board.rows.contains { $0.denseBarrier != nil }
        if hasBarriers { titles += barrierTitles("") }
        for branch in board.branches { titles += estimateTitles(branch) + ["beats_\(branch)"] }
        titles.append("ticket")

        var grid = TextGrid(titles.map { .init($0) })
        for curve in board.curves {
            for level in curve.levels {
                var fields =
                    [curve.sweep] + curve.point.coordinates.map(\.value.description) + [
                        "\(level.level)", number(level.density),
                    ]
                for estimate in [level.accuracy, level.difference, level.bootstrap] { fields += numbers(estimate) }
                fields += [number(level.earlyStop)] + numbers(level.earlyStopRatio)
                fields.append(level.verdict?.rawValue ?? "")
                fields += [level.matching?.rawValue ?? "", number(level.matchingP), seeds(level.matchingMoreSeeds)]
                fields += [level.winning?.rawValue ?? "", number(level.winningP), seeds(level.winningMoreSeeds)]
                if hasBarriers { fields += numbers(level.barrier) }
                for index in board.branches.indices {
                    let control = level.controls.indices.contains(index) ? level.controls[index] : nil
                    fields += numbers(control?.accuracy) + [control?.beaten?.rawValue ?? ""]
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

    private static func barrierTitles(_ prefix: String) -> [String] {
        estimateTitles("\(prefix)barrier") + ["\(prefix)stable"]
    }

    private static func numbers(_ barrier: Barrier?) -> [String] {
        numbers(barrier?.estimate) + [barrier?.isStable.map { "\($0)" } ?? ""]
    }

    /// A number, or `> 50`.
    static func seeds(_ seeds: MoreSeeds?) -> String {
        switch seeds {
        case .about(let count): "\(count)"
        case .above50: "> \(MoreSeeds.most)"
        case nil: ""
        }
    }

    private static func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
}
