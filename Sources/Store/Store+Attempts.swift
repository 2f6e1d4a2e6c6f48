import Coordination
import Foundation
import GRDB
import Lottery

/// One try of a task, for people.
public struct StoredAttempt: Hashable, Sendable {
    public var number: Int
    public var worker: WorkerID
    /// Seconds since 1970; nil if it began under a version that did not note it.
    public var startedAt: Double?
    public var endedAt: Double?
    /// Nil while it is given out.
    public var ending: AttemptEnding?
    /// What its child reported or died of.
    public var reason: String?
    /// The end of what its child wrote to standard error.
    public var log: String?

    public init(
        number: Int, worker: WorkerID, startedAt: Double?, endedAt: Double?, ending: AttemptEnding?, reason: String?,
        log: String?
    ) {
        self.number = number
        self.worker = worker
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.ending = ending
        self.reason = reason
        self.log = log
    }
}

extension Store {
    /// Every try of the task, in the order in which they began.
    public func attempts(of key: TaskKey) throws(StoreError) -> [StoredAttempt] {
        try read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT number, worker, started, ended, ending, attempts.reason, log
                    FROM attempts JOIN tasks ON tasks.id = task WHERE key = ? ORDER BY number, started
                    """, arguments: [key.digest.data])
            var attempts: [StoredAttempt] = []
            while let row = try rows.next() {
                let ending: String? = row[4]
                attempts.append(
                    StoredAttempt(
                        number: row[0], worker: WorkerID(row[1]), startedAt: row[2], endedAt: row[3],
                        ending: try ending.map(Store.ending), reason: row[5], log: row[6]))
            }
            return attempts
        }
    }

    /// To whom those of the attempts were given that the store knows.
    public func holders(of ids: [AttemptID]) throws(StoreError) -> [AttemptID: WorkerID] {
        try read { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT worker FROM attempts JOIN tasks ON tasks.id = task
                    WHERE key = ? AND number = ? AND generation = ?
                    """)
            var holders: [AttemptID: WorkerID] = [:]
            for id in ids {
                let worker = try String.fetchOne(
                    statement, arguments: [id.task.digest.data, id.attempt.number, id.generation.stored])
                holders[id] = worker.map { WorkerID($0) }
            }
            return holders
        }
    }

    /// Keys that begin with these hexadecimal digits, in order, `limit` at most.
    public func keys(beginningWith prefix: String, limit: Int) throws(StoreError) -> [TaskKey] {
        let digits = prefix.lowercased()
        let count = 2 * Digest.byteCount
        guard digits.count <= count, digits.allSatisfy({ $0.isASCII && $0.isHexDigit }) else { return [] }
        let first = Digest(hex: digits + String(repeating: "0", count: count - digits.count))
        let last = Digest(hex: digits + String(repeating: "f", count: count - digits.count))
        guard let first, let last else { return [] }
        return try read { database in
            let rows = try Row.fetchCursor(
                database, sql: "SELECT key FROM tasks WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?",
                arguments: [first.data, last.data, limit])
            var keys: [TaskKey] = []
            while let row = try rows.next() { keys.append(TaskKey(try row.digest(at: 0))) }
            return keys
        }
    }

    private static func ending(_ text: String) throws -> AttemptEnding {
        guard let ending = AttemptEnding(rawValue: text) else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "an attempt has ended as “\(text)”")
        }
        return ending
    }
}
