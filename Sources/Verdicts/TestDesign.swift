/// How the claims about a point are tested. All of it follows from the spec before anything is measured, which is what
/// keeps false `yes` at the stated rate.
public struct TestDesign: Hashable, Sendable {
    /// The largest chance of any false `yes` about matching at a point, and about winning at it, over all its densities
    /// and looks: one-sided 2.5 %, which is what a two-sided 95 % interval errs on each side.
    public static let error = 0.025
    /// Two numbers closer than this are a tie. Accuracies are counts over a test set and early stops are counts of
    /// steps: means that differ are much further apart, and what is closer is rounding (0.9733 − 0.9753 > −0.002).
    package static let tie = 1e-12

    /// ε of matching, as a fraction of the test set.
    public var margin: Double
    /// Whether the survivors went back to step 0; only then can a ticket be winning.
    public var rewoundToStart: Bool
    /// The numbers of replicates at which the tests are made, ascending. Replicates beyond the last look that is
    /// reached wait for the next one: data looked at whenever they please would decide too often.
    public var looks: [Int]
    /// The levels for which the spec names winning beforehand, by index among the sparse ones; nil for all of the
    /// chain.
    public var winningLevels: Set<Int>?

    /// - Precondition: `looks` are at least one, and ascend.
    public init(margin: Double, rewoundToStart: Bool, looks: [Int], winningLevels: Set<Int>? = nil) {
        precondition(!looks.isEmpty && zip(looks, looks.dropFirst()).allSatisfy(<), "looks at \(looks) replicates")
        self.margin = margin
        self.rewoundToStart = rewoundToStart
        self.looks = looks
        self.winningLevels = winningLevels
    }

    /// What each look spends: α / looks.
    public var errorPerLook: Double { TestDesign.error / Double(looks.count) }

    /// The p of a claim over all looks that `count` replicates reach: as many times the least as there are looks
    /// (Bonferroni). More replicates never raise it, so a `yes` stays.
    package func probability(with count: Int, _ probability: (_ first: Int) -> Double) -> Double {
        let least = looks.lazy.filter { $0 <= count }.reduce(1) { min($0, probability($1)) }
        return min(1, least * Double(looks.count))
    }
}
