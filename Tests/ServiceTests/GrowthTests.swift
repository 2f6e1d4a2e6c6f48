import Client
import Coordination
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

    /// Data that is there but while the file `away` is, and takes its time while the file `slow` is.
    private func data() -> DataAccess {
        let (away, slow, access) = (bench.path("away"), bench.path("slow"), DataAccess.fixture)
        return DataAccess(
            digest: { name in
                _ = eventually { !FileManager.default.fileExists(atPath: slow) }
                guard !FileManager.default.fileExists(atPath: away) else { throw Away() }
                return try access.digest(name)
            }, materialise: access.materialise)
    }

    /// A coordinator that has taken on the sweep before, and whose data is away.
    private func restartWithoutData(
        _ change: (inout CoordinatorServiceConfiguration) -> Void = { _ in }
    ) throws -> CoordinatorService {
        func submitAtFirst() throws {
            let first = try bench.startCoordinator()
            _ = try first.submit(Self.request)
            first.stop()
            _ = try first.run()
        }
        try submitAtFirst()
        bench.touch("away")
        let access = data()
        return try bench.startCoordinator {
            $0.data = access
            $0.retryMilliseconds = 50
            change(&$0)
        }
    }

    @Test("A sweep whose data is away at a restart goes on, is planned once the data is back, and then grows")
    func dataAwayAtRestart() throws {
        let second = try restartWithoutData()
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

    @Test("A sweep that is extended while it cannot be planned stays extended, whatever was tried again meanwhile")
    func extendedMeanwhile() throws {
        let second = try restartWithoutData()
        try #require(eventually { second.status?.unplanned.count == 1 })
        bench.touch("slow")
        try FileManager.default.removeItem(atPath: bench.path("away"))
        let wider = SubmitRequest(
            file: "grows.yaml", spec: Self.request.spec + "\ngrid: {lr: [0.05, 0.1]}", consents: true, extends: true)
        let answers = Answers()
        Thread.detachNewThread { answers.note { _ = try second.submit(wider) } }
        // Meanwhile it is tried again, and waits behind the extension at the desk.
        #expect(!eventually(seconds: 1) { second.status?.unplanned.isEmpty == true })
        try FileManager.default.removeItem(atPath: bench.path("slow"))
        try #require(eventually { answers.count == 1 })
        #expect(answers.failures == [])
        _ = try bench.startWorker(at: second.endpoint, slots: 2)
        #expect(eventually { second.status?.sweeps.first?.points == 2 && second.status?.unplanned == [] })
        let all = ServiceStatus.Tally(done: 12, total: 12)
        #expect(eventually { second.status?.sweeps.first?.levels == all }, "\(second.status?.sweeps ?? [])")
    }

    @Test("A submission that was interrupted, and whose data is away at the next start, goes on once it is back")
    func interruptedAndAway() throws {
        let spec = Self.request.spec.replacing("stop_when: {margin: 0.2, levels: 1}", with: "")
        let sweep = try Sweep(yaml: spec, file: "grows.yaml", vocabulary: .fixture)
        do {
            let store = try Store.open(directory: bench.path("store"), mode: .coordinator)
            try store.addSweep(
                SweepRecord(
                    name: sweep.name, file: "grows.yaml", spec: spec, digest: sweep.specDigest, submittedAt: 1,
                    isWhole: false),
                changes: [.sweepChanged(SweepStanding(id: SweepID(sweep.name)))])
            try store.close()
        }
        bench.touch("away")
        let access = data()
        let coordinator = try bench.startCoordinator {
            $0.data = access
            $0.retryMilliseconds = 50
        }
        try #require(eventually { coordinator.status?.unplanned.count == 1 })
        try FileManager.default.removeItem(atPath: bench.path("away"))
        _ = try bench.startWorker(at: coordinator.endpoint, slots: 2)
        #expect(try eventually { try coordinator.store.counts() == TaskCounts(done: 6) })
        #expect(try eventually { try coordinator.store.sweeps().map(\.isWhole) == [true] })
    }

    @Test("What can never be planned is said, and waited for no longer")
    func givenUp() throws {
        // What comes back has too few images.
        let fewer = bench.path("fewer")
        let second = try restartWithoutData {
            $0.vocabulary.trainCount = { FileManager.default.fileExists(atPath: fewer) ? 1_000 : $0.trainCount }
        }
        _ = try bench.startWorker(at: second.endpoint, slots: 2)
        try #require(eventually { second.status?.unplanned.count == 1 && second.status?.tasks.done == 4 })
        #expect(second.status?.isSettled == false)
        bench.touch("fewer")
        try FileManager.default.removeItem(atPath: bench.path("away"))
        #expect(eventually { second.status?.unplanned == [] && second.status?.isSettled == true })
    }

    @Test("A sweep that is cancelled while it cannot be planned is not waited for")
    func cancelledMeanwhile() throws {
        let second = try restartWithoutData()
        try #require(eventually { second.status?.unplanned.count == 1 })
        let body = Array(try JSONEncoder().encode(OrderRequest(.cancel, "grows")))
        _ = try Client(endpoint: second.endpoint).request(ServiceVerb.order.rawValue, body: body)
        #expect(eventually { second.status?.unplanned == [] && second.status?.isSettled == true })
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
