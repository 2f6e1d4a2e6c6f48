import Coordination
import Foundation
import GRDB
import Lottery

/// What the store knows of one task.
public struct StoredTask: Hashable, Sendable {
    public var key: TaskKey
    public var state: State
    /// What its slot is told to do: which checkpoints were asked for is in there.
    public var payload: [UInt8]
    /// What it left, sorted by name; empty until it is done.
    public var outputs: [TaskOutput]

    public init(key: TaskKey, state: State, payload: [UInt8], outputs: [TaskOutput]) {
        self.key = key
        self.state = state
        self.payload = payload
        self.outputs = outputs
    }

    public enum State: Hashable, Sendable {
        /// Not given out, or taken back.
        case pending
        /// An attempt is given out, as far as the store knows.
        case running
        case done
        case failed(TaskFailure)
    }
}

/// What a task came to.
public enum StoredOutcome: Hashable, Sendable {
    case done(summary: [UInt8])
    case failed(TaskFailure)
}

/// How many tasks are in each state.
public struct TaskCounts: Hashable, Sendable {
    public var pending = 0
    public var running = 0
    public var done = 0
    public var failed = 0

    public init(pending: Int = 0, running: Int = 0, done: Int = 0, failed: Int = 0) {
        self.pending = pending
        self.running = running
        self.done = done
        self.failed = failed
    }
}

/// Two results of one task that differ.
public struct NondeterminismRecord: Hashable, Sendable {
    public var task: TaskKey
    public var worker: WorkerID
    public var kept: [TaskOutput]
    public var other: [TaskOutput]

    public init(task: TaskKey, worker: WorkerID, kept: [TaskOutput], other: [TaskOutput]) {
        self.task = task
        self.worker = worker
        self.kept = kept
        self.other = other
    }
}

extension Store {
    /// What is known of each of `keys`; those the store has never heard of are left out.
    /// - Complexity: two index look-ups a key; 100,000 keys take about a second.
    public func tasks(_ keys: some Collection<TaskKey>) throws(StoreError) -> [TaskKey: StoredTask] {
        try read { database in
            let find = try database.cachedStatement(
                sql: """
                    SELECT id, state, reason, payload, running_number IS NOT NULL, failure
                    FROM tasks JOIN payloads ON payloads.task = tasks.id WHERE key = ?
                    """)
            var found: [TaskKey: StoredTask] = Dictionary(minimumCapacity: keys.count)
            for key in keys {
                guard let row = try Row.fetchOne(find, arguments: [key.digest.data]) else { continue }
                let state: StoredTask.State
                switch try row.state(at: 1) {
                case .pending: state = row[4] ? .running : .pending
                case .done: state = .done
                case .failed: state = .failed(try row.failure(nameAt: 5, reasonAt: 2))
                }
                found[key] = StoredTask(
                    key: key, state: state, payload: try row.bytes(at: 3),
                    outputs: state == .done ? try Store.outputs(ofTask: row[0], database) : [])
            }
            return found
        }
    }

    public func task(_ key: TaskKey) throws(StoreError) -> StoredTask? { try tasks([key])[key] }

    /// What slots are to do for those of `keys` that the store has.
    /// - Complexity: two index look-ups a key.
    public func payloads(of keys: some Collection<TaskKey>) throws(StoreError) -> [TaskKey: [UInt8]] {
        if keys.isEmpty { return [:] }
        return try read { database in
            let find = try database.cachedStatement(
                sql: "SELECT payload FROM payloads WHERE task = (SELECT id FROM tasks WHERE key = ?)")
            var found: [TaskKey: [UInt8]] = Dictionary(minimumCapacity: keys.count)
            for key in keys {
                found[key] = try Row.fetchOne(find, arguments: [key.digest.data])?.bytes(at: 0)
            }
            return found
        }
    }

