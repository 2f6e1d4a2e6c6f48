import Lottery

/// The points of a sweep, in order. A point is put together when it is asked for, because a large grid has a million of
/// them, whose settings differ in little: 5 bytes a point.
public struct GridPoints: RandomAccessCollection, Sendable {
    private let fixed: FixedSettings
    private let axes: [AxisSource]
    /// How many places each dimension has.
    private let counts: [Int]
    /// Whether masks are found under one recipe and trained under another.
    private let hasRecipes: Bool
    /// Of each point in the whole grid, the last dimension fastest.
    private var numbers: [Int32] = []
    private var levels: [UInt8] = []

    /// - Parameter counts: places of each dimension, of which the first moves slowest. Their product fits 32 bits
    ///   (`Sweep.runsAtMost`).
    init(_ fixed: FixedSettings, _ axes: [AxisSource], counts: [Int], hasRecipes: Bool) {
        self.fixed = fixed
        self.axes = axes
        self.counts = counts
        self.hasRecipes = hasRecipes
    }

    /// - Parameters:
    ///   - position: the place in each dimension.
    ///   - levels: prunings after the dense level 0, at most 200.
    mutating func append(_ position: [Int], levels: Int) {
        numbers.append(number(of: position))
        self.levels.append(UInt8(levels))
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { numbers.count }

    /// - Complexity: some settings are written, which takes a microsecond or two.
    public subscript(index: Int) -> GridPoint {
        let position = position(of: index)
        let writes = axes.flatMap { $0.writes[position[$0.dimension]] }
        return GridPoint(
            index: index, values: axes.map { $0.axis.values[position[$0.dimension]] },
            settings: hasRecipes ? fixed.settings(writing: writes, for: .train) : fixed.settings(writing: writes),
            maskSettings: hasRecipes ? fixed.settings(writing: writes, for: .maskFrom) : nil)
    }

    /// The place of a point in each dimension.
    func position(of index: Int) -> [Int] {
        var position = counts
        var number = Int(numbers[index])
        for dimension in counts.indices.reversed() {
            position[dimension] = number % counts[dimension]
            number /= counts[dimension]
        }
        return position
    }

    /// The point at a place in each dimension; nil if `exclude` leaves it out.
    /// - Complexity: O(log n); points are in the order of their numbers.
    func index(at position: [Int]) -> Int? {
        let number = number(of: position)
        var (low, high) = (0, numbers.count)
        while low < high {
            let middle = (low + high) / 2
            if numbers[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low < numbers.count && numbers[low] == number ? low : nil
    }

    private func number(of position: [Int]) -> Int32 {
        Int32(zip(position, counts).reduce(0) { $0 * $1.1 + $1.0 })
    }

    /// Prunings after the dense level 0.
    public func levels(at index: Int) -> Int { Int(levels[index]) }

    /// Prunings of the longest chain.
    var deepest: Int { Int(levels.max() ?? 0) }
}

/// What a spec says outside of axes.
struct FixedSettings: Sendable {
    var settings: Settings
    /// Where each is written, by row of the table.
    var writes: [Int: SettingWrite]
    /// What is said of one of two recipes alone.
    var recipes: [RecipeSide: [Int: SettingWrite]]

    /// The fixed settings with those of axes written over them. What the spec says of a part
    /// (`pruning.rate.output: 0.1`) holds beside an axis over the whole (`prune_rate`), as it does beside a fixed
    /// `pruning.rate`.
    func settings(writing writes: [SettingWrite]) -> Settings { settings(writing: writes, over: settings, self.writes) }

    private func settings(
        writing writes: [SettingWrite], over fixed: Settings, _ fixedWrites: [Int: SettingWrite]
    ) -> Settings {
        let parts = writes.flatMap { SettingNames.partsOfRow[$0.row] ?? [] }.compactMap { part in
            writes.contains { $0.row == part } ? nil : fixedWrites[part]
        }
        var settings = fixed
        settings.apply(sorted: (writes + parts).sorted { $0.row < $1.row })
        return settings
    }

    /// The same as one of two recipes has them: what is said of that one alone takes the place of what is said of both.
    func settings(writing writes: [SettingWrite], for side: RecipeSide) -> Settings {
        let section = recipes[side, default: [:]]
        let own = writes.filter { $0.side == side }
        let common = writes.filter { write in
            write.side == nil && section[write.row] == nil && !own.contains { $0.row == write.row }
        }
        var fixed = Settings()
        let fixedWrites = self.writes.merging(section) { $1 }
        fixed.apply(sorted: fixedWrites.values.sorted { $0.row < $1.row })
        return settings(writing: common + own, over: fixed, fixedWrites)
    }
}
