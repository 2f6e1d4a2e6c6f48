import CoordinatorService
import Lottery
import Sweeps
import Testing

@Suite("What a desk remembers of results")
struct KnownResultsTests {
    private let plan: Plan

    init() throws {
        let sweep = try Sweep(yaml: SubmissionTests.spec, file: "small.yaml", vocabulary: .fixture)
        plan = try Plan(sweep: sweep, vocabulary: .fixture, dataDigest: { _ in Digest.of(DataAccess.bytes) })
    }

    /// That of the task at an index: no two are alike.
    private func summary(_ index: Int, weights: Int = 1_000) -> LevelSummary {
        func evaluation(_ step: Int) -> Evaluation {
            Evaluation(
                step: step, validationLoss: 0.1 + Double(index), validationCorrect: 900 + index, validationCount: 1_000,
                testLoss: 1 / Double(index + step + 3), testCorrect: 9_000 + index, testCount: 10_000)
        }
        return LevelSummary(
            layers: [
                LayerCount(name: "fc1.weight", kind: .fc, weights: weights, surviving: weights - index),
                LayerCount(name: "output.weight", kind: .output, weights: 100, surviving: 100 - index % 7),
            ], otherWeights: 10 + weights, final: evaluation(20), earlyStop: evaluation(10), divergedAt: nil)
    }

    @Test("Each result comes back as it was, whatever network it is of and in whatever order results came")
    func roundTrip() {
        var known = KnownResults(plan: plan)
        var summaries: [TaskKey: LevelSummary] = [:]
        for (index, task) in plan.tasks.enumerated() {
            summaries[task.key] = summary(index, weights: 1_000 + index % 3)
        }
        for task in plan.tasks.reversed() { known.note(summaries[task.key]!, of: task.key) }
        for task in plan.tasks { #expect(known[task.key] == summaries[task.key]) }
        #expect(known.unknown.isEmpty && known.divergedCount == 0)
    }

    @Test("A training that diverged has no evaluations and counts as such; one that was compared has its errors")
    func diverged() {
        var known = KnownResults(plan: plan)
        let (first, second, third) = (plan.tasks[0].key, plan.tasks[1].key, plan.tasks[2].key)
        var diverged = summary(0)
        (diverged.final, diverged.divergedAt) = (nil, 7)
        var compared = summary(1)
        compared.connectivity = Connectivity(errors: [0.1, 0.4, 0.2])
        known.note(diverged, of: first)
        known.note(compared, of: second)
        known.note(summary(2), of: third)
        #expect(known[first] == diverged && known[second] == compared && known[third] == summary(2))
        #expect(known.divergedCount == 1)
    }

    @Test("What is not known is said, in the plan's order; a result is noted once, and of the plan's tasks alone")
    func unknown() {
        var known = KnownResults(plan: plan)
        let keys = plan.tasks.map(\.key)
        #expect(known.unknown == keys && known[keys[0]] == nil)
        var diverged = summary(2)
        diverged.divergedAt = 3
        known.note(diverged, of: keys[2])
        known.note(summary(1), of: keys[2])
        #expect(known[keys[2]] == diverged && known.divergedCount == 1)
        #expect(known.unknown == keys.filter { $0 != keys[2] })
        let foreign = TaskKey(Digest.of("another sweep's".utf8))
        known.note(diverged, of: foreign)
        #expect(known[foreign] == nil && known.divergedCount == 1)
    }
}
