import Testing
import Verdicts

@Suite struct ChainTestTests {
    /// A level whose tickets differ from dense by `differences` and stop at `stop` of about 1,000 steps.
    private func level(
        _ density: Double, _ differences: [Double], stop: Int = 500, looks: [Int]? = nil, named: Set<Int>? = nil,
        rewoundToStart: Bool = true
    ) -> (density: Double, comparison: Comparison)? {
        (
            density,
            Comparison(
                tickets: differences.enumerated().map { Outcome(accuracy: 0.5 + $1, earlyStop: stop + $0) },
                dense: differences.map { _ in Outcome(accuracy: 0.5, earlyStop: 1_000) },
                design: TestDesign(
                    margin: 0.002, rewoundToStart: rewoundToStart, looks: looks ?? [differences.count],
                    winningLevels: named))
        )
    }

    private let clear = [0.003, 0.0031, 0.0029]
    private let unsure = [0.003, -0.004, 0.001]
    private let below = [-0.05, -0.051, -0.049]

    @Test("Matching goes from the densest level on and stops at the first that is not yes; no stands by itself")
    func fixedSequence() {
        let all = ChainTest(levels: [level(0.8, clear), level(0.6, clear), level(0.4, clear)])
        #expect(all.matching.map(\.?.decision) == [.yes, .yes, .yes])
        let gap = ChainTest(levels: [level(0.8, clear), level(0.6, unsure), level(0.4, clear), level(0.3, below)])
        #expect(gap.matching.map(\.?.decision) == [.yes, .undecided, .undecided, .no])
        // The adjusted p is the greatest so far.
        #expect(gap.matching[2]!.probability == gap.matching[1]!.probability)
        #expect(gap.matching[0]!.probability < 0.001)
    }

    @Test("A level that is not done ends the sequence, one that pruned nothing is no part of it")
    func gaps() {
        let test = ChainTest(levels: [level(1, unsure), level(0.8, clear), nil, level(0.4, clear)])
        #expect(test.matching.map(\.?.decision) == [nil, .yes, nil, .undecided])
        #expect(test.winning.map(\.?.decision) == [nil, .yes, nil, .yes])
    }

    @Test("Holm's adjusted p equal a worked example")
    func holm() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
        let adjusted = ChainTest.holm([0.01, 0.04, 0.03, 0.005])
        for (one, expected) in zip(adjusted, [0.03, 0.06, 0.06, 0.02]) { #expect(abs(one - expected) < 1e-15) }
        #expect(ChainTest.holm([0.6, 0.7]) == [1, 1])
        #expect(ChainTest.holm([]) == [])
    }

    @Test("Winning shares its error over the densities that are named, and is tested nowhere else")
    func named() throws {
        // Three replicates at 0.0018 above the bound with a spread of 0.0003: p = 0.0046 alone.
        let differences = [-0.0002, 0.0001, 0.0004]
        let alone = ChainTest(levels: [level(0.5, differences)])
        let p = try #require(alone.winning[0]).probability
        #expect(p > 0.001 && p < 0.025 / 4)
        let chain = (0..<8).map { level(0.8 - 0.1 * Double($0), $0 == 3 ? differences : unsure) }
        let many = ChainTest(levels: chain)
        #expect(abs(many.winning[3]!.probability - 8 * p) < 1e-15)
        #expect(many.winning[3]!.decision == .undecided)
        func named(_ levels: Set<Int>) -> [Decision?] {
            ChainTest(
                levels: (0..<8).map { level(0.8 - 0.1 * Double($0), $0 == 3 ? differences : unsure, named: levels) }
            ).winning.map(\.?.decision)
        }
        #expect(named([3, 5])[3] == .yes)
        #expect(named([5])[3] == .undecided)
    }

