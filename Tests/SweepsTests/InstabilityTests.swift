import Foundation
import Lottery
import Sweeps
import Testing
import Verdicts

/// Siblings under other noise, and the barriers between them and their trainings.
@Suite("Instability") struct InstabilityTests {
    private func siblings(_ plan: Plan) -> [PlannedTask] {
        plan.tasks.filter { if case .sibling = $0.role { true } else { false } }
    }

    @Test("Siblings start where their trainings start, see other noise, and wait for what they are compared with")
    func tasks() throws {
        let rest =
            "name: a\ntraining: {iterations: 100, batch: 10}\npruning: {levels: 2, rewind: 20, rewind_optimizer: fresh}\n"
        let plan = try plan(rest + "instability: {levels: [2, 0], points: 11, batch_norm: recomputed}")
        #expect(plan.tasks.map(\.role) == [.dense, .sibling(level: 0), .level(1), .level(2), .sibling(level: 2)])
        let (dense, twin, level, sibling) = (plan.tasks[0], plan.tasks[1], plan.tasks[3], plan.tasks[4])
        #expect(dense.keepSteps == [20])
        // The dense training went on with its optimizer, so its sibling does, too.
        #expect(twin.task.start == .rewound(trajectory: dense.key, step: 20, optimizer: .restore))
        #expect(twin.task.pruning == nil && twin.task.seeds == dense.task.seeds.withOtherNoise)
        #expect(twin.task.connection == .init(peer: dense.key, points: 11, batchNorm: .recomputed))
        #expect(twin.inputs.map(\.name) == ["dataset", "rewind", "peer"])
        #expect(twin.inputs.last?.source == .output(dense.key, .final))
        #expect(sibling.task.start == level.task.start && sibling.task.pruning == level.task.pruning)
        #expect(sibling.task.seeds == level.task.seeds.withOtherNoise)
        #expect(sibling.task.connection?.peer == level.key)
        #expect(sibling.inputs.map(\.name) == ["dataset", "parent", "rewind", "peer"])
        #expect(plan.tasks.map(\.cost) == [100, 80, 80, 80, 80])
        #expect(plan.tasks.map(\.priority) == [340, 80, 240, 160, 80])
        for task in plan.tasks {
            #expect(task.task.key == task.key)
            #expect(
                try JSONDecoder().decode(TrainingRequest.self, from: JSONEncoder().encode(task.request)) == task.request
            )
        }
        #expect(twin.task.canonicalText.contains("\nconnects=\(dense.key.digest.hex)/final,11,recomputed"))
        // Whatever is compared, the trainings themselves stay what they are.
        let without = try SweepsTests.plan(rest)
        #expect(without.tasks.map(\.key) == [0, 2, 3].map { plan.tasks[$0].key })
        #expect(plan.summary.tasks == 5 && plan.summary.tasksWithoutSharing == 5 && plan.summary.levels == 3)
        #expect(plan.summary.steps == 420 && plan.summary.stepsWithoutSharing == 420)
        let told = try #require(plan.summary.instability)
        #expect(told.levels == [0, 2] && told.points == 11 && told.batchNorm == .recomputed && told.tasks == 2)
        #expect(without.summary.instability == nil)
    }

    @Test("A dense training has a sibling for each step that points rewind to, shared by all that do")
    func rewinds() throws {
        let plan = try plan(
            """
            name: a
            training: {iterations: 100}
            pruning: {levels: 0}
            replicates: 2
            instability: {levels: [0]}
            grid: {rewind: [0, 10, 50], prune_rate: [0.2, 0.5]}
            """)
        #expect(plan.tasks.count == 2 * (1 + 3))
        #expect(siblings(plan).map(\.task.firstStep).sorted() == [0, 0, 10, 10, 50, 50])
        #expect(siblings(plan).first { $0.task.firstStep == 0 }?.task.start == .initialisation)
        #expect(plan.tasks.filter { $0.role == .dense }.allSatisfy { $0.keepSteps == [10, 50] })
        for run in 0..<plan.sweep.runCount {
            let planned = plan.run(point: run / 2, replicate: run % 2)
            let sibling = try #require(planned.siblings[0])
            #expect(plan.tasks(ofRun: run) == [planned.dense, sibling])
            #expect(plan.siblings(of: plan.tasks[planned.dense].key).count == 3)
        }
        #expect(
            plan.places(of: siblings(plan)[0].key)
                == [0.2, 0.5].map { "a, rewind 0, prune_rate \($0), replicate 0, sibling of level 0 (dense)" })
    }

    @Test("All levels of a chain have siblings where all are asked for, however chains are prolonged and searched")
    func all() throws {
        let plan = try plan(
            """
            name: a
            training: {iterations: 100}
            pruning: {search: early-bird}
            branches: [random-reinit]
            instability: {levels: all}
            grid: {levels: [1, 3]}
            """)
        for (point, levels) in [1, 3].enumerated() {
            let run = plan.run(point: point, replicate: 0)
            #expect(run.siblings.count == levels + 1)
            for (index, own) in ([run.dense] + run.levels).enumerated() {
                let sibling = try #require(run.siblings[index])
                #expect(plan.tasks[sibling].role == .sibling(level: index))
                #expect(plan.tasks[sibling].task.connection?.peer == plan.tasks[own].key)
            }
            let all = [run.dense] + run.levels + run.searches + run.branches.joined() + run.siblings.compactMap(\.self)
            #expect(plan.tasks(ofRun: point) == Set(all))
        }
        #expect(siblings(plan).count == 4)
    }

    @Test("Added replicates bring their siblings along, and a chain that is ended has none beyond")
    func adaptive() throws {
        let plan = try plan(
            """
            name: a
            pruning: {levels: 3, rate: 0.5}
            refine: {looks: [2, 4]}
            stop_when: {margin: 0.05, levels: 1}
            instability: {levels: [0, 1, 3]}
            """)
        func asked(_ extent: Extent) -> [String] {
            zip(plan.tasks, plan.isAsked(within: extent)).compactMap { task, isAsked in
                guard isAsked, case .sibling(let level) = task.role else { return nil }
                return "\(level) of \(task.task.seeds.initialisation)"
            }
        }
        let first = Extent(plan: plan) { _ in .pending }
        #expect(first.points[0].levels == 1)
        #expect(asked(first) == ["0 of 0", "1 of 0", "0 of 1", "1 of 1"])
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        let good = Extent(plan: plan) { key in
            let task = tasks[key]!
            let scatter = task.task.seeds.initialisation == 0 ? 60 : -40
            return result(right: task.task.pruning == nil ? 9_800 : 9_780 + scatter)
        }
        #expect(good.points[0] == Extent.Point(replicates: 4, tested: 4, levels: 3, isStopped: false))
        #expect(asked(good).count == 4 * 3)
        let bad = Extent(plan: plan) { key in result(right: tasks[key]!.task.pruning == nil ? 9_800 : 9_000) }
        #expect(bad.points[0].isStopped && bad.points[0].levels == 1)
        #expect(asked(bad).count == 2 * 2)
    }

    // MARK: Results

    private func result(right: Int, errors: [Double]? = nil, divergedAt: Int? = nil) -> CellResult {
        let evaluation = Evaluation(
            step: 500, validationLoss: 0.1, validationCorrect: 4_900, validationCount: 5_000, testLoss: 0.1,
            testCorrect: right, testCount: 10_000)
        return .done(
            LevelSummary(
                layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 1_000, surviving: 500)], otherWeights: 0,
                final: divergedAt == nil ? evaluation : nil, earlyStop: divergedAt == nil ? evaluation : nil,
                divergedAt: divergedAt, connectivity: errors.map(Connectivity.init)))
    }

    private let yaml = """
        name: a
        pruning: {levels: 2, rate: 0.5}
        replicates: 3
        instability: {levels: [0, 2], points: 3}
        grid: {rewind: [0, 100]}
        """

    /// Barriers of 10, 11 and 12 points at step 0, and of 1.0, 1.1 and 1.2 at step 100; tickets win down to level 2.
    private func result(_ task: PlannedTask) -> CellResult {
        let replicate = Double(task.task.seeds.initialisation)
        guard case .sibling = task.role else { return result(right: 9_800 + Int(replicate)) }
        let barrier = (0.1 + 0.01 * replicate) / (task.task.firstStep == 0 ? 1 : 10)
        return result(right: 9_800, errors: [0.02, 0.03 + barrier, 0.04])
    }

    private func board(_ plan: Plan, _ result: (PlannedTask) -> CellResult) -> Leaderboard {
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        return Leaderboard(plan: plan) { result(tasks[$0]!) }
    }

    @Test(
        "Barriers stand with their interval over replicates, beside each step's accuracy, for ticket and dense network")
    func barriers() throws {
        let board = board(try plan(yaml), result)
        for (row, scale) in zip(board.rows.sorted { $0.pointIndexOfRewind < $1.pointIndexOfRewind }, [1.0, 0.1]) {
            for barrier in [row.denseBarrier, row.ticketBarrier] {
                let expected = try #require(Estimate([0.1, 0.11, 0.12].map { $0 * scale }))
                let estimate = try #require(barrier?.estimate)
                #expect(abs(estimate.mean - expected.mean) < 1e-12)
                #expect(abs(try #require(estimate.low) - expected.low!) < 1e-12)
                #expect(barrier?.isStable == (scale < 1) && barrier?.diverged == 0)
            }
            #expect(row.level == 2)
            let decoded = try JSONDecoder().decode(LeaderboardRow.self, from: JSONEncoder().encode(row))
            #expect(decoded.denseBarrier == row.denseBarrier && decoded.ticketBarrier == row.ticketBarrier)
        }
        let curve = board.curves[0]
        #expect(curve.levels.map { $0.barrier?.isStable } == [false, nil, false])
        #expect(curve.levels.allSatisfy { $0.barrier != nil })
        let json = try #require(
            try JSONSerialization.jsonObject(with: JSONEncoder().encode(curve.levels[1])) as? [String: Any])
        let unmeasured = try #require(json["barrier"] as? [String: Any])
        #expect(unmeasured["mean"] is NSNull && unmeasured["stable"] is NSNull && unmeasured["diverged"] as? Int == 0)
        #expect(try JSONDecoder().decode([DensityCurve].self, from: JSONEncoder().encode(board.curves)) == board.curves)
    }

    @Test("Exactly 2 points are not stable any more, and one seed says neither")
    func boundary() throws {
        let text = "name: a\npruning: {levels: 0}\ninstability: {levels: all, points: 3}"
        let plan = try plan(text + "\nreplicates: 2")
        func stable(_ largest: Double) throws -> Bool? {
            let board = board(plan) { task in result(right: 9_800, errors: task.role == .dense ? nil : [0, largest, 0])
            }
            return board.rows[0].denseBarrier?.isStable
        }
        #expect(try stable(0.0199) == true && stable(0.02) == false)
        let one = board(try SweepsTests.plan(text)) { task in
            result(right: 9_800, errors: task.role == .dense ? nil : [0, 0.5, 0])
        }
        #expect(one.rows[0].denseBarrier?.estimate == Estimate(mean: 0.5, low: nil, high: nil))
        #expect(one.rows[0].denseBarrier?.isStable == nil)
        // No level has a ticket.
        let ticket = try #require(one.rows[0].ticketBarrier)
        #expect(ticket.estimate == nil && ticket.diverged == 0)
    }

    @Test("A barrier waits for all siblings, and there is none where a training or a sibling diverged")
    func missing() throws {
        let plan = try plan(yaml)
        let pending = board(plan) { task in
            task.role == .sibling(level: 0) && task.task.seeds.initialisation == 2 ? .pending : result(task)
        }
        #expect(pending.rows.allSatisfy { $0.denseBarrier?.estimate == nil && $0.ticketBarrier?.estimate != nil })
        let failed = board(plan) { task in if case .sibling = task.role { .failed(reason: "") } else { result(task) } }
        // A sibling is no part of the chain: what the ticket is stays known.
        #expect(failed.rows.allSatisfy { $0.ticketBarrier?.estimate == nil && $0.verdict != .failed })
        let sibling = board(plan) { task in
            task.role == .sibling(level: 2) && task.task.seeds.initialisation == 1
                ? result(right: 0, divergedAt: 40) : result(task)
        }
        #expect(sibling.rows.allSatisfy { $0.ticketBarrier?.estimate == nil && $0.ticketBarrier?.diverged == 1 })
        let peer = board(plan) { task in
            task.role == .dense && task.task.seeds.initialisation == 1 ? result(right: 0, divergedAt: 40) : result(task)
        }
        #expect(peer.rows.allSatisfy { $0.denseBarrier?.estimate == nil && $0.denseBarrier?.diverged == 1 })
    }

    @Test("A sweep without siblings has the leaderboard and tables that it had")
    func without() throws {
        let plan = try plan(yaml.replacing("instability: {levels: [0, 2], points: 3}\n", with: ""))
        let board = board(plan, result)
        #expect(board.rows.allSatisfy { $0.denseBarrier == nil && $0.ticketBarrier == nil })
        let json = String(decoding: try JSONEncoder().encode(board), as: UTF8.self)
        #expect(!json.contains("barrier"))
        let records = records(plan)
        #expect(records.tables == [.runs, .levels, .evaluations])
        for table in records.tables {
            #expect(
                !records.columns(of: table).contains { $0.name.contains("barrier") || $0.name.contains("instability") })
        }
    }

    private func records(_ plan: Plan) -> Records {
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        return Records(
            plan: plan,
            results: { key in
                if case .done(let summary) = result(tasks[key]!) { .done(summary, seconds: 1) } else { .pending }
            }, stepCost: { _, _, _ in nil }, curve: { _ in nil })
    }

    @Test("Exports name siblings, their barriers, how they were compared, and each error on the line")
    func export() throws {
        let records = records(try plan(yaml))
        func rows(_ table: RecordTable) throws -> [[String: RecordValue]] {
            let names = records.columns(of: table).map(\.name)
            var rows: [[String: RecordValue]] = []
            try records.forEachRow(of: table) { rows.append(Dictionary(uniqueKeysWithValues: zip(names, $0))) }
            return rows
        }
        let runs = try rows(.runs)
        #expect(runs.count == 6 && runs.allSatisfy { $0["trainings"] == .integer(5) })
        #expect(runs[0]["instability_levels"] == .text("0 2") && runs[0]["instability_points"] == .integer(3))
        #expect(runs[0]["instability_batch_norm"] == .text("interpolated"))
        let levels = try rows(.levels)
        #expect(levels.count == 6 * 5)
        #expect(
            levels.prefix(5).map { $0["branch"] }
                == ["dense", "ticket", "ticket", "sibling", "sibling"].map(RecordValue.text))
        #expect(levels.prefix(5).map { $0["level"] } == [0, 1, 2, 0, 2].map(RecordValue.integer))
        #expect(levels[0]["barrier"] == .missing)
        guard case .real(let barrier) = levels[3]["barrier"] else { return #expect(Bool(false), "\(levels[3])") }
        #expect(abs(barrier - 0.1) < 1e-12)
        let lines = try rows(.connectivity)
        #expect(lines.count == 6 * 2 * 3)
        #expect(lines.prefix(3).map { $0["alpha"] } == [0, 0.5, 1].map(RecordValue.real))
        #expect(lines[2]["test_error"] == .real(0.04) && lines[2]["batch_norm"] == .text("interpolated"))
        #expect(
            lines[2]["level"] == .integer(0) && lines[3]["level"] == .integer(2)
                && lines[3]["branch"] == .text("sibling"))
    }

    // MARK: Specs

    @Test("A spec says it in short, and its digest tells specs apart that compare otherwise")
    func spec() throws {
        let read = try #require(try sweep("name: a\ninstability: {levels: all}\npruning: {levels: 1}").instability)
        #expect(read == Instability(levels: nil, points: 30, batchNorm: .interpolated))
        let texts = [
            "", "instability: {levels: all}", "instability: {levels: [0, 1]}", "instability: {levels: [0]}",
            "instability: {levels: all, points: 5}", "instability: {levels: all, batch_norm: recomputed}",
        ]
        let digests = try texts.map { try sweep("name: a\npruning: {levels: 1}\n\($0)").specDigest }
        #expect(Set(digests).count == digests.count)
        #expect(
            try sweep("name: a\npruning: {levels: 1}\ninstability: {levels: [1, 0], points: 30}").specDigest
                == digests[2])
    }

    @Test(
        "Siblings that cannot be are refused with place and remedy",
        arguments: [
            ("instability:", "must be a map, such as instability: {levels: [0, 5]} or {levels: all}, not nothing"),
            ("instability: all", "must be a map, such as instability: {levels: [0, 5]} or {levels: all}, not all"),
            ("instability: {level: [0]}", #"unknown setting "level"; did you mean "levels"?"#),
            (
                "instability: {levels: []}",
                "must be all, or a list of levels such as [0, 5], where 0 is the dense network, not []"
            ),
            (
                "instability: {levels: every}",
                "must be all, or a list of levels such as [0, 5], where 0 is the dense network, not every"
            ),
            (
                "instability: {levels: [0, -1]}",
                "a level is a whole number in 0…200, where 0 is the dense network, not -1"
            ),
            ("instability: {levels: [1, 1]}", #""instability.levels" names 1 twice; keep one"#),
            (
                "instability: {levels: [0, 4]}",
                #"names level 4, but no chain goes beyond level 3; raise "pruning.levels" to 4, or name levels up to 3"#
            ),
            ("instability: {points: 2}", #""instability.points" must be a whole number in 3…1000, not 2"#),
            (
                "instability: {batch_norm: fresh}",
                #""instability.batch_norm" must be interpolated or recomputed, not fresh"#
            ),
        ])
    func refused(_ line: String, _ words: String) {
        let said = refusal("name: a\npruning: {levels: 3}\n\(line)")
        #expect(said.hasPrefix("sweeps/x.yaml:3: ") && said.contains(words), "\(said)")
    }

    @Test("Where nothing is pruned, levels and steps that are none are refused likewise")
    func refusedDense() {
        let levels = refusal("name: a\npruning: {levels: 0}\ninstability: {levels: [0, 1]}")
        #expect(levels.contains(#"3: "instability.levels" names level 1, but no point prunes"#), "\(levels)")
        let late = refusal(
            "name: a\ntraining: {iterations: 100}\npruning: {levels: 0}\ninstability: {levels: [0]}\ngrid: {rewind: [0, 100]}"
        )
        #expect(late.contains("4: a sibling that starts at step 100") && late.contains("ends at step 100"), "\(late)")
    }
}

extension LeaderboardRow {
    fileprivate var pointIndexOfRewind: Int { Int(point["rewind"]?.description ?? "") ?? -1 }
}
