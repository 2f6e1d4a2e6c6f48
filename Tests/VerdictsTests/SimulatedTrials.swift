/// Whole chains drawn at random, with the looks that `refine` takes: how often do the tests say `yes` of what is false,
/// and how often of what is true? Ten thousand of each with TOMBOLA_SOAK, a sample without.
import Foundation
import Lottery
import Testing
import Verdicts

@Suite struct SimulatedTrials {
    private static let isSoak = ProcessInfo.processInfo.environment["TOMBOLA_SOAK"] != nil
    private static let trials = isSoak ? 10_000 : 1_000
    private static let looks = [5, 8, 12]
    private static let margin = 0.002
    private static let spread = 0.003

    /// Normal numbers by address, so that trials are independent and each repeats.
    private struct Normals {
        let random: CounterRandom
        let trial: Int

        /// Two at a time (Box & Muller 1958).
        func pair(_ index: Int) -> (Double, Double) {
            let words = random.words(epoch: trial, index: UInt64(index))
            let radius = (-2 * log((Double(words[0]) + 0.5) * 0x1p-32)).squareRoot()
            let angle = 2 * Double.pi * Double(words[1]) * 0x1p-32
            return (radius * cos(angle), radius * sin(angle))
        }
    }

    /// What one chain's test says after the looks that it took.
    private func test(trial: Int, seed: UInt64, means: [Double], ratios: [Double], looks: [Int] = SimulatedTrials.looks)
        -> ChainTest
    {
        let normals = Normals(random: CounterRandom(seed: seed, purpose: .bootstrap), trial: trial)
        func chain(_ count: Int) -> ChainTest {
            let design = TestDesign(margin: Self.margin, rewoundToStart: true, looks: looks)
            return ChainTest(
                levels: means.indices.map { level in
                    var tickets: [Outcome] = []
                    var dense: [Outcome] = []
                    for replicate in 0..<count {
                        let (noise, delay) = normals.pair(level << 8 | replicate)
                        tickets.append(
                            Outcome(
                                accuracy: 0.9 + means[level] + Self.spread * noise,
                                earlyStop: Int(1e6 * exp(ratios[level] + 0.2 * delay))))
                        dense.append(Outcome(accuracy: 0.9, earlyStop: 1_000_000))
                    }
                    return (0.5 / Double(level + 1), Comparison(tickets: tickets, dense: dense, design: design))
                })
        }
        // As `refine` does: on to the next look while anything is undecided.
        for look in looks.dropLast() {
            let test = chain(look)
            if (test.matching + test.winning).allSatisfy({ $0?.decision != .undecided }) { return test }
        }
        return chain(looks[looks.count - 1])
    }

    private func rate(
        _ seed: UInt64, _ means: [Double], _ ratios: [Double], looks: [Int] = SimulatedTrials.looks,
        _ holds: (ChainTest) -> Bool
    )
        -> Double
    {
        var count = 0
        for trial in 0..<Self.trials
        where holds(test(trial: trial, seed: seed, means: means, ratios: ratios, looks: looks)) { count += 1 }
        return Double(count) / Double(Self.trials)
    }

    private func report(_ what: String, _ rate: Double, of stated: Double) {
        if Self.isSoak { print("soak: \(what): \(rate) of \(Self.trials) chains, stated \(stated)") }
    }

    /// Four standard errors of a rate over all trials: one run in 30,000 is beyond, and the seeds are fixed.
    private func tolerance(_ rate: Double) -> Double { 4 * (rate * (1 - rate) / Double(Self.trials)).squareRoot() }

    @Test("At the bound itself, a false yes about matching at any level comes at most at the stated rate")
    func falseMatching() {
        let bound = -Self.margin
        let faulty = rate(1, [bound, bound, bound, bound], [0, 0, 0, 0]) {
            $0.matching.contains { $0?.decision == .yes }
        }
        report("false matching at any of four levels at the bound", faulty, of: TestDesign.error)
        #expect(faulty <= TestDesign.error + tolerance(TestDesign.error), "\(faulty)")
        // Behind levels that match, the first that does not is where the sequence can err.
        let later = rate(2, [0.01, 0.01, bound, bound, 0.01], [0, 0, 0, 0, 0]) {
            $0.matching[2]?.decision == .yes || $0.matching[3]?.decision == .yes
        }
        report("false matching behind two levels that match", later, of: TestDesign.error)
        #expect(later <= TestDesign.error + tolerance(TestDesign.error), "\(later)")
        // It is a test, not a refusal: Bonferroni's three looks at correlated data lose less than half of the error.
        #expect(faulty > 0.4 * TestDesign.error - tolerance(TestDesign.error), "\(faulty)")
    }

