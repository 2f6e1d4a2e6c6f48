import ArgumentParser
import Sweeps

struct AtlasCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "atlas",
        abstract: "Show how sparse tickets get over two settings, such as warmup and learning rate.",
        discussion: """
            One panel for each combination of the sweep's other axes, such as depth and rewind step. A cell has the sparsest density at \
            which tickets win, and the sparsest at which they match the dense network; `tombola leaderboard` has the numbers behind it.
            """)

    @Argument(help: "The sweep's name; all sweeps of the store that vary either setting if left out.")
    var sweep: String?

    @Option(help: "The setting that differs from row to row.")
    var rows = "warmup"

    @Option(help: "The setting that differs from column to column.")
    var columns = "lr"

    @OptionGroup var store: StoreOption
    @OptionGroup var connect: ConnectOption
    @OptionGroup var peer: PeerOptions
    @OptionGroup var data: DataOption
    @OptionGroup var output: TableOptions

    func run() throws {
        let boards = try LeaderboardCommand.boards(of: sweep, store: store, connect: connect, peer: peer, data: data)
        let varied = try boards.filter { try Atlas.varies($0, rows, columns) }
        let isChoice = sweep == nil && !varied.isEmpty
        let atlases = try (isChoice ? varied : boards).map { try Atlas($0, rows: rows, columns: columns) }
        if output.json { return try Output.json(atlases) }
        if output.csv { return atlases.forEach { Output.csv(AtlasText.csv($0)) } }
        let ink = Terminal.output.ink
        for atlas in atlases {
            for panel in atlas.panels {
                let title = [atlases.count > 1 ? atlas.sweep : "", AtlasText.title(panel)].filter { !$0.isEmpty }
                    .joined(separator: ": ")
                if !title.isEmpty { Output.line(ink(title, .bold)) }
                Output.table(AtlasText.table(panel, of: atlas))
                Output.line("")
            }
        }
        Output.line(ink(AtlasText.legend(of: atlases), .dim))
    }
}
