import Foundation
import Lottery
import Sweeps
import Testing
import Verdicts

@Suite struct AtlasTests {
    /// Depths move with their batches; without warmup only the lower learning rate has tickets, with it both.
    private let yaml = """
        name: a
        model: {family: mlp, width: 10}
        pruning: {levels: 3, rate: 0.5}
        replicates: 3
        grid: {lr: [0.1, 1e-3], warmup: [500, 0], rewind: [0, 100]}
        zip: [{depth: [3, 2], batch: [32, 64]}]
        """

    private func board(_ yaml: String, right: (TrainingTask, Int) -> Int?) throws -> Leaderboard {
        let plan = try plan(yaml)
        let tasks = Dictionary(uniqueKeysWithValues: plan.tasks.map { ($0.key, $0) })
        return Leaderboard(plan: plan) { key in
            guard let task = tasks[key] else { return .pending }
            let level: Int
            switch task.role {
            case .dense: level = 0
            case .level(let number): level = number
            default: return .pending
            }
            guard let right = right(task.task, level) else { return .pending }
            let evaluation = Evaluation(
                step: 500, validationLoss: 0.1, validationCorrect: 4_900, validationCount: 5_000, testLoss: 0.1,
                testCorrect: right + Int(task.task.seeds.initialisation) % 3, testCount: 10_000)
            return .done(
                LevelSummary(
                    layers: [LayerCount(name: "fc1.weight", kind: .fc, weights: 1_024, surviving: 1_024 >> level)],
                    otherWeights: 10,
                    final: evaluation, earlyStop: evaluation, divergedAt: nil))
        }
    }

    private func usual() throws -> Leaderboard {
        try board(yaml) { task, level in
            let hasTickets = task.training.learningRate < 0.01 || task.training.warmup > 0
            return level == 0 ? 9_800 : !hasTickets ? 9_000 : level == 1 ? 9_810 : level == 2 ? 9_790 : 9_000
        }
    }

    @Test("A panel for each depth and rewind step; what moves with the depth is not said again")
    func panels() throws {
        let atlas = try Atlas(try usual(), rows: "warmup", columns: "lr")
        #expect(atlas.rows.axis == "warmup")
        #expect(atlas.rows.values.map { $0?.description } == ["0", "500"])
        #expect(atlas.columns.values.map { $0?.description } == ["1e-3", "0.1"])
        let names = atlas.panels.map { $0.point.coordinates.map { "\($0.axis) \($0.value)" }.joined(separator: ", ") }
        #expect(names == ["rewind 0, depth 3", "rewind 0, depth 2", "rewind 100, depth 3", "rewind 100, depth 2"])
        for panel in atlas.panels {
            #expect(panel.cells.map { [$0.row, $0.column] } == [[0, 0], [0, 1], [1, 0], [1, 1]])
            #expect(panel.cells.map(\.matchingDensity) == [0.25, nil, 0.25, 0.25])
            #expect(panel.cells.map(\.lastDensity) == [0.125, 0.125, 0.125, 0.125])
            #expect(panel.cells[1].verdict == .none)
        }
        // Winning is said of tickets rewound to the start alone.
        #expect(atlas.panels[0].cells.map(\.winningDensity) == [0.5, nil, 0.5, 0.5])
        #expect(atlas.panels[2].cells.map(\.winningDensity) == [nil, nil, nil, nil])
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let json = String(decoding: try encoder.encode(atlas), as: UTF8.self)
        #expect(
            json.hasPrefix(
                #"{"columns":{"axis":"lr","values":[0.001,0.1]},"panels":[{"cells":[{"column":0,"decided":"yes","dense":{"#
            ))
        #expect(
            json.contains(#""winning_density":null"#) && json.contains(#""point":{"depth":3,"rewind":0}"#), "\(json)")
    }

    @Test("Settings go by path or short name, either way round; any two will do")
    func otherSides() throws {
        let board = try usual()
        let turned = try Atlas(board, rows: "training.learning_rate", columns: "training.warmup")
        #expect(turned.rows.axis == "lr")
        #expect(turned.panels[0].cells.map(\.matchingDensity) == [0.25, 0.25, nil, 0.25])
        let depths = try Atlas(board, rows: "depth", columns: "batch")
        #expect(depths.panels.count == 8)
        // Of depth and batch, which move together, two of four combinations are points.
        #expect(depths.panels.allSatisfy { $0.cells.map { [$0.row, $0.column] } == [[0, 1], [1, 0]] })
    }

