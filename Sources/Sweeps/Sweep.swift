import Lottery

/// One spec, read and checked: fixed settings, axes, and the points they span.
public struct Sweep: Sendable {
    /// What the sweep is called within a store: letters, digits, `.`, `_` and `-`.
    public let name: String
    /// The settings that hold where no axis says otherwise.
    public let baseSettings: Settings
    /// As written: those of the grid, then those of the zip groups.
    public let axes: [Axis]
    /// All points but the excluded; the first axis moves slowest.
    public let points: GridPoints
    /// Points that `exclude` left out.
    public let excludedCount: Int
    /// Replicate r has the seeds `seed + r` at every point. Where replicates are added as verdicts ask for them
    /// (`refinement`), the most that a point may have.
    public let replicates: Int
    public let refinement: Refinement?
    public let stopRule: StopRule?
    /// Densities at which winning is tested; all of a chain's if empty.
    public let winningAt: [Double]
    /// Siblings of trainings; nil for none.
    public let instability: Instability?
    /// What tells two recipes apart, where masks are found under one and trained under the other; nil for one recipe.
    public let transplant: Transplant?
    /// Controls beside levels ≥ 1.
    public let branches: [SweepBranch]
    public let seed: UInt64
    /// Digest of the spec's meaning: specs that differ in comments or layout alone have the same.
    public let specDigest: Digest
    /// Where the spec says what, for what is asked of new sweeps alone.
    let reader: SpecReader

    /// Runs above which a person must say that they mean it.
    public static let runsWithoutConsent = 1_000_000
    /// Runs above which a sweep is refused in any case: its plan would not fit in memory.
    public static let runsAtMost = 20_000_000

    /// Points × replicates.
    public var runCount: Int { points.count * replicates }

    /// Reads a spec, one that a store holds as well as one that is new, of which `Plan.checkAsNew` asks for more.
    /// - Parameters:
    ///   - file: what errors call it.
    ///   - maximumRuns: a larger grid, `exclude` not considered, is refused before it is expanded; the error's
    ///     `runCount` says how large it is.
    public init(
        yaml: String, file: String, vocabulary: Vocabulary, maximumRuns: Int = Sweep.runsWithoutConsent
    ) throws(SpecError) {
        var reader = SpecReader(file: file, vocabulary: vocabulary)
        try reader.read(try SpecDocument.root(of: yaml, file: file))
        name = reader.name
        baseSettings = reader.base
        axes = reader.axes.map(\.axis)
        replicates = reader.replicates
        branches = reader.branches
        seed = reader.seed
        specDigest = reader.digest
        refinement = reader.refinement
        stopRule = reader.stopRule
        winningAt = reader.winningAt.map(\.density)
        instability = reader.instability
        transplant = reader.transplant
        try reader.checkRunCount(maximumRuns: maximumRuns)
        (points, excludedCount) = try reader.expand()
        try reader.checkRules(against: points)
        try reader.checkInstability(against: points)
        try reader.checkTransplant(against: points)
        self.reader = reader
    }

    /// Refuses a spec that can be read, but whose sweep would train what decides nothing. Asked of specs that people
    /// give; not of those that a store has taken on, perhaps before there was such a rule. `Plan.checkAsNew` asks it,
    /// too.
    public func checkAsNew() throws(SpecError) { try reader.checkAsNew(points) }

    /// The values of a point by axis name, for people: `depth 8, lr 0.1`; empty if there are no axes.
    public func describe(_ point: GridPoint) -> String {
        zip(axes, point.values).map { "\($0.name) \($1)" }.joined(separator: ", ")
    }
}
