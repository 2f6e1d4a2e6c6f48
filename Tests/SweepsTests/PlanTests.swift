import Lottery
import Sweeps
import Testing

@Suite struct PlanTests {
    @Test(
        "A task needs the memory of the most that a point of its recipe needs, in whatever order",
        arguments: ["[magnitude, random]", "[random, magnitude]"])
    func memory(criteria: String) throws {
        var vocabulary = testVocabulary
        vocabulary.memoryBytes = { settings, _ in settings.pruning.criterion == "random" ? 9 : 5 }
        let yaml = "name: a\npruning: {levels: 1}\ngrid: {criterion: \(criteria)}"
        let plan = try Plan(
            sweep: Sweep(
                yaml: yaml, file: "x.yaml", vocabulary: vocabulary, maximumRuns: Sweep.runsWithoutConsent),
            vocabulary: vocabulary, dataDigest: { Digest.of($0.utf8) })
        #expect(plan.tasks.count == 3 && plan.tasks.allSatisfy { $0.memoryBytes == 9 })
    }

    @Test("Each setting of a pruning is in the keys of the levels that it decides, and in none of a dense training")
    func pruningSettings() throws {
        /// Another value than the default, and what it needs beside it to matter.
        let examples: [String: (value: String, beside: String)] = [
            "pruning.criterion": ("random", ""), "pruning.scope": ("global", ""), "pruning.rate": ("0.3", ""),
            "pruning.rate.conv": ("0.3", ""), "pruning.rate.fc": ("0.3", ""), "pruning.rate.output": ("0.3", ""),
            "pruning.levels": ("3", ""), "pruning.schedule": ("one-shot", ""),
            "pruning.rounds": ("7", "pruning.criterion: snip"), "pruning.examples": ("7", "pruning.criterion: snip"),
            "pruning.search": ("early-bird", ""), "pruning.rewind": ("50", ""),
            "pruning.rewind_optimizer": ("fresh", "pruning.rewind: 50"), "pruning.retrain": ("fine-tuning", ""),
            "pruning.rank_at": ("50", ""), "pruning.initialisation_scale": ("density", ""),
        ]
        func keys(_ lines: String) throws -> (dense: Set<TaskKey>, sparse: Set<TaskKey>) {
            let yaml = "name: a\ntraining: {iterations: 100, batch: 10}\n\(lines)"
            let vocabulary = MethodPlanTests.vocabulary
            let sweep = try Sweep(
                yaml: yaml, file: "x.yaml", vocabulary: vocabulary, maximumRuns: Sweep.runsWithoutConsent)
            let plan = try Plan(sweep: sweep, vocabulary: vocabulary, dataDigest: { Digest.of($0.utf8) })
            let isDense = Dictionary(grouping: plan.tasks, by: { $0.role == .dense }).mapValues { Set($0.map(\.key)) }
            return (isDense[true] ?? [], isDense[false] ?? [])
        }
        for setting in Settings.table where setting.part == .pruning {
            let example = try #require(examples[setting.path], "no example of \(setting.path)")
            let base = example.beside + (setting.path == "pruning.levels" ? "" : "\npruning.levels: 2")
            let (before, after) = (try keys(base), try keys("\(base)\n\(setting.path): \(example.value)"))
            #expect(before.sparse != after.sparse, "\(setting.path)")
            #expect(before.dense == after.dense, "\(setting.path)")
        }
    }

