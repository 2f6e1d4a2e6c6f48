import Foundation
import Lottery
import Sweeps
import Testing
import Verdicts

/// Masks found under one recipe and trained under another.
@Suite("Transplants") struct TransplantTests {
    private static let common = """
        name: a
        training: {iterations: 100, batch: 10, learning_rate: 0.1}
        pruning: {levels: 3, rate: 0.5}

        """

    private func task(_ plan: Plan, _ index: Int) -> TrainingTask { plan.tasks[index].task }

    @Test(
        "Each level prunes what the other recipe trained, and starts as its own recipe starts; tasks are those of ordinary points"
    )
    func chain() throws {
        let plan = try plan(
            Self.common + "mask_from: {lr: 0.01, warmup: 20}\nbranches: [random-reinit]\ninstability: {levels: [2]}")
        let run = plan.run(point: 0, replicate: 0)
        #expect(run.masks.count == 3)
        let giver = try SweepsTests.plan(
            Self.common.replacing("0.1", with: "0.01").replacing("batch: 10", with: "batch: 10, warmup: 20"))
        // Its last level gives no mask to anyone.
        #expect(run.masks.map { plan.tasks[$0].key } == giver.tasks.prefix(3).map(\.key))
        let plain = try SweepsTests.plan(Self.common)
        #expect(plan.tasks[run.dense].key == plain.tasks[0].key)
        for (index, level) in run.levels.enumerated() {
            let task = task(plan, level)
            #expect(task.pruning?.parent == plan.tasks[run.masks[index]].key)
            #expect(task.training.learningRate == 0.1 && task.training.warmup == 0 && task.start == .initialisation)
            #expect(
                plan.tasks[level].inputs.contains(.init(name: "parent", source: .output(task.pruning!.parent, .final))))
            #expect(run.branches[0][index].map { self.task(plan, $0).pruning } == task.pruning)
            #expect(plan.tasks[level].key == task.key)
        }
        #expect(
            task(plan, run.masks[1]).training.learningRate == 0.01 && task(plan, run.masks[1]).training.warmup == 20)
        let sibling = task(plan, try #require(run.siblings[2]))
        #expect(
            sibling.pruning == task(plan, run.levels[1]).pruning
                && sibling.connection?.peer == plan.tasks[run.levels[1]].key)
        #expect(plan.tasks(ofRun: 0) == Set(plan.tasks.indices))
        #expect(plan.summary.tasks == 1 + 3 + 3 + 3 + 1 && plan.summary.tasksWithoutSharing == plan.summary.tasks)
        #expect(plan.summary.steps == plan.summary.stepsWithoutSharing)
        #expect(plan.summary.maskFrom?.coordinates.map { "\($0.axis) \($0.value)" } == ["lr 0.01", "warmup 20"])
        #expect(plan.summary.train?.coordinates.isEmpty == true && giver.summary.maskFrom == nil)
        #expect(
            plan.places(of: plan.tasks[run.masks[1]].key) == [
                "a, replicate 0, level 1 of the chain that gives its masks"
            ])
        #expect(plan.isAsked(within: Extent(plan: plan) { _ in .pending }).allSatisfy { $0 })
    }

    @Test("In a square of recipes the diagonal is ordinary, and masks are found once for all recipes that train them")
    func square() throws {
        let plan = try plan(Self.common + "replicates: 2\ngrid: {mask_from.lr: [0.01, 0.1], train.lr: [0.01, 0.1]}")
        let ordinary = try SweepsTests.plan(Self.common + "replicates: 2\ngrid: {lr: [0.01, 0.1]}")
        #expect(plan.sweep.axes.map(\.name) == ["mask_from.lr", "train.lr"])
        #expect(plan.tasks.count == ordinary.tasks.count + 2 * 2 * 3)
        let keys = Set(plan.tasks.map(\.key))
        #expect(ordinary.tasks.allSatisfy { keys.contains($0.key) })
        for point in plan.sweep.points {
            let run = plan.run(point: point.index, replicate: 1)
            #expect(run.masks.isEmpty == [0, 3].contains(point.index))
        }
        // Chains of other lengths, and after one another.
        let deeper = try SweepsTests.plan(Self.common + "grid: {mask_from.lr: [0.01], levels: [1, 3, 2]}")
        #expect(deeper.tasks.count == 1 + 3 + 3)
        for (point, levels) in [1, 3, 2].enumerated() {
            let run = deeper.run(point: point, replicate: 0)
            #expect(run.masks.count == levels && deeper.tasks(ofRun: point).count == 1 + 2 * levels)
        }
    }

    @Test("Masks of one step, at once, and of early-bird searches come from the other recipe, too")
    func methods() throws {
        let step = try plan(
            Self.common.replacing("rate: 0.5", with: "rate: 0.5, rank_at: 30, rewind: 20") + "mask_from: {lr: 0.01}")
        let run = step.run(point: 0, replicate: 0)
        let giver = try #require(run.masks.first)
        #expect(Set(run.masks) == [giver] && step.tasks[giver].role == .dense && step.tasks[giver].keepSteps == [30])
        #expect(step.tasks[run.dense].keepSteps == [20])
        let level = step.tasks[run.levels[2]]
        #expect(level.inputs.map(\.source).contains(.output(step.tasks[giver].key, .step(30))))
        #expect(level.inputs.map(\.source).contains(.output(step.tasks[run.dense].key, .step(20))))
        #expect(level.task.start == .rewound(trajectory: step.tasks[run.dense].key, step: 20, optimizer: .restore))
        #expect(step.tasks.count == 2 + 3)
        // The other recipe's checkpoint is replayed under the other recipe.
        let replayed = try plan(
            Self.common.replacing("rate: 0.5", with: "rate: 0.5, rank_at: 30, rewind: 20") + "mask_from: {lr: 0.01}",
            known: { $0 == step.tasks[giver].key ? .done(outputs: [.final]) : nil })
        let replay = try #require(replayed.tasks.first { $0.role == .replay(step: 30) })
        #expect(replay.task.training.learningRate == 0.01)

        let oneShot = try plan(
            Self.common.replacing("rate: 0.5", with: "rate: 0.5, schedule: one-shot") + "mask_from: {lr: 0.01}")
        let once = oneShot.run(point: 0, replicate: 0)
        #expect(Set(once.masks).count == 1 && oneShot.tasks.count == 2 + 3)
        #expect(oneShot.summary.tasksWithoutSharing == 5)

        let search = try plan(
            Self.common.replacing("rate: 0.5", with: "rate: 0.5, search: early-bird") + "mask_from: {lr: 0.01}")
        let searched = search.run(point: 0, replicate: 0)
        #expect(searched.masks == searched.searches)
        #expect(searched.searches.allSatisfy { search.tasks[$0].task.training.learningRate == 0.01 })
        #expect(searched.levels.allSatisfy { search.tasks[$0].task.training.learningRate == 0.1 })
    }

    @Test("An early-bird giver has a dense training of its own only where something starts from it")
    func needlessDense() throws {
        func givers(_ method: String, _ rest: String = "") throws -> Int {
            let spec = Self.common.replacing("rate: 0.5", with: "rate: 0.5, search: early-bird\(method)")
            let vocabulary = MethodPlanTests.vocabulary
            let plan = try Plan(
                sweep: Sweep(yaml: spec + "mask_from: {lr: 0.01}\n" + rest, file: "x", vocabulary: vocabulary),
                vocabulary: vocabulary, dataDigest: { Digest.of($0.utf8) })
            return plan.tasks.count { $0.role == .dense && $0.task.training.learningRate == 0.01 }
        }
        #expect(try givers("") == 0)
        #expect(try givers("", "branches: [random-reinit]") == 0)
        // From the second on, searches go back to its weights of step 20.
        #expect(try givers(", rewind: 20") == 1)
        #expect(try givers(", rewind: 20, schedule: one-shot") == 0)
        // A control that prunes it.
        #expect(try givers("", "branches: [one-shot]") == 1)
        #expect(try givers("", "branches: [{name: one-shot, levels: [2]}]") == 1)
        // The recipes change places: the same network is another point's own.
        #expect(try givers("", "grid: {train.lr: [0.01, 0.1]}") == 1)
    }

    @Test(
        "A chain that becomes longer has the tasks that one of its length has, and its giver's, however masks are found",
        arguments: [
            "", ", schedule: one-shot", ", rank_at: 30", ", search: early-bird",
            ", search: early-bird, schedule: one-shot",
        ])
    func lengthened(method: String) throws {
        let spec = Self.common.replacing("rate: 0.5", with: "rate: 0.5\(method)").replacing("levels: 3, ", with: "")
        let grown = try plan(spec + "mask_from: {lr: 0.01}\ngrid: {levels: [1, 3]}")
        let whole = try plan(spec + "mask_from: {lr: 0.01}\ngrid: {levels: [3]}")
        #expect(Set(grown.tasks.map(\.key)) == Set(whole.tasks.map(\.key)))
        let (long, alone) = (grown.run(point: 1, replicate: 0), whole.run(point: 0, replicate: 0))
        #expect(long.levels.map { grown.tasks[$0].key } == alone.levels.map { whole.tasks[$0].key })
        #expect(long.masks.map { grown.tasks[$0].key } == alone.masks.map { whole.tasks[$0].key })
    }

    @Test(
        "What is said of one recipe takes the place of what is said of both, section or axis; zip and exclude know its axes"
    )
    func precedence() throws {
        func recipes(_ rest: String) throws -> [[Double]] {
            try sweep(Self.common + rest).points.map {
                [try #require($0.maskSettings).training.learningRate, $0.settings.training.learningRate]
            }
        }
        #expect(try recipes("mask_from: {lr: 0.01}") == [[0.01, 0.1]])
        #expect(try recipes("train: {training: {learning_rate: 0.3}}") == [[0.1, 0.3]])
        #expect(try recipes("train: {training.learning_rate: 0.3}\nmask_from: {lr: 0.2}") == [[0.2, 0.3]])
        #expect(try recipes("mask_from: {lr: 0.01}\ngrid: {lr: [0.2, 0.3]}") == [[0.01, 0.2], [0.01, 0.3]])
        #expect(try recipes("grid: {lr: [0.2, 0.3], train.lr: [0.4]}") == [[0.2, 0.4], [0.3, 0.4]])
        #expect(try recipes("mask_from: {lr: 0.01}\ngrid: {mask_from.lr: [0.2]}") == [[0.2, 0.1]])
        #expect(try recipes("zip: [{mask_from.lr: [0.2, 0.3], train.lr: [0.3, 0.2]}]") == [[0.2, 0.3], [0.3, 0.2]])
        #expect(
            try recipes(
                "grid: {mask_from.lr: [0.2, 0.3], train.lr: [0.2, 0.3]}\nexclude: [\"mask_from.lr == train.lr\"]")
                == [[0.2, 0.3], [0.3, 0.2]])
        // Of an optimizer's parts as well.
        let parts = try sweep(
            Self.common + "mask_from: {optimizer: {name: sgd, momentum: 0.9}}\ntrain: {optimizer: adam}"
        ).points[0]
        #expect(
            parts.maskSettings?.training.optimizer.momentum == 0.9 && parts.settings.training.optimizer.name == "adam")
        #expect(parts.settings.training.optimizer.momentum == 0)
        let digests = try [
            "mask_from: {lr: 0.01}", "train: {lr: 0.01}", "grid: {mask_from.lr: [0.01]}", "", "mask_from: {lr: 0.02}",
        ]
        .map { try sweep(Self.common + $0).specDigest }
        #expect(Set(digests).count == 5)
    }

    // MARK: Results

    private func result(_ task: PlannedTask) -> CellResult {
        let level = task.task.pruning?.level ?? 0
        let isHigh = task.task.training.learningRate == 0.1
        let replicate = Int(task.task.seeds.initialisation)
        let right = (isHigh ? 9_800 : 9_700) + (level == 0 ? 0 : isHigh ? -100 : 10) + replicate
        let evaluation = Evaluation(
            step: 100, validationLoss: 0.1, validationCorrect: 4_900, validationCount: 5_000, testLoss: 0.1,
            testCorrect: right,
            testCount: 10_000)
        return .done(
            LevelSummary(
                layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 1 << 10, surviving: 1 << (10 - level))],
                otherWeights: 0,
                final: evaluation, earlyStop: evaluation, divergedAt: nil))
    }

    @Test(
        "The matrix has a panel for each level and shared axis, rows of masks and columns of trainings, against each one's dense network"
    )
    func matrix() throws {
        let plan = try plan(
            Self.common
                + "replicates: 2\ngrid: {batch: [10, 20], mask_from.lr: [0.01, 0.1], train.lr: [0.01, 0.1], mask_from.warmup: [5]}"
        )
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        let board = Leaderboard(plan: plan) { result(tasks[$0]!) }
        let matrix = try #require(TransplantMatrix(board))
        #expect(matrix.panels.map(\.level) == [1, 2, 3, 1, 2, 3])
        #expect(
            matrix.panels.map { $0.shared.coordinates.map { "\($0.axis) \($0.value)" } }.prefix(4) == [
                ["batch 10"], ["batch 10"], ["batch 10"], ["batch 20"],
            ])
        let panel = matrix.panels[0]
        #expect(
            panel.maskFrom.map { $0.coordinates.map { "\($0.axis) \($0.value)" } } == [
                ["lr 0.01", "warmup 5"], ["lr 0.1", "warmup 5"],
            ])
        #expect(
            panel.train.map { $0.coordinates.map { "\($0.axis) \($0.value)" } } == [
                ["lr 0.01", "warmup 0"], ["lr 0.1", "warmup 0"],
            ])
        #expect(panel.density == 0.5 && panel.dense.map { $0?.mean } == [0.97005, 0.98005])
        let differences = panel.cells.map { $0.map { $0?.difference?.mean ?? .nan } }
        for row in differences { #expect(abs(row[0] - 0.001) < 1e-12 && abs(row[1] + 0.01) < 1e-12) }
        #expect(panel.cells.map { $0.map { $0?.verdict } } == [[.winning, Verdict.none], [.winning, Verdict.none]])
        #expect(matrix.cells.count == 6 * 4)
        #expect(matrix.cells.filter(\.isHeadline).allSatisfy { $0.level == 3 && $0.train["lr"]?.description == "0.01" })
        // As a coordinator sends it.
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let sent = try JSONDecoder().decode(Leaderboard.self, from: encoder.encode(board))
        #expect(TransplantMatrix(sent) == matrix)
        let cell = try #require(
            try JSONSerialization.jsonObject(with: encoder.encode(matrix.cells[1])) as? [String: Any])
        #expect(
            (cell["mask_from"] as? [String: Any])?["lr"] as? Double == 0.01
                && (cell["train"] as? [String: Any])?["lr"] as? Double == 0.1)
        #expect((cell["dense"] as? [String: Any])?["mean"] is NSNumber && cell["is_headline"] as? Bool == false)

        let pending = try #require(TransplantMatrix(Leaderboard(plan: plan) { _ in .pending }))
        #expect(pending.cells.count == 24 && pending.cells.allSatisfy { $0.accuracy == nil && $0.verdict == .pending })
        let plain = try SweepsTests.plan(Self.common)
        #expect(TransplantMatrix(Leaderboard(plan: plain) { _ in .pending }) == nil)
        #expect(
            !String(decoding: try encoder.encode(Leaderboard(plan: plain) { _ in .pending }), as: UTF8.self).contains(
                "recipes"))
    }

    @Test("Exports and costs know of the chain that gives the masks")
    func records() throws {
        let plan = try plan(Self.common + "mask_from: {lr: 0.01}")
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        let records = Records(
            plan: plan,
            results: {
                if case .done(let summary) = result(tasks[$0]!) { .done(summary, seconds: 1) } else { .pending }
            },
            stepCost: { _, _, _ in nil }, curve: { _ in nil })
        func rows(_ table: RecordTable) throws -> [[String: RecordValue]] {
            let names = records.columns(of: table).map(\.name)
            #expect(Set(names).count == names.count)
            var rows: [[String: RecordValue]] = []
            try records.forEachRow(of: table) { rows.append(Dictionary(uniqueKeysWithValues: zip(names, $0))) }
            return rows
        }
        let runs = try rows(.runs)
        #expect(
            runs[0]["training.learning_rate"] == .real(0.1)
                && runs[0]["mask_from.training.learning_rate"] == .real(0.01))
        #expect(runs[0]["trainings"] == .integer(7))
        let levels = try rows(.levels)
        #expect(
            levels.map { $0["branch"] }
                == ["dense", "ticket", "ticket", "ticket", "mask_from", "mask_from", "mask_from"].map(RecordValue.text))
        #expect(levels.suffix(3).map { $0["level"] } == [0, 1, 2].map(RecordValue.integer))
        let slow = try SweepsTests.plan(
            Self.common.replacing("0.1", with: "0.01") + "mask_from: {lr: 0.1, iterations: 200}")
        let byKey = Dictionary(uniqueKeysWithValues: slow.tasks.map { ($0.key, $0) })
        let board = Leaderboard(plan: slow) { result(byKey[$0]!) }
        let ledger = CostLedger(
            plan: slow, leaderboard: board,
            tables: Records(
                plan: slow,
                results: {
                    if case .done(let summary) = result(byKey[$0]!) { .done(summary, seconds: 1) } else { .pending }
                },
                stepCost: { _, _, _ in nil }, curve: { _ in nil }))
        #expect(ledger.rows.map(\.search.steps) == [3 * 200] && ledger.rows[0].dense.steps == 100)
    }

    @Test("A dense network that both recipes share is one training")
    func sharedTrainings() throws {
        let plan = try plan(Self.common + "mask_from: {rewind: 0}\ntrain: {rewind: 50}")
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        #expect(Leaderboard(plan: plan) { result(tasks[$0]!) }.rows[0].trainings == 1 + 3 + 2)
    }

    @Test(
        "Masks of a network that diverged say nothing: the point fails with the reason; a level that diverged is counted"
    )
    func diverged() throws {
        let plan = try plan(Self.common + "grid: {mask_from.lr: [0.01, 0.1], train.lr: [0.1]}")
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        func board(divergesAt level: Int) -> Leaderboard {
            Leaderboard(plan: plan) { key in
                let task = tasks[key]!
                guard task.task.training.learningRate == 0.01, task.task.pruning?.level ?? 0 == level else {
                    return result(task)
                }
                return .done(
                    LevelSummary(
                        layers: [
                            LayerCount(name: "fc1.weight", kind: .fc, weights: 1 << 10, surviving: 1 << (10 - level))
                        ],
                        otherWeights: 0, final: nil, earlyStop: nil, divergedAt: 40))
            }
        }
        let row = try #require(board(divergesAt: 0).rows.first { $0.point["mask_from.lr"]?.description == "0.01" })
        #expect(
            row.verdict == .failed && row.reason?.contains("gave the first masks diverged") == true && row.diverged == 1
        )
        let cells = try #require(TransplantMatrix(board(divergesAt: 0))).cells
        #expect(
            cells.filter { $0.maskFrom["lr"]?.description == "0.01" }.allSatisfy {
                $0.accuracy != nil && $0.difference == nil && $0.verdict == .failed
            })
        #expect(cells.filter { $0.maskFrom["lr"]?.description == "0.1" }.allSatisfy { $0.verdict != .failed })
        let level = try #require(board(divergesAt: 1).rows.first { $0.point["mask_from.lr"]?.description == "0.01" })
        #expect(level.verdict != .failed && level.diverged == 1 && level.trainings == 4 + 3)
        // Of masks from a step before that nothing is lost.
        let early = try SweepsTests.plan(
            Self.common.replacing("rate: 0.5", with: "rate: 0.5, rank_at: 30") + "mask_from: {lr: 0.01}")
        let byKey = Dictionary(uniqueKeysWithValues: early.tasks.map { ($0.key, $0) })
        for (step, isFailed) in [(20, true), (40, false)] {
            let board = Leaderboard(plan: early) { key in
                let task = byKey[key]!
                guard task.role == .dense, task.task.training.learningRate == 0.01 else { return result(task) }
                return .done(
                    LevelSummary(
                        layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 1 << 10, surviving: 1 << 10)],
                        otherWeights: 0,
                        final: nil, earlyStop: nil, divergedAt: step))
            }
            #expect((board.rows[0].verdict == .failed) == isFailed, "diverged at \(step)")
        }
    }

    // MARK: Specs

    @Test(
        "Recipes that cannot be are refused with place and remedy",
        arguments: [
            (
                "mask_from:",
                #""mask_from" must be a map of settings, such as mask_from: {lr: 0.01, warmup: 0}, not nothing"#
            ),
            ("mask_from: warmup", "must be a map of settings, such as mask_from: {lr: 0.01, warmup: 0}, not warmup"),
            (
                "train: 5000",
                #"such as train: {lr: 0.01, warmup: 0}, not 5000; the number of training images is "data.train""#
            ),
            ("mask_from: {lrr: 0.1}", #"unknown setting "lrr"; did you mean "lr"?"#),
            ("mask_from: {lr: fast}", #""mask_from.lr" must be a number, not fast"#),
            (
                "mask_from: {lr: 0.2, training: {learning_rate: 0.3}}",
                #""mask_from" gives "training.learning_rate" twice, first on line 4; keep one"#
            ),
            ("mask_from: {mask_from: {lr: 0.1}}", #""mask_from" inside "mask_from" goes in a circle"#),
            ("train: {mask_from.lr: 0.1}", #""mask_from.lr" inside "train" goes in a circle"#),
            (
                "grid: {mask_from.mask_from.lr: [0.1]}",
                "goes in a circle: the chain that masks come from takes none from another"
            ),
            (
                "mask_from: {depth: 3}",
                #""model.depth" in "mask_from" must stay fixed, because a mask fits the network that it was found in"#
            ),
            ("grid: {mask_from.width: [10, 20]}", #""model.width" in "mask_from" must stay fixed"#),
            (
                "train: {dataset: mnist}",
                #""dataset" in "train" must stay fixed, because both recipes see the same images"#
            ),
            ("train: {resize: 14}", #""data.resize" in "train" must stay fixed"#),
            (
                "mask_from: {prune_rate: 0.4}",
                #""pruning.rate" in "mask_from" must stay fixed, because it decides the masks"#
            ),
            ("mask_from: {levels: 2}", #""pruning.levels" in "mask_from" must stay fixed"#),
            ("mask_from: {report: final}", #""report" in "mask_from" belongs to neither recipe; give it outside"#),
            (
                "mask_from: {lr: 0.1}",
                "every mask would be trained under the recipe that it comes from; give mask_from or train a value that differs"
            ),
            (
                "mask_from: {lr: 0.2}\ntrain: {lr: 0.3}\ngrid:\n  lr: [0.1, 0.4]",
                "axis \"lr\" changes nothing, because both mask_from and train give values"
            ),
            ("grid: {mask_from.lr: [0.2, 2e-1]}", #"axis "mask_from.lr" has the value 2e-1 twice"#),
            (
                "grid: {mask_from.lr: [0.2], mask_from.training.learning_rate: [0.3]}",
                "is an axis already, on line 4; keep one"
            ),
            ("mask_from: {warmup: 200}", "a warmup of 200 steps is longer than the training's 100 iterations; lower"),
            (
                "mask_from: {lr: 0.2}\npruning.retrain: fine-tuning",
                "fine-tuning goes on with the weights that were pruned, which are the other recipe's"
            ),
            (
                "mask_from: {lr: 0.2}\npruning.rank_at: 0",
                "magnitude ranks the initialisation here, so that masks are the same under every recipe"
            ),
        ])
    func refused(_ rest: String, _ words: String) throws {
        let said = refusal(Self.common + rest)
        let line = try #require(Int(said.split(separator: ":").dropFirst().first ?? ""))
        #expect(said.hasPrefix("sweeps/x.yaml:") && (4...7).contains(line) && said.contains(words), "\(said)")
        #expect(!said.dropFirst(20).contains("\n"))
    }

    @Test("Where nothing is pruned there are no masks to transplant")
    func noMasks() {
        #expect(
            refusal("name: a\npruning: {levels: 0}\nmask_from: {lr: 0.2}")
                == #"sweeps/x.yaml:3: masks are to be transplanted, but no point prunes; raise "pruning.levels""#)
    }
}
