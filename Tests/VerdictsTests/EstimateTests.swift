import Testing
import Verdicts

@Suite struct EstimateTests {
    @Test("Mean and t interval equal a worked example")
    func interval() throws {
        // Student's sleep data, the differences of 1908: mean 1.58, t(9) interval 0.7001142 to 2.4598858.
        let estimate = try #require(Estimate([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]))
        #expect(abs(estimate.mean - 1.58) < 1e-12)
        #expect(abs(try #require(estimate.low) - 0.7001142) < 1e-7)
        #expect(abs(try #require(estimate.high) - 2.4598858) < 1e-7)
    }

    @Test("One value has no interval, equal values have one of no width, none have no estimate")
    func degenerate() throws {
        #expect(Estimate([]) == nil)
        #expect(Estimate([0.5]) == Estimate(mean: 0.5, low: nil, high: nil))
        // 0.1 + 0.1 + 0.1 is not 3 · 0.1 in binary.
        #expect(Estimate([0.1, 0.1, 0.1]) == Estimate(mean: 0.1, low: 0.1, high: 0.1))
    }

    @Test("The geometric mean of ratios and its interval are those of their logarithms")
    func geometric() throws {
        let estimate = try #require(Estimate(geometric: [0.5, 2, 1]))
        #expect(abs(estimate.mean - 1) < 1e-15)
        // ln 2 · 4.302652729749462 / √3 either way.
        #expect(abs(try #require(estimate.high) - 5.59499837330147) < 1e-8)
        #expect(abs(try #require(estimate.low) * 5.59499837330147 - 1) < 1e-8)
        let wide = try #require(Estimate(geometric: [1e-300, 1e300]))
        #expect(wide.mean.isFinite && wide.high?.isFinite == true)
    }
}

@Suite struct ComparisonTests {
    private func comparison(
        _ tickets: [(Double, Int?)], _ dense: [(Double, Int?)], margin: Double = 0.002, rewoundToStart: Bool = true
    ) -> Comparison {
        Comparison(
            tickets: tickets.map { Outcome(accuracy: $0.0, earlyStop: $0.1) },
            dense: dense.map { Outcome(accuracy: $0.0, earlyStop: $0.1) }, margin: margin,
            rewoundToStart: rewoundToStart)
    }

    @Test("A ticket better and sooner in every replicate wins, and the test says so")
    func winning() {
        let result = comparison(
            [(0.983, 500), (0.982, 600), (0.984, 550)], [(0.981, 900), (0.9805, 1_000), (0.982, 1_000)])
        #expect(result.matches && result.wins)
        #expect(result.matching == .yes)
        #expect(result.winning == .yes)
        #expect(abs(result.difference.mean - (0.002 + 0.0015 + 0.002) / 3) < 1e-12)
    }

    @Test("One seed never decides")
    func oneSeed() {
        let result = comparison([(0.99, 100)], [(0.90, 900)])
        #expect(result.wins)
        #expect(result.matching == .undecided)
        #expect(result.winning == .undecided)
    }

    @Test("Slower, or below dense, or rewound past step 0: matching and not winning")
    func matchingOnly() {
        let slower = comparison([(0.98, 900), (0.981, 905)], [(0.98, 500), (0.981, 500)])
        #expect(slower.matches && !slower.wins)
        #expect(slower.matching == .yes)
        #expect(slower.winning == .no)
        let below = comparison([(0.979, 100), (0.980, 100)], [(0.98, 500), (0.981, 500)])
        #expect(below.matches && !below.wins)
        let rewound = comparison([(0.99, 100), (0.99, 100)], [(0.98, 500), (0.98, 500)], rewoundToStart: false)
        #expect(rewound.matches && !rewound.wins)
        #expect(rewound.winning == .no)
    }

    @Test("A ticket far below in every replicate does not match, and the test says so; a scattered one is undecided")
    func below() {
        let far = comparison([(0.90, 100), (0.91, 100), (0.905, 100)], [(0.98, 100), (0.981, 100), (0.98, 100)])
        #expect(!far.matches)
        #expect(far.matching == .no)
        #expect(far.winning == .no)
        let scattered = comparison([(0.95, 100), (0.99, 100), (0.98, 100)], [(0.98, 100), (0.98, 100), (0.98, 100)])
        #expect(!scattered.matches)
        #expect(scattered.matching == .undecided)
    }

    @Test("The margin itself does not match")
    func margin() {
        #expect(!comparison([(0.5, 1)], [(0.75, 1)], margin: 0.25).matches)
        #expect(comparison([(0.5, 1)], [(0.75, 1)], margin: 0.2500001).matches)
        // 20 images of 10,000, where the binary difference is a little above −0.002.
        #expect(!comparison([(0.9733, 1)], [(0.9753, 1)]).matches)
    }

