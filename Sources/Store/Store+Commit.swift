import Coordination
import Foundation
import GRDB
import Lottery

extension Store {
    /// Makes all `changes` durable, in order, or none of them.
    ///
    /// After an error `snapshot` tells what is stored. A task that is there already stays as it is, and a task's first
    /// result counts; other changes are meant to be committed once.
    /// - Throws: `diskFull`, `contradiction`, or what the database says. Nothing of `changes` is stored then.
    public func commit(_ changes: [Change]) throws(StoreError) {
        if changes.isEmpty { return }
        try write(byteCount: changes.byteEstimate) { database in
            try ChangeWriter(database).apply(changes)
        }
    }

    /// One transaction that begins as a writer, so that it cannot fail halfway for having begun as a reader.
    func write<Value>(byteCount: Int, _ body: (Database) throws -> Value) throws(StoreError) -> Value {
        precondition(mode == .coordinator, "the store \(directory) was opened as \(mode) and cannot be written")
        do {
            return try database.writeWithoutTransaction { database in
                var value: Value?
                try database.inTransaction(.immediate) {
                    value = try body(database)
                    return .commit
                }
                return value!
            }
        } catch {
            throw StoreError(error, directory: directory, byteCount: byteCount)
        }
    }

    /// One view of the store, as of one commit.
    func read<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        do { return try database.read(body) } catch {
            throw StoreError(error, directory: directory, byteCount: 0)
        }
    }
}

/// Writes changes within a transaction. Statements are compiled once per connection.
struct ChangeWriter {
    private let database: Database
    /// When the changes happened, near enough: seconds since 1970, for people.
    private let time = Date().timeIntervalSince1970

    init(_ database: Database) { self.database = database }

    func apply(_ changes: [Change]) throws {
        for change in changes { try apply(change) }
    }

    private func apply(_ change: Change) throws {
        switch change {
        case .taskAdded(let work): try add(work)
        case .taskRequested(let work): try request(work)
        case .attemptStarted(let id, let worker): try start(id, worker)
        case .attemptEnded(let id, let end): try close(id, end)
        case .attemptLogged(let id, let log): try note(log, of: id)
        case .checkpointKept(let key, let checkpoint): try keep(checkpoint, of: key)
        case .taskDone(let key, let attempt, let result): try finish(key, attempt, result)
        case .taskFailed(let key, let failure): try fail(key, failure)
        case .taskRevived(let key): try revive(key)
        case .outputRetired(let retirement): try retire(retirement)
        case .taskReopened(let work): try reopen(work)
        case .sweepChanged(let standing): try stand(standing)
        case .sweepWants(let sweep, let keys):
            try relate(sweep, keys, "INSERT INTO wants (sweep, task) VALUES (?, ?) ON CONFLICT DO NOTHING")
        case .sweepDrops(let sweep, let keys):
            try relate(sweep, keys, "DELETE FROM wants WHERE sweep = ? AND task = ?")
        case .workerQuarantined(let worker, let quarantine): try put(quarantine, of: worker)
        case .drainChanged(let drain):
            try run("UPDATE store SET drain = ?", [try drain.map { try StoredJSON.text($0) }])
        case .nondeterminism(let key, let kept, let other, let worker): try log(key, kept, other, worker)
        }
    }

    private func add(_ work: Work) throws {
        let isNew = try run(
            """
            INSERT INTO tasks (key, cost, priority, memory, numerics, payload_head, payload_bytes)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (key) DO NOTHING
            """,
            [
                work.key.digest.data, work.cost, work.priority, work.needs.memoryBytes, work.needs.numerics?.text,
                work.payload.mark.storedHead, work.payload.mark.byteCount,
            ])
        guard isNew else { return }
        let task = database.lastInsertedRowID
        try run("INSERT INTO payloads (task, payload) VALUES (?, ?)", [task, try bytes(of: work)])
        try addInputs(of: work, task: task)
    }

    private func bytes(of work: Work) throws -> Data {
        guard let bytes = work.payload.bytes else {
            throw StoreError.contradiction("what task \(work.key) is to do came without its bytes")
        }
        return Data(bytes)
    }

