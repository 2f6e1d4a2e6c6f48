import Lottery

/// Masks found under one recipe and trained under another: `mask_from: {lr: 0.01}` beside `train: {lr: 0.1}`, or either
/// as axes.
public struct Transplant: Hashable, Sendable {
    /// Rows of the table of settings in which the recipes may differ, ascending.
    let rows: [Int]
    /// Axes that both recipes share, by place among the sweep's.
    let sharedAxes: [Int]
    /// What the spec fixes for the chain that gives the masks alone, and for the networks that are trained under them.
    public let maskFrom: PointCoordinates
    public let train: PointCoordinates
}

/// One of the two recipes of a sweep that transplants masks.
enum RecipeSide: String, CaseIterable {
    /// That of the chain whose masks are taken.
    case maskFrom = "mask_from"
    /// That of the networks that are trained under them.
    case train

    /// A name as an axis has it, `mask_from.lr`, in parts.
    static func split(_ name: String) -> (side: RecipeSide?, name: String) {
        for side in allCases where name.hasPrefix(side.rawValue + ".") {
            return (side, String(name.dropFirst(side.rawValue.count + 1)))
        }
        return (nil, name)
    }

    /// Settings of where a level starts. All other settings of pruning decide the masks themselves.
    private static let starts = [
        "pruning.rewind", "pruning.rewind_optimizer", "pruning.retrain", "pruning.initialisation_scale",
    ]

    /// Whether recipes may differ in the setting of this path.
    static func mayDiffer(_ path: String) -> Bool {
        path.hasPrefix("training.") || path.hasPrefix("data.augment.") || starts.contains(path)
    }

    /// Of settings in which recipes may differ.
    static let names = SettingNames.table.filter { mayDiffer($0.path) }.flatMap {
        [$0.shortName, $0.path].compactMap { $0 }
    }
}

/// The recipes of one point, for people. Settings are in the order of their names, as JSON has none.
public struct PointRecipes: Hashable, Sendable, Codable {
    /// The settings in which recipes may differ, by their short names, as the chain that gives the masks has them.
    public let maskFrom: PointCoordinates
    /// The same settings as the networks are trained with.
    public let train: PointCoordinates
    /// Values of the axes that both share.
    public let shared: PointCoordinates

    private enum CodingKeys: String, CodingKey {
        case train, shared
        case maskFrom = "mask_from"
    }

    init?(sweep: Sweep, point: GridPoint) {
        guard let transplant = sweep.transplant, let masks = point.maskSettings else { return nil }
        maskFrom = PointCoordinates(rows: transplant.rows, of: masks)
        train = PointCoordinates(rows: transplant.rows, of: point.settings)
        shared = PointCoordinates(
            transplant.sharedAxes.map {
                PointCoordinates.Coordinate(axis: sweep.axes[$0].name, value: AxisValue(point.values[$0]))
            }.sorted { $0.axis < $1.axis })
    }
}

extension PointCoordinates {
    /// - Parameter rows: of the table of settings; the coordinates are in the order of their names.
    init(rows: [Int], of settings: Settings) {
        self.init(
            rows.map { row in
                let setting = SettingNames.table[row]
                return Coordinate(axis: setting.name, value: AxisValue(.scalar(setting.read(settings))))
            }.sorted { $0.axis < $1.axis })
    }
}
