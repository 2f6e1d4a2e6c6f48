import Lottery

/// One setting with the values it takes in a sweep.
public struct Axis: Hashable, Sendable {
    /// What people call it: the setting's short name, or its path if it has none.
    public let name: String
    /// The place of the setting in a spec.
    public let path: String
    /// As written, in the order in which they were written.
    public let values: [SettingValue]
    /// Axes of one zip group share a number and move together; nil for an axis of the grid.
    public let zipGroup: Int?
}

/// One point of the grid.
public struct GridPoint: Hashable, Sendable {
    /// Position among the sweep's points.
    public let index: Int
    /// One value for each of the sweep's axes.
    public let values: [SettingValue]
    public let settings: Settings
    /// Those of the chain that the point's masks come from, where the sweep tells two recipes apart; nil where it does
    /// not.
    public let maskSettings: Settings?
}

/// An axis as points are made of it: each value with the rows it writes and its place in the spec.
struct AxisSource: Sendable {
    var axis: Axis
    var row: Int
    var line: Int
    /// For each value, the rows it writes.
    var writes: [[SettingWrite]]
    /// The recipe that it is for alone; nil for both.
    var side: RecipeSide?
    /// Axes of one dimension move together. The first dimension moves slowest.
    var dimension: Int
}
