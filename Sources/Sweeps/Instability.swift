import Lottery

/// Which trainings of a point have a sibling, and how the two are compared: `instability: {levels: [0, 5], points: 30,
/// batch_norm: interpolated}` (Frankle et al. 2020, section 2).
///
/// A sibling starts where its training starts and sees other noise: another order of the batches, and other changes to
/// the images. That of level 0 is a child of θk, where k is the point's rewind step, as is the dense training itself.
/// That of a level has the level's mask.
public struct Instability: Hashable, Sendable {
    /// Levels that have a sibling, 0 for the dense network, ascending; nil for all of a point. A chain that is shorter
    /// lacks some.
    public let levels: [Int]?
    /// Values of α, evenly spaced from 0 to 1, both of them included.
    public let points: Int
    public let batchNorm: BatchNormPolicy

    public init(levels: [Int]?, points: Int, batchNorm: BatchNormPolicy) {
        self.levels = levels
        self.points = points
        self.batchNorm = batchNorm
    }

    func contains(_ level: Int) -> Bool { levels?.contains(level) ?? true }
}
