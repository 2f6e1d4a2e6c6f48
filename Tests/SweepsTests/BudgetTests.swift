import Lottery
import Sweeps
import Testing

/// What of a sweep fits into an amount of core time.
@Suite struct BudgetTests {
    private func yaml(replicates: Int, levels: Int, _ rest: String = "") -> String {
        """
        name: a
        training: {iterations: 100}
        pruning: {rate: 0.5, levels: \(levels)}
        branches: [random-reinit]
        instability: {levels: all}
        replicates: \(replicates)
        grid: {lr: [0.1, 0.2], rewind: [0, 20]}
        """ + rest
    }

    private func steps(_ plan: Plan) -> Double { Double(plan.summary.steps) }

    @Test("Fewer replicates or levels cost what the smaller sweep costs, shared trainings once")
    func choices() throws {
        let whole = try plan(yaml(replicates: 3, levels: 4))
        let found = whole.budget(of: 1e9) { task, _, _ in Double(task.cost) }
        #expect(found.fits && found.seconds == steps(whole))
        #expect(found.replicates.map(\.count) == [1, 2, 3] && found.levels.map(\.count) == [0, 1, 2, 3, 4])
        for choice in found.replicates {
            #expect(choice.seconds == steps(try plan(yaml(replicates: choice.count, levels: 4))))
        }
        for choice in found.levels.dropFirst() {
            #expect(choice.seconds == steps(try plan(yaml(replicates: 3, levels: choice.count))))
        }
        let some = whole.budget(of: found.levels[2].seconds) { task, _, _ in Double(task.cost) }
        #expect(!some.fits && some.mostLevels?.count == 2 && some.mostReplicates?.count == 1)
        let none = whole.budget(of: 1) { task, _, _ in Double(task.cost) }
        #expect(none.mostLevels == nil && none.mostReplicates == nil)
    }

    @Test("An adaptive sweep costs its first look and what its budget of runs may come to, or all, if that is less")
    func refined() throws {
        let spec = """
            name: a
            training: {iterations: 100}
            pruning: {rate: 0.5, levels: 2}
            grid: {lr: [0.1, 0.2, 0.3]}

            """
        func seconds(_ rest: String) throws -> Double {
            try plan(spec + rest).budget(of: 1) { task, _, _ in Double(task.cost) }.seconds
        }
        #expect(try seconds("refine: {looks: [2, 5], budget: 4}") == Double((3 * 2 + 4) * 300))
        #expect(try seconds("refine: {looks: [2, 5], budget: 40}") == Double(3 * 5 * 300))
        #expect(try seconds("refine: {looks: [2, 5]}") == Double(3 * 5 * 300))
        // Between looks no test is made.
        let looks = try plan(spec + "refine: {looks: [2, 5]}").budget(of: 3 * 4 * 300) { task, _, _ in
            Double(task.cost)
        }
        #expect(looks.replicates.map(\.count) == [2, 5] && looks.replicates.map(\.seconds) == [1_800, 4_500])
        #expect(looks.mostReplicates?.count == 2)
        // Searches under one recipe start from its dense network, which is no level of the other's.
        let searched = """
            name: a
            training: {iterations: 100}
            pruning: {rate: 0.5, levels: 2, search: early-bird, rewind: 20}
            mask_from: {lr: 0.1}
            train: {lr: 0.2}

            """
        let refined = try plan(searched + "refine: {looks: [2, 5], budget: 1}").budget(of: 1) { task, _, _ in
            Double(task.cost)
        }
        #expect(refined.seconds == steps(try plan(searched + "replicates: 3")))
    }

    @Test("What is done costs nothing, and each training is asked for once, with its own density and data set")
    func remainder() throws {
        let first = try plan(yaml(replicates: 2, levels: 2))
        let dense = Set(first.tasks.filter { $0.role == .dense }.map(\.key))
        let left = try plan(yaml(replicates: 2, levels: 2)) { key in
            dense.contains(key) ? .done(outputs: [.final, .metrics, .step(0), .step(20)]) : nil
        }
        var asked: [TaskKey] = []
        let found = left.budget(of: 1) { task, dataset, density in
            asked.append(task.key)
            let level = task.task.pruning?.level ?? 0
            #expect(abs(density - [1, 0.5, 0.25][level]) < 0.01 && dataset == left.sweep.points[0].settings.dataset)
            return Double(task.cost)
        }
        #expect(asked.count == Set(asked).count && asked.count == left.tasks.count(where: { !$0.isDone }))
        #expect(found.seconds == Double(left.summary.stepsRemaining))
    }
}