    /// What those of `keys` came to that are done or were given up.
    /// - Complexity: two index look-ups a key.
    public func outcomes(of keys: some Collection<TaskKey>) throws(StoreError) -> [TaskKey: StoredOutcome] {
        try read { database in
            let find = try database.cachedStatement(
                sql: """
                    SELECT state, failure, reason, summary FROM tasks LEFT JOIN results ON results.task = tasks.id
                    WHERE key = ? AND state <> 0
                    """)
            var found: [TaskKey: StoredOutcome] = [:]
            for key in keys {
                guard let row = try Row.fetchOne(find, arguments: [key.digest.data]) else { continue }
                switch try row.state(at: 0) {
                case .pending: break
                case .failed: found[key] = .failed(try row.failure(nameAt: 1, reasonAt: 2))
                case .done: found[key] = .done(summary: try row.bytes(at: 3))
                }
            }
            return found
        }
    }

    /// The results of those of `keys` that are done.
    /// - Complexity: as `tasks`.
    public func results(of keys: some Collection<TaskKey>) throws(StoreError) -> [TaskKey: WorkResult] {
        try read { database in
            let find = try database.cachedStatement(
                sql: """
                    SELECT results.task, summary, seconds, origin FROM tasks JOIN results ON results.task = tasks.id WHERE key = ?
                    """)
            var found: [TaskKey: WorkResult] = Dictionary(minimumCapacity: keys.count)
            for key in keys {
                guard let row = try Row.fetchOne(find, arguments: [key.digest.data]) else { continue }
                found[key] = WorkResult(
                    outputs: try Store.outputs(ofTask: row[0], database), summary: try row.bytes(at: 1),
                    seconds: row[2],
                    origin: row[3] ?? "")
            }
            return found
        }
    }

    /// Nil until the task is done.
    public func result(of key: TaskKey) throws(StoreError) -> WorkResult? { try results(of: [key])[key] }

    /// What the task left, sorted by name; empty until it is done.
    public func outputs(of key: TaskKey) throws(StoreError) -> [TaskOutput] { try result(of: key)?.outputs ?? [] }

    /// What the task reads; empty for an unknown one.
    public func inputs(of key: TaskKey) throws(StoreError) -> [WorkInput] {
        try read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT name, digest, output FROM inputs JOIN tasks ON tasks.id = task WHERE key = ? ORDER BY position
                    """, arguments: [key.digest.data])
            var inputs: [WorkInput] = []
            while let row = try rows.next() { inputs.append(try row.input(at: 0)) }
            return inputs
        }
    }

    public func counts() throws(StoreError) -> TaskCounts {
        try read { database in
            let row = try Row.fetchOne(
                database,
                sql: """
                    SELECT count(*) FILTER (WHERE state = 0 AND running_number IS NULL),
                        count(*) FILTER (WHERE state = 0 AND running_number IS NOT NULL),
                        count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2)
                    FROM tasks
                    """)!
            return TaskCounts(pending: row[0], running: row[1], done: row[2], failed: row[3])
        }
    }

    /// Every contradiction between two results of a task, oldest first.
    public func nondeterminism() throws(StoreError) -> [NondeterminismRecord] {
        try read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT key, worker, kept, other FROM nondeterminism JOIN tasks ON tasks.id = task
                    ORDER BY nondeterminism.id
                    """)
            var records: [NondeterminismRecord] = []
            while let row = try rows.next() {
                records.append(
                    NondeterminismRecord(
                        task: TaskKey(try row.digest(at: 0)), worker: WorkerID(row[1]),
                        kept: try StoredJSON.value(row[2]),
                        other: try StoredJSON.value(row[3])))
            }
            return records
        }
    }

    /// The tasks of those, each once.
    public func contradictedTasks() throws(StoreError) -> [TaskKey] {
        var tasks: [TaskKey] = []
        for record in try nondeterminism() where !tasks.contains(record.task) { tasks.append(record.task) }
        return tasks
    }

    private static func outputs(ofTask task: Int64, _ database: Database) throws -> [TaskOutput] {
        let statement = try database.cachedStatement(
            sql: "SELECT name, digest, byte_count FROM outputs WHERE task = ? ORDER BY name")
        let rows = try Row.fetchCursor(statement, arguments: [task])
        var outputs: [TaskOutput] = []
        while let row = try rows.next() { outputs.append(try row.output(at: 0)) }
        return outputs
    }
}
