/// What a test says of a claim.
public enum Decision: String, Hashable, Sendable, Codable, CaseIterable {
    case yes
    case no
    case undecided
}

/// What the planned tests say of one claim.
public struct Finding: Hashable, Sendable {
    public let decision: Decision
    /// p of the claim, adjusted for all looks, and for the other densities where a claim is made at several. `decision`
    /// is `yes` where it is at most `TestDesign.error`.
    public let probability: Double

    /// - Parameters:
    ///   - claim: adjusted p that it holds.
    ///   - opposite: p that it does not.
    init(claim: Double, opposite: Double) {
        probability = claim
        decision = claim <= TestDesign.error ? .yes : opposite <= TestDesign.error ? .no : .undecided
    }

    /// Whether the first of two paired sets of outcomes is more accurate: `yes` if L > 0, `no` if U ≤ 0.
    /// - Parameter looks: as in `TestDesign`.
    public init(that ones: [Outcome], beat others: [Outcome], looks: [Int]) {
        let sample = PairedSample(ones, minus: others)
        let design = TestDesign(margin: 0, rewoundToStart: false, looks: looks)
        self.init(
            claim: design.probability(with: ones.count) { sample.probability(above: 0, first: $0) },
            opposite: design.probability(with: ones.count) { sample.probability(atMost: 0, first: $0) })
    }
}

/// What the planned tests say of all levels of a point: glossary, “The verdict”.
///
/// **Matching** goes from the densest level to the sparsest and stops at the first that is not `yes`. In such a fixed
/// sequence each test has the whole error (Maurer, Hothorn & Lehmacher 1995): the adjusted p of a level is the greatest
/// so far. **Winning** is tested at the levels that the spec names, by Holm's procedure (Holm 1979); a level that is
/// not done takes part with p = 1. Both take their p over all planned looks (`TestDesign.probability`), and so keep the
/// error over densities and looks together.
///
/// `no` stands by itself: it says that a level alone, by its looks, is below.
public struct ChainTest: Sendable {
    /// By index among the sparse levels, as given; nil where a level has no comparison, or pruned nothing.
    public let matching: [Finding?]
    public let winning: [Finding?]

    private let comparisons: [Comparison?]
    /// Levels that are tested, the densest first.
    private let sequence: [Int]
    private let namedCount: Int

    /// - Parameter levels: the sparse levels in order, nil where not all replicates are done.
    public init(levels: [(density: Double, comparison: Comparison)?]) {
        let comparisons = levels.map { level in level.flatMap { $0.density < 1 ? $0.comparison : nil } }
        // Levels get sparser; one that is not done holds its place in the sequence.
        let sequence = levels.indices.filter { index in levels[index].map { $0.density < 1 } ?? true }
        var matching = [Finding?](repeating: nil, count: levels.count)
        var greatest = 0.0
        for index in sequence {
            guard let comparison = comparisons[index] else {
                greatest = 1
                continue
            }
            greatest = max(greatest, comparison.matchingProbability)
            matching[index] = Finding(claim: greatest, opposite: comparison.missingProbability)
        }

        let named = comparisons.lazy.compactMap { $0 }.first?.design.winningLevels
        let hypotheses = sequence.filter { named?.contains($0) ?? true }
        let adjusted = ChainTest.holm(hypotheses.map { comparisons[$0]?.winningProbability ?? 1 })
        var claims = [Double](repeating: 1, count: levels.count)
        for (index, probability) in zip(hypotheses, adjusted) { claims[index] = probability }
        winning = zip(comparisons, claims).map { comparison, claim in
            comparison.map { Finding(claim: claim, opposite: $0.losingProbability) }
        }
        self.matching = matching
        self.comparisons = comparisons
        self.sequence = sequence
        namedCount = hypotheses.count
    }

    /// Adjusted p of each hypothesis (Holm 1979), in their order and at most 1: the least α at which the procedure rejects it.
    public static func holm(_ probabilities: [Double]) -> [Double] {
        var adjusted = probabilities
        var greatest = 0.0
        let order = probabilities.indices.sorted { (probabilities[$0], $0) < (probabilities[$1], $1) }
        for (rank, index) in order.enumerated() {
            greatest = max(greatest, min(1, Double(probabilities.count - rank) * probabilities[index]))
            adjusted[index] = greatest
        }
        return adjusted
    }

    /// How many more replicates would decide whether the level matches: as many as the last of the levels needs that
    /// the sequence has yet to pass. Nil where it is decided, or where no number can: the sequence ends at a level that
    /// is below.
    public func moreSeedsToMatch(at level: Int) -> MoreSeeds? {
        guard matching[level]?.decision == .undecided else { return nil }
        var most: MoreSeeds?
        for index in sequence {
            guard let finding = matching[index], let comparison = comparisons[index] else { return nil }
            switch finding.decision {
            case .yes: break
            case .no: return nil
            case .undecided:
                guard comparison.matchingProbability > TestDesign.error else { break }
                guard let seeds = comparison.moreSeedsToMatch() else { return nil }
                most = max(most ?? seeds, seeds)
            }
            if index == level { break }
        }
        return most
    }

    /// Whether each of the chain's first `length` levels is below, by its own test.
    ///
    /// All of them must be, so each is tested at the whole error (an intersection–union test; Berger 1982). `length` may
    /// come from the results, as where a rule ends the chain: what is trained is always the beginning of it, so if any
    /// trained level matches, the densest that does is among them, and its test errs at the stated rate whether or not
    /// the chain went on beyond it. Of levels beyond the end nothing is tested, and nothing is said.
    public func missesAll(first length: Int) -> Bool {
        length > 0 && matching.prefix(length).allSatisfy { $0?.decision == .no }
    }

    /// How many more replicates would decide that each of the first `length` levels is below; nil where that is decided,
    /// or one of them is not done.
    public func moreSeedsToMissAll(first length: Int) -> MoreSeeds? {
        var most: MoreSeeds?
        for index in sequence where index < length {
            guard let finding = matching[index], let comparison = comparisons[index] else { return nil }
            guard finding.decision != .no else { continue }
            guard let seeds = comparison.moreSeedsToMatch() else { return nil }
            most = max(most ?? seeds, seeds)
        }
        return most
    }

    /// How many more replicates would decide whether the level wins; nil where it is decided, or the spec did not name
    /// it.
    public func moreSeedsToWin(at level: Int) -> MoreSeeds? {
        guard winning[level]?.decision == .undecided, let comparison = comparisons[level] else { return nil }
        if let named = comparison.design.winningLevels, !named.contains(level) { return nil }
        let decided = winning.count { $0?.decision == .yes }
        return comparison.moreSeedsToWin(rivals: max(1, namedCount - decided))
    }
}
