/// Sweeps whose results are drawn at random, refined by the product's own rules to the last look that they ask for: how
/// often does the leaderboard say `yes` of what is false, and how often of what is true? Ten thousand sweeps of each with
/// TOMBOLA_SOAK, a sample without. `SimulatedTrials` asks the tests alone.
import Foundation
import Lottery
import Sweeps
import Testing
import Verdicts

@Suite struct RefineTrials {
    private static let isSoak = ProcessInfo.processInfo.environment["TOMBOLA_SOAK"] != nil
    private static let trials = isSoak ? 10_000 : 400
    private static let margin = 0.002
    private static let spread = 0.003
    private static let images = 1_000_000_000

    /// One point with looks at 5, 8 and 12, and its tasks by key.
    private struct Study {
        let plan: Plan
        let tasks: [TaskKey: PlannedTask]

        init(levels: Int, rewind: Int, rule: String) throws {
            plan = try SweepsTests.plan(
                """
                name: a
                training: {iterations: 2000}
                pruning: {levels: \(levels), rate: 0.5, rewind: \(rewind)}
                matching_margin: \(RefineTrials.margin)
                refine: {looks: [5, 8, 12]}
                \(rule)
                """)
            tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        }

        /// The leaderboard once all that was asked for is done.
        func board(_ result: (PlannedTask) -> CellResult) -> Leaderboard {
            var extent = Extent(plan: plan) { _ in .pending }
            while true {
                let isAsked = plan.isAsked(within: extent)
                let asked = Set(zip(plan.tasks, isAsked).lazy.filter(\.1).map(\.0.key))
                func results(_ key: TaskKey) -> CellResult { asked.contains(key) ? result(tasks[key]!) : .pending }
                let next = Extent(plan: plan, results: results)
                guard next != extent else { return Leaderboard(plan: plan, results: results) }
                extent = next
            }
        }
    }

    /// A network of 0.9, and tickets that differ from it by `means` and train `exp(ratios)` times as long, level by
    /// level, both with normal noise.
    private func result(_ task: PlannedTask, seed: UInt64, trial: Int, means: [Double], ratios: [Double]) -> CellResult
    {
        guard let level = task.task.pruning?.level else { return summary(level: 0, accuracy: 0.9, step: 1_000_000) }
        // Two normal numbers by address (Box & Muller 1958).
        let random = CounterRandom(seed: seed, purpose: .bootstrap)
        let words = random.words(epoch: trial, index: UInt64(level) << 8 | task.task.seeds.initialisation)
        let radius = (-2 * log((Double(words[0]) + 0.5) * 0x1p-32)).squareRoot()
        let angle = 2 * Double.pi * Double(words[1]) * 0x1p-32
        return summary(
            level: level, accuracy: 0.9 + means[level - 1] + Self.spread * radius * cos(angle),
            step: Int(1e6 * exp(ratios[level - 1] + 0.2 * radius * sin(angle))))
    }

