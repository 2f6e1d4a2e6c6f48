import Coordination
import Foundation
import GRDB

/// The tables, and how older ones become these. A migration, once released, is never changed; a new one raises
/// `version`.
enum Schema {
    /// Kept in `user_version`. A store of a higher one is refused.
    static let version = 10
    /// `TMBL`, in the header of the database file.
    static let applicationID = 0x544D_424C

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 tasks, attempts, results, sweeps") { database in
            try database.execute(sql: tables)
            // Both are part of the transaction: a half-made store has neither.
            try database.execute(sql: "PRAGMA application_id = \(applicationID); PRAGMA user_version = 1")
            try database.execute(
                sql: "INSERT INTO store (id) VALUES (?)", arguments: [UUID().uuidString.lowercased()])
        }
        migrator.registerMigration("2 names of failures, logs, times of attempts") { database in
            try database.execute(sql: failures)
            try database.execute(sql: "PRAGMA user_version = 2")
        }
        migrator.registerMigration("3 what sweeps want, and how they stand") { database in
            try database.execute(sql: standings)
            try database.execute(sql: "PRAGMA user_version = 3")
        }
        migrator.registerMigration("4 checkpoints of trainings that are not done") { database in
            try database.execute(sql: checkpoints)
            try database.execute(sql: "PRAGMA user_version = 4")
        }
        migrator.registerMigration("5 what tasks need of a worker") { database in
            try database.execute(sql: needs)
            try database.execute(sql: "PRAGMA user_version = 5")
        }
        migrator.registerMigration("6 marks of payloads") { database in
            // As the coordinator will compare them with what it is asked for.
            let head = DatabaseFunction("payload_head", argumentCount: 1, pure: true) { values in
                Int64(bitPattern: PayloadMark(of: [UInt8](Data.fromDatabaseValue(values[0]) ?? Data())).head)
            }
            database.add(function: head)
            defer { database.remove(function: head) }
            try database.execute(sql: marks)
            try database.execute(sql: "PRAGMA user_version = 6")
        }
        migrator.registerMigration("7 what is kept of outputs that are gone") { database in
            try database.execute(sql: remainders)
            try database.execute(sql: "PRAGMA user_version = 7")
        }
        migrator.registerMigration("8 workers in quarantine, and a wish to stop") { database in
            try database.execute(sql: quarantines)
            try database.execute(sql: "PRAGMA user_version = 8")
        }
        migrator.registerMigration("9 where results are from") { database in
            try database.execute(sql: "ALTER TABLE results ADD COLUMN origin TEXT")
            try database.execute(sql: "PRAGMA user_version = 9")
        }
        migrator.registerMigration("10 submissions that are not whole") { database in
            try database.execute(sql: "ALTER TABLE sweeps ADD COLUMN is_whole INTEGER NOT NULL DEFAULT 1")
            try database.execute(sql: "PRAGMA user_version = 10")
        }
        return migrator
    }

    /// Of each task's payload what a coordinator keeps in memory, so that a start need not read payloads.
    private static let marks = """
        ALTER TABLE tasks ADD COLUMN payload_head INTEGER NOT NULL DEFAULT 0;  -- the bits of an unsigned 64-bit number
        ALTER TABLE tasks ADD COLUMN payload_bytes INTEGER NOT NULL DEFAULT 0;
        UPDATE tasks SET (payload_head, payload_bytes) =
            (SELECT payload_head(payload), length(payload) FROM payloads WHERE task = tasks.id);
        """

    /// Both are of a coordinator that may have died since.
    private static let quarantines = """
        CREATE TABLE quarantines (
            worker TEXT PRIMARY KEY,
            incarnation INTEGER NOT NULL,     -- the bits of an unsigned 64-bit nonce
            count INTEGER NOT NULL,
            milliseconds INTEGER NOT NULL
        ) WITHOUT ROWID;

        ALTER TABLE store ADD COLUMN drain TEXT; -- JSON; null if nobody wants it to stop
        """

    /// Under the name of the output. They outlive the task's result, which may have to be made again.
    private static let remainders = """
        CREATE TABLE remainders (
            task INTEGER NOT NULL REFERENCES tasks,
            name TEXT NOT NULL,
            digest BLOB NOT NULL,
            byte_count INTEGER NOT NULL,
            PRIMARY KEY (task, name)
        ) WITHOUT ROWID;
        """

    /// Bytes of memory, 0 if nothing is known, and the numerics id, null for any.
    private static let needs = """
        ALTER TABLE tasks ADD COLUMN memory INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE tasks ADD COLUMN numerics TEXT;
        """

    /// The newest of each pending task; their blobs are in `checkpoints/`, not among the artifacts.
    private static let checkpoints = """
        CREATE TABLE checkpoints (
            task INTEGER PRIMARY KEY REFERENCES tasks,
            step INTEGER NOT NULL,
            digest BLOB NOT NULL,
            byte_count INTEGER NOT NULL
        );
        """

    /// Digests are 32-byte blobs. Everything about a task points to its row number, which is eight times shorter than
    /// its key and ascends in the order of planning, parents first.
    private static let tables = """
        CREATE TABLE store (id TEXT NOT NULL);

        CREATE TABLE sweeps (
            position INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            file TEXT NOT NULL,
            spec TEXT NOT NULL,
            digest BLOB NOT NULL,
            submitted REAL NOT NULL          -- seconds since 1970
        );

        -- All that is counted or listed; what is read only to give the task out is in payloads and inputs.
        CREATE TABLE tasks (
            id INTEGER PRIMARY KEY,
            key BLOB NOT NULL UNIQUE,
            cost INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            state INTEGER NOT NULL DEFAULT 0, -- 0 pending, 1 done, 2 failed
            reason TEXT,                      -- why it failed
            attempts INTEGER NOT NULL DEFAULT 0, -- the highest number given out
            child_failures INTEGER NOT NULL DEFAULT 0,
            losses INTEGER NOT NULL DEFAULT 0,
            running_number INTEGER,           -- the attempt that is given out, else three nulls
            running_generation INTEGER,       -- the bits of an unsigned 64-bit nonce
            running_worker TEXT
        );

        CREATE TABLE payloads (
            task INTEGER PRIMARY KEY REFERENCES tasks,
            payload BLOB NOT NULL
        );

        -- A parent is named by its key, not its row: it may be asked for later than its child.
        CREATE TABLE inputs (
            task INTEGER NOT NULL REFERENCES tasks,
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            digest BLOB NOT NULL,             -- of the blob, or the parent's key
            output TEXT,                      -- the parent's output; null for a blob
            PRIMARY KEY (task, position)
        ) WITHOUT ROWID;

        -- What became of each attempt, for people. Decisions rest on tasks alone.
        CREATE TABLE attempts (
            task INTEGER NOT NULL REFERENCES tasks,
            number INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            worker TEXT NOT NULL,
            ending TEXT,                      -- see AttemptEnding; null while open
            reason TEXT,
            PRIMARY KEY (task, number, generation)
        ) WITHOUT ROWID;

        CREATE TABLE results (
            task INTEGER PRIMARY KEY REFERENCES tasks,
            attempt INTEGER,                  -- its number, if the coordinator knew it
            seconds REAL NOT NULL,
            summary BLOB NOT NULL
        );

        CREATE TABLE outputs (
            task INTEGER NOT NULL REFERENCES tasks,
            name TEXT NOT NULL,
            digest BLOB NOT NULL,
            byte_count INTEGER NOT NULL,
            PRIMARY KEY (task, name)
        ) WITHOUT ROWID;

        CREATE TABLE nondeterminism (
            id INTEGER PRIMARY KEY,
            task INTEGER NOT NULL REFERENCES tasks,
            worker TEXT NOT NULL,
            kept TEXT NOT NULL,               -- JSON: outputs that count
            other TEXT NOT NULL,              -- JSON: outputs that came later and differ
            UNIQUE (task, worker, other)
        );
        """

    private static let failures = """
        ALTER TABLE tasks ADD COLUMN failure TEXT;    -- its FailureName, while state is 2
        ALTER TABLE tasks ADD COLUMN failed_on TEXT;  -- names of the workers on which its child failed, a line each
        UPDATE tasks SET failure = 'failed' WHERE state = 2;
        ALTER TABLE attempts ADD COLUMN log TEXT;     -- the end of what its child wrote to standard error
        ALTER TABLE attempts ADD COLUMN started REAL; -- seconds since 1970
        ALTER TABLE attempts ADD COLUMN ended REAL;
        """

    /// Of a store of before, what each sweep wants is said when its coordinator has planned it again.
    private static let standings = """
        ALTER TABLE sweeps ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE sweeps ADD COLUMN is_paused INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE sweeps ADD COLUMN is_cancelled INTEGER NOT NULL DEFAULT 0;

        CREATE TABLE wants (
            task INTEGER NOT NULL REFERENCES tasks,
            sweep INTEGER NOT NULL REFERENCES sweeps,
            PRIMARY KEY (task, sweep)
        ) WITHOUT ROWID;
        """
}

/// `tasks.state`.
enum StoredState: Int {
    case pending = 0
    case done = 1
    case failed = 2
}

/// `attempts.ending`: how an attempt came to its end.
public enum AttemptEnding: String, Hashable, Sendable, Codable {
    case childFailed = "child failed"
    case lost
    case stalled
    case revoked
    case released
    case preempted
    /// Its result counted.
    case succeeded
    /// The task came to an end while this attempt was open.
    case superseded

    /// What is wrong with it, by the name that it has everywhere; nil if its result counted.
    public var failure: FailureName? {
        switch self {
        case .childFailed, .stalled: .failed
        case .lost: .lost
        case .revoked, .released, .preempted, .superseded: .preempted
        case .succeeded: nil
        }
    }
}
