import ArgumentParser
import Artifacts
import CoordinatorService
import Foundation
import Lottery
import Store

struct StoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "A store's room, soundness and copies, also while a coordinator works on it.",
        subcommands: [Usage.self, Verify.self, Compact.self, Backup.self])

    struct Usage: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Say what takes how much room.")

        @OptionGroup var store: StoreOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            let usage = try StoreUsage(try Store.open(directory: store.directory, mode: .reader))
            if output.json { return try Output.json(usage) }
            Output.table(usage.grid)
            Output.line("")
            Output.facts(usage.facts)
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the database, and that every artifact is there with the content that its name says.",
            discussion: "It reads all artifacts, unless --quick. Exit status 1 if anything is wrong.")

        @Flag(help: "Look only whether artifacts are there and as long as they should be.")
        var quick = false

        @OptionGroup var store: StoreOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            let check = try StoreCheck(try Store.open(directory: store.directory, mode: .reader), isQuick: quick)
            if output.json {
                try Output.json(check)
            } else {
                for problem in check.problems { Output.line(problem) }
                Output.line(check.sentence)
            }
            if !check.problems.isEmpty {
                throw Failure(
                    .infrastructure,
                    "the store \(store.directory) has \(check.problems.count == 1 ? "a problem" : "\(check.problems.count) problems"): "
                        + "bring it back from a backup, or run its sweeps again in a new store")
            }
        }
    }

    struct Compact: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove artifacts that no record names, and the room that deleted records took.",
            discussion: """
                A coordinator that runs is told to do it. It rewrites the database only when nothing is being trained.

                With --intermediates, checkpoints to rewind to go as well, once all levels that start from them are done: their weights \
                stay, and so do trained weights, masks and curves, so that every ticket can be exported as before. What goes is the state \
                of the optimizer. If a sweep that grew needs it again, the steps up to there are trained again, to the same bytes.
                """)

        @Flag(help: "Remove what only levels that are done have needed.")
        var intermediates = false

        @Flag(help: "Say what would go, and remove nothing.")
        var dryRun = false

        @OptionGroup var options: ChangeOptions

        func run() throws {
            let request = CompactRequest(intermediates: intermediates, isDryRun: dryRun)
            let reply = try options.tell { try $0.compact(request) }
            if options.output.json { return try Output.json(reply) }
            func verb(_ count: Int) -> String { dryRun ? "would go" : count == 1 ? "is gone" : "are gone" }
            Output.line(
                "\(Format.count(reply.removed, "artifact")) that no record names \(verb(reply.removed)), \(Format.bytes(reply.removedBytes))"
            )
            if intermediates {
                Output.line(
                    "\(Format.count(reply.intermediates, "checkpoint")) that no level waits for \(verb(reply.intermediates)), but for their weights: "
                        + Format.bytes(reply.intermediateBytes))
            }
            guard !dryRun else { return }
            Output.line(
                "the database "
                    + (reply.rewroteDatabase
                        ? "has \(Format.bytes(reply.databaseBytes)), before \(Format.bytes(reply.databaseBytesBefore))"
                        : "is rewritten another time, as tasks run"))
        }
    }

    struct Backup: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a store of its own with all that was committed until now.",
            discussion: """
                Artifacts are second names of the same files where the disk is the same, else copies; each is read and checked. Keys and \
                workers' folders stay behind. To go back to a backup, end the coordinator and start it on the copy: workers notice, \
                what they still hold comes in, and what the copy has not got is trained again.
                """)

        @Argument(help: "The backup's folder, which must not be there yet.")
        var target: String

        @OptionGroup var store: StoreOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard !FileManager.default.fileExists(atPath: target) else {
                throw Failure(
                    .usage, "\(target) is there already, and a backup replaces nothing: name a folder that is not there"
                )
            }
            let folder = URL(filePath: store.directory).resolvingSymlinksInPath().path
            let parent = URL(filePath: target).deletingLastPathComponent().resolvingSymlinksInPath().path
            guard parent != folder, !parent.hasPrefix("\(folder)/") else {
                throw Failure(
                    .usage, "\(target) would be in the store itself, and be lost with it: name a folder elsewhere")
            }
            let source = try Store.open(directory: store.directory, mode: .reader)
            let done = try source.backUp(to: target) { number, count in
                guard Console.shared.isInteractive, number % 16 == 0 else { return }
                Console.shared.show(["\(Format.count(number)) of \(Format.count(count, "artifact"))"])
            }
            if Console.shared.isInteractive { Console.shared.clear() }
            if output.json { return try Output.json(["artifacts": done.artifacts, "bytes": done.byteCount]) }
            Output.line(
                "\(target) has \(Format.count(done.artifacts, "artifact")), \(Format.bytes(done.byteCount)), and the database of this moment"
            )
        }
    }
}

