import Lottery

/// The settings of the chain that gives the masks, where they may differ from the run's own: columns of `runs`.
enum MaskSettings {
    /// In the place of all, where it is not known which they are.
    static let column = RecordColumn(
        name: "\(RecipeSide.maskFrom.rawValue).SETTING",
        meaning:
            "of the chain that the masks come from: a setting that two recipes have each of its own; a column for each"
    )

    static func columns(of transplant: Transplant) -> [RecordColumn] {
        transplant.rows.map { row in
            let setting = SettingNames.table[row]
            return RecordColumn(
                name: "\(RecipeSide.maskFrom.rawValue).\(setting.path)",
                meaning: "of the chain that the masks come from: \(setting.meaning)")
        }
    }

    static func values(of point: GridPoint, _ transplant: Transplant, in plan: Plan) -> [RecordValue] {
        let settings = plan.resolved(point.maskSettings ?? point.settings)
        return transplant.rows.map { RecordValue(reading: SettingNames.table[$0].read(settings)) }
    }
}

extension Sequence where Element: Hashable {
    /// Each element once, where it is first.
    func uniqued() -> [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
