import ArgumentParser
import Store

struct BundleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bundle",
        abstract: "Put a sweep's spec, results, tables and tickets into one archive that anyone can check.",
        discussion: """
            The archive has the spec, what each training came to, the leaderboard, the tables of `export`, the tickets of the \
            leaderboard as safetensors, a page that says what all of this means, and checksums. The same results give the same \
            bytes. `tombola verify` checks it again.
            """)

    @Argument(help: "The sweep's name; may be left out where the store has one only.")
    var sweep: String?

    @Option(help: "The archive to write, in the place of one that is there; default: SWEEP.tar.gz.")
    var out: String?

    @OptionGroup var store: StoreOption
    @OptionGroup var data: DataOption
    @OptionGroup var output: OutputOptions

    func run() throws {
        let sweeps = try StoredSweeps(directory: store.directory, catalog: data.catalog(store: store.directory))
        let record = try sweeps.record(named: sweep)
        let path = out ?? "\(record.name).tar.gz"
        try OutputPath.check(path)
        let bundle = try Bundle(of: record, in: sweeps)
        try bundle.write(to: path, folder: record.name)
        if output.json {
            struct Report: Encodable {
                var path: String
                var files: [String]
            }
            return try Output.json(Report(path: path, files: bundle.files.map(\.name)))
        }
        let size = bundle.files.reduce(0) { $0 + $1.bytes.count }
        Output.line("\(path) has \(Format.count(bundle.files.count)) files, \(Format.bytes(size)) unpacked")
    }
}