    private func addInputs(of work: Work, task: Int64) throws {
        for (position, input) in work.inputs.enumerated() {
            let (digest, output): (Digest, String?) =
                switch input.source {
                case .blob(let digest): (digest, nil)
                case .output(let parent, let name): (parent.digest, name.text)
                }
            try run(
                "INSERT INTO inputs (task, position, name, digest, output) VALUES (?, ?, ?, ?, ?)",
                [task, position, input.name, digest.data, output])
        }
    }

    private func request(_ work: Work) throws {
        let task = try row(of: work.key, "a request for")
        try run(
            """
            UPDATE tasks SET cost = ?, priority = ?, memory = ?, numerics = ?, payload_head = ?, payload_bytes = ? WHERE id = ?
            """,
            [
                work.cost, work.priority, work.needs.memoryBytes, work.needs.numerics?.text,
                work.payload.mark.storedHead, work.payload.mark.byteCount, task,
            ])
        try run("UPDATE payloads SET payload = ? WHERE task = ?", [try bytes(of: work), task])
        try run("DELETE FROM inputs WHERE task = ?", [task])
        try addInputs(of: work, task: task)
    }

    private func start(_ id: AttemptID, _ worker: WorkerID) throws {
        let task = try row(of: id.task, "an attempt of")
        // The same attempt may start again: it was given up for lost, and its worker came back with it.
        let isItsOwn = try run(
            """
            INSERT INTO attempts (task, number, generation, worker, started) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET ending = NULL, reason = NULL, log = NULL, ended = NULL
            WHERE worker = excluded.worker
            """, [task, id.attempt.number, id.generation.stored, worker.text, time])
        guard isItsOwn else {
            throw StoreError.contradiction("attempt \(id.attempt) of task \(id.task) was given to two workers")
        }
        try run(
            """
            UPDATE tasks SET attempts = max(attempts, ?1), running_number = ?1, running_generation = ?2, running_worker = ?3
            WHERE id = ?4
            """, [id.attempt.number, id.generation.stored, worker.text, task])
    }

    private func close(_ id: AttemptID, _ end: AttemptEnd) throws {
        let task = try row(of: id.task, "the end of an attempt of")
        let (ending, reason, log): (AttemptEnding, String?, String?) =
            switch end {
            case .childFailed(let reason, let log): (.childFailed, reason, log.isEmpty ? nil : log)
            case .lost: (.lost, nil, nil)
            case .stalled: (.stalled, nil, nil)
            case .revoked: (.revoked, nil, nil)
            case .released: (.released, nil, nil)
            case .preempted: (.preempted, nil, nil)
            }
        try run(
            """
            UPDATE attempts SET ending = ?, reason = ?, log = ?, ended = ?
            WHERE task = ? AND number = ? AND generation = ?
            """, [ending.rawValue, reason, log, time, task, id.attempt.number, id.generation.stored])
        if end.isChildFailure {
            try run("UPDATE tasks SET child_failures = child_failures + 1 WHERE id = ?", [task])
            try noteFailure(of: task, id)
        }
        if end.isLoss { try run("UPDATE tasks SET losses = losses + 1 WHERE id = ?", [task]) }
        try run(
            """
            UPDATE tasks SET running_number = NULL, running_generation = NULL, running_worker = NULL
            WHERE id = ? AND running_number = ? AND running_generation = ?
            """, [task, id.attempt.number, id.generation.stored])
    }

    private func note(_ log: String, of id: AttemptID) throws {
        try run(
            "UPDATE attempts SET log = ? WHERE task = ? AND number = ? AND generation = ? AND ending = ?",
            [
                log, try row(of: id.task, "the log of an attempt of"), id.attempt.number, id.generation.stored,
                AttemptEnding.stalled.rawValue,
            ])
    }

    /// Adds the worker of the attempt that is given out to those on which the task's child failed.
    private func noteFailure(of task: Int64, _ id: AttemptID) throws {
        let statement = try database.cachedStatement(
            sql: "SELECT running_number, running_generation, running_worker, failed_on FROM tasks WHERE id = ?")
        guard let row = try Row.fetchOne(statement, arguments: [task]), let running = row.running(of: id.task, at: 0),
            running.attempt == id
        else { return }
        let workers = Set(row.workers(at: 3) + [running.worker]).sorted()
        try run(
            "UPDATE tasks SET failed_on = ? WHERE id = ?",
            [workers.map(\.text).joined(separator: "\n"), task])
    }

