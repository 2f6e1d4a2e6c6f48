import Lottery
import Verdicts

/// More replicates where a verdict is undecided: `refine: {looks: [5, 8, 12], budget: 40}`.
public struct Refinement: Hashable, Sendable {
    /// The numbers of replicates at which a point is tested, ascending. Every point has the first; the next one's are
    /// trained where the test leaves its headline undecided. Each look spends an equal share of the error.
    public let looks: [Int]
    /// Runs beyond the first look that the whole sweep may have; nil for as many as are undecided.
    public let budget: Int?

    public static let looksAtMost = 10

    public init(looks: [Int], budget: Int?) {
        self.looks = looks
        self.budget = budget
    }
}

/// When a chain ends before its last level: `stop_when: {margin: 0.05, levels: 2}`.
///
/// The mean over the replicates of the first look decides, so that all replicates of a point have the same levels and
/// no comparison lacks any.
public struct StopRule: Hashable, Sendable {
    /// How far below its dense network a ticket must be, as a fraction of the test set.
    public let margin: Double
    /// How many levels in a row.
    public let levels: Int

    public init(margin: Double, levels: Int) {
        self.margin = margin
        self.levels = levels
    }
}

/// The densities at which a spec names winning beforehand: `winning_at: [0.211, 0.135]`.
enum NamedDensity {
    /// How far the density of a level may be from what it is called: levels are 10 % apart and more, and people round.
    static let tolerance = 0.05

    /// The level of the nearest density, from 1 on; nil if none is near enough.
    /// - Parameter densities: of all levels, the dense one's first.
    static func level(of density: Double, in densities: [Double]) -> Int? {
        let nearest = densities.indices.dropFirst().min { abs(densities[$0] - density) < abs(densities[$1] - density) }
        return nearest.flatMap { abs(densities[$0] - density) <= tolerance * density ? $0 : nil }
    }
}

extension Sweep {
    /// The numbers of replicates at which points are tested.
    public var looks: [Int] { refinement?.looks ?? [replicates] }

    /// What is tested of a point, and when. A chain that comes to none of the named densities has winning tested at all of
    /// its own.
    /// - Parameter densities: expected of its levels, the dense one's first.
    func testDesign(of settings: Settings, densities: [Double]) -> TestDesign {
        let named = Set(winningAt.compactMap { NamedDensity.level(of: $0, in: densities) }.map { $0 - 1 })
        return TestDesign(
            margin: settings.matchingMargin, rewoundToStart: settings.pruning.rewindsToStart, looks: looks,
            winningLevels: named.isEmpty ? nil : named)
    }
}
