import Coordination
import Lottery
import Store
import Testing

@Suite("Questions to a store")
struct QueryTests {
    let folder = TemporaryFolder()

    @Test("Many tasks are found at once with state, payload and outputs; unknown ones are left out")
    func tasks() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit((0..<5).map { .taskAdded(Sample.work($0)) })
        try store.commit([
            .taskDone(Sample.key(0), attempt: nil, Sample.result(0)),
            .taskFailed(Sample.key(1), TaskFailure(.lost, "trap")),
            .attemptStarted(Sample.attempt(2, 1), worker: Sample.worker),
            .attemptStarted(Sample.attempt(3, 1), worker: Sample.worker), .attemptEnded(Sample.attempt(3, 1), .lost),
        ])
        let found = try store.tasks((0..<6).map { Sample.key($0) })
        #expect(found.count == 5)
        #expect(found[Sample.key(0)]?.state == .done)
        #expect(found[Sample.key(0)]?.outputs == Sample.result(0).outputs)
        #expect(found[Sample.key(1)]?.state == .failed(TaskFailure(.lost, "trap")))
        #expect(found[Sample.key(2)]?.state == .running)
        #expect(found[Sample.key(3)]?.state == .pending)
        #expect(found[Sample.key(4)]?.payload == Sample.work(4).payload.bytes)
        #expect(try store.counts() == TaskCounts(pending: 2, running: 1, done: 1, failed: 1))
        #expect(try store.task(Sample.key(77)) == nil)
    }

    @Test("Payloads are found as they were asked for last, and are not in a snapshot")
    func payloads() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit(
            (0..<3).map { .taskAdded(Sample.work($0)) } + [.taskRequested(Sample.work(1, payload: "asked anew"))])
        let payloads = try store.payloads(of: [0, 1, 7].map(Sample.key))
        #expect(payloads == [Sample.key(0): Array("{\"task\":0}".utf8), Sample.key(1): Array("asked anew".utf8)])
        let tasks = try store.snapshot().tasks
        #expect(tasks.allSatisfy { $0.work.payload.bytes == nil })
        #expect(tasks.map(\.work) == [Sample.work(0), Sample.work(1, payload: "asked anew"), Sample.work(2)])
    }

    @Test("What tasks came to is found for those that are done or given up")
    func outcomes() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit((0..<3).map { .taskAdded(Sample.work($0)) })
        try store.commit([
            .taskDone(Sample.key(0), attempt: nil, Sample.result(0)),
            .taskFailed(Sample.key(1), TaskFailure(.lost, "trap")),
        ])
        #expect(
            try store.outcomes(of: (0..<4).map(Sample.key)) == [
                Sample.key(0): .done(summary: Sample.result(0).summary),
                Sample.key(1): .failed(TaskFailure(.lost, "trap")),
            ])
    }

    @Test("Results are found for done tasks only, with summary and seconds")
    func results() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit([
            .taskAdded(Sample.work(0)), .taskAdded(Sample.work(1)),
            .taskDone(Sample.key(1), attempt: nil, Sample.result(1, seconds: 12.25)),
        ])
        let results = try store.results(of: [Sample.key(0), Sample.key(1), Sample.key(2)])
        #expect(results == [Sample.key(1): Sample.result(1, seconds: 12.25)])
        #expect(try store.outputs(of: Sample.key(1)).map(\.name) == [.final, .metrics])
        #expect(try store.outputs(of: Sample.key(0)).isEmpty)
    }

    @Test("A sweep is stored with its tasks, and the same spec under its name adds to it")
    func sweeps() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let first = Sample.sweep("first", spec: "name: first\n")
        let second = Sample.sweep("a second", spec: "name: “zwei” 🎟️\n")
        try store.addSweep(first, changes: [.taskAdded(Sample.work(0))])
        try store.addSweep(second, changes: [])
        var again = first
        again.submittedAt += 1000
        try store.addSweep(again, changes: [.taskAdded(Sample.work(1))])
        #expect(try store.sweeps() == [first, second])
        #expect(try store.sweep(named: "a second") == second)
        #expect(try store.sweep(named: "third") == nil)
        #expect(try store.snapshot().tasks.count == 2)
    }

    @Test("A sweep that comes in pieces is not whole until the last; what was there before is whole")
    func pieces() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        var sweep = Sample.sweep("first", spec: "levels: 3")
        sweep.isWhole = false
        try store.addSweep(sweep, changes: [.taskAdded(Sample.work(0))])
        #expect(try store.sweep(named: "first") == sweep)
        sweep.isWhole = true
        try store.addSweep(sweep, changes: [.taskAdded(Sample.work(1))])
        #expect(try store.sweeps() == [sweep])
        // Another spec takes its place, piece by piece.
        var other = Sample.sweep("first", spec: "levels: 4")
        (other.submittedAt, other.isWhole) = (sweep.submittedAt, false)
        try store.addSweep(other, replaces: true, changes: [.taskAdded(Sample.work(2))])
        #expect(try store.sweeps() == [other])
        #expect(try store.snapshot().tasks.count == 3)
    }

    @Test("Another spec under an old name is refused, and its tasks are not stored")
    func changedSpec() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.addSweep(Sample.sweep("first", spec: "levels: 3"), changes: [])
        #expect(throws: StoreError.sweepExists(name: "first")) {
            try store.addSweep(Sample.sweep("first", spec: "levels: 4"), changes: [.taskAdded(Sample.work(0))])
        }
        #expect(try store.snapshot().tasks.isEmpty)
        #expect(try store.sweep(named: "first")?.spec == "levels: 3")
    }
}
