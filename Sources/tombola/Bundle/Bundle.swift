import Archives
import Lottery
import Store
import Sweeps
import Training

/// All there is to a sweep, in files that anyone can read and check: `tombola bundle` makes it, `tombola verify` makes
/// what it can of it anew and compares.
struct Bundle {
    enum File {
        static let readme = "README.md"
        static let spec = "spec.yaml"
        static let results = "results.json"
        static let leaderboard = "leaderboard.json"
        static let byDensity = "leaderboard-by-density.json"
        static let checksums = "SHA256SUMS"
        static func table(_ table: RecordTable) -> String { "\(table.rawValue).csv" }
        static func ticket(_ id: String) -> String { "tickets/\(id).safetensors" }
    }

    /// By name, in the order of the archive.
    private(set) var files: [(name: String, bytes: [UInt8])] = []
    /// What an archive has besides that no bundle has, in words: those who unpack it may get something else than what was
    /// read here.
    private(set) var strangers: [String] = []

    subscript(name: String) -> [UInt8]? { files.first { $0.name == name }?.bytes }

    private mutating func add(_ name: String, _ text: String) { files.append((name, Array(text.utf8))) }

    init(of record: SweepRecord, in sweeps: StoredSweeps) throws {
        let plan = try sweeps.plan(of: record)
        let results = try sweeps.results(of: plan)
        let made = try BundleMaker(plan: plan, results: results, curve: sweeps.curve)
        add(File.readme, BundleText.readme(plan, made.tables, made.leaderboard))
        add(File.spec, record.spec)
        add(File.results, try Output.jsonText(BundleResults(plan: plan, results: results)))
        files += try made.files()
        for id in made.leaderboard.rows.compactMap(\.ticket).uniqued() {
            let stored = try StoredTicket(sweeps.ticket(id), in: sweeps.store.artifacts)
            files.append((File.ticket(id), try stored.assemble().safetensors(spec: record.spec)))
        }
        add(File.checksums, checksums)
    }

    /// One line for each file but this one, as `sha256sum --check` reads them.
    var checksums: String {
        files.filter { $0.name != File.checksums }
            .map { "\(Digest.of($0.bytes).hex)  \($0.name)\n" }.joined()
    }

    /// Writes the archive, whole or not at all. Its files are in a folder of this name.
    func write(to path: String, folder: String) throws {
        let archive = try ArchiveWriter(path: path)
        for file in files { try archive.add("\(folder)/\(file.name)", file.bytes) }
        try archive.finish()
    }

    /// A larger file in an archive is no file of a bundle.
    private static let fileBytesAtMost = 8 << 30

    /// Reads the archive; nothing is written anywhere, and no name in it is taken for a path.
    init(reading path: String) throws {
        var files: [(name: String, bytes: [UInt8])] = []
        var strangers: [String] = []
        func nameInFolder(_ name: String) -> String {
            name.split(separator: "/", maxSplits: 1).last.map(String.init) ?? name
        }
        try ArchiveReader.forEachFile(
            of: path, maximumByteCount: Bundle.fileBytesAtMost,
            other: { strangers.append("\(nameInFolder($0)) is \($1), and a bundle has none") }
        ) { name, bytes in
            let name = nameInFolder(name)
            if files.contains(where: { $0.name == name }) { strangers.append("\(name) is there twice") }
            files.append((name, bytes))
            return true
        }
        self.files = files
        self.strangers = strangers
    }
}

/// The files of a bundle that are made of spec and results alone, so that they can be made again and compared.
struct BundleMaker {
    let leaderboard: Leaderboard
    let tables: Records

    init(
        plan: Plan, results: [TaskKey: TaskRecord], curve: @escaping (TaskKey) throws -> LearningCurve?
    ) throws {
        leaderboard = Leaderboard(plan: plan) { CellResult(results[$0] ?? .pending) }
        tables = Records(
            plan: plan, results: { results[$0] ?? .pending }, stepCost: Registry.standard.stepCost, curve: curve)
    }

    /// - Parameter names: which tables to make, nil for all that there are; evaluations need learning curves.
    func files(
        tables names: [RecordTable]? = nil
    ) throws -> [(name: String, bytes: [UInt8])] {
        var files = [
            (Bundle.File.leaderboard, Array(try Output.jsonText(leaderboard.rows).utf8)),
            (Bundle.File.byDensity, Array(try Output.jsonText(leaderboard.curves).utf8)),
        ]
        for table in names ?? tables.tables {
            var bytes: [UInt8] = []
            try RecordText.write(tables, table, asJSON: false) { bytes.append(contentsOf: $0.utf8) }
            files.append((Bundle.File.table(table), bytes))
        }
        return files
    }
}

extension Sequence where Element: Hashable {
    /// Each element once, where it is first.
    func uniqued() -> [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
