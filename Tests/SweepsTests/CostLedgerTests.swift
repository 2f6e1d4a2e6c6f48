import Foundation
import Lottery
import Sweeps
import Testing

@Suite struct CostLedgerTests {
    /// Of dense networks, searches of 50 steps, and tickets that all match at the chain's end, or none of which does.
    private func result(_ task: PlannedTask, found: Bool) -> TaskRecord {
        let level = task.task.pruning?.level ?? 0
        let isSearch = if case .search = task.role { true } else { false }
        let evaluation = Evaluation(
            step: isSearch ? 50 : 100, validationLoss: 0.1, validationCorrect: 4_900, validationCount: 5_000,
            testLoss: 0.1, testCorrect: found || level == 0 ? 9_800 : 5_000, testCount: 10_000)
        let summary = LevelSummary(
            layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 1 << 10, surviving: 1 << (10 - level))],
            otherWeights: 0, final: evaluation, earlyStop: evaluation, divergedAt: nil)
        return .done(summary, seconds: Double(isSearch ? 50 : task.cost))
    }

    private func ledger(_ pruning: String, _ rest: String = "", found: Bool = true) throws -> CostLedger.Row {
        let vocabulary = MethodPlanTests.vocabulary
        let yaml = """
            name: a
            training: {iterations: 100}
            replicates: 2
            pruning: {rate: 0.5, levels: 3\(pruning)}
            \(rest)
            """
        let plan = try Plan(
            sweep: Sweep(yaml: yaml, file: "x.yaml", vocabulary: vocabulary), vocabulary: vocabulary,
            dataDigest: { Digest.of($0.utf8) })
        let byKey = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        let board = Leaderboard(plan: plan) { CellResult(result(byKey[$0]!, found: found)) }
        let ledger = CostLedger(
            plan: plan, leaderboard: board,
            tables: Records(
                plan: plan, results: { result(byKey[$0]!, found: found) },
                stepCost: { _, _, layers in StepCost(flops: Double(layers[0].surviving), bytes: 1) },
                curve: { _ in nil }))
        let row = try #require(ledger.rows.first)
        #expect(ledger.rows.count == 1 && row.level == (found ? 3 : nil) && row.dense.steps == 100)
        return row
    }

    /// Settings of the pruning, of the sweep, and steps of the search.
    private static let searches: [(pruning: String, rest: String, steps: Int)] = [
        ("", "", 300),
        (", rewind: 20", "", 260),
        (", schedule: one-shot", "", 100),
        (", rank_at: 30", "", 30),
        (", rank_at: 30, rewind: 60", "", 60),
        (", criterion: snip", "", 0),
        (", criterion: snip, rewind: 20", "", 20),
        (", search: early-bird", "", 150),
        (", search: early-bird, schedule: one-shot", "", 50),
        (", retrain: fine-tuning", "", 300),
        ("", "branches: [random-reinit]", 300),
        ("", "mask_from: {lr: 0.1}\ntrain: {lr: 0.2}", 300),
        (", rewind: 20", "mask_from: {lr: 0.1}\ntrain: {lr: 0.2}", 280),
    ]

    @Test("The search is what the ticket starts from, as far as that is trained for it", arguments: searches)
    func search(pruning: String, rest: String, steps: Int) throws {
        let row = try ledger(pruning, rest)
        #expect(row.search.steps == steps && row.search.seconds == Double(steps))
    }

    @Test(
        "A search that found nothing costs its whole chain, as far as it goes",
        arguments: [
            ("", "", 400), (", rewind: 20", "", 340), (", schedule: one-shot", "", 400), (", rank_at: 30", "", 330),
            (", criterion: snip", "", 300), (", search: early-bird", "", 450), ("", "branches: [random-reinit]", 400),
            ("", "mask_from: {lr: 0.1}\ntrain: {lr: 0.2}", 600), ("", "stop_when: {margin: 0.05, levels: 1}", 200),
        ])
    func nothingFound(pruning: String, rest: String, steps: Int) throws {
        let row = try ledger(pruning, rest, found: false)
        #expect(row.search.steps == steps && row.search.seconds == Double(steps))
        #expect(row.density == nil && row.ticket == nil && row.training == nil)
        #expect(row.savedFlops == nil && row.paidAfter == nil)
        let text = String(decoding: try JSONEncoder().encode(row), as: UTF8.self)
        for key in ["level", "density", "ticket", "training", "saved_flops", "paid_after"] {
            #expect(text.contains("\"\(key)\":null"), "\(text)")
        }
        #expect(try JSONDecoder().decode(CostLedger.Row.self, from: Data(text.utf8)) == row)
    }

    @Test("A ticket pays for its search after as many trainings as the operations say that it saves")
    func paid() throws {
        let row = try ledger("")
        // 2¹⁰ operations a step of the dense network, 2⁷ of the ticket.
        #expect(row.search.flops == 100 * (1_024 + 512 + 256))
        #expect(row.savedFlops == 0.875 && row.paidAfter == 2)
        #expect(try ledger(", criterion: snip").paidAfter == 0)
    }
}
