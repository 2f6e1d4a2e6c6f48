import Coordination
import Foundation
import GRDB
import Lottery

/// A sweep as it was submitted.
public struct SweepRecord: Hashable, Sendable {
    /// Unique within a store.
    public var name: String
    /// Where the spec was read from, for messages.
    public var file: String
    /// The YAML, word for word.
    public var spec: String
    /// What decides whether a spec under the same name is the same.
    public var digest: Digest
    /// Seconds since 1970.
    public var submittedAt: Double
    /// Whether all tasks of the submission are here. One that is not goes on when a coordinator starts.
    public var isWhole: Bool

    public init(name: String, file: String, spec: String, digest: Digest, submittedAt: Double, isWhole: Bool = true) {
        self.name = name
        self.file = file
        self.spec = spec
        self.digest = digest
        self.submittedAt = submittedAt
        self.isWhole = isWhole
    }
}

extension Store {
    /// Makes the sweep and its changes durable, all or nothing. A sweep that is there already, with the same digest,
    /// stays as it was submitted first, and the changes are stored. A large sweep comes in several pieces, the last of
    /// which is whole.
    /// - Parameter replaces: whether one of that name but another digest takes on the new spec; its place, its standing
    ///   and the time of its submission stay.
    /// - Throws: `sweepExists` if one of that name has another digest and is not to be replaced; else as `commit`.
    public func addSweep(_ sweep: SweepRecord, replaces: Bool = false, changes: [Change]) throws(StoreError) {
        try write(byteCount: changes.byteEstimate + sweep.spec.utf8.count) { database in
            let held = try Data.fetchOne(
                database, sql: "SELECT digest FROM sweeps WHERE name = ?", arguments: [sweep.name])
            if let held {
                if held != sweep.digest.data {
                    guard replaces else { throw StoreError.sweepExists(name: sweep.name) }
                    try database.execute(
                        sql: "UPDATE sweeps SET file = ?, spec = ?, digest = ? WHERE name = ?",
                        arguments: [sweep.file, sweep.spec, sweep.digest.data, sweep.name])
                }
                try database.execute(
                    sql: "UPDATE sweeps SET is_whole = ? WHERE name = ?", arguments: [sweep.isWhole, sweep.name])
            } else {
                try database.execute(
                    sql: "INSERT INTO sweeps (name, file, spec, digest, submitted, is_whole) VALUES (?, ?, ?, ?, ?, ?)",
                    arguments: [
                        sweep.name, sweep.file, sweep.spec, sweep.digest.data, sweep.submittedAt, sweep.isWhole,
                    ])
            }
            try ChangeWriter(database).apply(changes)
        }
    }

    /// The sweep of that name, if there is one.
    public func sweep(named name: String) throws(StoreError) -> SweepRecord? {
        try read { try Store.sweeps($0, "WHERE name = ?", [name]).first }
    }

    /// Every sweep, in the order of submission.
    public func sweeps() throws(StoreError) -> [SweepRecord] {
        try read { try Store.sweeps($0, "", []) }
    }

    private static func sweeps(
        _ database: Database, _ condition: String, _ arguments: StatementArguments
    ) throws -> [SweepRecord] {
        try Row.fetchAll(
            database,
            sql: "SELECT name, file, spec, digest, submitted, is_whole FROM sweeps \(condition) ORDER BY position",
            arguments: arguments
        ).map { row in
            SweepRecord(
                name: row[0], file: row[1], spec: row[2], digest: try row.digest(at: 3), submittedAt: row[4],
                isWhole: row[5])
        }
    }
}
