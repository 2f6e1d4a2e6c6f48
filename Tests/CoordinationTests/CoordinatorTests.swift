import Coordination
import Lottery
import Testing

@Suite("Coordinator")
struct CoordinatorTests {
    @Test("A task is given out with its attempt in the same outcome, and done once its blob is stored")
    func happyPath() {
        var bench = Bench()
        bench.add([work(1)])
        let joined = bench.join("a")
        let id = attempt(1, 1)
        #expect(joined.changes == [.attemptStarted(id, worker: "a")])
        #expect(joined.messages.map(\.message).contains { if case .task(let task) = $0 { task.id == id } else { false } })
        let offered = bench.result(id, from: "a")
        #expect(offered.changes.isEmpty)
        #expect(offered.pulls.map(\.worker) == ["a"])
        #expect(bench.status.counts.delivering == 1)
        let stored = bench.handle(.blobStored(offered.pulls[0].digest))
        #expect(stored.changes == [.taskDone(key(1), attempt: id, result(1))])
        #expect(stored.acks == [ResultAck(store: bench.store, id: id, verdict: .accepted)])
        #expect(bench.status.counts.isSettled)
    }
}
