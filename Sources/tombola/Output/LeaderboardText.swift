import Sweeps
import Verdicts

/// Leaderboards as tables for people.
enum LeaderboardText {
    /// One row per point.
    static func table(_ board: Leaderboard) -> TextGrid {
        var columns: [TextGrid.Column] = [.init("rank", .right)]
        columns += board.axes.map { .init($0, .right) }
        columns += [
            .init("verdict"), .init("decided", dropRank: 2),
        ]
        // Where replicates are added as verdicts ask for them, points differ in how many they have.
        let isRefined = board.rows.contains { $0.looks.count > 1 }
        if isRefined { columns.append(.init("seeds", .right, dropRank: 4)) }
        columns += [
            .init("density", .right), .init("accuracy"),
            .init("dense", dropRank: 3),
            .init("difference", dropRank: 1), .init("early stop", .right, dropRank: 6),
            .init("dense stop", .right, dropRank: 6),
        ]
        let hasBarriers = board.rows.contains { $0.denseBarrier != nil }
        if hasBarriers { columns += [.init("dense barrier", dropRank: 4), .init("ticket barrier", dropRank: 4)] }
        columns += board.branches.map { .init("beats \($0)", dropRank: 5) }
        let hasRecipes = hasRecipes(board)
        if hasRecipes { columns.append(.init("matches best dense", dropRank: 7)) }
        columns.append(.init("ticket"))
        var grid = TextGrid(columns)
        for row in board.rows {
            var cells: [TextGrid.Cell] = [.init("\(row.rank)")]
            cells += row.point.coordinates.map { .init($0.value.description) }
            cells += [
                .init(words(for: row), colour(of: row.verdict)),
                .init(words(for: row.decided, row.moreSeeds)),
            ]
            if isRefined { cells.append(.init(seeds(row))) }
            cells += [
                .init(row.density.map(Format.density) ?? "–"), .init(accuracy(row.accuracy)),
                .init(accuracy(row.dense)),
                .init(difference(row.difference)), .init(row.earlyStop.map { step($0.mean) } ?? "–"),
                .init(row.earlyStop.map { step($0.dense) } ?? "–"),
            ]
            if hasBarriers { cells += [.init(barrier(row.denseBarrier)), .init(barrier(row.ticketBarrier))] }
            cells += row.controls.map { control in
                .init(
                    control.difference.map { "\(control.beaten?.rawValue ?? "–") (\(Format.points($0.mean)))" } ?? "–")
            }
            if hasRecipes {
                let best = row.bestDense
                cells.append(
                    .init(best?.difference.map { "\(best!.matching.rawValue) (\(Format.points($0.mean)))" } ?? "–"))
            }
            cells.append(.init(row.ticket ?? "–", .bold))
            grid.append(cells)
        }
        return grid
    }

    /// Whether a ticket stands beside a dense network that is not its own recipe's: then a weak recipe may flatter it.
    private static func hasRecipes(_ board: Leaderboard) -> Bool {
        board.rows.contains { $0.bestDense != nil && $0.bestDense?.difference != $0.difference }
    }

    /// One row per level of one point.
    static func table(_ curve: DensityCurve, branches: [String]) -> TextGrid {
        let hasBootstrap = curve.levels.contains { $0.bootstrap != nil }
        let hasBarriers = curve.levels.contains { $0.barrier != nil }
        var grid = TextGrid(
            [
                .init("level", .right), .init("density", .right), .init("accuracy"), .init("difference", dropRank: 1),
            ] + (hasBootstrap ? [.init("bootstrap", dropRank: 5)] : []) + [
                .init("verdict"),
                .init("matching", dropRank: 2), .init("winning", dropRank: 3), .init("early stop", .right, dropRank: 4),
            ] + (hasBarriers ? [.init("barrier", dropRank: 2)] : []) + branches.map { .init($0, dropRank: 1) }
                + branches.map { _ in .init("beaten", dropRank: 5) } + [
                    .init("ticket")
                ])
        for level in curve.levels {
            var cells: [TextGrid.Cell] = [
                .init("\(level.level)"), .init(Format.density(level.density)), .init(accuracy(level.accuracy)),
                .init(difference(level.difference)),
            ]
            if hasBootstrap { cells.append(.init(interval(level.bootstrap))) }
            cells += [
                // A coordinator of an earlier version says nothing of what is not done.
                .init(level.level == 0 ? "dense" : level.verdict?.rawValue ?? "pending", level.verdict.flatMap(colour)),
                .init(level.matching.map { words(for: $0, level.matchingMoreSeeds) } ?? "–"),
                .init(level.winning.map { words(for: $0, level.winningMoreSeeds) } ?? "–"),
                .init(level.earlyStop.map(step) ?? "–"),
            ]
            if hasBarriers { cells.append(.init(barrier(level.barrier))) }
            for index in branches.indices {
                cells.append(
                    .init(accuracy(level.controls.indices.contains(index) ? level.controls[index].accuracy : nil)))
            }
            for index in branches.indices {
                let control = level.controls.indices.contains(index) ? level.controls[index] : nil
                cells.append(.init(control?.accuracy == nil ? "–" : control?.beaten?.rawValue ?? "–"))
            }
            cells.append(.init(level.ticket ?? "–", .bold))
            grid.append(cells)
        }
        return grid
    }

