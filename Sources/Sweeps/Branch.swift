import Lottery

/// A control as a sweep has it: `random-reinit`, or `{name: random-reinit, levels: [4, 6]}`.
public struct SweepBranch: Hashable, Sendable {
    /// As registered.
    public let name: String
    /// Levels ≥ 1 beside which it stands, ascending; nil for all of a chain. A chain that is shorter lacks some.
    public let levels: [Int]?

    public init(name: String, levels: [Int]? = nil) {
        self.name = name
        self.levels = levels
    }

    func stands(beside level: Int) -> Bool { levels?.contains(level) ?? true }

    /// Beside how many levels of a chain with so many prunings.
    func count(to lastLevel: Int) -> Int { (1..<lastLevel + 1).count(where: stands) }

    /// The last level of such a chain that has it; nil if none has.
    func last(to lastLevel: Int) -> Int? { (1..<lastLevel + 1).last(where: stands) }
}

/// A control that starts from each level ≥ 1 of a run. A new branch is a row of the table, and its name in the
/// vocabulary once the training core can train it.
struct Branch: Sendable {
    let name: String
    let kind: Kind

    enum Kind: Sendable {
        /// Prunes what the level prunes, so that the chain's masks serve it too, with a change in the pruning or in the
        /// start.
        case pruned(@Sendable (_ step: inout TrainingTask.PruningStep, _ start: inout TrainingTask.Start) -> Void)
        /// Prunes the dense network instead, to the counts of the level at once.
        case oneShot
        /// Is a dense network of other settings; nil if there is none, which a spec is refused for.
        case dense(@Sendable (_ level: DenseControl) -> Settings?)
    }

    static let table = [
        // The same mask on fresh weights, trained from step 0 even where the ticket rewinds to k: weights that no
        // trajectory led to have no step k.
        Branch("random-reinit") { step, start in start = .reinitialised(level: step.level, draw: 0) },
        // The same weights under a random mask with the same counts.
        Branch("random-mask") { step, _ in step.control = .randomPerLayer },
        Branch("random-mask-global") { step, _ in step.control = .randomGlobal },
        // The same mask on weights made of θ0, trained from step 0 likewise.
        Branch("permuted") { step, start in start = .varied(.permuted, level: step.level, draw: 0) },
        Branch("signed-permuted") { step, start in start = .varied(.signedPermuted, level: step.level, draw: 0) },
        Branch("signed-reinit") { step, start in start = .varied(.signedReinit, level: step.level, draw: 0) },
        Branch("constant") { step, start in start = .varied(.constant, level: step.level, draw: 0) },
        Branch("signed-constant") { step, start in start = .varied(.signedConstant, level: step.level, draw: 0) },
        Branch(name: "one-shot", kind: .oneShot),
        Branch(name: "dense-budget", kind: .dense { $0.trainedForTheBudget }),
        Branch(name: "small-dense", kind: .dense { $0.withAsManyWeights }),
    ]

    private init(name: String, kind: Kind) {
        self.name = name
        self.kind = kind
    }

    private init(
        _ name: String,
        _ change: @escaping @Sendable (inout TrainingTask.PruningStep, inout TrainingTask.Start) -> Void
    ) { self.init(name: name, kind: .pruned(change)) }

    static func named(_ name: String) -> Branch? { table.first { $0.name == name } }
}
