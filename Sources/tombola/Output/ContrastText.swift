import Sweeps
import Verdicts

/// Gaps between tickets and controls at two values of a setting, for people and as CSV.
enum ContrastText {
    static func title(_ panel: Contrast.Panel, of contrast: Contrast) -> String {
        let point = LeaderboardText.words(for: panel.point)
        return (point.isEmpty ? "" : "\(point): ") + "ticket less \(contrast.control), in points"
    }

    static func table(_ panel: Contrast.Panel, of contrast: Contrast) -> TextGrid {
        var grid = TextGrid([
            .init("level", .right), .init("density", .right), .init("seeds", .right),
            .init("\(contrast.axis) \(panel.from)"), .init("\(contrast.axis) \(panel.to)"), .init("difference"),
            .init("p", .right), .init("larger"),
        ])
        for level in panel.levels {
            grid.append([
                .init("\(level.level)"), .init(densities(level)), .init("\(level.replicates)"),
                .init(LeaderboardText.difference(level.gapFrom)), .init(LeaderboardText.difference(level.gapTo)),
                .init(LeaderboardText.difference(level.difference)),
                .init(level.pValue.map { $0 < 0.001 ? "< 0.001" : Format.fixed($0, 3) } ?? "–"),
                level.difference == nil
                    ? .init(panel.reason == nil ? "pending" : "–", .dim)
                    : .init(LeaderboardText.words(for: level.isLarger, level.moreSeeds)),
            ])
        }
        return grid
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
        titles += ["p_value", "is_larger"]
        var grid = TextGrid(titles.map { .init($0) })
        for panel in contrast.panels {
            for level in panel.levels {
                var fields = [contrast.sweep] + panel.point.coordinates.map(\.value.description)
                fields += [contrast.axis, panel.from.description, panel.to.description, contrast.control]
                fields += ["\(level.level)", "\(level.densityFrom)", "\(level.densityTo)", "\(level.replicates)"]
                for estimate in [level.gapFrom, level.gapTo, level.difference] {
                    fields += [estimate?.mean, estimate?.low, estimate?.high].map { $0.map { "\($0)" } ?? "" }
                }
                fields += [level.pValue.map { "\($0)" } ?? "", level.isLarger.rawValue]
                grid.append(fields.map { .init($0) })
            }
        }
        return grid
    }
}