    private func summary(level: Int, accuracy: Double, step: Int) -> CellResult {
        let evaluation = Evaluation(
            step: step, validationLoss: 0.1, validationCorrect: 4_900, validationCount: 5_000, testLoss: 0.1,
            testCorrect: Int(accuracy * Double(Self.images)), testCount: Self.images)
        return .done(
            LevelSummary(
                layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 65_536, surviving: 65_536 >> level)],
                otherWeights: 0, final: evaluation, earlyStop: evaluation, divergedAt: nil))
    }

    private func rate(
        _ seed: UInt64, _ means: [Double], _ ratios: [Double], rewind: Int = 0, rule: String = "",
        _ holds: (Leaderboard) -> Bool
    ) throws -> Double {
        let study = try Study(levels: means.count, rewind: rewind, rule: rule)
        var count = 0
        for trial in 0..<Self.trials {
            let board = study.board { result($0, seed: seed, trial: trial, means: means, ratios: ratios) }
            if holds(board) { count += 1 }
        }
        return Double(count) / Double(Self.trials)
    }

    private func report(_ what: String, _ rate: Double, of stated: Double) {
        if Self.isSoak { print("soak: \(what): \(rate) of \(Self.trials) refined sweeps, stated \(stated)") }
    }

    /// Four standard errors of a rate over all trials: one run in 30,000 is beyond, and the seeds are fixed.
    private func tolerance(_ rate: Double) -> Double { 4 * (rate * (1 - rate) / Double(Self.trials)).squareRoot() }

    @Test("At the bound itself, a refined sweep reports a matching ticket at most at the stated rate")
    func falseMatching() throws {
        let means = Array(repeating: -Self.margin, count: 3)
        var headlines = 0
        let faulty = try rate(21, means, [0, 0, 0], rewind: 1) { board in
            if board.rows[0].decided == .yes { headlines += 1 }
            return board.curves[0].levels.contains { $0.matching == .yes }
        }
        report("false matching at any of three levels", faulty, of: TestDesign.error)
        #expect(faulty <= TestDesign.error + tolerance(TestDesign.error), "\(faulty)")
        let headline = Double(headlines) / Double(Self.trials)
        report("false matching in the headline", headline, of: TestDesign.error)
        #expect(headline <= TestDesign.error + tolerance(TestDesign.error), "\(headline)")
        // The looks were taken, and with them some of the error; of 400 sweeps it may still be none.
        if Self.isSoak { #expect(faulty > 0.3 * TestDesign.error, "\(faulty)") }
    }

    @Test("Tickets that train as long as the dense network are reported winning at most at the stated rate")
    func falseWinning() throws {
        var headlines = 0
        let faulty = try rate(22, [0.01, 0.01, 0.01], [0.001, 0.001, 0.001]) { board in
            let row = board.rows[0]
            if row.found == .winning && row.decided == .yes { headlines += 1 }
            return board.curves[0].levels.contains { $0.winning == .yes }
        }
        report("false winning at any of three levels", faulty, of: TestDesign.error)
        #expect(faulty <= TestDesign.error + tolerance(TestDesign.error), "\(faulty)")
        let headline = Double(headlines) / Double(Self.trials)
        report("false winning in the headline", headline, of: TestDesign.error)
        #expect(headline <= TestDesign.error + tolerance(TestDesign.error), "\(headline)")
    }

    @Test("A ticket of one spread above the bound is found with the power of three looks")
    func power() throws {
        // numpy, 2,000,000 trials: any of the looks at 5, 8 and 12 has t above its 1 − 0.025 / 3 quantile.
        let expected = 0.7591
        let found = try rate(23, [Self.spread - Self.margin], [0], rewind: 1) { $0.rows[0].decided == .yes }
        report("a matching ticket found", found, of: expected)
        #expect(abs(found - expected) <= tolerance(expected), "\(found) of \(expected)")
    }

    @Test("Replicates are added where they are needed: a clear ticket takes the first look, one at the bound the last")
    func cost() throws {
        let clear = try rate(24, [0.01], [0], rewind: 1) { $0.rows[0].replicates == 5 }
        #expect(clear > 0.99, "\(clear)")
        let close = try rate(25, [-Self.margin], [0], rewind: 1) { $0.rows[0].replicates == 12 }
        #expect(close > 0.9, "\(close)")
    }

    @Test("A chain that stop_when ends is said to have no ticket, and to have one, at most at the stated rate")
    func stopped() throws {
        let rule = "stop_when: {margin: 0.004, levels: 1}"
        let bound = -Self.margin
        // Every level at the bound: the rule ends most chains at some level, by the same results that are tested.
        for (seed, means) in [(UInt64(26), [bound, bound, bound]), (27, [bound, -0.1, -0.1, -0.1])] {
            var positives = 0
            var stopped = 0
            let levels = Array(repeating: 0.0, count: means.count)
            let negative = try rate(seed, means, levels, rewind: 1, rule: rule) { board in
                if board.rows[0].decided == .yes { positives += 1 }
                if board.rows[0].verdict == .stopped { stopped += 1 }
                return board.rows[0].decided == .no
            }
            let positive = Double(positives) / Double(Self.trials)
            #expect(stopped > 0)
            report("false no of \(stopped) ended early, level 1 at the bound", negative, of: TestDesign.error)
            #expect(negative <= TestDesign.error + tolerance(TestDesign.error), "\(negative)")
            report("false yes of the same", positive, of: TestDesign.error)
            #expect(positive <= TestDesign.error + tolerance(TestDesign.error), "\(positive)")
        }
        // Three spreads below the bound, the first look nearly always tells.
        let found = try rate(28, [-0.011, -0.1, -0.1], [0, 0, 0], rewind: 1, rule: rule) {
            $0.rows[0].verdict == .stopped && $0.rows[0].decided == .no
        }
        #expect(found > 0.95, "\(found)")
    }
}