    private func keep(_ checkpoint: SavedCheckpoint, of key: TaskKey) throws {
        let task = try row(of: key, "a checkpoint of")
        try run(
            """
            INSERT INTO checkpoints (task, step, digest, byte_count) VALUES (?, ?, ?, ?)
            ON CONFLICT (task) DO UPDATE
            SET step = excluded.step, digest = excluded.digest, byte_count = excluded.byte_count
            """, [task, checkpoint.step, checkpoint.digest.data, checkpoint.byteCount])
        try run("UPDATE tasks SET losses = 0 WHERE id = ? AND losses > 0", [task])
    }

    private func finish(_ key: TaskKey, _ attempt: AttemptID?, _ result: WorkResult) throws {
        let task = try row(of: key, "a result of")
        // The first result counts; the coordinator reports a second one that differs as nondeterminism.
        let isNew = try run(
            """
            INSERT INTO results (task, attempt, seconds, summary, origin) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (task) DO NOTHING
            """,
            [
                task, attempt?.attempt.number, result.seconds, Data(result.summary),
                result.origin.isEmpty ? nil : result.origin,
            ])
        guard isNew else { return }
        for output in result.outputs {
            try run(
                "INSERT INTO outputs (task, name, digest, byte_count) VALUES (?, ?, ?, ?)",
                [task, output.name.text, output.digest.data, output.byteCount])
        }
        try settle(task, .done, nil)
        guard let attempt else { return }
        try run(
            "UPDATE attempts SET ending = ?, ended = ? WHERE task = ? AND number = ? AND generation = ?",
            [AttemptEnding.succeeded.rawValue, time, task, attempt.attempt.number, attempt.generation.stored])
    }

    private func fail(_ key: TaskKey, _ failure: TaskFailure) throws {
        try settle(try row(of: key, "the failure of"), .failed, failure)
    }

    /// Ends a task and whatever attempts of it are open; its checkpoint is of no more use. One that is done stays done.
    private func settle(_ task: Int64, _ state: StoredState, _ failure: TaskFailure?) throws {
        try run(
            """
            UPDATE tasks SET state = ?, failure = ?, reason = ?,
                running_number = NULL, running_generation = NULL, running_worker = NULL
            WHERE id = ? AND state <> ?
            """, [state.rawValue, failure?.name.rawValue, failure?.reason, task, StoredState.done.rawValue])
        try run(
            "UPDATE attempts SET ending = ?, ended = ? WHERE task = ? AND ending IS NULL",
            [AttemptEnding.superseded.rawValue, time, task])
        try run("DELETE FROM checkpoints WHERE task = ?", [task])
    }

    private func revive(_ key: TaskKey) throws {
        try run(
            """
            UPDATE tasks SET state = ?, failure = NULL, reason = NULL, child_failures = 0, losses = 0, failed_on = NULL
            WHERE id = ? AND state = ?
            """,
            [StoredState.pending.rawValue, try row(of: key, "the revival of"), StoredState.failed.rawValue])
    }

    private func retire(_ retirement: Retirement) throws {
        let task = try row(of: retirement.task, "the end of an output of")
        try run("DELETE FROM outputs WHERE task = ? AND name = ?", [task, retirement.name.text])
        guard let kept = retirement.remainder else { return }
        try run(
            "INSERT OR REPLACE INTO remainders (task, name, digest, byte_count) VALUES (?, ?, ?, ?)",
            [task, retirement.name.text, kept.digest.data, kept.byteCount])
    }

    /// Its result goes, since the next one is to count.
    private func reopen(_ work: Work) throws {
        let task = try row(of: work.key, "another try of")
        try run("DELETE FROM results WHERE task = ?", [task])
        try run("DELETE FROM outputs WHERE task = ?", [task])
        try run(
            "UPDATE tasks SET state = ?, child_failures = 0, losses = 0, failed_on = NULL WHERE id = ?",
            [StoredState.pending.rawValue, task])
        try request(work)
    }

