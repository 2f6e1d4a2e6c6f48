import Foundation
import Lottery
import Sweeps
import Testing
import Verdicts

@Suite struct LeaderboardTests {
    /// Accuracies in images right of 10,000 by role, with a fixed wobble by replicate.
    private func board(_ plan: Plan, _ result: (PlannedTask) -> CellResult) -> Leaderboard {
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        return Leaderboard(plan: plan) { key in tasks[key].map(result) ?? .pending }
    }

    private func done(_ task: PlannedTask, right: Int, stop: Int = 500, surviving: Double = 1, validation: Int = 4_900)
        -> CellResult
    {
        let wobble = Int(task.task.seeds.initialisation) % 3
        func evaluation(_ step: Int, _ right: Int) -> Evaluation {
            Evaluation(
                step: step, validationLoss: 0.1, validationCorrect: validation, validationCount: 5_000, testLoss: 0.1,
                testCorrect: right + wobble, testCount: 10_000)
        }
        return .done(
            LevelSummary(
                layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 1_000, surviving: Int(surviving * 1_000))],
                otherWeights: 10,
                final: evaluation(task.task.training.iterations, right), earlyStop: evaluation(stop, right + 5),
                divergedAt: nil))
    }

    private let yaml = """
        name: a
        pruning: {levels: 3, rate: 0.5}
        branches: [random-reinit, random-mask]
        replicates: 3
        grid: {lr: [0.1, 1e-3], criterion: [magnitude, random]}
        """

    /// Magnitude at lr 0.1 wins at 50 and 25 %, at 0.001 at all; random pruning is always far below.
    private func result(_ task: PlannedTask) -> CellResult {
        let slow = task.task.training.learningRate < 0.01
        let random = task.task.pruning?.criterion == "random"
        switch task.role {
        case .dense: return done(task, right: slow ? 9_700 : 9_800, stop: 1_000, validation: slow ? 4_800 : 4_900)
        case .level(let level):
            let right = random ? 9_000 : slow ? 9_720 : level == 3 ? 9_500 : 9_810
            return done(task, right: right, surviving: [1, 0.5, 0.25, 0.125][level])
        case .branch(_, let level): return done(task, right: 9_400, surviving: [1, 0.5, 0.25, 0.125][level])
        case .replay, .search, .sibling: return .pending
        }
    }

    @Test("The first level at which a layer is empty is told, with the layer")
    func collapse() throws {
        let board = board(try plan("name: a\npruning: {levels: 3}\nreplicates: 2")) { task in
            guard case .level(let level) = task.role else { return done(task, right: 9_800) }
            let isEmpty = level == 3 || level == 2 && task.task.seeds.initialisation == 1
            return done(task, right: 9_000, surviving: isEmpty ? 0 : 0.5)
        }
        #expect(board.rows[0].collapse == LayerCollapse(level: 2, layers: ["fc1.weight"]))
        #expect(
            try JSONDecoder().decode(LeaderboardRow.self, from: JSONEncoder().encode(board.rows[0])) == board.rows[0])
        let whole = self.board(try plan(yaml), result)
        #expect(whole.rows.allSatisfy { $0.collapse == nil })
    }

    @Test("Winning is tested where the spec names densities, and all over a chain that comes to none of them")
    func namedDensities() throws {
        let text = """
            name: a
            pruning: {rate: 0.5}
            replicates: 3
            winning_at: [0.125]
            grid: {levels: [2, 3]}
            """
        let board = board(try plan(text)) { task in
            switch task.role {
            case .level(let level):
                done(task, right: level == 3 ? 9_500 : 9_810, surviving: [1, 0.5, 0.25, 0.125][level])
            default: done(task, right: 9_800, stop: 1_000)
            }
        }
        func row(_ levels: String) throws -> LeaderboardRow {
            try #require(board.rows.first { $0.point["levels"]?.description == levels })
        }
        let short = try row("2")
        #expect(short.found == .winning && short.winningDensity == 0.25 && short.decided == .yes)
        let long = try row("3")
        #expect(long.verdict == .matching && long.found == .matching && long.decided == .yes)
    }

    @Test("A branch beside some levels alone is compared there, and is null elsewhere, not undecided")
    func placedBranches() throws {
        let text = yaml.replacing(
            "[random-reinit, random-mask]", with: "[{name: random-reinit, levels: [2]}, random-mask]")
        let board = board(try plan(text), result)
        let curve = try #require(
            board.curves.first {
                $0.point["lr"]?.description == "0.1" && $0.point["criterion"]?.description == "magnitude"
            })
        let names = ["random-reinit", "random-mask"]
        #expect(curve.levels.dropFirst().map { $0.controls.map(\.branch) } == [names, names, names])
        #expect(curve.levels.dropFirst().map { $0.controls[0].beaten } == [nil, .yes, nil])
        #expect(curve.levels.dropFirst().map { $0.controls[0].accuracy == nil } == [true, false, true])
        #expect(curve.levels.dropFirst().allSatisfy { $0.controls[1].beaten != nil && $0.controls[1].accuracy != nil })
        // Its ticket is of level 2; that of the other row of level 3.
        #expect(board.rows[1].controls[0].beaten == .yes && board.rows[1].beatsControls == .yes)
        #expect(board.rows[0].controls[0].beaten == nil && board.rows[0].beatsControls == nil)
        let again = try JSONDecoder().decode(Leaderboard.self, from: JSONEncoder().encode(board))
        #expect(again.rows.map(\.controls) == board.rows.map(\.controls))
    }

    @Test("Rows are ranked, decided and compared as the verdicts say")
    func rows() throws {
        let board = board(try plan(yaml), result)
        let rows = board.rows
        #expect(rows.map(\.rank) == [1, 2, 3, 4])
        #expect(rows.map { $0.point["lr"]!.description } == ["1e-3", "0.1", "0.1", "1e-3"])
        #expect(rows.map(\.verdict) == [.censored, .winning, .none, .none])
        #expect(rows.map(\.decided) == [.yes, .yes, .no, .no])
        #expect(rows.map(\.density) == [0.125, 0.25, nil, nil])
        #expect(rows.map { $0.ticket == nil } == [false, false, true, true])
        let winner = rows[1]
        #expect(abs(try #require(winner.accuracy?.mean) - 0.9811) < 1e-9)
        #expect(abs(try #require(winner.dense?.mean) - 0.9801) < 1e-9)
        #expect(winner.earlyStop?.mean == 500)
        #expect(winner.earlyStop?.dense == 1_000)
        #expect(abs(try #require(winner.earlyStop?.ratio.mean) - 0.5) < 1e-12)
        #expect(winner.level == 2)
        #expect(winner.controls.map(\.branch) == ["random-reinit", "random-mask"])
        #expect(winner.controls.allSatisfy { $0.beaten == .yes })
        // The slow recipe's ticket is above its own dense network and below the best one.
        #expect(rows[0].bestDense?.point["lr"]?.description == "0.1")
        #expect(rows[0].bestDense?.matching == .no)
        #expect(rows[0].found == .winning)
        #expect(winner.bestDense?.matching == .yes)
    }

    @Test("Points that share their dense trainings are one recipe, with the most replicates that any of them has")
    func bestDenseOfRefined() throws {
        let plan = try plan(
            """
            name: a
            pruning: {levels: 1}
            refine: {looks: [2, 4]}
            grid: {lr: [0.1, 0.01], prune_rate: [0.5, 0.4]}
            """)
        let board = board(plan) { task in
            let replicate = Int(task.task.seeds.initialisation)
            let isSlow = task.task.training.learningRate < 0.05
            switch task.role {
            case .dense:
                // Two later replicates that are worse must not lose against two early ones of another recipe.
                return done(task, right: 9_800, validation: isSlow ? 4_890 : replicate < 2 ? 4_900 : 4_800)
            case .level where task.task.pruning?.rates[.fc] == Ratio("0.4") && !isSlow:
                return done(task, right: 9_780 + [60, -60, 50, -50][replicate], surviving: 0.6)
            case .level: return done(task, right: 9_000, surviving: 0.5)
            case .branch, .search, .sibling, .replay: return .pending
            }
        }
        let rows = board.rows.sorted { $0.point.coordinates.description < $1.point.coordinates.description }
        #expect(Set(rows.map(\.replicates)) == [2, 4])
        let refined = try #require(rows.first { $0.replicates == 4 })
        for row in rows {
            #expect(row.bestDense?.point == refined.point && row.bestDense?.accuracy == refined.dense)
        }
        #expect(refined.bestDense?.difference == refined.difference)
    }

    @Test("The ticket named is replicate 0's, at the headline's density")
    func ticket() throws {
        let plan = try plan(yaml)
        let board = board(plan, result)
        let run = plan.run(point: 0, replicate: 0)
        #expect(board.rows[1].ticket == plan.tasks[run.levels[1]].key.digest.short)
    }

    @Test("A row has exactly the keys of the fixed face and more, numbers as numbers, unknowns as null")
    func json() throws {
        let board = board(try plan(yaml), result)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let json = try encoder.encode(board.rows)
        let rows = try #require(try JSONSerialization.jsonObject(with: json) as? [[String: Any]])
        for row in rows {
            #expect(
                Set(row.keys).isSuperset(of: [
                    "rank", "sweep", "point", "verdict", "decided", "density", "accuracy", "dense", "early_stop",
                    "replicates", "ticket",
                ]))
            #expect((row["accuracy"] as? [String: Any])?.keys.sorted() == ["high", "low", "mean"])
            let point = try #require(row["point"] as? [String: Any])
            #expect(point["lr"] is NSNumber)
            #expect(point["criterion"] is String)
        }
        #expect(rows[2]["density"] is NSNull)
        #expect(rows[2]["ticket"] is NSNull)
        let text = String(decoding: json, as: UTF8.self)
        #expect(text.contains(#""point":{"criterion":"magnitude","lr":0.001}"#))
    }

    @Test("A leaderboard is the same bytes twice, and survives a round trip")
    func deterministic() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let first = board(try plan(yaml), result)
        let bytes = try encoder.encode(first)
        #expect(try encoder.encode(board(try plan(yaml), result)) == bytes)
        let decoded = try JSONDecoder().decode(Leaderboard.self, from: bytes)
        #expect(try encoder.encode(decoded) == bytes)
        #expect(decoded.rows[0].point.coordinates.map(\.axis) == ["lr", "criterion"])
        #expect(decoded.rows[0].density == first.rows[0].density)
    }

    @Test("One replicate has no interval and decides nothing, but names its ticket")
    func oneReplicate() throws {
        let board = board(try plan(yaml.replacingOccurrences(of: "replicates: 3", with: "replicates: 1")), result)
        #expect(board.rows.map(\.decided) == [.undecided, .undecided, .undecided, .undecided])
        #expect(board.rows[0].accuracy?.low == nil)
        #expect(board.rows[0].ticket != nil)
    }

    @Test(
        "While runs are out, a point is pending with its best ticket so far; a failed level fails the point with its reason"
    )
    func unfinished() throws {
        let plan = try plan(yaml)
        let pending = board(plan) { task in
            if case .level(3) = task.role { return .pending }
            return result(task)
        }
        #expect(pending.rows.allSatisfy { $0.verdict == .pending })
        let first = try #require(pending.rows.first)
        #expect(first.density == 0.25)
        #expect(first.trainingsDone == 9 && first.trainings == 12)
        let failed = board(plan) { task in
            if case .level(2) = task.role, task.task.seeds.initialisation == 1 {
                return .failed(reason: "out of memory")
            }
            if case .level(3) = task.role { return .pending }
            return result(task)
        }
        #expect(failed.rows.allSatisfy { $0.verdict == .failed && $0.reason == "out of memory" })
        let empty = board(plan) { _ in .pending }
        #expect(empty.rows.allSatisfy { $0.verdict == .pending && $0.ticket == nil })
        #expect(
            empty.rows.map { $0.point["criterion"]!.description } == ["magnitude", "random", "magnitude", "random"])
    }

    @Test(
        "A diverged ticket is a result: it gets no image right; a diverged dense network leaves nothing to compare with"
    )
    func diverged() throws {
        func diverging(_ task: PlannedTask) -> CellResult {
            guard case .done(var summary) = result(task) else { return .pending }
            summary.final = nil
            summary.divergedAt = 7
            return .done(summary)
        }
        let plan = try plan(yaml)
        let tickets = board(plan) { task in if case .level(2) = task.role { diverging(task) } else { result(task) } }
        #expect(tickets.rows.contains { $0.verdict == .winning && $0.density == 0.5 && $0.diverged == 3 })
        let dense = board(plan) { task in if case .dense = task.role { diverging(task) } else { result(task) } }
        #expect(dense.rows.allSatisfy { $0.verdict == .failed && $0.reason != nil && $0.ticket == nil })
        #expect(dense.curves.allSatisfy { $0.levels.map(\.verdict) == [nil, .failed, .failed, .failed] })
    }

    @Test("Of levels that will never come, each says whether it failed or was cancelled; of the others, that they wait")
    func lacking() throws {
        func verdicts(_ text: String, _ result: (PlannedTask) -> CellResult) throws -> [Verdict?] {
            board(try plan(text), result).curves[0].levels.map(\.verdict)
        }
        func last(_ end: CellResult, from level: Int) -> (PlannedTask) -> CellResult {
            { task in
                guard task.task.seeds.initialisation == 1, let own = task.task.pruning?.level, own >= level else {
                    return self.result(task)
                }
                return end
            }
        }
        #expect(try verdicts(yaml, last(.pending, from: 3)) == [nil, .winning, .winning, .pending])
        #expect(try verdicts(yaml, last(.stopped, from: 3)) == [nil, .winning, .winning, .stopped])
        #expect(
            try verdicts(yaml, last(.failed(reason: "out of memory"), from: 2)) == [nil, .winning, .failed, .failed])
        let denseFailed = try verdicts(yaml) { task in
            if case .dense = task.role { return .failed(reason: "out of memory") }
            return .pending
        }
        #expect(denseFailed == [nil, .failed, .failed, .failed])
        // Level 3 is not asked for until level 2 is there, which it never will be.
        let rule = yaml + "\nstop_when: {margin: 0.05, levels: 1}"
        let adaptive = { (end: CellResult) in
            { (task: PlannedTask) -> CellResult in
                switch task.task.pruning?.level {
                case 2: end
                case 3: .pending
                default: self.result(task)
                }
            }
        }
        #expect(try verdicts(rule, adaptive(.stopped)) == [nil, .winning, .stopped, .stopped])
        #expect(try verdicts(rule, adaptive(.failed(reason: "lost"))) == [nil, .winning, .failed, .failed])
        #expect(try verdicts(rule, adaptive(.pending)) == [nil, .winning, .pending, .pending])
    }

    @Test("Where ticket and control have diverged in every replicate, neither is found to beat the other")
    func bothDiverged() throws {
        let board = board(try plan(yaml)) { task in
            guard case .done(var summary) = result(task) else { return .pending }
            switch task.role {
            case .level(3), .branch(_, level: 3): (summary.final, summary.divergedAt) = (nil, 7)
            default: break
            }
            return .done(summary)
        }
        let controls = board.curves[0].levels[3].controls
        #expect(controls.count == 2)
        #expect(controls.allSatisfy { $0.beaten == .undecided && $0.moreSeeds == .above50 }, "\(controls)")
    }

    @Test("Rows of the same counts in another order are ranked by point")
    func rounding() throws {
        let yaml = "name: a\npruning: {levels: 1}\nreplicates: 3\ngrid: {lr: [0.001, 0.01]}"
        let board = board(try plan(yaml)) { task in
            let isFirst = task.task.training.learningRate < 0.005
            // As much in all, in an order in which the first one's mean is rounded down.
            let counts = isFirst ? [1_001, 1_001, 998] : [1_000, 1_001, 999]
            guard case .done(var summary) = done(task, right: 0, surviving: 0.5) else { return .pending }
            summary.final!.testCorrect = counts[Int(task.task.seeds.initialisation) % 3]
            if case .dense = task.role { summary.final!.testCorrect = 900 }
            return .done(summary)
        }
        let means = board.rows.map { $0.accuracy!.mean }
        #expect(means[0] != means[1] && abs(means[0] - means[1]) < 1e-12, "\(means)")
        #expect(board.rows.map { $0.point["lr"]!.description } == ["0.001", "0.01"])
    }

    @Test("Curves hold the dense network, every level and every control by density")
    func curves() throws {
        let board = board(try plan(yaml), result)
        #expect(board.curves.count == 4)
        let curve = board.curves[0]
        #expect(curve.levels.map(\.density) == [1, 0.5, 0.25, 0.125])
        #expect(curve.levels.map(\.verdict) == [nil, .winning, .winning, Verdict.none])
        #expect(abs(try #require(curve.levels[3].controls[0].accuracy?.mean) - 0.9401) < 1e-9)
        #expect(curve.levels[0].earlyStop == 1_000)
        // Before anything is done, densities are the expected ones.
        let empty = self.board(try plan(yaml)) { _ in .pending }
        #expect(abs(empty.curves[0].levels[3].density - 0.125) < 1e-4)
    }

    @Test("Layers that are never pruned do not count towards density")
    func density() throws {
        let board = board(try plan("name: a\npruning: {levels: 1, rate: {fc: 0.5, output: 0}}")) { task in
            guard case .done(var summary) = done(task, right: 9_800, surviving: 0.5) else { return .pending }
            summary.layers.append(LayerCount(name: "output.weight", kind: .output, weights: 500, surviving: 500))
            return .done(summary)
        }
        #expect(board.rows[0].density == 0.5)
    }

    @Test("Accuracy is read at the early-stop step where the spec says so")
    func report() throws {
        let board = board(try plan(yaml + "\nreport: early-stop"), result)
        #expect(abs(try #require(board.rows[1].accuracy?.mean) - 0.9816) < 1e-9)
    }
}
