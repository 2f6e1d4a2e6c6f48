import Coordination
import Foundation
import GRDB
import Lottery

extension Store {
    /// All that a coordinator must know to go on, as of the last commit: tasks in the order they were added, without
    /// the bytes of their payloads.
    /// - Complexity: one pass over each table, in the same order, joined as they go.
    public func snapshot() throws(StoreError) -> Snapshot {
        try read { database in
            var tasks: [Snapshot.TaskRecord] = []
            try forEachTask(database) { tasks.append($0) }
            let circumstances = try Store.circumstances(database)
            return Snapshot(
                store: id, tasks: tasks, sweeps: try Store.sweepStandings(database).map(\.standing),
                quarantines: circumstances.quarantines, drain: circumstances.drain)
        }
    }

    /// Hands over all tasks of `snapshot`, one after the other, so that they need not be in memory at once.
    public func forEachTask(_ body: (Snapshot.TaskRecord) -> Void) throws(StoreError) {
        try read { try forEachTask($0, body) }
        // Nobody reads the pages that only a passage through all tasks needs.
        database.releaseMemory()
    }

    /// How all sweeps stand, in the order of submission.
    public func standings() throws(StoreError) -> [SweepStanding] {
        try read { try Store.sweepStandings($0).map(\.standing) }
    }

    /// Which workers are quarantined, and a stop that no process has come to the end of.
    public func circumstances() throws(StoreError) -> (quarantines: [WorkerID: Quarantine], drain: Drain?) {
        try read { try Store.circumstances($0) }
    }

    private static func circumstances(
        _ database: Database
    ) throws -> (quarantines: [WorkerID: Quarantine], drain: Drain?) {
        var quarantines: [WorkerID: Quarantine] = [:]
        for row in try Row.fetchAll(database, sql: "SELECT worker, incarnation, count, milliseconds FROM quarantines") {
            quarantines[WorkerID(row[0])] = Quarantine(
                incarnation: UInt64(bitPattern: row[1]), count: row[2], milliseconds: row[3])
        }
        let drain = try String.fetchOne(database, sql: "SELECT drain FROM store WHERE drain IS NOT NULL")
        return (quarantines, try drain.map { try StoredJSON.value($0) })
    }

    private static func sweepStandings(_ database: Database) throws -> [(position: Int64, standing: SweepStanding)] {
        try Row.fetchAll(
            database, sql: "SELECT position, name, priority, is_paused, is_cancelled FROM sweeps ORDER BY position"
        ).map { row in
            (row[0], SweepStanding(id: SweepID(row[1]), priority: row[2], isPaused: row[3], isCancelled: row[4]))
        }
    }

