import ArgumentParser
import Foundation
import Lottery
import Store
import Sweeps

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a sweep's results as a table, for analyses of your own.",
        discussion: """
            Long form: each row says to which run, level and control it belongs. A training that several runs share is in the rows \
            of each, under the same task. --columns says what the columns mean. CSV unless --json asks for an array of objects; \
            numbers are written in full, missing ones are empty, or null.
            """)

    @Argument(help: "The sweep's name; may be left out where the store has one only.")
    var sweep: String?

    @Option(help: "What a row is: runs (with all settings), levels, evaluations, or connectivity (of siblings).")
    var table = RecordTable.evaluations

    @Flag(help: "Print the columns and what they mean instead: without a sweep at hand, those that any has.")
    var columns = false

    @Option(help: "The file to write instead of standard output, in the place of one that is there.")
    var out: String?

    @OptionGroup var store: StoreOption
    @OptionGroup var data: DataOption
    @OptionGroup var output: TableOptions

    func run() throws {
        guard !columns else { return try printColumns() }
        let sweeps = try storedSweeps()
        let records = try sweeps.tables(of: sweeps.plan(of: sweeps.record(named: sweep)))
        let sink = try RecordSink(path: out)
        do {
            try RecordText.write(records, table, asJSON: output.json, to: sink.append)
            try sink.finish()
        } catch {
            sink.abandon()
            throw error
        }
        if let out, out != "-" { Output.line(out) }
    }

    private func storedSweeps() throws -> StoredSweeps {
        try StoredSweeps(directory: store.directory, catalog: data.catalog(store: store.directory))
    }

    private func theSweep() throws -> Sweep {
        let sweeps = try storedSweeps()
        return try sweeps.sweep(of: sweeps.record(named: sweep))
    }

    private func printColumns() throws {
        // What columns mean needs no store, unless a sweep is named; one that cannot be read is as good as none.
        let described: Sweep?
        if sweep == nil { described = try? theSweep() } else { described = try theSweep() }
        let columns = table.columns(of: described)
        if output.json {
            return try Output.json(columns.map { ["name": $0.name, "meaning": $0.meaning] })
        }
        var grid = TextGrid([.init("column"), .init("meaning")])
        for column in columns { grid.append([.init(column.name), .init(column.meaning)]) }
        if output.csv { Output.csv(grid) } else { Output.table(grid) }
    }
}

extension RecordTable: ExpressibleByArgument {}