    @Test("A small sweep's plan is exactly this")
    func golden() throws {
        let plan = try plan(
            """
            name: a
            training: {iterations: 100, batch: 10}
            pruning: {levels: 2, rate: {fc: 0.2, output: 0.1}}
            branches: [random-reinit, random-mask]
            grid: {rewind: [0, 20]}
            """)
        #expect(
            plan.tasks.map { "\($0.role)" } == [
                "dense", "level(1)", "branch(\"random-reinit\", level: 1)", "branch(\"random-mask\", level: 1)",
                "level(2)",
                "branch(\"random-reinit\", level: 2)", "branch(\"random-mask\", level: 2)",
                // Rewound to 20: other levels and random masks, and at level 1, where masks come from the dense
                // network, the same reinit.
                "level(1)", "branch(\"random-mask\", level: 1)", "level(2)", "branch(\"random-reinit\", level: 2)",
                "branch(\"random-mask\", level: 2)",
            ])
        #expect(plan.tasks[0].keepSteps == [20])
        #expect(plan.tasks.dropFirst().allSatisfy { $0.keepSteps.isEmpty })
        let dense = plan.tasks[0].key
        let level1 = plan.tasks[7]
        #expect(level1.task.start == .rewound(trajectory: dense, step: 20, optimizer: .restore))
        #expect(
            level1.inputs == [
                PlannedInput(name: "dataset", source: .dataset(glyphsDigest)),
                PlannedInput(name: "parent", source: .output(dense, .final)),
                PlannedInput(name: "rewind", source: .output(dense, .step(20))),
            ])
        #expect(level1.cost == 80)
        let mask = plan.tasks[8].task
        #expect(mask.start == level1.task.start)
        #expect(mask.pruning?.control == .randomPerLayer)
        #expect(mask.pruning?.parent == dense)
        let reinit = plan.tasks[10].task
        #expect(reinit.start == .reinitialised(level: 2, draw: 0))
        #expect(reinit.pruning == plan.tasks[9].task.pruning)
        #expect(plan.tasks[10].cost == 100)
        #expect(plan.tasks[1].task.start == .initialisation)
        // Longest chain: dense, level 1, level 2 at 100 steps each.
        #expect(plan.tasks.map(\.priority) == [300, 200, 100, 100, 100, 100, 100, 160 + 20, 80, 80, 100, 80])
    }

    @Test("Every task is found by its key, and the tasks of a run are those that it is made of")
    func lookups() throws {
        let plan = try SweepsTests.plan(
            """
            name: lookups
            dataset: mnist
            model: {family: lenet-300-100}
            training: {iterations: 100}
            pruning: {levels: 3, rewind: 10}
            branches: [random-mask, {name: random-reinit, levels: [2]}]
            replicates: 3
            grid: {lr: [0.1, 0.2, 0.3, 0.4, 0.5], levels: [1, 3, 2]}
            """)
        for (index, task) in plan.tasks.enumerated() { #expect(plan.index(of: task.key) == index) }
        #expect(plan.index(of: TaskKey(Digest.of([]))) == nil)
        for run in 0..<plan.sweep.runCount {
            let planned = plan.run(point: run / 3, replicate: run % 3)
            #expect(
                plan.tasks(ofRun: run)
                    == Set([planned.dense] + planned.levels + planned.branches.joined().compactMap(\.self)))
        }
    }

    @Test("A sweep of more tasks than a plan may have is refused; one of just as many is not")
    func tooManyTasks() throws {
        let small = try sweep("name: a\npruning: {levels: 3}\nreplicates: 2")
        func planned(_ maximum: Int) throws -> Plan {
            try Plan(
                sweep: small, vocabulary: testVocabulary, maximumTasks: maximum, dataDigest: { Digest.of($0.utf8) })
        }
        #expect(try planned(8).tasks.count == 8)
        #expect(throws: PlanLimitError.self) { _ = try planned(7) }
    }

    @Test("Keys of a plan stay what they were; a changed key orphans every stored result")
    func goldenKeys() throws {
        let plan = try plan("name: a\npruning: {levels: 1}\nbranches: [random-reinit, random-mask]")
        #expect(plan.tasks.map(\.key.description) == ["2a43f8e82b60", "4247a0b9c6fb", "1cc0a9225b56", "965c095c5671"])
    }

    @Test("Scaling drawn weights leaves the dense training and what starts from a checkpoint as they are")
    func initialisationScale() throws {
        let plan = try plan(
            """
            name: a
            pruning: {levels: 1}
            branches: [random-reinit]
            grid: {rewind: [0, 20], init_scale: [none, density]}
            """)
        let scales = plan.tasks.map { $0.task.pruning.map { "\($0.initialisationScale)" } ?? "" }
        #expect(
            zip(plan.tasks, scales).map { "\($0.role) from \($0.task.firstStep) \($1)" } == [
                "dense from 0 ", "level(1) from 0 none", "branch(\"random-reinit\", level: 1) from 0 none",
                "level(1) from 0 density", "branch(\"random-reinit\", level: 1) from 0 density",
                "level(1) from 20 none",
            ])
    }

    @Test("Resized images make other layers; the size that they have makes the same tasks as none")
    func resize() throws {
        let whole = try plan("name: b\npruning: {levels: 1}")
        let resized = try plan("name: a\npruning: {levels: 1}\ngrid: {resize: [28, 14]}")
        #expect(resized.tasks.count == 4 && resized.tasks.prefix(2).map(\.key) == whole.tasks.map(\.key))
        #expect(resized.tasks.map(\.task.data.resize) == [nil, nil, 14, 14])
        let small = 14 * 14 * 300 + 300 * 100 + 100 * 10
        #expect((0...1).map { resized.forecast(point: $0).surviving[0] } == [266_200, small])
    }

    @Test("A precision has its own numerics id; one that is not built in is refused")
    func precision() throws {
        let yaml = "name: a\npruning: {levels: 0}\ngrid:\n  precision: [f32, bf16]"
        #expect(
            refusal(yaml) == "sweeps/x.yaml:4: this build trains in f32, not in bf16 (where precision is bf16)")
        var vocabulary = testVocabulary
        vocabulary.numerics[.bf16] = .bf16Tiles16
        let plan = try Plan(
            sweep: Sweep(yaml: yaml, file: "sweeps/x.yaml", vocabulary: vocabulary), vocabulary: vocabulary,
            dataDigest: { Digest.of($0.utf8) }, known: { _ in nil })
        #expect(plan.tasks.map(\.task.numerics) == [.f32Lanes16, .bf16Tiles16])
    }

    @Test("The dense training is one for all prune rates, rewind steps, criteria and branches")
    func sharing() throws {
        let plan = try plan(
            """
            name: a
            training: {iterations: 1000}
            pruning: {levels: 3}
            branches: [random-reinit, random-mask]
            replicates: 2
            grid: {prune_rate: [0.2, 0.5], rewind: [0, 10, 700], criterion: [magnitude, random]}
            """)
        let dense = plan.tasks.filter { $0.role == .dense }
        #expect(dense.count == 2)
        #expect(dense.allSatisfy { $0.keepSteps == [10, 700] })
        #expect(plan.summary.points == 12)
        #expect(plan.summary.runs == 24)
        #expect(plan.summary.levels == 24 * 4)
        #expect(plan.summary.tasksWithoutSharing == 24 * (1 + 3 * 3))
        #expect(plan.summary.tasks == plan.tasks.count)
        #expect(Set(plan.tasks.map(\.key)).count == plan.tasks.count)
        // Of the controls, the random reinit of level 1 does not depend on the rewind step: its mask comes from the
        // dense network.
        #expect(plan.tasks.count == 2 + 24 * 9 - 2 * 2 * 2 * 2)
        #expect(plan.summary.steps == plan.tasks.reduce(0) { $0 + $1.cost })
        #expect(plan.summary.stepsRemaining == plan.summary.steps)
    }

    @Test("A chain's prefix is one for all its depths, and readings share everything")
    func prefixes() throws {
        let plan = try plan(
            "name: a\ngrid: {levels: [2, 5, 3], report: [final, early-stop], matching_margin: [0.001, 0.002]}")
        #expect(plan.tasks.count == 6)
        #expect(plan.run(point: 0, replicate: 0).levels == [1, 2])
        #expect(plan.run(point: 4, replicate: 0).levels == [1, 2, 3, 4, 5])
        #expect(plan.run(point: 11, replicate: 0).levels == [1, 2, 3])
        #expect(plan.run(point: 11, replicate: 0).densities.count == 4)
        #expect(plan.forecast(point: 0).densities.count == 6)
        #expect(plan.summary.tasksWithoutSharing == 4 * (3 + 6 + 4))
    }

    @Test("Parents come before children, and a plan is the same twice")
    func order() throws {
        let yaml =
            "name: a\ntraining: {iterations: 1000}\nbranches: [random-mask]\nreplicates: 2\ngrid: {rewind: [0, 5], lr: [0.1, 0.2], schedule: [iterative, one-shot]}"
        let plan = try plan(yaml)
        var seen: Set<TaskKey> = []
        for task in plan.tasks {
            for input in task.inputs {
                guard case .output(let parent, _) = input.source else { continue }
                #expect(seen.contains(parent))
            }
            #expect(task.key == task.task.key)
            #expect(task.request == TrainingRequest(task: task.task, keepSteps: task.keepSteps))
            seen.insert(task.key)
        }
        #expect(try SweepsTests.plan(yaml).tasks.map(\.key) == plan.tasks.map(\.key))
    }

    @Test("One-shot levels go from the dense network to the iterative counts at once")
    func oneShot() throws {
        let plan = try plan("name: a\npruning: {levels: 3, schedule: one-shot}")
        #expect(plan.tasks.dropFirst().allSatisfy { $0.task.pruning?.parent == plan.tasks[0].key })
        #expect(plan.tasks.dropFirst().map { $0.task.pruning?.repetitions } == [1, 2, 3])
        // Priorities: nothing waits for a one-shot level.
        #expect(plan.tasks.map(\.priority) == [20_000, 10_000, 10_000, 10_000])
        let both = try SweepsTests.plan("name: a\npruning.levels: 3\ngrid: {schedule: [iterative, one-shot]}")
        #expect(both.tasks.count == 1 + 3 + 2)
    }

    @Test("A rewound level at step 0 draws θ0 again, whatever is said of the optimizer")
    func rewindZero() throws {
        let plan = try plan("name: a\npruning: {levels: 2, rewind: 0}\ngrid: {rewind_optimizer: [restore, fresh]}")
        #expect(plan.tasks.count == 3)
        let apart = try SweepsTests.plan(
            "name: a\npruning: {levels: 2, rewind: 9}\ngrid: {rewind_optimizer: [restore, fresh]}")
        #expect(apart.tasks.count == 5)
    }

    @Test(
        "A checkpoint that a finished or running dense training does not keep is replayed, and no level's key changes")
    func replay() throws {
        let yaml =
            "name: a\ntraining: {iterations: 1000}\npruning: {levels: 2}\nbranches: [random-mask]\ngrid: {rewind: [50, 200]}"
        let fresh = try plan(yaml)
        let dense = fresh.tasks[0].key
        for state in [KnownTask.done(outputs: [.final, .metrics, .step(50)]), .running(keepSteps: [50])] {
            let replayed = try plan(yaml) { $0 == dense ? state : nil }
            let replay = try #require(replayed.tasks.first { $0.role == .replay(step: 200) })
            #expect(replayed.tasks.count == fresh.tasks.count + 1)
            #expect(replay.keepSteps == [200])
            #expect(replay.cost == 200)
            #expect(replay.task.stopAfter == 200)
            #expect(replay.priority == 200 + 800 + 800)
            #expect(replayed.tasks.filter { $0.key != replay.key }.map(\.key) == fresh.tasks.map(\.key))
            let sources = replayed.tasks.flatMap(\.inputs).filter { $0.name == "rewind" }.map(\.source)
            #expect(Set(sources) == [.output(dense, .step(50)), .output(replay.key, .step(200))])
            #expect(sources.count == 8)
        }
        let pending = try plan(yaml) { $0 == dense ? .pending(keepSteps: [7, 50]) : nil }
        #expect(pending.tasks[0].keepSteps == [7, 50, 200])
        #expect(pending.tasks.count == fresh.tasks.count)
    }

    @Test("A replay whose checkpoint is gone is made again; one that has it is done")
    func replayAgain() throws {
        let yaml = "name: a\ntraining: {iterations: 1000}\npruning: {levels: 2, rewind: 100}"
        let fresh = try plan(yaml)
        let replayed = try plan(yaml) { $0 == fresh.tasks[0].key ? .done(outputs: [.final, .metrics]) : nil }
        let replay = try #require(replayed.tasks.first { $0.role == .replay(step: 100) })
        for outputs: Set<OutputName> in [[], [.step(100)]] {
            let plan = try plan(yaml) { key in
                if key == fresh.tasks[0].key { return .done(outputs: [.final, .metrics]) }
                return key == replay.key ? .done(outputs: outputs) : nil
            }
            let again = try #require(plan.tasks.first { $0.key == replay.key })
            #expect(again.isDone == !outputs.isEmpty)
            #expect(plan.summary.tasksDone == (outputs.isEmpty ? 1 : 2))
        }
    }

    @Test("No replay is made for levels that are done, and what is done is counted")
    func knownLevels() throws {
        let yaml = "name: a\ntraining: {iterations: 1000}\npruning: {levels: 2, rewind: 100}"
        let done = try plan(yaml) { _ in .done(outputs: [.final, .metrics]) }
        #expect(done.tasks.count == 3)
        #expect(done.summary.tasksDone == 3)
        #expect(done.summary.stepsRemaining == 0)
        let fresh = try plan(yaml)
        let half = try plan(yaml) { $0 == fresh.tasks[2].key ? nil : .done(outputs: [.final, .metrics]) }
        #expect(half.tasks.map(\.role) == [.dense, .level(1), .replay(step: 100), .level(2)])
        #expect(half.summary.stepsRemaining == 100 + 900, "the replay's checkpoint is gone, so it is made again")
    }

    @Test("A plan has the tasks of all runs made one by one, each once", arguments: 0..<30)
    func againstNaive(seed: Int) throws {
        let random = CounterRandom(seed: UInt64(seed), purpose: .randomMask)
        func draw(_ bound: Int, _ index: UInt64) -> Int { random.integer(below: bound, epoch: 0, index: index) }
        let axes = [
            "prune_rate: [0.2, {fc: 0.2, output: 0.1}]", "rewind: [0, 7, 20]", "levels: [0, 3, 1]", "lr: [0.1, 0.2]",
            "schedule: [iterative, one-shot]", "criterion: [magnitude, random]", "rewind_optimizer: [restore, fresh]",
            "scope: [layer, global]", "validation: [100, 200]", "report: [final, early-stop]",
        ]
        let chosen = axes.enumerated().filter { index, _ in draw(2, UInt64(index)) == 1 }.map(\.element)
        let branches = [
            [], ["random-reinit"], ["random-mask"], ["random-mask", "random-reinit"],
            ["{name: random-reinit, levels: [2]}", "random-mask"],
        ][
            draw(5, 100)]
        let yaml = """
            name: a
            training: {iterations: 50}
            pruning: {levels: 2, rewind: \([0, 5][draw(2, 101)])}
            branches: \(branches)
            replicates: \(1 + draw(3, 102))
            """
        let grid = chosen.isEmpty ? "" : "\ngrid: {\(chosen.joined(separator: ", "))}"
        let plan = try plan(yaml.replacing("\"", with: "") + grid)

        var expected: [TaskKey: Set<Int>] = [:]
        var runKeys = 0
        for point in plan.sweep.points {
            let settings = point.settings
            for replicate in 0..<plan.sweep.replicates {
                func task(_ pruning: TrainingTask.PruningStep?, _ start: TrainingTask.Start) -> TrainingTask {
                    TrainingTask(
                        numerics: .f32Lanes16, dataset: glyphsDigest, data: settings.data, model: settings.model,
                        training: settings.training, seeds: Seeds(base: plan.sweep.seed, replicate: replicate),
                        pruning: pruning, start: start)
                }
                let run = plan.run(point: point.index, replicate: replicate)
                let dense = task(nil, .initialisation).key
                #expect(plan.tasks[run.dense].key == dense)
                expected[dense, default: []].formUnion([])
                var parent = dense
                #expect(run.levels.count == settings.pruning.levels)
                for level in 1..<settings.pruning.levels + 1 {
                    let isOneShot = settings.pruning.schedule == .oneShot
                    let step = TrainingTask.PruningStep(
                        parent: isOneShot ? dense : parent, criterion: settings.pruning.criterion,
                        scope: settings.pruning.scope, rates: settings.pruning.rate,
                        repetitions: isOneShot ? level : 1, level: level)
                    let k = settings.pruning.rewind
                    let start =
                        k == 0
                        ? TrainingTask.Start.initialisation
                        : .rewound(trajectory: dense, step: k, optimizer: settings.pruning.rewindOptimizer)
                    if k > 0 { expected[dense, default: []].insert(k) }
                    parent = task(step, start).key
                    #expect(plan.tasks[run.levels[level - 1]].key == parent)
                    expected[parent, default: []].formUnion([])
                    for (index, branch) in plan.sweep.branches.enumerated() {
                        guard branch.levels?.contains(level) ?? true else {
                            #expect(run.branches[index][level - 1] == nil)
                            continue
                        }
                        var control = step
                        if branch.name == "random-mask" { control.control = .randomPerLayer }
                        let isReinit = branch.name == "random-reinit"
                        let key = task(control, isReinit ? .reinitialised(level: level, draw: 0) : start).key
                        #expect(run.branches[index][level - 1].map { plan.tasks[$0].key } == key)
                        expected[key, default: []].formUnion([])
                        runKeys += 1
                    }
                }
                runKeys += 1 + settings.pruning.levels
            }
        }
        #expect(Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, Set($0.keepSteps)) }) == expected)
        #expect(plan.summary.tasksWithoutSharing == runKeys)
        #expect(plan.tasks.allSatisfy { $0.keepSteps == $0.keepSteps.sorted() })
    }

    @Test("Survivors are forecast exactly, per layer and globally")
    func forecast() throws {
        let layer = try plan("name: a\npruning: {levels: 15, rate: {fc: 0.2, output: 0.1}}").forecast(point: 0)
        #expect(layer.survivingByLayer?[1] == [188_160, 24_000, 900])
        // Frankle & Carbin's LeNet: 21.1 %, 13.5 % and 3.6 % of the weights.
        #expect(abs(layer.densities[7] - 0.211) < 5e-4)
        #expect(abs(layer.densities[9] - 0.135) < 5e-4)
        #expect(abs(layer.densities[15] - 0.036) < 5e-4)
        let global = try plan("name: a\npruning: {levels: 2, scope: global, rate: {fc: 0.2, output: 0}}").forecast(
            point: 0)
        #expect(global.prunable == 265_200)
        #expect(global.surviving == [265_200, 212_160, 169_728])
        #expect(global.survivingByLayer == nil)
    }

    @Test("A plan of 20,000 tasks is made within seconds", .timeLimit(.minutes(1)))
    func large() throws {
        let rates = (1...20).map { "0.\($0 + 100)" }.joined(separator: ", ")
        let plan = try plan(
            "name: a\npruning: {levels: 10}\nbranches: [random-reinit]\nreplicates: 5\ngrid: {prune_rate: [\(rates)], lr: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]}"
        )
        #expect(plan.tasks.count == 10 * 5 + 200 * 5 * 20)
        #expect(plan.summary.densities.first == 1)
    }
}