    /// The point in words, `depth 2, lr 0.1`; a sweep without axes has one point without a name.
    static func words(for point: PointCoordinates) -> String {
        point.coordinates.map { "\($0.axis) \($0.value)" }.joined(separator: ", ")
    }

    /// The verdict in words: nothing is left blank.
    static func words(for row: LeaderboardRow) -> String {
        switch row.verdict {
        case .none where row.lastDensity == nil: return "nothing is pruned"
        case .winning, .matching, .none: return row.verdict.rawValue
        case .censored:
            let found = row.found.map { "\($0.rawValue), " } ?? ""
            return "\(found)censored" + (row.density.map { " (≤ \(Format.density($0)))" } ?? "")
        case .failed: return "failed"
        case .stopped: return "stopped"
        case .pending: return "pending (\(row.trainingsDone) of \(row.trainings) levels)"
        }
    }

    /// `undecided (about 4 more seeds)`.
    static func words(for decision: Decision, _ seeds: MoreSeeds?) -> String {
        decision.rawValue + (seeds.map { " (\($0))" } ?? "")
    }

    /// Replicates, and how many there are to be.
    private static func seeds(_ row: LeaderboardRow) -> String {
        row.replicatesAsked > row.replicates ? "\(row.replicates) of \(row.replicatesAsked)" : "\(row.replicates)"
    }

    /// What a table cannot say: why rows failed, diverged levels.
    static func notes(_ board: Leaderboard) -> [String] {
        var best: [String] = []
        if hasRecipes(board) {
            for recipe in board.rows.compactMap(\.bestDense) {
                let note =
                    "best dense network, by validation accuracy: \(words(for: recipe.point)) with \(accuracy(recipe.accuracy))"
                if !best.contains(note) { best.append(note) }
            }
        }
        return best
            + board.rows.flatMap { row in
                var notes: [String] = []
                if let reason = row.reason { notes.append("rank \(row.rank) failed: \(reason)") }
                if row.diverged > 0 {
                    notes.append("rank \(row.rank): \(row.diverged) of \(row.trainings) levels diverged")
                }
                if let collapse = row.collapse {
                    notes.append(
                        "rank \(row.rank): pruning emptied \(collapse.layers.joined(separator: ", ")) at level \(collapse.level)"
                    )
                }
                return notes
            }
    }

    /// A row in a few words, for progress; nil if it has no ticket.
    static func best(_ row: LeaderboardRow) -> String? {
        guard let ticket = row.ticket, let density = row.density, let mean = row.accuracy?.mean else { return nil }
        let dense = row.dense.map { " (dense \(Format.percent($0.mean)))" } ?? ""
        let point = words(for: row.point)
        return "\(row.found ?? row.verdict) at \(Format.density(density)), \(Format.percent(mean))\(dense)"
            + (point.isEmpty ? "" : ", \(point)") + ", ticket \(ticket)"
    }

    static func accuracy(_ estimate: Estimate?) -> String {
        guard let estimate else { return "–" }
        guard let low = estimate.low, let high = estimate.high else { return Format.percent(estimate.mean) }
        return "\(Format.percent(estimate.mean)) \(Format.halfWidth(low: low, high: high))"
    }

    static func difference(_ estimate: Estimate?) -> String {
        guard let estimate else { return "–" }
        guard let low = estimate.low, let high = estimate.high else { return Format.points(estimate.mean) }
        return "\(Format.points(estimate.mean)) \(Format.halfWidth(low: low, high: high))"
    }

    /// In points, and whether that counts as stable.
    static func barrier(_ barrier: Barrier?) -> String {
        guard let barrier, let estimate = barrier.estimate else {
            return barrier.map { $0.diverged > 0 } == true ? "diverged" : "–"
        }
        let mean = Format.fixed(100 * estimate.mean, 2)
        var text = mean
        if let low = estimate.low, let high = estimate.high { text += " \(Format.halfWidth(low: low, high: high))" }
        return barrier.isStable == true ? "\(text) stable" : text
    }

    /// An interval of a difference by its ends, which need not be as far from the mean on either side.
    private static func interval(_ estimate: Estimate?) -> String {
        guard let low = estimate?.low, let high = estimate?.high else { return "–" }
        return "\(Format.points(low)) … \(Format.points(high))"
    }

    private static func step(_ step: Double) -> String { Format.count(Int(step.rounded())) }

    static func colour(of verdict: Verdict) -> Ink.Colour? {
        switch verdict {
        case .winning: .green
        case .matching: .cyan
        case .censored: .yellow
        case .failed: .red
        case .none, .stopped, .pending: .dim
        }
    }
}
