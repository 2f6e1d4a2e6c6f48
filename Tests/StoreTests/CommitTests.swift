import Coordination
import Lottery
import Store
import Testing

@Suite("Changes come back from a snapshot")
struct CommitTests {
    let folder = TemporaryFolder()

    /// The snapshot after each of the change sets was committed in a transaction of its own, and the store opened anew.
    private func snapshot(after sets: [Change]...) throws -> Snapshot {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        for changes in sets { try store.commit(changes) }
        let live = try store.snapshot()
        try store.close()
        let reopened = try Store.open(directory: folder.store, mode: .coordinator)
        defer { #expect(throws: Never.self) { try reopened.close() } }
        let snapshot = try reopened.snapshot()
        #expect(snapshot.store == live.store)
        #expect(snapshot.tasks == live.tasks)
        return snapshot
    }

    @Test("Tasks come back whole, in the order they were added")
    func tasksAdded() throws {
        let works = [3, 0, 1, 2].map { Sample.work($0) }
        let snapshot = try snapshot(after: works.map { .taskAdded($0) })
        #expect(snapshot.tasks == works.map { Snapshot.TaskRecord(work: $0, state: .pending) })
    }

    @Test("A task that is added again stays as it was")
    func taskAddedTwice() throws {
        let snapshot = try snapshot(
            after: [.taskAdded(Sample.work(1))], [.taskAdded(Sample.work(1, priority: 99, payload: "other"))])
        #expect(snapshot.tasks.map(\.work) == [Sample.work(1)])
    }

    @Test("A request changes payload and priority and keeps the place")
    func taskRequested() throws {
        let asked = Sample.work(0, priority: 99, payload: "keep 500")
        let snapshot = try snapshot(
            after: [.taskAdded(Sample.work(0)), .taskAdded(Sample.work(1))], [.taskRequested(asked)])
        #expect(snapshot.tasks.map(\.work) == [asked, Sample.work(1)])
    }

    @Test("An attempt that was started and not ended is running, with its generation and worker")
    func attemptStarted() throws {
        let snapshot = try snapshot(
            after: [.taskAdded(Sample.work(0))], [.attemptStarted(Sample.attempt(0, 1), worker: Sample.worker)])
        let record = try #require(snapshot.record(0))
        #expect(record.running == Snapshot.Running(attempt: Sample.attempt(0, 1), worker: Sample.worker))
        #expect(record.attempts == 1)
    }

    @Test(
        "Ended attempts count by how they ended",
        arguments: [
            (AttemptEnd.childFailed(reason: "killed by signal 9", log: "out of memory"), 1, 0), (.stalled, 1, 0),
            (.lost, 0, 1), (.revoked, 0, 0), (.released, 0, 0), (.preempted, 0, 0),
        ])
    func attemptEnded(end: AttemptEnd, childFailures: Int, losses: Int) throws {
        let snapshot = try snapshot(
            after: [.taskAdded(Sample.work(0)), .attemptStarted(Sample.attempt(0, 1), worker: Sample.worker)],
            [.attemptEnded(Sample.attempt(0, 1), end)])
        let record = try #require(snapshot.record(0))
        #expect(
            record
                == Snapshot.TaskRecord(
                    work: Sample.work(0), state: .pending, attempts: 1, childFailures: childFailures, losses: losses,
                    failedOn: childFailures > 0 ? [Sample.worker] : []))
    }

    @Test("The end of an attempt of another generation ends nothing")
    func endOfAnotherGeneration() throws {
        let snapshot = try snapshot(
            after: [
                .taskAdded(Sample.work(0)), .attemptStarted(Sample.attempt(0, 1, generation: 5), worker: Sample.worker),
            ],
            [.attemptEnded(Sample.attempt(0, 1, generation: 6), .lost)])
        #expect(snapshot.record(0)?.running?.attempt == Sample.attempt(0, 1, generation: 5))
    }

    @Test("An attempt that was given up for lost runs again when its worker comes back with it")
    func attemptStartedAgain() throws {
        let snapshot = try snapshot(
            after: [
                .taskAdded(Sample.work(0)), .attemptStarted(Sample.attempt(0, 1), worker: Sample.worker),
                .attemptEnded(Sample.attempt(0, 1), .lost),
                .attemptStarted(Sample.attempt(0, 2), worker: WorkerID("worker 2")),
                .attemptEnded(Sample.attempt(0, 2), .lost),
            ], [.attemptStarted(Sample.attempt(0, 1), worker: Sample.worker)])
        let record = try #require(snapshot.record(0))
        #expect(record.running == Snapshot.Running(attempt: Sample.attempt(0, 1), worker: Sample.worker))
        #expect(record.attempts == 2)
        #expect(record.losses == 2)
    }