    @Test("Each look spends its share, and what one look decided stays")
    func looks() throws {
        let five = [0.0008, -0.0002, 0.0001, 0.0004, 0.0001]
        let once = ChainTest(levels: [level(0.5, five, looks: [5])]).matching[0]!
        let first = ChainTest(levels: [level(0.5, five, looks: [5, 8, 12])]).matching[0]!
        #expect(abs(first.probability - 3 * once.probability) < 1e-15)
        #expect(first.decision == .yes)
        // Three replicates that would take it back.
        let eight = five + [-0.03, -0.02, -0.05]
        #expect(ChainTest(levels: [level(0.5, eight, looks: [8])]).matching[0]!.decision != .yes)
        let second = ChainTest(levels: [level(0.5, eight, looks: [5, 8, 12])]).matching[0]!
        #expect(second.probability == first.probability)
        // Replicates beyond a look wait for the next.
        for count in 6...7 {
            let between = ChainTest(levels: [level(0.5, Array(eight.prefix(count)), looks: [5, 8, 12])]).matching[0]!
            #expect(between.probability == first.probability)
        }
        #expect(ChainTest(levels: [level(0.5, Array(five.prefix(4)), looks: [5, 8])]).matching[0]!.probability == 1)
    }

    @Test("Equal differences decide no more than a spread of one test image would")
    func resolution() {
        func decision(_ difference: Double, images: Int?, count: Int) -> Decision {
            let outcomes = (0..<count).map { _ in Outcome(accuracy: 0.5 + difference, earlyStop: 1, testImages: images)
            }
            let dense = (0..<count).map { _ in Outcome(accuracy: 0.5, earlyStop: 1, testImages: images) }
            let design = TestDesign(margin: 0.002, rewoundToStart: true, looks: [count])
            return ChainTest(levels: [(0.5, Comparison(tickets: outcomes, dense: dense, design: design))]).matching[0]!
                .decision
        }
        #expect(decision(0, images: nil, count: 2) == .yes)
        // 20 images above the bound are 28 standard errors, 5 are 7; two replicates need 12.7.
        #expect(decision(0, images: 10_000, count: 2) == .yes)
        #expect(decision(-0.0015, images: 10_000, count: 2) == .undecided)
        #expect(decision(-0.0015, images: 10_000, count: 3) == .yes)
        #expect(decision(-0.0025, images: 10_000, count: 2) == .undecided)
        #expect(decision(-0.0125, images: 10_000, count: 2) == .no)
        #expect(decision(0.9, images: 10_000, count: 1) == .undecided)
    }

    @Test("A diverged replicate is a result, and keeps a level from matching")
    func diverged() {
        var tickets = clear.map { Outcome(accuracy: 0.5 + $0, earlyStop: 500) }
        let dense = clear.map { _ in Outcome(accuracy: 0.5, earlyStop: 1_000) }
        tickets[1] = Outcome(accuracy: 0, earlyStop: nil)
        let design = TestDesign(margin: 0.002, rewoundToStart: true, looks: [3])
        let test = ChainTest(levels: [(0.5, Comparison(tickets: tickets, dense: dense, design: design))])
        #expect(test.matching[0]!.decision == .undecided)
        #expect(test.winning[0]!.decision == .undecided)
        #expect(test.winning[0]!.probability == 1)
    }
}

@Suite struct BootstrapTests {
    @Test("The interval of normal values is close to that of t, and repeats")
    func normal() throws {
        let values = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 2.6, 1.4]
        let t = try #require(Estimate(values))
        let bootstrap = try #require(Bootstrap.estimate(values))
        #expect(bootstrap.mean == t.mean)
        #expect(abs(bootstrap.low! - t.low!) < 0.15)
        #expect(abs(bootstrap.high! - t.high!) < 0.15)
        #expect(Bootstrap.estimate(values) == bootstrap)
        // Pinned, since a leaderboard is the same bytes everywhere.
        #expect(bootstrap.low == 0.8642362109945696 && bootstrap.high == 1.966357293834619)
    }

    @Test("A long tail to the right lengthens the interval to the right")
    func skewed() throws {
        let values = [0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.4, 0.2, 1.5, 0.3]
        let bootstrap = try #require(Bootstrap.estimate(values))
        #expect(bootstrap.high! - bootstrap.mean > 1.5 * (bootstrap.mean - bootstrap.low!))
    }

    @Test("Too few values have none, equal ones one of no width, and mostly equal ones none rather than an endless one")
    func edges() {
        #expect(Bootstrap.estimate([1, 2, 3, 4, 5, 6, 7]) == nil)
        #expect(Bootstrap.estimate(Array(repeating: 0.1, count: 8)) == Estimate(mean: 0.1, low: 0.1, high: 0.1))
        #expect(Bootstrap.estimate([0, 0, 0, 0, 0, 0, 0, 1]) == nil)
    }
}
