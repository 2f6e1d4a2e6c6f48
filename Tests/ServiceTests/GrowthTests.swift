import CoordinatorService
import Foundation
import Lottery
import Store
import Sweeps
import Testing

@Suite("Sweeps that ask for more, and what is in their way", .timeLimit(.minutes(2)), .serialized)
struct GrowthTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    /// Two seeds of a dense training and a level, and of another level once these are done.
    private static let request = SubmitRequest(
        file: "grows.yaml",
        spec: """
            name: grows
            dataset: dots
            model: {family: mlp, hidden: [100]}
            training: {iterations: 20, batch: 10, evaluate_every: 10}
            pruning: {rate: 0.5, levels: 2, rewind: 5}
            data: {validation: 1000}
            replicates: 2
            stop_when: {margin: 0.2, levels: 1}
            """)

    private struct Away: Error, CustomStringConvertible {
        let description = "the disk with the dots is not mounted"
    }

    /// Data that is there but while the file `away` is.
    private func data() -> DataAccess {
        let (away, access) = (bench.path("away"), DataAccess.fixture)
        return DataAccess(
            digest: { name in
                guard !FileManager.default.fileExists(atPath: away) else { throw Away() }
                return try access.digest(name)
            }, materialise: access.materialise)
    }

    @Test("A sweep whose data is away at a restart goes on, is planned once the data is back, and then grows")
    func dataAwayAtRestart() throws {
        func submitAtFirst() throws {
            let first = try bench.startCoordinator()
            _ = try first.submit(Self.request)
            first.stop()
            _ = try first.run()
        }
        try submitAtFirst()
        bench.touch("away")
        let access = data()
        let second = try bench.startCoordinator {
            $0.data = access
            $0.retryMilliseconds = 50
        }
        _ = try bench.startWorker(at: second.endpoint, slots: 2)
        // What it has is trained; nothing is asked for beyond, and the status says why.
        try #require(try eventually { try second.store.counts() == TaskCounts(done: 4) })
        try #require(eventually { second.status?.unplanned.first?.reason.contains("not mounted") == true })
        #expect(second.status?.unplanned.map(\.sweep) == ["grows"] && second.status?.sweeps.isEmpty == true)
        try FileManager.default.removeItem(atPath: bench.path("away"))
        #expect(try eventually { try second.store.counts() == TaskCounts(done: 6) })
        let all = ServiceStatus.Tally(done: 6, total: 6)
        #expect(eventually { second.status?.sweeps.first?.levels == all })
        #expect(second.status?.unplanned == [])
    }

    @Test("What cannot be planned is said, and ends a process that has nothing else to do; the next one goes on")
    func hopeless() throws {
        func failAtFirst() throws {
            let access = data()
            let first = try bench.startCoordinator {
                $0.data = access
                $0.retryMilliseconds = 50
                $0.exitWhenDone = true
            }
            _ = try first.submit(Self.request)
            bench.touch("away")
            let worker = try bench.startWorker(at: first.endpoint, slots: 2)
            let error = #expect(throws: CoordinatorServiceError.self) { try first.run() }
            #expect("\(try #require(error))".contains("could not be planned in 5 tries"))
            #expect("\(try #require(error))".hasSuffix("the disk with the dots is not mounted"))
            #expect(first.status?.sweeps.first?.growthFailure?.contains("not mounted") == true)
            #expect(try first.store.counts() == TaskCounts(done: 4))
            // Its workers end with it.
            _ = try worker.waitForExit()
        }
        try failAtFirst()
        try FileManager.default.removeItem(atPath: bench.path("away"))
        let second = try bench.startCoordinator { $0.exitWhenDone = true }
        _ = try second.submit(Self.request)
        _ = try bench.startWorker("b", at: second.endpoint, slots: 2)
        #expect(try second.run() == .done(failedTasks: 0))
        #expect(try second.store.counts() == TaskCounts(done: 6))
    }
}
