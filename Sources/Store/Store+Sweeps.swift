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

    public init(name: String, file: String, spec: String, digest: Digest, submittedAt: Double) {
        self.name = name
        self.file = file
        self.spec = spec
        self.digest = digest
        self.submittedAt = submittedAt
    }
}

extension Store {
    /// Makes the sweep and its changes durable, all or nothing. A sweep that is there already, with the same digest,
    /// stays as it was submitted first, and the changes are stored.
    /// - Parameter replaces: whether one of that name but another digest takes on the new spec; its place, its standing
    ///   and the time of its submission stay.
    /// - Throws: `sweepExists` if one of that name has another digest and is not to be replaced; else as `commit`.
    public func addSweep(_ sweep: SweepRecord, replaces: Bool = false, changes: [Change]) throws(StoreError) {
        try addSweep(sweep, replaces: replaces, byteCount: changes.byteEstimate) { write in try write(changes) }
    }

    /// As with `changes`, of which no more than `body` hands over at a time need be in memory.
    /// - Parameters:
    ///   - byteCount: about how many bytes all of them will take.
    ///   - body: is to call what it is given with all changes, in order; whatever it throws, nothing is stored.
    public func addSweep(
        _ sweep: SweepRecord, replaces: Bool, byteCount: Int,
        changes body: (_ write: ([Change]) throws -> Void) throws -> Void
    ) throws(StoreError) {
        try write(byteCount: byteCount + sweep.spec.utf8.count) { database in
            let held = try Data.fetchOne(
                database, sql: "SELECT digest FROM sweeps WHERE name = ?", arguments: [sweep.name])
            if let held {
                if held != sweep.digest.data {
                    guard replaces else { throw StoreError.sweepExists(name: sweep.name) }
                    try database.execute(
                        sql: "UPDATE sweeps SET file = ?, spec = ?, digest = ? WHERE name = ?",
                        arguments: [sweep.file, sweep.spec, sweep.digest.data, sweep.name])
                }
            } else {
                try database.execute(
                    sql: "INSERT INTO sweeps (name, file, spec, digest, submitted) VALUES (?, ?, ?, ?, ?)",
                    arguments: [sweep.name, sweep.file, sweep.spec, sweep.digest.data, sweep.submittedAt])
            }
            let writer = ChangeWriter(database)
            try body { try writer.apply($0) }
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
            database, sql: "SELECT name, file, spec, digest, submitted FROM sweeps \(condition) ORDER BY position",
            arguments: arguments
        ).map { row in
            SweepRecord(name: row[0], file: row[1], spec: row[2], digest: try row.digest(at: 3), submittedAt: row[4])
        }
    }
}