    @Test("A result comes back with its outputs, and ends every attempt", arguments: [Sample.attempt(0, 1), nil])
    func taskDone(by attempt: AttemptID?) throws {
        let snapshot = try snapshot(
            after: [
                .taskAdded(Sample.work(0)), .attemptStarted(Sample.attempt(0, 1), worker: Sample.worker),
                .attemptEnded(Sample.attempt(0, 1), .lost),
                .attemptStarted(Sample.attempt(0, 2), worker: WorkerID("worker 2")),
            ], [.taskDone(Sample.key(0), attempt: attempt, Sample.result(0))])
        let record = try #require(snapshot.record(0))
        #expect(record.state == .done(Sample.result(0)))
        #expect(record.running == nil)
        #expect(record.attempts == 2)
    }

    @Test("The first result counts")
    func firstResultCounts() throws {
        let snapshot = try snapshot(
            after: [.taskAdded(Sample.work(0))],
            [.taskDone(Sample.key(0), attempt: nil, Sample.result(0))],
            [
                .taskDone(Sample.key(0), attempt: nil, Sample.result(1)),
                .taskFailed(Sample.key(0), TaskFailure(.failed, "late")),
            ])
        #expect(snapshot.record(0)?.state == .done(Sample.result(0)))
    }

    @Test("A failed task keeps its reason, and a late result makes it done")
    func taskFailed() throws {
        let failed = try snapshot(
            after: [.taskAdded(Sample.work(0)), .attemptStarted(Sample.attempt(0, 1), worker: Sample.worker)],
            [.taskFailed(Sample.key(0), TaskFailure(.quarantined, "3 children died"))])
        #expect(failed.record(0)?.state == .failed(TaskFailure(.quarantined, "3 children died")))
        #expect(failed.record(0)?.running == nil)
        let done = try snapshot(after: [.taskDone(Sample.key(0), attempt: Sample.attempt(0, 1), Sample.result(0))])
        #expect(done.record(0)?.state == .done(Sample.result(0)))
    }

