import Lottery
import Sweeps
import Testing

@Suite struct RecordsTests {
    private let yaml = """
        name: a
        training: {iterations: 300, evaluate_every: 100}
        pruning: {levels: 2, rewind: 100}
        branches: [random-reinit]
        replicates: 2
        grid: {lr: [0.1, 1e-3], prune_rate: [0.5, 0.2]}
        """

    private func evaluation(_ step: Int) -> Evaluation {
        Evaluation(
            step: step, validationLoss: 0.25, validationCorrect: 40, validationCount: 50, testLoss: 0.5,
            testCorrect: 75, testCount: 100)
    }

    private func summary(divergedAt: Int? = nil) -> LevelSummary {
        LevelSummary(
            layers: [
                LayerCount(name: "fc1.weight", kind: .fc, weights: 100, surviving: 40),
                LayerCount(name: "output.weight", kind: .output, weights: 60, surviving: 0),
            ], otherWeights: 3, final: divergedAt == nil ? evaluation(300) : nil,
            earlyStop: divergedAt == nil ? evaluation(200) : nil, divergedAt: divergedAt)
    }

    /// Two evaluations, the first before any step and without the test set.
    private func curve() throws -> LearningCurve {
        try LearningCurve(
            decoding: Safetensors.encode(
                [
                    .init(name: "step", [0, 200]), .init(name: "train.loss", [Float.nan, 0.75]),
                    .init(name: "validation.loss", [2.5, 0.25]), .init(name: "validation.correct", [5, 40]),
                    .init(name: "test.loss", [Double.nan, 0.5]), .init(name: "test.correct", [-1, 75]),
                ], metadata: ["validation_count": "50", "test_count": "100"]))
    }

    private func rows(
        _ table: RecordTable, of plan: Plan, _ result: @escaping (PlannedTask) -> TaskRecord
    ) throws -> [[String: RecordValue]] {
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        let curve = try curve()
        let records = Records(
            plan: plan, results: { result(tasks[$0]!) },
            stepCost: { _, _, layers in StepCost(flops: Double(layers[0].surviving), bytes: 2) }, curve: { _ in curve })
        let columns = records.columns(of: table)
        #expect(Set(columns.map(\.name)).count == columns.count)
        #expect(columns.allSatisfy { !$0.meaning.isEmpty })
        var rows: [[String: RecordValue]] = []
        try records.forEachRow(of: table) { row in
            #expect(row.count == columns.count)
            rows.append(Dictionary(uniqueKeysWithValues: zip(columns.map(\.name), row)))
        }
        return rows
    }

    @Test("Searches have rows and costs of their own: what they took until their masks had settled")
    func searches() throws {
        let searched = try SweepsTests.plan(
            "name: a\ntraining: {iterations: 300}\npruning: {levels: 2, search: early-bird, rate: 0.5}")
        func result(_ task: PlannedTask) -> TaskRecord {
            guard case .search(let level) = task.role else { return .done(summary(), seconds: 3) }
            var summary = summary()
            summary.final = evaluation(level == 1 ? 100 : 200)
            return .done(summary, seconds: 1)
        }
        let levels = try rows(.levels, of: searched, result)
        #expect(levels.map { $0["branch"] } == ["dense", "ticket", "ticket", "search", "search"].map { .text($0) })
        #expect(levels.map { $0["level"] } == [0, 1, 2, 1, 2].map { .integer($0) })
        #expect(levels.map { $0["steps"] } == [300, 300, 300, 100, 200].map { .integer($0) })
        let run = try #require(try rows(.runs, of: searched, result).first)
        #expect(run["trainings"] == .integer(5) && run["steps"] == .integer(1_200) && run["seconds"] == .real(11))

        let oneShot = try SweepsTests.plan(
            "name: a\ntraining: {iterations: 300}\npruning: {levels: 2, search: early-bird, rate: 0.5, schedule: one-shot}"
        )
        let searches = try rows(.levels, of: oneShot, result).filter { $0["branch"] == .text("search") }
        #expect(searches.map { $0["level"] } == [.integer(1), .integer(2)])

        // Under one recipe each search gives a mask to networks of another.
        let transplant = try SweepsTests.plan(
            """
            name: a
            training: {iterations: 300}
            pruning: {levels: 2, search: early-bird, rate: 0.5}
            mask_from: {lr: 0.1}
            train: {lr: 0.2}
            """)
        let places = try rows(.levels, of: transplant, result)
        #expect(places.map { $0["branch"] } == ["dense", "ticket", "ticket", "search", "search"].map { .text($0) })
        #expect(Set(places.map { $0["task"] }).count == 5, "a training stands twice")

        // The leaderboard counts levels, whoever searched for their masks.
        for plan in [searched, oneShot, transplant] {
            let board = Leaderboard(plan: plan) { _ in .done(self.summary()) }
            #expect(board.rows[0].trainings == 3 && board.rows[0].trainingsDone == 3)
        }
    }