    @Test("As many images right and as many steps is no loss, whatever rounding makes of it")
    func ties() throws {
        // One image more twice and two fewer once; the sum of the binary differences is −1.1e-16.
        let even = comparison(
            [(0.9796, 400), (0.9796, 600), (0.9793, 500)], [(0.9795, 600), (0.9795, 400), (0.9795, 500)])
        #expect(even.difference.mean < 0 && even.difference.mean > -1e-15)
        #expect(even.wins)
        #expect(even.matching == .yes)
        // The ratios 1/4, 2/5 and 10 have the geometric mean 1; that of their logarithms is above 0.
        let swapped = comparison([(0.99, 100), (0.99, 400), (0.99, 1_000)], [(0.98, 400), (0.98, 1_000), (0.98, 100)])
        #expect(try #require(swapped.earlyStopRatio).mean > 1)
        #expect(swapped.wins)
        func outcomes(_ right: [Int]) -> [Outcome] {
            right.map { Outcome(accuracy: Double($0) / 10_000, earlyStop: nil) }
        }
        #expect(Comparison.beats(outcomes([9_800, 9_700]), outcomes([9_800, 9_700])) == .no)
    }

    @Test("What does not match does not win, though its early-stop step is not known")
    func divergedTickets() {
        let result = comparison([(0, nil), (0, nil)], [(0.98, 5), (0.981, 5)])
        #expect(result.matching == .no)
        #expect(result.winning == .no)
    }

    @Test("A network without an early-stop step cannot win but can match")
    func noEarlyStop() {
        let result = comparison([(0.98, nil), (0.98, 5)], [(0.98, 5), (0.98, 5)])
        #expect(result.earlyStopRatio == nil)
        #expect(result.matches && !result.wins)
        #expect(result.winning == .undecided)
    }

    @Test("A control is beaten only if the whole interval is above 0")
    func controls() {
        func outcomes(_ accuracies: [Double]) -> [Outcome] { accuracies.map { Outcome(accuracy: $0, earlyStop: nil) } }
        #expect(Comparison.beats(outcomes([0.98, 0.981]), outcomes([0.95, 0.951])) == .yes)
        #expect(Comparison.beats(outcomes([0.95, 0.951]), outcomes([0.98, 0.981])) == .no)
        #expect(Comparison.beats(outcomes([0.98, 0.95]), outcomes([0.96, 0.96])) == .undecided)
        #expect(Comparison.beats(outcomes([0.98]), outcomes([0.5])) == .undecided)
    }
}

@Suite struct HeadlineTests {
    /// A level of three replicates whose tickets differ by `difference` from dense and stop at `stop` of 1,000 steps.
    private func level(_ density: Double, _ difference: Double, stop: Int = 500) -> (
        density: Double, comparison: Comparison
    )? {
        let wobble = [-0.0001, 0, 0.0001]
        return (
            density,
            Comparison(
                tickets: wobble.map { Outcome(accuracy: 0.98 + difference + $0, earlyStop: stop) },
                dense: wobble.map { Outcome(accuracy: 0.98 - $0, earlyStop: 1_000) }, margin: 0.002,
                rewoundToStart: true)
        )
    }

    private func headline(
        _ levels: [(density: Double, comparison: Comparison)?], _ progress: ChainProgress = .complete,
        denseDiverged: Bool = false
    ) -> Headline { Headline(levels: levels, progress: progress, denseDiverged: denseDiverged) }

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
            dense: [1_000, 1_000, 1_000].map { Outcome(accuracy: 0.98, earlyStop: $0) }, margin: 0.002,
            rewoundToStart: true)
        let result = headline([(0.5, unsure)])
        #expect(result.verdict == .censored && result.found == .winning)
        #expect(unsure.matching == .yes)
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

    @Test("An unfinished, stopped or broken chain says so, with the best ticket so far, undecided")
    func unfinished() {
        for (progress, verdict) in [(ChainProgress.pending, Verdict.pending), (.stopped, .stopped), (.failed, .failed)]
        {
            let result = headline([level(0.8, 0.003), level(0.64, -0.05), nil], progress)
            #expect(result.verdict == verdict)
            #expect(result.level == 0)
            #expect(result.found == .winning)
            #expect(result.decided == .undecided)
        }
        #expect(headline([nil, nil], .pending).level == nil)
        let diverged = headline([level(0.8, 0.003)], denseDiverged: true)
        #expect(diverged.verdict == .failed)
        #expect(diverged.level == nil)
    }

    @Test("A level that pruned nothing is no ticket")
    func denseLevel() {
        #expect(headline([level(1, 0.003)]).verdict == .none)
    }
}
