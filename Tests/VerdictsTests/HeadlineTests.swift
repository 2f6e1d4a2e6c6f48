import Testing
import Verdicts

@Suite struct HeadlineTests {
    private let design = TestDesign(margin: 0.002, rewoundToStart: true, looks: [3])

    /// A level of three replicates whose tickets differ by `difference` from dense and stop at `stop` of 1,000 steps.
    private func level(
        _ density: Double, _ difference: Double, stop: Int = 500, design: TestDesign? = nil
    ) -> (density: Double, comparison: Comparison)? {
        let wobble = [-0.0001, 0, 0.0001]
        return (
            density,
            Comparison(
                tickets: wobble.map { Outcome(accuracy: 0.98 + difference + $0, earlyStop: stop) },
                dense: wobble.map { Outcome(accuracy: 0.98 - $0, earlyStop: 1_000) }, design: design ?? self.design)
        )
    }

    private func headline(
        _ levels: [(density: Double, comparison: Comparison)?], _ progress: ChainProgress = .complete,
        isComparable: Bool = true
    ) -> Headline {
        Headline(levels: levels, test: ChainTest(levels: levels), progress: progress, isComparable: isComparable)
    }

    @Test("The sparsest winning level is the headline, even with a matching one below and a gap above")
    func sparsest() {
        let result = headline([
            level(0.8, 0.003), level(0.64, -0.05), level(0.5, 0.001), level(0.4, -0.001), level(0.3, -0.05),
        ])
        #expect(result.verdict == .winning)
        #expect(result.level == 2)
        #expect(result.decided == .yes)
        #expect(result.sparsestMatching == 3)
        #expect(result.sparsestWinning == 2)
    }

    @Test("A chain that ends while matching is censored, and still says what was found")
    func censored() {
        let result = headline([level(0.8, 0.003), level(0.64, 0.003)])
        #expect(result.verdict == .censored)
        #expect(result.level == 1)
        #expect(result.found == .winning)
        #expect(result.decided == .yes)
        #expect(headline([level(0.8, 0.003), level(0.64, -0.001)]).found == .matching)
    }

    @Test("A censored winner is tested for winning, not for the easier matching")
    func censoredWinner() {
        let unsure = Comparison(
            tickets: [500, 900, 1_200].map { Outcome(accuracy: 0.983, earlyStop: $0) },
            dense: [1_000, 1_000, 1_000].map { Outcome(accuracy: 0.98, earlyStop: $0) }, design: design)
        let result = headline([(0.5, unsure)])
        #expect(result.verdict == .censored && result.found == .winning)
        #expect(ChainTest(levels: [(0.5, unsure)]).matching[0]?.decision == .yes)
        #expect(result.decided == .undecided)
    }

    @Test("None only if every level is below; it is decided if every interval says so")
    func none() {
        let result = headline([level(0.8, -0.05), level(0.64, -0.06)])
        #expect(result.verdict == .none)
        #expect(result.decided == .no)
        #expect(result.level == nil)
        #expect(headline([level(0.8, -0.00205), level(0.64, -0.06)]).decided == .undecided)
        #expect(headline([]).verdict == .none)
        #expect(headline([]).decided == .undecided)
    }

    @Test(
        "An unfinished, stopped or broken chain says so, with the best ticket so far; tests speak of the stopped one alone"
    )
    func unfinished() {
        let cases: [(ChainProgress, Verdict, Decision)] = [
            (.pending, .pending, .undecided), (.stopped, .stopped, .yes), (.failed, .failed, .undecided),
        ]
        for (progress, verdict, decided) in cases {
            let result = headline([level(0.8, 0.003), level(0.64, -0.05), nil], progress)
            #expect(result.verdict == verdict)
            #expect(result.level == 0)
            #expect(result.found == .winning)
            #expect(result.decided == decided)
            #expect(result.moreSeeds == nil)
        }
        #expect(headline([nil, nil], .pending).level == nil)
        let diverged = headline([level(0.8, 0.003)], isComparable: false)
        #expect(diverged.verdict == .failed)
        #expect(diverged.level == nil)
    }