    private func forEachTask(_ database: Database, _ body: (Snapshot.TaskRecord) -> Void) throws {
        var inputs = try Grouped(database, "SELECT task, name, digest, output FROM inputs ORDER BY task, position") {
            row in
            try row.input(at: 1)
        }
        var results = try Grouped(database, "SELECT task, summary, seconds, origin FROM results ORDER BY task") { row in
            (summary: try row.bytes(at: 1), seconds: row[2] as Double, origin: row[3] as String? ?? "")
        }
        var outputs = try Grouped(database, "SELECT task, name, digest, byte_count FROM outputs ORDER BY task, name") {
            row in
            try row.output(at: 1)
        }
        var wants = try Grouped(database, "SELECT task, sweep FROM wants ORDER BY task, sweep") { row in
            row[1] as Int64
        }
        let sweeps = Dictionary(
            uniqueKeysWithValues: try Store.sweepStandings(database).map { ($0.position, $0.standing.id) })
        // Most tasks are wanted by the same few, whose names are then kept once.
        var wishes: [[Int64]: [SweepID]] = [:]
        func names(_ positions: [Int64]) throws -> [SweepID] {
            if let known = wishes[positions] { return known }
            let names = positions.compactMap { sweeps[$0] }.sorted()
            wishes[positions] = names
            return names
        }
        var checkpoints = try Grouped(
            database, "SELECT task, step, digest, byte_count FROM checkpoints ORDER BY task"
        ) { row in
            SavedCheckpoint(step: row[1], digest: try row.digest(at: 2), byteCount: row[3])
        }
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT id, key, cost, priority, payload_head, state, reason, attempts, child_failures, losses,
                    running_number, running_generation, running_worker, failure, failed_on, memory, numerics,
                    payload_bytes
                FROM tasks ORDER BY id
                """)
        while let row = try rows.next() {
            let task: Int64 = row[0]
            let key = TaskKey(try row.digest(at: 1))
            let work = Work(
                key: key, inputs: try inputs.values(of: task), cost: row[2], priority: row[3],
                needs: Work.Needs(memoryBytes: row[15], numerics: (row[16] as String?).map { NumericsID($0) }),
                payload: Payload(stored: PayloadMark(storedHead: row[4], byteCount: row[17])))
            let state: Snapshot.State
            switch try row.state(at: 5) {
            case .pending: state = .pending
            case .failed: state = .failed(try row.failure(nameAt: 13, reasonAt: 6))
            case .done:
                guard let result = try results.values(of: task).first else {
                    throw StoreError.damaged(directory: directory, reason: "task \(key) is done and has no result")
                }
                state = .done(
                    WorkResult(
                        outputs: try outputs.values(of: task), summary: result.summary, seconds: result.seconds,
                        origin: result.origin))
            }
            body(
                Snapshot.TaskRecord(
                    work: work, state: state, attempts: row[7], childFailures: row[8], losses: row[9],
                    failedOn: row.workers(at: 14), sweeps: try names(wants.values(of: task)),
                    running: row.running(of: key, at: 10), checkpoint: try checkpoints.values(of: task).first))
        }
    }
}

/// The rows of a query that is ordered by its first column, a task's row number, handed out task by task in ascending
/// order.
private struct Grouped<Value> {
    private let rows: RowCursor
    private let decode: (Row) throws -> Value
    /// The row that was read and belongs to no task asked for so far.
    private var next: (task: Int64, value: Value)?

    init(_ database: Database, _ sql: String, _ decode: @escaping (Row) throws -> Value) throws {
        rows = try Row.fetchCursor(database, sql: sql)
        self.decode = decode
        try advance()
    }

    mutating func values(of task: Int64) throws -> [Value] {
        var values: [Value] = []
        while let row = next, row.task <= task {
            if row.task == task { values.append(row.value) }
            try advance()
        }
        return values
    }

    private mutating func advance() throws {
        next = try rows.next().map { (task: $0[0], value: try decode($0)) }
    }
}

extension Row {
    func bytes(at index: Int) throws -> [UInt8] {
        try withUnsafeData(atIndex: index) { $0.map { [UInt8]($0) } ?? [] }
    }

    func digest(at index: Int) throws -> Digest {
        try withUnsafeData(atIndex: index) { data in
            guard let data, data.count == Digest.byteCount else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a digest has \(data?.count ?? 0) bytes")
            }
            return Digest(bytes: data)
        }
    }

    func state(at index: Int) throws -> StoredState {
        guard let state = StoredState(rawValue: self[index]) else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "a task is in state \(self[index] as Int)")
        }
        return state
    }

    func failure(nameAt index: Int, reasonAt reason: Int) throws -> TaskFailure {
        guard let name = FailureName(rawValue: self[index] ?? "") else {
            throw DatabaseError(
                resultCode: .SQLITE_CORRUPT, message: "a task has failed under the name “\(self[index] ?? "")”")
        }
        return TaskFailure(name, self[reason] ?? "")
    }

    /// Names of workers, a line each.
    func workers(at index: Int) -> [WorkerID] {
        (self[index] as String?)?.split(separator: "\n").map { WorkerID(String($0)) } ?? []
    }

    /// The attempt that is given out, from the columns running_number, running_generation, running_worker.
    func running(of key: TaskKey, at index: Int) -> Snapshot.Running? {
        guard let number: Int = self[index] else { return nil }
        return Snapshot.Running(
            attempt: AttemptID(task: key, attempt: Attempt(number), generation: Generation(stored: self[index + 1])),
            worker: WorkerID(self[index + 2]))
    }

    /// An input from the columns name, digest, output.
    func input(at index: Int) throws -> WorkInput {
        let digest = try digest(at: index + 1)
        let output: String? = self[index + 2]
        return WorkInput(
            name: self[index], source: output.map { .output(TaskKey(digest), OutputName($0)) } ?? .blob(digest))
    }

    /// An output from the columns name, digest, byte_count.
    func output(at index: Int) throws -> TaskOutput {
        TaskOutput(name: OutputName(self[index]), digest: try digest(at: index + 1), byteCount: self[index + 2])
    }
}
