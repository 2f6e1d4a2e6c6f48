import ArgumentParser
import Lottery
import Training

struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "Data sets: download, check, list.",
        subcommands: [Fetch.self, Verify.self, List.self])

    struct Fetch: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Download a data set from its public mirrors, checked against the published digests.")

        @Argument(help: "The data set's name, such as mnist.")
        var name: String

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            let catalog = data.catalog(store: store.directory)
            // The folder that is looked in first is where the files are wanted.
            let folder = catalog.folders[0]
            let paths = try catalog.fetch(name, into: folder) { progress in
                guard Console.shared.isInteractive else { return }
                let text =
                    "\(progress.file) (\(progress.fileNumber) of \(progress.fileCount)): \(Format.bytes(progress.byteCount))"
                Console.shared.show([text.cut(to: Console.shared.columns - 1)])
            }
            if Console.shared.isInteractive { Console.shared.clear() }
            // Read as training will read it; files that were unpacked by hand are not checked by a digest.
            let report = try catalog.verify(name)
            if output.json { return try Output.json(report) }
            if paths.isEmpty { return Output.line("\(name) is made by the program; there is nothing to fetch") }
            Output.facts(DataCommand.facts(of: report))
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Read and check every file of a data set.")

        @Argument(help: "The data set's name, such as mnist.")
        var name: String

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            let report = try data.catalog(store: store.directory).verify(name)
            if output.json { try Output.json(report) } else { Output.facts(DataCommand.facts(of: report)) }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the data sets, and where they are.")

        @OptionGroup var data: DataOption
        @OptionGroup var store: StoreOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            let statuses = data.catalog(store: store.directory).list()
            if output.json { return try Output.json(statuses) }
            var grid = TextGrid([
                .init("name"), .init("state"), .init("train", .right), .init("test", .right), .init("classes", .right),
                .init("folder", dropRank: 1),
            ])
            for status in statuses {
                let (word, colour): (String, Ink.Colour) =
                    switch status.state {
                    case .made: ("made by the program", .green)
                    case .present: ("present", .green)
                    case .incomplete: ("incomplete", .red)
                    case .missing: ("missing", .yellow)
                    }
                grid.append([
                    .init(status.shape.name), .init(word, colour), .init(Format.count(status.shape.trainCount)),
                    .init(Format.count(status.shape.testCount)), .init("\(status.shape.classes)"),
                    .init(status.folder ?? ""),
                ])
            }
            Output.table(grid)
            for fault in statuses.compactMap(\.fault) { Console.shared.say(fault) }
        }
    }

    private static func facts(of report: DataReport) -> [(name: String, value: String)] {
        let shape = report.shape
        var facts = [
            ("data set", shape.name),
            ("images", "\(Format.count(shape.trainCount)) for training, \(Format.count(shape.testCount)) for testing"),
            ("image", "\(shape.channels) × \(shape.height) × \(shape.width), \(shape.classes) classes"),
            ("digest", report.digest.hex),
        ]
        for file in report.files {
            let remark = file.isAsPublished ? "as published" : "well-formed; not byte for byte as published"
            facts.append(("file", "\(file.path) (\(Format.bytes(file.byteCount)), \(remark))"))
        }
        return facts
    }
}
