import Sweeps

/// Cost ledgers as tables.
enum CostText {
    static func table(_ ledger: CostLedger) -> TextGrid {
        var columns: [TextGrid.Column] = [.init("rank", .right)]
        columns += ledger.axes.map { .init($0, .right) }
        columns += [
            .init("density", .right), .init("search", .right), .init("", .right, dropRank: 2), .init("dense", .right),
            .init("", .right, dropRank: 3), .init("ticket", .right), .init("", .right, dropRank: 3),
            .init("saves", .right),
            .init("paid after", dropRank: 1), .init("ticket"),
        ]
        var grid = TextGrid(columns)
        for row in ledger.rows {
            var cells: [TextGrid.Cell] = [.init("\(row.rank)")]
            cells += row.point.coordinates.map { .init($0.value.description) }
            cells.append(.init(row.density.map(Format.density) ?? "–"))
            for cost in [row.search, row.dense, row.training] {
                cells += [
                    .init(cost.map { Format.operations($0.flops) } ?? "–"),
                    .init(cost.map { Format.duration(seconds: $0.seconds) } ?? "–"),
                ]
            }
            cells += [
                .init(row.savedFlops.map { Format.percent($0, decimals: 0) } ?? "–"),
                .init(row.paidAfter.map { Format.count($0, "training") } ?? (row.ticket == nil ? "–" : "never")),
                .init(row.ticket ?? "–", .bold),
            ]
            grid.append(cells)
        }
        return grid
    }

    /// Every number in full; what there is none of is empty.
    static func csv(_ ledger: CostLedger) -> TextGrid {
        var titles = ["rank", "sweep"] + ledger.axes + ["level", "density"]
        for name in ["search", "dense", "training"] {
            titles += ["steps", "seconds", "flops", "bytes"].map { "\(name)_\($0)" }
        }
        var grid = TextGrid((titles + ["saved_flops", "paid_after", "ticket"]).map { .init($0) })
        for row in ledger.rows {
            var fields = ["\(row.rank)", row.sweep] + row.point.coordinates.map(\.value.description)
            fields += [row.level.map(String.init) ?? "", row.density.map { "\($0)" } ?? ""]
            for cost in [row.search, row.dense, row.training] {
                fields +=
                    cost.map { ["\($0.steps)", "\($0.seconds)", "\($0.flops)", "\($0.bytes)"] }
                    ?? Array(repeating: "", count: 4)
            }
            fields += [
                row.savedFlops.map { "\($0)" } ?? "", row.paidAfter.map(String.init) ?? "", row.ticket ?? "",
            ]
            grid.append(fields.map { .init($0) })
        }
        return grid
    }
}