    @Test("A chain that a rule ended early is decided by the levels it has; one that was cancelled is not")
    func endedEarly() {
        func ended(_ difference: Double, length: Int?) -> Headline {
            let levels = [level(0.8, difference), level(0.64, -0.06), nil, nil]
            return Headline(
                levels: levels, test: ChainTest(levels: levels), progress: .stopped, length: length, isComparable: true)
        }
        let below = ended(-0.05, length: 2)
        #expect(below.verdict == .stopped && below.decided == .no && below.moreSeeds == nil)
        let close = ended(-0.00205, length: 2)
        #expect(close.verdict == .stopped && close.decided == .undecided && close.moreSeeds != nil)
        let cancelled = ended(-0.05, length: nil)
        #expect(cancelled.verdict == .stopped && cancelled.decided == .undecided && cancelled.moreSeeds == nil)
        let lacking = ended(-0.05, length: 3)
        #expect(lacking.decided == .undecided && lacking.moreSeeds == nil)
    }

    @Test("Where the spec names densities for winning, a ticket of another one is found matching, and decided by that")
    func namedDensities() {
        var named = design
        named.winningLevels = [0]
        let levels = [(0.5, 500), (0.25, 500), (0.125, 900)].map { density, stop in
            level(density, density == 0.125 ? -0.05 : 0.003, stop: stop, design: named)
        }
        let result = headline(levels)
        #expect(result.verdict == .winning && result.level == 0 && result.found == .winning)
        #expect(result.decided == .yes && result.sparsestWinning == 1)
        named.winningLevels = [2]
        let other = headline(
            [level(0.5, 0.003, design: named), level(0.25, 0.003, design: named), level(0.125, -0.05, design: named)])
        #expect(other.verdict == .matching && other.level == 1 && other.found == .matching && other.decided == .yes)
        // The chain ends with one that is not named.
        named.winningLevels = [0]
        let censored = headline([level(0.5, 0.003, design: named), level(0.25, 0.003, design: named)])
        #expect(censored.verdict == .censored && censored.level == 1 && censored.found == .matching)
        #expect(censored.decided == .yes)
    }

    @Test("A level that pruned nothing is no ticket")
    func denseLevel() {
        #expect(headline([level(1, 0.003)]).verdict == .none)
    }

    @Test("What is undecided names the seeds that would decide it: the most that any level on the way needs")
    func moreSeeds() throws {
        func level(_ density: Double, _ differences: [Double]) -> (density: Double, comparison: Comparison)? {
            (
                density,
                Comparison(
                    tickets: differences.map { Outcome(accuracy: 0.98 + $0, earlyStop: 900) },
                    dense: differences.map { _ in Outcome(accuracy: 0.98, earlyStop: 500) }, design: design)
            )
        }
        let close = level(0.8, [0.002, -0.004, 0.003])  // 0.0023 above the bound, with a spread of 0.0038
        let sure = level(0.5, [0.0001, 0, -0.0001])
        let alone = headline([close])
        #expect(alone.decided == .undecided)
        // scipy's noncentral t: a power of 80 % at 0.616 standard deviations takes 23 replicates.
        #expect(alone.moreSeeds == .about(20))
        let behind = headline([close, sure])
        #expect(behind.level == 1)
        #expect(behind.decided == .undecided)
        #expect(behind.moreSeeds == .about(20))
        #expect(headline([sure, sure]).moreSeeds == nil)
        // No number of seeds takes the sequence past a level that is below.
        let blocked = headline([level(0.8, [-0.05, -0.0501, -0.0502]), sure])
        #expect(blocked.decided == .undecided)
        #expect(blocked.moreSeeds == nil)
        let none = headline([level(0.8, [-0.003, -0.001, -0.0025])])
        #expect(none.verdict == .none)
        #expect(none.moreSeeds == .above50)
        let single = Comparison(
            tickets: [Outcome(accuracy: 0.98, earlyStop: 1)], dense: [Outcome(accuracy: 0.97, earlyStop: 1)],
            design: design)
        #expect(headline([(0.5, single)]).moreSeeds == nil)
    }
}
