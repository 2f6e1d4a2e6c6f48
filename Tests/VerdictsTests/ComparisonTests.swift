import Testing
import Verdicts

@Suite struct ComparisonTests {
    private func comparison(
        _ tickets: [(Double, Int?)], _ dense: [(Double, Int?)], margin: Double = 0.002, rewoundToStart: Bool = true
    ) -> Comparison {
        Comparison(
            tickets: tickets.map { Outcome(accuracy: $0.0, earlyStop: $0.1) },
            dense: dense.map { Outcome(accuracy: $0.0, earlyStop: $0.1) },
            design: TestDesign(margin: margin, rewoundToStart: rewoundToStart, looks: [tickets.count]))
    }

    private func decision(_ ones: [Outcome], _ others: [Outcome]) -> Decision {
        Finding(that: ones, beat: others, looks: [max(2, ones.count)]).decision
    }

    @Test("A ticket better and sooner in every replicate wins, and the test says so")
    func winning() {
        let result = comparison(
            [(0.983, 500), (0.982, 600), (0.984, 550)], [(0.981, 900), (0.9805, 1_000), (0.982, 1_000)])
        #expect(result.matches && result.wins)
        #expect(result.alone.matching == .yes)
        #expect(result.alone.winning == .yes)
        #expect(abs(result.difference.mean - (0.002 + 0.0015 + 0.002) / 3) < 1e-12)
    }

    @Test("One seed never decides")
    func oneSeed() {
        let result = comparison([(0.99, 100)], [(0.90, 900)])
        #expect(result.wins)
        #expect(result.alone.matching == .undecided)
        #expect(result.alone.winning == .undecided)
    }

    @Test("Slower, or below dense, or rewound past step 0: matching and not winning")
    func matchingOnly() {
        let slower = comparison([(0.98, 900), (0.981, 905)], [(0.98, 500), (0.981, 500)])
        #expect(slower.matches && !slower.wins)
        #expect(slower.alone.matching == .yes)
        #expect(slower.alone.winning == .no)
        let below = comparison([(0.979, 100), (0.980, 100)], [(0.98, 500), (0.981, 500)])
        #expect(below.matches && !below.wins)
        let rewound = comparison([(0.99, 100), (0.99, 100)], [(0.98, 500), (0.98, 500)], rewoundToStart: false)
        #expect(rewound.matches && !rewound.wins)
        #expect(rewound.alone.winning == .no)
    }

    @Test("A ticket far below in every replicate does not match, and the test says so; a scattered one is undecided")
    func below() {
        let far = comparison([(0.90, 100), (0.91, 100), (0.905, 100)], [(0.98, 100), (0.981, 100), (0.98, 100)])
        #expect(!far.matches)
        #expect(far.alone.matching == .no)
        #expect(far.alone.winning == .no)
        let scattered = comparison([(0.95, 100), (0.99, 100), (0.98, 100)], [(0.98, 100), (0.98, 100), (0.98, 100)])
        #expect(!scattered.matches)
        #expect(scattered.alone.matching == .undecided)
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
        #expect(even.alone.matching == .yes)
        // The ratios 1/4, 2/5 and 10 have the geometric mean 1; that of their logarithms is above 0.
        let swapped = comparison([(0.99, 100), (0.99, 400), (0.99, 1_000)], [(0.98, 400), (0.98, 1_000), (0.98, 100)])
        #expect(try #require(swapped.earlyStopRatio).mean > 1)
        #expect(swapped.wins)
        func outcomes(_ right: [Int]) -> [Outcome] {
            right.map { Outcome(accuracy: Double($0) / 10_000, earlyStop: nil) }
        }
        #expect(decision(outcomes([9_800, 9_700]), outcomes([9_800, 9_700])) == .no)
    }

    @Test("What does not match does not win, though its early-stop step is not known")
    func divergedTickets() {
        let result = comparison([(0, nil), (0, nil)], [(0.98, 5), (0.981, 5)])
        #expect(result.alone.matching == .no)
        #expect(result.alone.winning == .no)
    }

    @Test("A network without an early-stop step cannot win but can match")
    func noEarlyStop() {
        let result = comparison([(0.98, nil), (0.98, 5)], [(0.98, 5), (0.98, 5)])
        #expect(result.earlyStopRatio == nil)
        #expect(result.matches && !result.wins)
        #expect(result.alone.winning == .undecided)
    }

    @Test("A control is beaten only if the whole interval is above 0")
    func controls() {
        func outcomes(_ accuracies: [Double]) -> [Outcome] { accuracies.map { Outcome(accuracy: $0, earlyStop: nil) } }
        #expect(decision(outcomes([0.98, 0.981]), outcomes([0.95, 0.951])) == .yes)
        #expect(decision(outcomes([0.95, 0.951]), outcomes([0.98, 0.981])) == .no)
        #expect(decision(outcomes([0.98, 0.95]), outcomes([0.96, 0.96])) == .undecided)
        #expect(decision(outcomes([0.98]), outcomes([0.5])) == .undecided)
    }
}

extension Comparison {
    /// The tests' word if this is the only level.
    fileprivate var alone: (matching: Decision, winning: Decision) {
        let test = ChainTest(levels: [(0.5, self)])
        return (test.matching[0]!.decision, test.winning[0]!.decision)
    }
}
