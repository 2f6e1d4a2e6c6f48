/// What a point's chain of levels came to, in one word.
public enum Verdict: String, Hashable, Sendable, Codable, CaseIterable {
    /// Rewound to step 0, as accurate as the dense network and trained no longer.
    case winning
    /// At most the margin below the dense network.
    case matching
    /// Every level is below.
    case none
    /// The chain ended while still matching: the limit is this density or a lower one.
    case censored
    /// A task failed for good, or the dense network diverged, or the one that gave transplanted masks.
    case failed
    /// The chain was ended early on purpose.
    case stopped
    /// Not all levels are done.
    case pending
}

/// How far a point's chain has come, over all replicates.
public enum ChainProgress: Hashable, Sendable {
    case complete
    case pending
    case stopped
    case failed
}

/// A point's verdict, from the means over replicates, and what the planned tests say of it (glossary, “The verdict”).
public struct Headline: Hashable, Sendable {
    public let verdict: Verdict
    /// Is there such a ticket: yes, no (every level is below, and every test says so), or undecided. A ticket
    /// found winning is tested for winning, even where the chain is censored, any other for matching; an unfinished
    /// or broken chain is undecided. Where the spec names densities of the chain at which winning is tested, no other
    /// ticket is found winning here, since none of its tests could bear that out.
    ///
    /// Where a rule ended the chain early, this is about the levels that were trained (`ChainTest.missesAll`): `no` errs
    /// at the stated rate about each, and that sparser ones are below as well is what the rule takes for granted, not a
    /// finding; the verdict `stopped` beside it says so. `yes` keeps its rate, too: levels that are not trained hold their
    /// places in the fixed sequence and in Holm's procedure with p = 1, which can only take a `yes` away.
    public let decided: Decision
    /// Replicates that would decide it; nil where it is decided, or more of them would not help.
    public let moreSeeds: MoreSeeds?
    /// Index among the levels of the sparsest ticket that the verdict speaks of; nil if there is none.
    public let level: Int?
    /// What the ticket at `level` is taken for: `winning`, where its means say so and winning is tested of it, or `matching`.
    public let found: Verdict?
    /// Indices of the sparsest matching and the sparsest winning level, by the means alone.
    public let sparsestMatching: Int?
    public let sparsestWinning: Int?

    /// - Parameters:
    ///   - levels: the sparse levels in order, each with its density, and nil where not all replicates are done.
    ///   - test: of the same levels.
    ///   - length: how many of the levels there are going to be, where a rule ended the chain early; nil for all.
    ///   - isComparable: false where the dense network diverged, or that which gave the masks.
    public init(
        levels: [(density: Double, comparison: Comparison)?], test: ChainTest, progress: ChainProgress,
        length: Int? = nil, isComparable: Bool
    ) {
        guard isComparable else {
            verdict = .failed
            decided = .undecided
            moreSeeds = nil
            level = nil
            found = nil
            sparsestMatching = nil
            sparsestWinning = nil
            return
        }
        func sparsest(where holds: (Int, Comparison) -> Bool) -> Int? {
            var best: (index: Int, density: Double)?
            for (index, level) in levels.enumerated() {
                guard let level, level.density < 1, holds(index, level.comparison) else { continue }
                if best.map({ level.density <= $0.density }) ?? true { best = (index, level.density) }
            }
            return best?.index
        }
        func isFoundWinning(_ index: Int, _ comparison: Comparison) -> Bool {
            comparison.wins && comparison.design.winningLevels?.contains(index) != false
        }
        let matching = sparsest { $1.matches }
        let winning = sparsest(where: isFoundWinning)
        let last = sparsest { _, _ in true }
        sparsestMatching = matching
        sparsestWinning = sparsest { $1.wins }
        switch progress {
        case .failed: verdict = .failed
        case .stopped: verdict = .stopped
        case .pending: verdict = .pending
        case .complete:
            if matching == nil {
                verdict = .none
            } else if matching == last {
                verdict = .censored
            } else {
                verdict = winning == nil ? .matching : .winning
            }
        }
        level = verdict == .censored ? matching : winning ?? matching
        found = level.map { isFoundWinning($0, levels[$0]!.comparison) ? .winning : .matching }

        // What was ended on purpose is not going to change; its levels are as good as any.
        guard progress == .complete || progress == .stopped else {
            decided = .undecided
            moreSeeds = nil
            return
        }
        if let level {
            let wins = found == .winning
            decided = (wins ? test.winning[level] : test.matching[level])?.decision ?? .undecided
            moreSeeds = wins ? test.moreSeedsToWin(at: level) : test.moreSeedsToMatch(at: level)
        } else {
            let length = length ?? levels.count
            decided = test.missesAll(first: length) ? .no : .undecided
            moreSeeds = decided == .undecided ? test.moreSeedsToMissAll(first: length) : nil
        }
    }
}