    @Test("A dense network has as many prunable weights as the point's tickets")
    func prunable() throws {
        let plan = try plan("name: a\npruning: {levels: 1, rate: {fc: 0.5, output: 0}}")
        let rows = try rows(.levels, of: plan) { _ in .done(self.summary(), seconds: 1) }
        #expect(rows.map { $0["branch"] } == [.text("dense"), .text("ticket")])
        #expect(rows.map { $0["weights"] } == [.integer(100), .integer(100)])
        #expect(rows.map { $0["surviving"] } == [.integer(40), .integer(40)])
        let unpruned = try SweepsTests.plan("name: a\npruning: {levels: 0, rate: {fc: 0.5, output: 0}}")
        let whole = try self.rows(.levels, of: unpruned) { _ in .done(self.summary(), seconds: 1) }
        #expect(whole.map { $0["weights"] } == [.integer(160)])
    }

    @Test("A run's row has its axes, seeds, every setting as it is resolved, and what its trainings came to")
    func runs() throws {
        let plan = try plan(yaml)
        let rows = try rows(.runs, of: plan) { task in
            guard task.task.training.learningRate == 0.1 else { return .pending }
            if case .level(2) = task.role { return .done(summary(divergedAt: 150), seconds: 1) }
            let machine = task.role == .dense ? "node-2" : "node-1"
            let model = task.role == .dense ? nil : task.role == .level(1) ? "EPYC 7B13" : "Xeon @ 2.80GHz"
            return .done(
                summary(), seconds: 2,
                origin: ResultOrigin(program: "1.0", machine: machine, processor: "avx2", processorModel: model))
        }
        #expect(rows.count == 8)
        let first = rows[0]
        #expect(first["lr"] == .real(0.1) && first["prune_rate"] == .real(0.5) && first["replicate"] == .integer(0))
        #expect(first["training.iterations"] == .integer(300) && first["pruning.rewind"] == .integer(100))
        #expect(first["training.learning_rate"] == .real(0.1) && first["model.family"] == .text("lenet-300-100"))
        #expect(rows[0]["seed_initialisation"] != rows[1]["seed_initialisation"])
        #expect(rows[0]["seed_initialisation"] == rows[2]["seed_initialisation"])
        #expect(first["trainings"] == .integer(5) && first["trainings_done"] == .integer(5))
        #expect(first["diverged"] == .integer(1))
        // Dense 300; level 1 goes on from step 100, level 2 diverges at 150; the controls begin at 0.
        #expect(first["steps"] == .integer(1_150) && first["seconds"] == .real(9))
        #expect(first["flops"] == .real(46_000) && first["bytes"] == .real(2_300))
        #expect(
            first["programs"] == .text("1.0") && first["machines"] == .text("node-1 node-2")
                && first["processors"] == .text("avx2"))
        #expect(first["processor_models"] == .text("EPYC 7B13; Xeon @ 2.80GHz"))
        let last = rows[7]
        #expect(last["programs"] == .missing && last["processor_models"] == .missing)
        #expect(last["trainings_done"] == .integer(0) && last["steps"] == .integer(0))
    }

    @Test("What a spec left to its criterion is in a run's row as its trainings had it")
    func resolved() throws {
        let vocabulary = MethodPlanTests.vocabulary
        let plan = try Plan(
            sweep: Sweep(
                yaml: "name: a\npruning: {levels: 1}\ngrid: {criterion: [synflow, magnitude, snip], rounds: [1, 2]}",
                file: "x", vocabulary: vocabulary), vocabulary: vocabulary, dataDigest: { Digest.of($0.utf8) })
        let grid = try rows(.runs, of: plan) { _ in .pending }
        #expect(grid.map { $0["pruning.rounds"] } == [1, 2, 1, 1, 1, 2].map { .integer($0) })
        let left = try Plan(
            sweep: Sweep(
                yaml: "name: a\npruning: {levels: 1}\ngrid: {criterion: [synflow, magnitude, snip]}", file: "x",
                vocabulary: vocabulary), vocabulary: vocabulary, dataDigest: { Digest.of($0.utf8) })
        let found = try rows(.runs, of: left) { _ in .pending }
        #expect(found.map { $0["pruning.rank_at"] } == [.integer(0), .text("end"), .integer(0)])
        #expect(found.map { $0["pruning.rounds"] } == [.integer(100), .integer(1), .integer(1)])
        for (row, run) in zip(found, left.sweep.points.map { left.run(point: $0.index, replicate: 0) }) {
            let step = try #require(left.tasks[run.levels[0]].task.pruning)
            #expect(row["pruning.rounds"] == .integer(step.rounds))
            #expect(row["pruning.rank_at"] == (step.at.map { .integer($0) } ?? .text("end")))
        }
    }

    @Test("A run's row says what the spec says of the whole sweep; what it does not say is missing")
    func sweepSettings() throws {
        let rest = "training: {iterations: 300}\npruning: {levels: 2, rate: 0.5}\n"
        let plain = try #require(try rows(.runs, of: plan("name: a\n" + rest)) { _ in .pending }.first)
        #expect(plain["seed"] == .text("0") && plain["replicates"] == .integer(1))
        for name in [
            "branches", "refine.looks", "refine.budget", "stop_when.margin", "stop_when.levels", "winning_at",
        ] {
            #expect(plain[name] == .missing, "\(name)")
        }
        let full = try plan(
            """
            name: a
            seed: 18446744073709551615
            branches: [random-mask, {name: random-reinit, levels: [1, 2]}]
            refine: {looks: [2, 4, 6], budget: 7}
            stop_when: {margin: 0.05, levels: 1}
            winning_at: [0.5, 0.25]
            matching_margin: 0.001

            """ + rest)
        let row = try #require(try rows(.runs, of: full) { _ in .pending }.first)
        #expect(row["seed"] == .text("18446744073709551615") && row["replicates"] == .integer(6))
        #expect(row["branches"] == .text("random-mask random-reinit:1:2"))
        #expect(row["refine.looks"] == .text("2 4 6") && row["refine.budget"] == .integer(7))
        #expect(row["stop_when.margin"] == .real(0.05) && row["stop_when.levels"] == .integer(1))
        #expect(row["winning_at"] == .text("0.5 0.25") && row["matching_margin"] == .real(0.001))
    }

    @Test("A setting without a short name that is an axis has one column")
    func axisOfSameName() throws {
        let rows = try rows(.runs, of: plan("name: a\npruning: {levels: 1}\ngrid: {matching_margin: [0.001, 0.002]}")) {
            _ in .pending
        }
        #expect(rows.map { $0["matching_margin"] } == [.real(0.001), .real(0.002)])
    }

    @Test("A level's row has its counts and both evaluations; one that is not done, its state alone")
    func levels() throws {
        let plan = try plan(yaml)
        let rows = try rows(.levels, of: plan) { task in
            if case .branch = task.role { return .failed(name: "quarantined", reason: "") }
            let origin = ResultOrigin(text: "1.0\nnode-1\namx" + (task.role == .level(1) ? "" : "\nEPYC 7B13"))
            return .done(summary(), seconds: 2, origin: task.role == .dense ? nil : origin)
        }
        #expect(rows.count == 8 * 5)
        #expect(rows[0]["program"] == .missing && rows[0]["final_step"] == .integer(300))
        let branches = ["dense", "ticket", "ticket", "random-reinit", "random-reinit"]
        for (index, level) in [0, 1, 2, 1, 2].enumerated() {
            #expect(rows[index]["branch"] == .text(branches[index]) && rows[index]["level"] == .integer(level))
        }
        let ticket = rows[2]
        #expect(ticket["surviving"] == .integer(40) && ticket["density"] == .real(0.25))
        #expect(ticket["emptied_layers"] == .integer(1) && ticket["first_step"] == .integer(100))
        #expect(
            ticket["program"] == .text("1.0") && ticket["machine"] == .text("node-1")
                && ticket["processor"] == .text("amx") && ticket["processor_model"] == .text("EPYC 7B13"))
        #expect(rows[1]["processor"] == .text("amx") && rows[1]["processor_model"] == .missing)
        #expect(ticket["steps"] == .integer(200) && ticket["diverged_at"] == .missing)
        #expect(ticket["early_stop_step"] == .integer(200) && ticket["early_stop_test_accuracy"] == .real(0.75))
        #expect(ticket["final_step"] == .integer(300) && ticket["final_validation_accuracy"] == .real(0.8))
        #expect(rows[3]["state"] == .text("quarantined") && rows[3]["density"] == .missing)
        // One dense training serves both prune rates.
        #expect(rows[0]["task"] == rows[10]["task"] && rows[0]["prune_rate"] != rows[10]["prune_rate"])
    }

    @Test("Every evaluation of what is done has a row; what was not measured is missing")
    func evaluations() throws {
        let plan = try plan(yaml)
        let rows = try rows(.evaluations, of: plan) { task in
            task.role == .dense ? .done(summary(), seconds: 2) : .pending
        }
        #expect(rows.count == 8 * 2)
        #expect(rows[0]["step"] == .integer(0) && rows[0]["train_loss"] == .missing && rows[0]["test_loss"] == .missing)
        #expect(rows[0]["validation_accuracy"] == .real(0.1) && rows[0]["test_accuracy"] == .missing)
        #expect(rows[1]["train_loss"] == .real(0.75) && rows[1]["test_accuracy"] == .real(0.75))
        #expect(rows[1]["is_early_stop"] == .flag(true) && rows[1]["is_final"] == .flag(false))
    }

    @Test("Columns of any sweep are those of all, with one for its axes and one for settings of another recipe")
    func columnsOfAny() throws {
        let sweeps = try [
            yaml, "name: a\npruning: {levels: 1}\ninstability: {levels: all}",
            "name: a\npruning: {levels: 1}\nmask_from: {lr: 0.01}",
        ].map { try sweep($0) }
        for table in RecordTable.allCases {
            let any = table.columns(of: nil)
            #expect(Set(any.map(\.name)).count == any.count && any.contains { $0.name == "AXIS" })
            for sweep in sweeps {
                let axes = Set(sweep.axes.map(\.name))
                let own = table.columns(of: sweep).filter {
                    !axes.contains($0.name) && !$0.name.hasPrefix("mask_from.")
                }
                #expect(Set(own).isSubset(of: any), "\(table)")
            }
        }
        #expect(RecordTable.runs.columns(of: nil).last?.name == "mask_from.SETTING")
    }

    @Test("What is no learning curve is told")
    func otherFile() {
        #expect(throws: Safetensors.FormatError.self) { try LearningCurve(decoding: Safetensors.encode([])) }
        #expect(throws: Safetensors.FormatError.self) { try LearningCurve(decoding: [1, 2, 3]) }
    }
}
