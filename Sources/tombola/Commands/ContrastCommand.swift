import ArgumentParser
import Sweeps

struct ContrastCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "contrast",
        abstract: "Show whether a setting, such as warmup, widens the gap between tickets and a control.",
        discussion: """
            Of points that differ in the setting alone, each beside the first of them, level by level: accuracy of the ticket less that \
            of its control at either value, and the one gap less the other, paired by seed. Name beforehand the levels that are to be \
            decided by, with --level: these share the error, and the rest describes. Without it all levels of all panels share it.
            """)

    @Argument(help: "The sweep's name; may be left out where the store has one only.")
    var sweep: String?

    @Option(help: "The setting, one of the sweep's axes.")
    var axis = "warmup"

    @Option(help: "What tickets are held against: a branch of the sweep, or dense.")
    var against = "random-reinit"

    @Option(
        name: .customLong("level"),
        help: "A level that is to be decided by, of every panel; may be given more than once.")
    var levels: [Int] = []

    @OptionGroup var store: StoreOption
    @OptionGroup var data: DataOption
    @OptionGroup var output: TableOptions

    func run() throws {
        let sweeps = try StoredSweeps(directory: store.directory, catalog: data.catalog(store: store.directory))
        let plan = try sweeps.plan(of: sweeps.record(named: sweep))
        let results = try sweeps.results(of: plan)
        let contrast = try Contrast(plan: plan, axis: axis, control: against, named: Set(levels)) {
            CellResult(results[$0] ?? .pending)
        }
        if output.json { return try Output.json(contrast) }
        if output.csv { return Output.csv(ContrastText.csv(contrast)) }
        let ink = Terminal.output.ink
        for (index, panel) in contrast.panels.enumerated() {
            if index > 0 { Output.line("") }
            Output.line(ink(ContrastText.title(panel, of: contrast), .bold))
            Output.table(ContrastText.table(panel, of: contrast))
            for note in ContrastText.notes(panel, of: contrast) { Output.line(note) }
        }
        Output.line("")
        Output.line(ink(ContrastText.legend(contrast), .dim))
    }
}