    private func put(_ quarantine: Quarantine?, of worker: WorkerID) throws {
        guard let quarantine else {
            try run("DELETE FROM quarantines WHERE worker = ?", [worker.text])
            return
        }
        try run(
            "INSERT OR REPLACE INTO quarantines (worker, incarnation, count, milliseconds) VALUES (?, ?, ?, ?)",
            [worker.text, Int64(bitPattern: quarantine.incarnation), quarantine.count, quarantine.milliseconds])
    }

    private func stand(_ standing: SweepStanding) throws {
        try run(
            "UPDATE sweeps SET priority = ?, is_paused = ?, is_cancelled = ? WHERE position = ?",
            [standing.priority, standing.isPaused, standing.isCancelled, try position(of: standing.id)])
    }

    private func relate(_ sweep: SweepID, _ keys: [TaskKey], _ sql: String) throws {
        let position = try position(of: sweep)
        for key in keys { try run(sql, [position, try row(of: key, "a wish for")]) }
    }

    private func position(of sweep: SweepID) throws -> Int64 {
        let statement = try database.cachedStatement(sql: "SELECT position FROM sweeps WHERE name = ?")
        guard let position = try Int64.fetchOne(statement, arguments: [sweep.text]) else {
            throw StoreError.contradiction("a change of sweep \(sweep) came, which is not in the store")
        }
        return position
    }

    private func log(_ key: TaskKey, _ kept: [TaskOutput], _ other: [TaskOutput], _ worker: WorkerID) throws {
        try run(
            "INSERT INTO nondeterminism (task, worker, kept, other) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [try row(of: key, "results of"), worker.text, try StoredJSON.text(kept), try StoredJSON.text(other)])
    }

    private func row(of key: TaskKey, _ what: String) throws -> Int64 {
        let statement = try database.cachedStatement(sql: "SELECT id FROM tasks WHERE key = ?")
        guard let row = try Int64.fetchOne(statement, arguments: [key.digest.data]) else {
            throw StoreError.contradiction("\(what) task \(key) came, which is not in the store")
        }
        return row
    }

    /// Runs the statement and says whether it changed a row.
    @discardableResult
    private func run(_ sql: String, _ arguments: StatementArguments) throws -> Bool {
        try database.cachedStatement(sql: sql).execute(arguments: arguments)
        return database.changesCount > 0
    }
}

extension [Change] {
    /// About how many bytes these take on the disk, for the sentence about a full one.
    var byteEstimate: Int {
        reduce(4096) { sum, change in
            switch change {
            case .taskAdded(let work), .taskRequested(let work), .taskReopened(let work):
                sum + 256 + work.payload.mark.byteCount + 128 * work.inputs.count
            case .taskDone(_, _, let result): sum + 256 + result.summary.count + 96 * result.outputs.count
            case .attemptEnded(_, .childFailed(let reason, let log)): sum + 256 + reason.utf8.count + log.utf8.count
            case .attemptLogged(_, let log): sum + 256 + log.utf8.count
            case .sweepWants(_, let keys), .sweepDrops(_, let keys): sum + 16 * keys.count
            case .attemptStarted, .attemptEnded, .checkpointKept, .taskFailed, .taskRevived, .outputRetired,
                .nondeterminism,
                .sweepChanged, .workerQuarantined, .drainChanged:
                sum + 256
            }
        }
    }
}

extension Digest {
    var data: Data { Data(bytes) }
}

extension PayloadMark {
    /// SQLite's integers are signed.
    var storedHead: Int64 { Int64(bitPattern: head) }
    init(storedHead: Int64, byteCount: Int) { self.init(head: UInt64(bitPattern: storedHead), byteCount: byteCount) }
}

extension Generation {
    /// SQLite's integers are signed.
    var stored: Int64 { Int64(bitPattern: nonce) }
    init(stored: Int64) { self.init(nonce: UInt64(bitPattern: stored)) }
}

/// Values kept as JSON text.
enum StoredJSON {
    static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func value<Value: Decodable>(_ text: String, as type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }
}