    @Test("Tickets no sooner than dense are found winning at any density at most at the stated rate")
    func falseWinning() {
        let faulty = rate(3, [0.01, 0.01, 0.01, 0.01], [0, 0, 0, 0]) { $0.winning.contains { $0?.decision == .yes } }
        report("false winning at any of four levels", faulty, of: TestDesign.error)
        #expect(faulty <= TestDesign.error + tolerance(TestDesign.error), "\(faulty)")
        // Beside two that do win, which leave more of the error to the others.
        let mixed = rate(4, [0.01, 0.01, 0.01, 0.01], [-1, 0, -1, 0]) {
            $0.winning[1]?.decision == .yes || $0.winning[3]?.decision == .yes
        }
        report("false winning beside two levels that win", mixed, of: TestDesign.error)
        #expect(mixed <= TestDesign.error + tolerance(TestDesign.error), "\(mixed)")
        // Sooner, and below the margin.
        let below = rate(5, [-Self.margin, -Self.margin], [-1, -1]) { $0.winning.contains { $0?.decision == .yes } }
        report("false winning below the margin", below, of: TestDesign.error)
        #expect(below <= TestDesign.error + tolerance(TestDesign.error), "\(below)")
    }

    @Test("What matches and wins is said not to at most at the stated rate")
    func falseNo() {
        let matching = rate(6, [-Self.margin], [0]) { $0.matching[0]?.decision == .no }
        report("false no to matching", matching, of: TestDesign.error)
        #expect(matching <= TestDesign.error + tolerance(TestDesign.error), "\(matching)")
        let winning = rate(7, [0], [0]) { $0.winning[0]?.decision == .no }
        report("false no to winning", winning, of: TestDesign.error)
        #expect(winning <= TestDesign.error + tolerance(TestDesign.error), "\(winning)")
    }

    @Test("Power is that of the noncentral t, and over three looks that of an independent simulation")
    func power() {
        func matching(_ test: ChainTest) -> Bool { test.matching[0]?.decision == .yes }
        let effect = 1.0
        let mean = effect * Self.spread - Self.margin
        for count in [5, 8] {
            let expected = StudentT.power(count: count, effect: effect, error: TestDesign.error)
            let found = rate(8, [mean], [0], looks: [count], matching)
            report("power of \(count) replicates", found, of: expected)
            #expect(abs(found - expected) <= tolerance(expected), "\(count) replicates: \(found) of \(expected)")
        }
        // numpy, 2,000,000 trials: any of the looks at 5, 8 and 12 has t above its 1 − 0.025 / 3 quantile.
        let expected = 0.7591
        let found = rate(9, [mean], [0], matching)
        report("power of three looks", found, of: expected)
        #expect(abs(found - expected) <= tolerance(expected), "\(found) of \(expected)")
    }

    @Test("A control as good as the ticket is beaten at most at the stated rate, one that is worse as computed")
    func controls() {
        func rate(_ seed: UInt64, ahead: Double, looks: [Int]) -> Double {
            var count = 0
            for trial in 0..<Self.trials {
                let normals = Normals(random: CounterRandom(seed: seed, purpose: .bootstrap), trial: trial)
                let pairs = (0..<looks[looks.count - 1]).map { normals.pair($0) }
                let tickets = pairs.map { Outcome(accuracy: 0.9 + ahead + 0.002 * $0.0, earlyStop: nil) }
                let controls = pairs.map { Outcome(accuracy: 0.9 + 0.002 * $0.1, earlyStop: nil) }
                if Finding(that: tickets, beat: controls, looks: looks).decision == .yes { count += 1 }
            }
            return Double(count) / Double(Self.trials)
        }
        let faulty = rate(10, ahead: 0, looks: Self.looks)
        report("a control falsely beaten", faulty, of: TestDesign.error)
        #expect(faulty <= TestDesign.error + tolerance(TestDesign.error), "\(faulty)")
        let expected = StudentT.power(count: 6, effect: 1.5 / 2.0.squareRoot(), error: TestDesign.error)
        let found = rate(11, ahead: 0.003, looks: [6])
        report("power against a control", found, of: expected)
        #expect(abs(found - expected) <= tolerance(expected), "\(found) of \(expected)")
    }
}
