import Lottery
import Sweeps
import Testing

/// How criteria, ways to retrain, searches and controls become tasks.
@Suite("Plans of methods")
struct MethodPlanTests {
    static let vocabulary = {
        var vocabulary = testVocabulary
        vocabulary.criteria = ["magnitude", "random", "movement", "snip", "synflow"]
        vocabulary.criterionTraits = [
            "movement": CriterionTraits(readsStart: true),
            "snip": CriterionTraits(at: .step(0), ranksAnew: true, readsExamples: true),
            "synflow": CriterionTraits(at: .step(0), rounds: 100, ranksAnew: true),
        ]
        vocabulary.branches = [
            "random-reinit", "random-mask", "random-mask-global", "permuted", "signed-permuted", "signed-reinit",
            "constant",
            "signed-constant", "one-shot", "dense-budget", "small-dense",
        ]
        return vocabulary
    }()

    private func plan(_ yaml: String, known: (TaskKey) -> KnownTask? = { _ in nil }) throws -> Plan {
        try Plan(
            sweep: Sweep(yaml: yaml, file: "sweeps/x.yaml", vocabulary: Self.vocabulary), vocabulary: Self.vocabulary,
            dataDigest: { Digest.of($0.utf8) }, known: known)
    }

    private func refusal(_ yaml: String) -> String {
        do {
            _ = try Sweep(yaml: yaml, file: "x", vocabulary: Self.vocabulary)
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    private func steps(_ plan: Plan) -> [TrainingTask.PruningStep?] { plan.tasks.map(\.task.pruning) }

    @Test("Pruned at the initialisation, levels wait for nothing; each prunes as often as it is deep")
    func atInitialisation() throws {
        let plan = try plan("name: a\npruning: {criterion: snip, scope: global, levels: 3}")
        #expect(plan.tasks.map(\.role) == [.dense, .level(1), .level(2), .level(3)])
        #expect(steps(plan).dropFirst().map { $0?.stages } == [1, 2, 3])
        #expect(steps(plan).dropFirst().allSatisfy { $0?.at == 0 && $0?.repetitions == 1 && $0?.examples == 10 })
        #expect(plan.tasks.allSatisfy { $0.inputs.map(\.name) == ["dataset"] })
        #expect(plan.tasks.allSatisfy { $0.priority == 10_000 })
        #expect(plan.tasks[1].task.canonicalText.contains("\nparent=initialisation\n"))
        #expect(plan.tasks[3].task.canonicalText.contains(",×1,stages 3,examples 10\n"))
        let oneShot = try self.plan("name: a\npruning: {criterion: synflow, levels: 3, schedule: one-shot}")
        #expect(steps(oneShot).dropFirst().map { $0?.repetitions } == [1, 2, 3])
        #expect(steps(oneShot).dropFirst().allSatisfy { $0?.stages == 1 && $0?.rounds == 100 && $0?.examples == nil })
    }

    @Test("Pruned at step k, levels wait for that checkpoint of the dense training alone, or for its replay")
    func atStep() throws {
        let yaml = "name: a\npruning: {criterion: magnitude, rank_at: 200, levels: 2, rewind: 300}"
        let plan = try plan(yaml)
        let dense = plan.tasks[0]
        #expect(dense.keepSteps == [200, 300])
        #expect(
            plan.tasks[2].inputs == [
                PlannedInput(name: "dataset", source: .dataset(glyphsDigest)),
                PlannedInput(name: "parent", source: .output(dense.key, .step(200))),
                PlannedInput(name: "rewind", source: .output(dense.key, .step(300))),
            ])
        #expect(plan.tasks[2].task.canonicalText.contains("\nparent=\(dense.key.hex)/step-200\n"))
        #expect(dense.priority == 10_000 + 9_700)
        let replayed = try self.plan(yaml) { $0 == dense.key ? .done(outputs: [.final, .metrics, .step(300)]) : nil }
        #expect(replayed.tasks.map(\.role) == [.dense, .replay(step: 200), .level(1), .level(2)])
        #expect(replayed.tasks.suffix(2).map(\.key) == plan.tasks.suffix(2).map(\.key))
        #expect(replayed.tasks[2].inputs[1].source == .output(replayed.tasks[1].key, .step(200)))
    }

    @Test("What is left to a criterion is what it was published with; saying so changes no task")
    func resolved() throws {
        let left = try plan("name: a\npruning: {criterion: synflow, levels: 2}")
        let said = try plan("name: a\npruning: {criterion: synflow, rank_at: 0, rounds: 100, examples: 3, levels: 2}")
        #expect(left.tasks.map(\.key) == said.tasks.map(\.key))
        let plain = try plan("name: a\npruning: {levels: 2}")
        #expect(
            try plan("name: a\npruning: {rank_at: end, rounds: 7, levels: 2}").tasks.map(\.key)
                == plain.tasks.map(\.key), "magnitudes rank alike in every round")
        for other in ["rank_at: 0", "rank_at: 5"] {
            let keys = Set(try plan("name: a\npruning: {levels: 2, \(other)}").tasks.map(\.key))
            #expect(
                keys.intersection(plain.tasks.map(\.key)).count == 1, "\(other): the dense training alone is shared")
        }
    }

    @Test("The dense training is one for all ways to retrain, which prune the same and cost the same")
    func retraining() throws {
        let plan = try plan(
            """
            name: a
            pruning: {levels: 2, rewind: 400}
            grid: {retrain: [weight-rewinding, learning-rate-rewinding, fine-tuning], rewind_optimizer: [restore, fresh]}
            """)
        // Retrained ones begin with a new optimizer in any case.
        #expect(plan.tasks.count == 1 + 2 * 2 + 2 + 2)
        let kept = plan.tasks.filter { if case .retrained = $0.task.start { true } else { false } }
        #expect(
            kept.map(\.task.start).prefix(2) == [
                .retrained(step: 400, rate: .scheduled), .retrained(step: 400, rate: .scheduled),
            ])
        #expect(
            kept.map(\.task.start).suffix(2) == [
                .retrained(step: 400, rate: .last), .retrained(step: 400, rate: .last),
            ])
        #expect(kept.allSatisfy { $0.cost == 9_600 })
        let dense = plan.tasks[0].key
        #expect(kept[0].inputs.map(\.name) == ["dataset", "parent", "rewind"])
        #expect(
            kept[0].inputs[1].source == .output(dense, .final) && kept[0].inputs[2].source == .output(dense, .final))
        #expect(kept[1].inputs[1].source == .output(kept[0].key, .final))
        #expect(plan.tasks.first { $0.task.pruning == kept[0].task.pruning && $0.key != kept[0].key } != nil)
    }

    @Test("Controls share the chain's masks, or its counts, or neither")
    func controls() throws {
        let plan = try plan(
            """
            name: a
            training: {iterations: 1000, decay: [{at: 500, by: 0.1}], warmup: 10}
            pruning: {levels: 2, rate: {fc: 0.5, output: 0}, rewind: 100}
            branches: [random-mask-global, permuted, signed-permuted, signed-reinit, constant, signed-constant, one-shot, dense-budget,
                       small-dense]
            """)
        let run = plan.run(point: 0, replicate: 0)
        func task(_ branch: Int, _ level: Int) -> TrainingTask { plan.tasks[run.branches[branch][level - 1]!].task }
        let levels = run.levels.map { plan.tasks[$0].task }
        #expect(task(0, 2).pruning?.control == .randomGlobal)
        let variants: [TrainingTask.WeightVariant] = [
            .permuted, .signedPermuted, .signedReinit, .constant, .signedConstant,
        ]
        for (branch, variant) in variants.enumerated() {
            #expect(task(branch + 1, 2).pruning == levels[1].pruning)
            #expect(task(branch + 1, 2).start == .varied(variant, level: 2, draw: 0))
            #expect(task(branch + 1, 2).cost == 1_000)
        }
        // At level 1 one shot is the level itself; at level 2 it prunes the dense network twice over.
        #expect(run.branches[6][0] == run.levels[0])
        #expect(task(6, 2).pruning?.parent == plan.tasks[run.dense].key && task(6, 2).pruning?.repetitions == 2)
        // 1000 + 900 and 1000 + 2 · 900 steps; the decay stays in the middle.
        #expect([1, 2].map { task(7, $0).training.iterations } == [1_900, 2_800])
        #expect([1, 2].map { task(7, $0).training.decay } == [[Decay(at: 950, by: 0.1)], [Decay(at: 1_400, by: 0.1)]])
        #expect(task(7, 2).training.warmup == 10 && task(7, 2).pruning == nil)
        // LeNet has 265,200 prunable and 1,000 other weights: 133,600 are left at level 1, 67,300 at level 2. 784·h1 +
        // h1·h2 + 10·h2 with h1 = 300f, h2 = 100f comes nearest from below with …
        for level in 1...2 {
            let hidden = try #require(task(8, level).model.hidden)
            let weights = 784 * hidden[0] + hidden[0] * hidden[1] + 10 * hidden[1]
            let allowed = [133_600, 67_300][level - 1]
            #expect(weights <= allowed && weights > allowed - 1_000, "\(hidden)")
            #expect(abs(Double(hidden[0]) / Double(hidden[1]) - 3) < 0.1)
            #expect(task(8, level).pruning == nil && task(8, level).training == levels[0].training)
        }
    }

    @Test(
        "On its own each run has all that it starts from: never fewer tasks than the sweep, and for one run as many",
        arguments: [
            "pruning: {levels: 2, search: early-bird}", "pruning: {levels: 2, search: early-bird, schedule: one-shot}",
            "pruning: {levels: 3, search: early-bird, rewind: 50}",
            "pruning: {levels: 2, criterion: synflow}", "pruning: {levels: 2, rank_at: 30, rewind: 20}",
            // What is pruned once is pruned at once: the first control is its level.
            "pruning: {levels: 2}\nbranches: [one-shot, {name: random-reinit, levels: [2]}]",
            "pruning: {levels: 2, rewind: 20}\nbranches: [dense-budget, small-dense]\ninstability: {levels: [0, 2]}",
            "pruning: {levels: 2, search: early-bird}\ninstability: {levels: [0, 1]}",
            "pruning: {levels: 3}\nmask_from: {lr: 0.01}",
            "pruning: {levels: 3, search: early-bird}\nmask_from: {lr: 0.01}",
            "pruning: {levels: 1, search: early-bird}\nmask_from: {lr: 0.01, rewind: 20}",
            "pruning: {levels: 3, search: early-bird, rewind: 20}\nmask_from: {lr: 0.01}",
            "pruning: {levels: 3, search: early-bird, schedule: one-shot, rewind: 20}\nmask_from: {lr: 0.01}",
            "pruning: {levels: 2, search: early-bird}\nbranches: [one-shot]\nmask_from: {lr: 0.01}",
        ])
    func alone(spec: String) throws {
        let common = "name: a\ntraining: {iterations: 300}\n\(spec)\n"
        let one = try plan(common).summary
        #expect(one.tasks == one.tasksWithoutSharing && one.steps == one.stepsWithoutSharing)
        let many = try plan(common + "replicates: 3\ngrid: {prune_rate: [0.5, 0.2]}").summary
        #expect(many.tasks <= many.tasksWithoutSharing && many.steps <= many.stepsWithoutSharing)
        #expect(many.tasksWithoutSharing == 6 * one.tasks && many.stepsWithoutSharing == 6 * one.steps)
        // Nobody kept the checkpoints of dense trainings that are done.
        let late = try plan(
            common + "replicates: 3\ngrid: {prune_rate: [0.5, 0.2]}", known: { _ in .done(outputs: [.final]) }
        ).summary
        #expect(late.tasks <= late.tasksWithoutSharing && late.steps <= late.stepsWithoutSharing)
    }

    @Test("A chain of early-bird searches: levels and the next search prune what a search left")
    func earlyBird() throws {
        let plan = try plan("name: a\npruning: {levels: 3, search: early-bird}")
        #expect(
            plan.tasks.map(\.role) == [
                .dense, .search(level: 1), .level(1), .search(level: 2), .level(2), .search(level: 3), .level(3),
            ])
        let tasks = plan.tasks.map(\.task)
        #expect(tasks[1].search == TrainingTask.EarlyBird(for: try #require(tasks[2].pruning)))
        #expect(tasks[1].pruning == nil && tasks[1].key != tasks[0].key)
        #expect(tasks[2].pruning?.parent == tasks[1].key && tasks[3].pruning?.parent == tasks[1].key)
        #expect(tasks[3].pruning == tasks[2].pruning && tasks[3].search != nil && tasks[2].search == nil)
        #expect(tasks[4].pruning?.parent == tasks[3].key)
        let run = plan.run(point: 0, replicate: 0)
        #expect(run.searches == [1, 3, 5] && run.levels == [2, 4, 6])
        #expect(plan.places(of: tasks[3].key) == ["a, replicate 0, search for level 2"])
        // The levels of a chain are what they were, but for their parents.
        let oneShot = try self.plan("name: a\npruning: {levels: 2, search: early-bird, schedule: one-shot}")
        #expect(oneShot.tasks.map { $0.task.pruning == nil } == [true, true, false, true, false])
        #expect(oneShot.tasks[3].task.search?.repetitions == 2)
        // A longer chain goes on where a shorter one ended.
        let longer = try self.plan("name: a\npruning: {search: early-bird}\ngrid: {levels: [1, 3]}")
        #expect(Set(longer.tasks.map(\.key)) == Set(plan.tasks.map(\.key)))
    }

    @Test(
        "What cannot be is refused with the place and the remedy",
        arguments: [
            (
                "name: a\npruning:\n  criterion: movement\n  rank_at: 0",
                "x:4: movement compares weights with those at step 0, which leaves nothing to compare at step 0; leave out "
                    + "pruning.rank_at, or give a later step"
            ),
            (
                "name: a\ntraining: {iterations: 50}\npruning: {rank_at: 51}",
                "x:3: no weights are there to prune by at step 51, since training ends at step 50; lower pruning.rank_at to 50 or "
                    + "less, or raise training.iterations"
            ),
            (
                "name: a\ndata: {train: 5090, validation: 5000}\npruning: {levels: 1}\ngrid:\n  criterion: [magnitude, snip]",
                "x:5: snip looks at 10 images of each of 10 classes, which are more than the 90 images that are left to train on; "
                    + "lower pruning.examples to 9 or less, or train on more images (where criterion is snip)"
            ),
            (
                "name: a\ndata: {train: 5009, validation: 5000}\ntraining: {batch: 5}\npruning: {criterion: snip}",
                "x:4: snip looks at 10 images of each of 10 classes, which are more than the 9 images that are left to train on; "
                    + "train on more images, or use another criterion"
            ),
            (
                "name: a\npruning:\n  criterion: snip\n  retrain: fine-tuning",
                "x:4: fine-tuning keeps trained weights, but snip here prunes weights of a step before the end; use "
                    + "weight-rewinding, or rank_at: end"
            ),
            (
                "name: a\npruning:\n  search: early-bird\n  rank_at: 5",
                "x:3: early-bird ends the training that a mask is got from, but magnitude here prunes weights of a step; use search: full"
            ),
            (
                "name: a\npruning:\n  criterion: snip\n  rank_at: end\n  search: early-bird",
                "x:5: early-bird ends the training that a mask is got from, but snip here would take gradients after each epoch; use "
                    + "search: full"
            ),
            (
                "name: a\npruning: {levels: 0}\nbranches: [random-mask]",
                "x:3: branches start from levels that are pruned, and no point has any; raise \"pruning.levels\", or leave out branches"
            ),
            (
                "name: a\npruning: {levels: 3}\nbranches:\n- random-mask\n- {name: one-shot, levels: [2, 5]}",
                "x:5: \"levels of one-shot\" names level 5, but no chain goes beyond level 3; raise \"pruning.levels\" to 5, or name "
                    + "levels up to 3"
            ),
            (
                "name: a\npruning: {schedule: one-shot}\nbranches: [one-shot]",
                "x:3: with the schedule one-shot every level is what the branch \"one-shot\" would be; leave out one of them"
            ),
            (
                "name: a\npruning:\n  search: early-bird\nbranches: [dense-budget]",
                "x:3: what a search by early-bird costs is known only after it, so there is no dense-budget beside it; leave out one"
            ),
            (
                "name: a\npruning:\n  rate: {fc: 0.9, output: 0.5}\n  levels: 4\nbranches: [small-dense]",
                "x:4: small-dense of level 4 would have 90 weights, and the smallest dense network of this family has more; lower "
                    + "pruning.levels, or leave out small-dense"
            ),
            ("name: a\npruning: {rank_at: soon}", "x:2: \"pruning.rank_at\" must be end or a step such as 0, not soon"),
            ("name: a\npruning: {rounds: 0}", "x:2: \"pruning.rounds\" must be in 1…1000, not 0"),
        ])
    func refused(yaml: String, expected: String) { #expect(refusal(yaml) == expected) }

    @Test("A branch may be of no use to some points, if it is to others")
    func branchesBesideDensePoints() {
        #expect(refusal("name: a\nbranches: [random-mask]\ngrid: {levels: [0, 2]}") == "accepted")
        #expect(refusal("name: a\nbranches: [one-shot]\ngrid: {schedule: [iterative, one-shot]}") == "accepted")
        // Level 4 alone would be too small a dense network.
        let small =
            "name: a\npruning: {rate: {fc: 0.9, output: 0.5}, levels: 4}\nbranches: [{name: small-dense, levels: "
        #expect(
            refusal(small + "[1]}]") == "accepted" && refusal(small + "[1, 4]}]").contains("small-dense of level 4"))
    }
}
