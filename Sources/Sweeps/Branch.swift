import Lottery

/// A control that starts from each level ≥ 1 of a run. It prunes what the level prunes, so the chain's masks serve it
/// too. A new branch is a row of the table, and its name in the vocabulary once the training core can train it.
struct Branch: Sendable {
    let name: String
    /// What the branch changes about a level's pruning and start.
    let change: @Sendable (_ step: inout TrainingTask.PruningStep, _ start: inout TrainingTask.Start) -> Void

    static let table = [
        // The same mask on fresh weights, trained from step 0 even where the ticket rewinds to k: weights that no
        // trajectory led to have no step k.
        Branch(name: "random-reinit") { step, start in start = .reinitialised(level: step.level, draw: 0) },
        // The same weights under a random mask with the same counts.
        Branch(name: "random-mask") { step, _ in step.control = .randomPerLayer },
    ]

    static func named(_ name: String) -> Branch? { table.first { $0.name == name } }
}
