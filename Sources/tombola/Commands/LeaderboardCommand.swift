import ArgumentParser
import Sweeps

struct LeaderboardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leaderboard", abstract: "Rank the points of a sweep by their tickets.",
        discussion: """
            The verdict comes from the means over replicates, for a point's sparsest such density; “decided” says whether the tests bear \
            it out: one-sided, paired by seed, with at most 2.5 % false “yes” over all densities of a point and all planned looks. \
            Matching is tested from the densest level on and no further than the first that is not “yes”; winning by Holm's procedure at \
            the densities of “winning_at”. Accuracies are shown with half the width of a 95 % interval, differences in points \
            against the dense network of the same recipe.
            """)

    @Argument(help: "The sweep's name; all sweeps of the store if left out.")
    var sweep: String?

    @Flag(help: "Show each point level by level instead.")
    var byDensity = false

    @Flag(help: "Show what the search for each ticket cost, and what the ticket saves, instead; with --store only.")
    var costs = false

    @Flag(help: "Show what masks of each recipe come to under each recipe (mask_from, train) instead.")
    var matrix = false

    @OptionGroup var store: StoreOption
    @OptionGroup var connect: ConnectOption
    @OptionGroup var peer: PeerOptions
    @OptionGroup var data: DataOption
    @OptionGroup var output: TableOptions

    func validate() throws {
        guard [byDensity, costs, matrix].count(where: \.self) <= 1 else {
            throw ValidationError("give one of --by-density, --costs and --matrix, not several")
        }
    }

    func run() throws {
        if costs { return try printCosts() }
        let boards = try LeaderboardCommand.boards(of: sweep, store: store, connect: connect, peer: peer, data: data)
        if matrix { return try printMatrices(of: boards) }
        try LeaderboardOutput.print(boards, byDensity: byDensity, output)
    }
}

extension LeaderboardCommand {
    /// The leaderboard of a sweep, or of each of the store, from a store or from the coordinator that works on it.
    static func boards(
        of sweep: String?, store: StoreOption, connect: ConnectOption, peer: PeerOptions, data: DataOption
    ) throws -> [Leaderboard] {
        if let endpoint = try connect.endpoint(besides: store) {
            return try RemoteCoordinator(endpoint, peer).leaderboards(of: sweep)
        }
        let sweeps = try StoredSweeps(directory: store.directory, catalog: data.catalog(store: store.directory))
        return try sweeps.records(named: sweep).map { try sweeps.leaderboard(of: sweeps.plan(of: $0)) }
    }

    private func printMatrices(of boards: [Leaderboard]) throws {
        let matrices = boards.compactMap(TransplantMatrix.init)
        guard !matrices.isEmpty else {
            let which = boards.count == 1 ? "the sweep \(boards[0].sweep) has" : "the sweeps have"
            throw Failure(
                .usage, "\(which) one recipe only; --matrix needs masks of another, by mask_from or train in the spec")
        }
        if output.json { return try Output.json(matrices.flatMap(\.cells)) }
        let ink = Terminal.output.ink
        for (index, matrix) in matrices.enumerated() {
            if output.csv {
                Output.csv(MatrixText.csv(matrix))
                continue
            }
            if index > 0 { Output.line("") }
            if matrices.count > 1 { Output.line(ink(matrix.sweep, .bold)) }
            for (index, panel) in matrix.panels.enumerated() {
                if index > 0 { Output.line("") }
                Output.line(ink(MatrixText.title(panel), .bold))
                Output.table(MatrixText.table(panel))
            }
        }
    }

    private func printCosts() throws {
        guard try connect.endpoint(besides: store) == nil else {
            throw Failure(.usage, "--costs reads a store; run it where the store is, with --store")
        }
        let sweeps = try StoredSweeps(directory: store.directory, catalog: data.catalog(store: store.directory))
        let ledgers = try sweeps.records(named: sweep).map { record in
            let plan = try sweeps.plan(of: record)
            return CostLedger(
                plan: plan, leaderboard: try sweeps.leaderboard(of: plan), tables: try sweeps.tables(of: plan))
        }
        if output.json { return try Output.json(ledgers.flatMap(\.rows)) }
        let ink = Terminal.output.ink
        for (index, ledger) in ledgers.enumerated() {
            if output.csv {
                Output.csv(CostText.csv(ledger))
                continue
            }
            if index > 0 { Output.line("") }
            if ledgers.count > 1 { Output.line(ink(ledger.sweep, .bold)) }
            Output.table(CostText.table(ledger))
        }
    }
}

/// Leaderboards on standard output, for `leaderboard` and the end of `run`.
enum LeaderboardOutput {
    static func print(_ boards: [Leaderboard], byDensity: Bool = false, _ output: TableOptions) throws {
        if output.json {
            if byDensity { try Output.json(boards.flatMap(\.curves)) } else { try Output.json(boards.flatMap(\.rows)) }
        } else if output.csv {
            for board in boards {
                Output.csv(byDensity ? LeaderboardCSV.gridByDensity(board) : LeaderboardCSV.grid(board))
            }
        } else {
            if boards.isEmpty { Console.shared.say("no sweep was submitted yet") }
            for (index, board) in boards.enumerated() {
                printTable(board, byDensity: byDensity, isFirst: index == 0, among: boards.count)
            }
        }
    }

    private static func printTable(_ board: Leaderboard, byDensity: Bool, isFirst: Bool, among count: Int) {
        let ink = Terminal.output.ink
        if !isFirst { Output.line("") }
        if count > 1 { Output.line(ink(board.sweep, .bold)) }
        guard byDensity else {
            Output.table(LeaderboardText.table(board))
            for note in LeaderboardText.notes(board) { Output.line(note) }
            return
        }
        for (index, curve) in board.curves.enumerated() {
            if index > 0 { Output.line("") }
            let point = LeaderboardText.words(for: curve.point)
            Output.line(ink(point.isEmpty ? curve.sweep : point, .bold))
            Output.table(LeaderboardText.table(curve, branches: board.branches))
        }
    }
}
