import Sweeps
import Verdicts

/// Gaps between tickets and controls at two values of a setting, for people and as CSV.
enum ContrastText {
    static func title(_ panel: Contrast.Panel, of contrast: Contrast) -> String {
        let point = LeaderboardText.words(for: panel.point)
        return (point.isEmpty ? "" : "\(point): ") + "ticket less \(contrast.control), in points"
    }

    /// What its p means.
    static func legend(_ contrast: Contrast) -> String {
        let count = contrast.tests
        return "p is two-sided"
            + (count == 1 ? ", of one test" : ", and \(count) times that of each of the \(count) tests by itself")
            + "; where there is none, the level describes and decides nothing"
    }

    static func table(_ panel: Contrast.Panel, of contrast: Contrast) -> TextGrid {
        var grid = TextGrid([
            .init("level", .right), .init("density", .right), .init("seeds", .right),
            .init("\(contrast.axis) \(panel.from)"), .init("\(contrast.axis) \(panel.to)"), .init("difference"),
            .init("p", .right), .init("gap"),
        ])
        for level in panel.levels {
            grid.append([
                .init("\(level.level)"), .init(densities(level)), .init("\(level.replicates)"),
                .init(LeaderboardText.difference(level.gapFrom)), .init(LeaderboardText.difference(level.gapTo)),
                .init(LeaderboardText.difference(level.difference)),
                .init(level.pValue.map { $0 < 0.001 ? "< 0.001" : Format.fixed($0, 3) } ?? "–"),
                level.difference == nil
                    ? .init(panel.reason == nil && level.reason == nil ? "pending" : "–", .dim)
                    : .init(words(for: level), [nil, .undecided].contains(level.direction) ? nil : .green),
            ])
        }
        return grid
    }

    private static func words(for level: Contrast.Level) -> String {
        level.direction == .undecided
            ? LeaderboardText.words(for: .undecided, level.moreSeeds) : level.direction?.rawValue ?? "–"
    }

    /// What the table cannot say.
    static func notes(_ panel: Contrast.Panel, of contrast: Contrast) -> [String] {
        var notes: [String] = panel.reason.map { [$0] } ?? []
        for level in panel.levels {
            if let reason = level.reason { notes.append("level \(level.level) cannot be compared: \(reason)") }
            for (value, count) in [(panel.from, level.divergedFrom), (panel.to, level.divergedTo)] where count > 0 {
                notes.append(
                    "level \(level.level), \(contrast.axis) \(value): \(count) \(count == 1 ? "training" : "trainings") diverged, and "
                        + "\(count == 1 ? "counts" : "count") as no image right")
            }
        }
        return notes
    }

    /// One where they differ in rounding at most.
    private static func densities(_ level: Contrast.Level) -> String {
        let (from, to) = (Format.density(level.densityFrom), Format.density(level.densityTo))
        return from == to ? from : "\(from) and \(to)"
    }

    /// A row for each level, every number in full.
    static func csv(_ contrast: Contrast) -> TextGrid {
        let others = contrast.panels.first?.point.coordinates.map(\.axis) ?? []
        var titles =
            ["sweep"] + others + ["axis", "from", "to", "control", "level", "density_from", "density_to", "replicates"]
        for name in ["gap_from", "gap_to", "difference"] { titles += [name, "\(name)_low", "\(name)_high"] }
        titles += ["p_value", "tests", "direction", "more_seeds", "diverged_from", "diverged_to", "reason"]
        var grid = TextGrid(titles.map { .init($0) })
        for panel in contrast.panels {
            for level in panel.levels {
                var fields = [contrast.sweep] + panel.point.coordinates.map(\.value.description)
                fields += [contrast.axis, panel.from.description, panel.to.description, contrast.control]
                fields += ["\(level.level)", "\(level.densityFrom)", "\(level.densityTo)", "\(level.replicates)"]
                for estimate in [level.gapFrom, level.gapTo, level.difference] {
                    fields += [estimate?.mean, estimate?.low, estimate?.high].map { $0.map { "\($0)" } ?? "" }
                }
                fields += [level.pValue.map { "\($0)" } ?? "", level.direction == nil ? "" : "\(contrast.tests)"]
                fields += [level.direction?.rawValue ?? ""]
                fields += [LeaderboardCSV.seeds(level.moreSeeds), "\(level.divergedFrom)", "\(level.divergedTo)"]
                fields.append(panel.reason ?? level.reason ?? "")
                grid.append(fields.map { .init($0) })
            }
        }
        return grid
    }
}
