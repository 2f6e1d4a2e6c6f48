import Coordination
import Foundation
import GRDB
import Lottery
import Store
import Testing

@Suite("Stores of older versions")
struct OldStoreTests {
    let folder = TemporaryFolder()

    @Test("A store of the first version opens with all that is in it, and goes on with what it did not have")
    func version1() throws {
        try FileManager.default.createDirectory(atPath: folder.store, withIntermediateDirectories: true)
        try DatabaseQueue(path: "\(folder.store)/\(Store.databaseName)").write { database in
            try database.execute(sql: OldStoreTests.version1)
            for (number, state) in [(0, 1), (1, 2), (2, 0)] {
                try database.execute(
                    sql: """
                        INSERT INTO tasks (key, cost, priority, state, reason, attempts, child_failures)
                        VALUES (?, ?, 7, ?, ?, 1, 1);
                        INSERT INTO payloads VALUES (last_insert_rowid(), ?)
                        """,
                    arguments: [
                        Data(Sample.key(number).digest.bytes), 100 + number, state, state == 2 ? "trap" : nil,
                        Data("{}".utf8),
                    ])
            }
            try database.execute(
                sql: """
                    INSERT INTO results VALUES (1, 1, 1.5, X'00');
                    INSERT INTO attempts VALUES (2, 1, 5, 'worker 1', 'child failed', 'trap');
                    INSERT INTO sweeps VALUES (1, 'old', 'old.yaml', 'name: old', ?, 1700000000.0);
                    """, arguments: [Data(Sample.digest(3).bytes)])
        }
        #expect(throws: StoreError.self) { try Store.open(directory: folder.store, mode: .reader) }

        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let snapshot = try store.snapshot()
        #expect(snapshot.store == StoreID("first"))
        #expect(snapshot.tasks.map(\.work.key) == (0..<3).map(Sample.key))
        #expect(snapshot.tasks.allSatisfy { $0.work.payload == Payload(Array("{}".utf8)) })
        #expect(snapshot.record(1)?.state == .failed(TaskFailure(.failed, "trap")))
        #expect(snapshot.record(2)?.childFailures == 1 && snapshot.record(2)?.failedOn == [])
        let old = try #require(try store.attempts(of: Sample.key(1)).first)
        #expect(old.ending == .childFailed && old.reason == "trap" && old.log == nil && old.startedAt == nil)
        #expect(try store.sweeps().map(\.name) == ["old"])
        #expect(snapshot.sweeps == [SweepStanding(id: SweepID("old"))])
        #expect(snapshot.tasks.allSatisfy { $0.sweeps.isEmpty })

        let again = Sample.attempt(1, 2)
        try store.commit([
            .taskRevived(Sample.key(1)), .attemptStarted(again, worker: Sample.worker),
            .attemptEnded(again, .childFailed(reason: "trap", log: "no memory")),
            .taskFailed(Sample.key(1), TaskFailure(.quarantined, "trap")),
            .sweepWants(SweepID("old"), [Sample.key(1)]),
            .sweepChanged(SweepStanding(id: SweepID("old"), priority: -3, isPaused: true)),
        ])
        #expect(try store.snapshot().record(1)?.sweeps == [SweepID("old")])
        #expect(try store.snapshot().sweeps[0].priority == -3)
        #expect(try store.snapshot().record(1)?.state == .failed(TaskFailure(.quarantined, "trap")))
        #expect(try store.attempts(of: Sample.key(1)).last?.log == "no memory")
    }

    /// As version 1 of the schema was; never to be changed.
    private static let version1 = """
        CREATE TABLE store (id TEXT NOT NULL);
        CREATE TABLE sweeps (
            position INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            file TEXT NOT NULL,
            spec TEXT NOT NULL,
            digest BLOB NOT NULL,
            submitted REAL NOT NULL
        );
        CREATE TABLE tasks (
            id INTEGER PRIMARY KEY,
            key BLOB NOT NULL UNIQUE,
            cost INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            state INTEGER NOT NULL DEFAULT 0,
            reason TEXT,
            attempts INTEGER NOT NULL DEFAULT 0,
            child_failures INTEGER NOT NULL DEFAULT 0,
            losses INTEGER NOT NULL DEFAULT 0,
            running_number INTEGER,
            running_generation INTEGER,
            running_worker TEXT
        );
        CREATE TABLE payloads (
            task INTEGER PRIMARY KEY REFERENCES tasks,
            payload BLOB NOT NULL
        );
        CREATE TABLE inputs (
            task INTEGER NOT NULL REFERENCES tasks,
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            digest BLOB NOT NULL,
            output TEXT,
            PRIMARY KEY (task, position)
        ) WITHOUT ROWID;
        CREATE TABLE attempts (
            task INTEGER NOT NULL REFERENCES tasks,
            number INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            worker TEXT NOT NULL,
            ending TEXT,
            reason TEXT,
            PRIMARY KEY (task, number, generation)
        ) WITHOUT ROWID;
        CREATE TABLE results (
            task INTEGER PRIMARY KEY REFERENCES tasks,
            attempt INTEGER,
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
            kept TEXT NOT NULL,
            other TEXT NOT NULL,
            UNIQUE (task, worker, other)
        );

        CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
        INSERT INTO grdb_migrations VALUES ('1 tasks, attempts, results, sweeps');
        INSERT INTO store VALUES ('first');
        PRAGMA application_id = 1414349388;
        PRAGMA user_version = 1;
        """
}