    @Test(
        "A setting that is no axis has one row; levels to come are not counted; a chain that still matches is censored")
    func partial() throws {
        let board = try board("name: a\npruning: {levels: 2, rate: 0.5}\nreplicates: 2\ngrid: {lr: [0.1, 0.2]}") {
            task, level in
            task.training.learningRate > 0.15 && level == 2 ? nil : 9_800
        }
        let atlas = try Atlas(board, rows: "warmup", columns: "lr")
        #expect(atlas.rows.values == [nil])
        #expect(atlas.panels.map(\.point.coordinates.count) == [0])
        let cells = try #require(atlas.panels.first?.cells)
        #expect(cells.map(\.isCensored) == [true, false])
        #expect(cells.map(\.verdict) == [.censored, .pending])
        #expect(cells.map(\.matchingDensity) == [0.25, 0.5])
        #expect(cells.map(\.isDone) == [true, false])
    }

    @Test("Each density has its own test's word: undecided where winning is not tested at the sparsest that wins")
    func decisions() throws {
        let yaml = """
            name: a
            pruning: {levels: 3, rate: 0.5}
            replicates: 5
            winning_at: [0.5]
            grid: {lr: [0.1, 0.2, 0.3]}
            """
        // Of the first, tickets win at 50 and 25 % and fail at 12.5; of the second, all fail; the third's match and win.
        let board = try board(yaml) { task, level in
            let rate = task.training.learningRate
            return level == 0 ? 9_000 : rate > 0.25 ? 9_400 : rate > 0.15 || level == 3 ? 8_000 : 9_400
        }
        let cells = try #require(try Atlas(board, rows: "warmup", columns: "lr").panels.first?.cells)
        #expect(cells.map(\.winningDensity) == [0.25, nil, 0.125])
        #expect(cells.map(\.winningDecided) == [.undecided, nil, .undecided])
        #expect(cells.map(\.matchingDensity) == [0.25, nil, 0.125])
        #expect(cells.map(\.matchingDecided) == [.yes, .no, .yes])
        #expect(cells.map(\.ticketDensity) == [0.5, nil, 0.125])
    }

    @Test("The last level of a chain that was ended early is the last that was trained")
    func stopped() throws {
        let board = try board(
            "name: a\npruning: {levels: 4, rate: 0.5}\nreplicates: 2\nstop_when: {margin: 0.05, levels: 1}\ngrid: {lr: [0.1, 0.2]}"
        ) { task, level in level == 0 ? 9_800 : level == 1 ? 9_790 : 8_000 }
        let cells = try #require(try Atlas(board, rows: "warmup", columns: "lr").panels.first?.cells)
        #expect(cells.map(\.verdict) == [.stopped, .stopped] && cells.map(\.lastDensity) == [0.25, 0.25])
    }

    @Test("Axes of one of two recipes make rows and columns, too")
    func recipes() throws {
        let board = try board(
            "name: a\npruning: {levels: 2, rate: 0.5}\nreplicates: 2\ngrid: {mask_from.lr: [0.1, 0.2], train.lr: [0.1, 0.2]}"
        ) { task, level in level == 0 || task.training.learningRate > 0.15 ? 9_800 : 9_000 }
        #expect(try Atlas.varies(board, "mask_from.training.learning_rate", "width"))
        #expect(try Atlas.varies(board, "lr", "warmup") == false)
        let atlas = try Atlas(board, rows: "mask_from.training.learning_rate", columns: "train.lr")
        #expect(atlas.rows.axis == "mask_from.lr" && atlas.columns.axis == "train.lr" && atlas.panels.count == 1)
        #expect(atlas.panels[0].cells.map(\.matchingDensity) == [nil, 0.25, nil, 0.25])
        #expect(atlas.panels[0].cells.map(\.isDone) == [true, true, true, true])
        #expect(throws: AtlasError.self) { try Atlas(board, rows: "giver.lr", columns: "train.lr") }
    }

    @Test(
        "What cannot be drawn is refused with the remedy",
        arguments: [
            ("warmup", "warmup", #"rows and columns are both "warmup"; give two settings"#),
            ("warmup", "lrr", #"unknown setting "lrr"; did you mean "lr"?"#),
            (
                "momentum", "width",
                #"the sweep "a" varies neither momentum nor width; its axes are lr, warmup, rewind, depth, batch: say which with --rows and --columns"#
            ),
        ])
    func refused(rows: String, columns: String, message: String) throws {
        let board = try usual()
        let error = #expect(throws: AtlasError.self) { try Atlas(board, rows: rows, columns: columns) }
        #expect(error?.description == message)
    }
}