    @Test("A revived task is pending, its failures are forgiven, and attempt numbers go on")
    func taskRevived() throws {
        let snapshot = try snapshot(
            after: [
                .taskAdded(Sample.work(0)), .attemptStarted(Sample.attempt(0, 1), worker: Sample.worker),
                .attemptEnded(Sample.attempt(0, 1), .childFailed(reason: "trap", log: "")),
                .taskFailed(Sample.key(0), TaskFailure(.failed, "trap")),
            ], [.taskRevived(Sample.key(0))],
            [
                .attemptStarted(Sample.attempt(0, 2), worker: Sample.worker),
                .attemptEnded(Sample.attempt(0, 2), .childFailed(reason: "trap", log: "")),
            ])
        let record = try #require(snapshot.record(0))
        #expect(
            record
                == Snapshot.TaskRecord(
                    work: Sample.work(0), state: .pending, attempts: 2, childFailures: 1, failedOn: [Sample.worker]))
    }

    @Test("Attempts are kept with worker, times, outcome, last error and the end of the log")
    func attempts() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let first = Sample.attempt(0, 1)
        try store.commit([.taskAdded(Sample.work(0)), .attemptStarted(first, worker: Sample.worker)])
        try store.commit([.attemptEnded(first, .childFailed(reason: "signal 9", log: "no memory\n"))])
        try store.commit([.attemptStarted(Sample.attempt(0, 2), worker: WorkerID("other"))])
        let attempts = try store.attempts(of: Sample.key(0))
        #expect(attempts.map(\.number) == [1, 2])
        #expect(attempts.map(\.worker) == [Sample.worker, WorkerID("other")])
        #expect(attempts.map(\.ending) == [.childFailed, nil])
        #expect(attempts.map(\.reason) == ["signal 9", nil] && attempts.map(\.log) == ["no memory\n", nil])
        #expect(try #require(attempts[0].startedAt) <= #require(attempts[0].endedAt))
        #expect(attempts[1].startedAt != nil && attempts[1].endedAt == nil)
        #expect(try store.attempts(of: Sample.key(9)).isEmpty)
    }

    @Test("The log of an attempt that hung comes later, and to no other attempt")
    func lateLog() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let hung = Sample.attempt(0, 1)
        let died = Sample.attempt(0, 2)
        try store.commit([.taskAdded(Sample.work(0)), .attemptStarted(hung, worker: Sample.worker)])
        try store.commit([.attemptEnded(hung, .stalled), .attemptStarted(died, worker: Sample.worker)])
        try store.commit([.attemptEnded(died, .childFailed(reason: "signal 9", log: "no memory"))])
        try store.commit([.attemptLogged(hung, log: "at a lock"), .attemptLogged(died, log: "at a lock")])
        #expect(try store.attempts(of: Sample.key(0)).map(\.log) == ["at a lock", "no memory"])
    }

    @Test("Quarantines and the wish to stop are kept, replaced and forgotten")
    func standings() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let quarantine = Quarantine(incarnation: .max, count: 2, milliseconds: 60_000)
        try store.commit([
            .workerQuarantined(WorkerID("a"), quarantine), .workerQuarantined(WorkerID("b"), quarantine),
            .drainChanged(Drain(isAtOnce: false, endsWorkers: true)),
        ])
        #expect(try store.snapshot().quarantines == [WorkerID("a"): quarantine, WorkerID("b"): quarantine])
        #expect(try store.snapshot().drain == Drain(isAtOnce: false, endsWorkers: true))
        let over = Quarantine(incarnation: .max, count: 2, milliseconds: 0)
        try store.commit([
            .workerQuarantined(WorkerID("a"), over), .workerQuarantined(WorkerID("b"), nil), .drainChanged(nil),
        ])
        #expect(try store.snapshot().quarantines == [WorkerID("a"): over])
        #expect(try store.snapshot().drain == nil)
    }

    @Test("Tasks are found by the first digits of their keys")
    func prefixes() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit((0..<40).map { .taskAdded(Sample.work($0)) })
        let all = (0..<40).map(Sample.key).sorted()
        for digits in [0, 1, 2, 5, 64] {
            let prefix = String(all[7].hex.prefix(digits))
            let matching = all.filter { $0.hex.hasPrefix(prefix) }
            #expect(try store.keys(beginningWith: prefix, limit: 100) == matching, "prefix “\(prefix)”")
            #expect(try store.keys(beginningWith: prefix.uppercased(), limit: 1) == [matching[0]])
        }
        #expect(try store.keys(beginningWith: "xyz", limit: 9).isEmpty)
    }

    @Test("Nondeterminism is kept once, with both sides")
    func nondeterminism() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let change = Change.nondeterminism(
            Sample.key(0), kept: Sample.result(0).outputs, other: Sample.result(1).outputs, worker: Sample.worker)
        try store.commit([.taskAdded(Sample.work(0)), change])
        try store.commit([change])
        #expect(
            try store.nondeterminism() == [
                NondeterminismRecord(
                    task: Sample.key(0), worker: Sample.worker, kept: Sample.result(0).outputs,
                    other: Sample.result(1).outputs)
            ])
    }

    @Test("Tasks and results that are committed again change nothing")
    func replay() throws {
        let changes: [Change] = [
            .taskAdded(Sample.work(0)), .taskAdded(Sample.work(1)),
            .taskDone(Sample.key(0), attempt: Sample.attempt(0, 2), Sample.result(0)),
            .attemptStarted(Sample.attempt(1, 1), worker: Sample.worker),
        ]
        let once = try snapshot(after: changes)
        let twice = try snapshot(after: changes)
        #expect(once.tasks == twice.tasks)
    }

    @Test("A contradiction stores nothing of its change set")
    func contradiction() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        #expect {
            try store.commit([
                .taskAdded(Sample.work(0)), .taskFailed(Sample.key(9), TaskFailure(.failed, "never added")),
            ])
        } throws: { error in
            if case StoreError.contradiction? = error as? StoreError { true } else { false }
        }
        #expect(try store.snapshot().tasks.isEmpty)

        try store.commit([.taskAdded(Sample.work(0)), .attemptStarted(Sample.attempt(0, 1), worker: Sample.worker)])
        #expect(throws: StoreError.self) {
            try store.commit([
                .taskAdded(Sample.work(1)), .attemptStarted(Sample.attempt(0, 1), worker: WorkerID("worker 2")),
            ])
        }
        #expect(try store.snapshot().tasks.count == 1)
        #expect(try store.snapshot().record(0)?.running?.worker == Sample.worker)
    }

    @Test("Empty payloads, no inputs and no outputs come back as such")
    func empty() throws {
        let work = Work(key: Sample.key(0), inputs: [], cost: 0, priority: -1, payload: [])
        let result = WorkResult(outputs: [], summary: [], seconds: 0)
        let snapshot = try snapshot(after: [.taskAdded(work), .taskDone(Sample.key(0), attempt: nil, result)])
        #expect(snapshot.tasks == [Snapshot.TaskRecord(work: work, state: .done(result))])
    }
}