/// The JSON of `tombola store usage`.
struct StoreUsage: Encodable {
    struct Row: Encodable {
        /// As `ArtifactPurpose` says, or `unnamed`.
        var purpose: String
        var count: Int
        var bytes: Int
    }

    var artifacts: [Row]
    var databaseBytes: Int
    /// Of `tombola run`'s workers.
    var workersBytes: Int
    /// Of data sets that were fetched.
    var dataBytes: Int
    /// That may still be written to the disk.
    var freeBytes: Int

    init(_ store: Store) throws {
        let named = try store.references()
        var rows: [String: Row] = [:]
        for digest in try store.artifacts.digests() {
            let purpose = named[digest]?.purpose.rawValue ?? "unnamed"
            // It may be gone since the folder was listed.
            guard let byteCount = try? store.artifacts.byteCount(of: digest) else { continue }
            rows[purpose, default: Row(purpose: purpose, count: 0, bytes: 0)].count += 1
            rows[purpose]!.bytes += byteCount
        }
        artifacts = (ArtifactPurpose.allCases.map(\.rawValue) + ["unnamed"]).compactMap { rows[$0] }
        databaseBytes = store.databaseByteCount
        workersBytes = StoreUsage.bytes(below: "\(store.directory)/workers")
        dataBytes = StoreUsage.bytes(below: "\(store.directory)/data")
        freeBytes = try store.artifacts.freeByteCount()
    }

    private static func bytes(below folder: String) -> Int {
        let keys: [URLResourceKey] = [.isRegularFileKey, .fileSizeKey]
        guard let files = FileManager.default.enumerator(at: URL(filePath: folder), includingPropertiesForKeys: keys)
        else {
            return 0
        }
        var sum = 0
        for case let file as URL in files {
            // It may be gone since the folder was listed.
            guard let values = try? file.resourceValues(forKeys: Set(keys)), values.isRegularFile == true else {
                continue
            }
            sum += values.fileSize ?? 0
        }
        return sum
    }

    var grid: TextGrid {
        var grid = TextGrid([.init("artifacts"), .init("count", .right), .init("size", .right)])
        for row in artifacts {
            grid.append([
                .init(StoreUsage.names[row.purpose] ?? row.purpose), .init(Format.count(row.count)),
                .init(Format.bytes(row.bytes)),
            ])
        }
        return grid
    }

    private static let names = [
        "input": "data sets", "trained": "trained weights and masks", "checkpoint": "weights to rewind to",
        "metrics": "curves", "other": "others", "unnamed": "named by no record",
    ]

    var facts: [(name: String, value: String)] {
        [
            ("database", Format.bytes(databaseBytes)), ("workers", Format.bytes(workersBytes)),
            ("data", Format.bytes(dataBytes)), ("free", Format.bytes(freeBytes)),
        ]
    }
}

/// The JSON of `tombola store verify`.
struct StoreCheck: Encodable {
    var artifacts = 0
    var bytes = 0
    /// A sentence each.
    var problems: [String] = []
    var isQuick: Bool

    init(_ store: Store, isQuick: Bool) throws {
        self.isQuick = isQuick
        problems = try store.databaseDamage().map { "the database: \($0)" }
        problems += try store.nondeterminism().map {
            "task \($0.task) gave another result on \($0.worker) than the one that counts; see `tombola explain \($0.task)`"
        }
        let named = try store.references().sorted { $0.key < $1.key }
        for (number, (digest, reference)) in named.enumerated() {
            do {
                let byteCount = try store.artifacts.byteCount(of: digest)
                if let expected = reference.byteCount, expected != byteCount {
                    throw ArtifactError.damaged(
                        path: store.artifacts.path(of: digest),
                        reason: "it has \(byteCount) bytes instead of \(expected)",
                        remedy: "bring it back from a backup")
                }
                if !isQuick { try store.artifacts.verify(digest) }
                artifacts += 1
                bytes += byteCount
            } catch let error as ArtifactError {
                problems.append("\(reference.name) of task \(reference.task): \(error)")
            }
            if Console.shared.isInteractive, number % 16 == 0 {
                Console.shared.show(["\(Format.count(number)) of \(Format.count(named.count, "artifact"))"])
            }
        }
        if Console.shared.isInteractive { Console.shared.clear() }
    }

    var sentence: String {
        "the database \(problems.contains { $0.hasPrefix("the database") } ? "is damaged" : "is sound"); \(Format.count(artifacts, "artifact")), "
            + "\(Format.bytes(bytes)), are \(isQuick ? "there" : "what their names say")"
    }
}
