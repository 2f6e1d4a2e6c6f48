import Artifacts
import Client
import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store
import Testing

@Suite("A coordinator removes what no record names", .timeLimit(.minutes(2)), .serialized)
struct CompactionTests {
    let bench: Bench

    init() throws { bench = try Bench() }

    private func compact(_ client: Client) throws -> CompactReply {
        try JSONDecoder().decode(CompactReply.self, from: Data(try client.request(ServiceVerb.compact.rawValue)))
    }

    @Test("Artifacts that no record names go, all others stay, and the database is rewritten once nothing runs")
    func unnamed() throws {
        let coordinator = try bench.startCoordinator { $0.unnamedSeconds = 0 }
        _ = try bench.startWorker(at: coordinator.endpoint)
        try coordinator.add([work("x", "output final 3000 1"), work("y", "output final 2000 2")])
        #expect(eventually { coordinator.status?.tasks.done == 2 })
        let artifacts = coordinator.store.artifacts
        let stranger = try artifacts.write([UInt8](repeating: 7, count: 1_234))
        let client = try Client(endpoint: coordinator.endpoint)
        let reply = try compact(client)
        #expect(reply.removed == 1 && reply.removedBytes == 1_234 && reply.rewroteDatabase)
        #expect(!artifacts.contains(stranger))
        for digest in try coordinator.store.references().keys { try artifacts.verify(digest) }
        #expect(try compact(client).removed == 0)
    }

    @Test("What came a moment ago may be a result's and stays")
    func young() throws {
        let coordinator = try bench.startCoordinator()
        let stranger = try coordinator.store.artifacts.write([1, 2, 3])
        #expect(try compact(try Client(endpoint: coordinator.endpoint)).removed == 0)
        #expect(coordinator.store.artifacts.contains(stranger))
    }

    @Test("While a sweep is planned nothing goes: its plan may count on a data set that no record names yet")
    func planned() throws {
        let release = bench.path("release")
        let coordinator = try bench.startCoordinator {
            $0.unnamedSeconds = 0
            let access = $0.data
            $0.data = DataAccess(
                digest: { name in
                    // Holds the desk up until both requests are there.
                    _ = eventually(seconds: 60) { FileManager.default.fileExists(atPath: release) }
                    return try access.digest(name)
                }, materialise: access.materialise)
        }
        let stranger = try coordinator.store.artifacts.write([1, 2, 3])
        let answers = Answers()
        let endpoint = coordinator.endpoint
        Thread.detachNewThread {
            answers.note { _ = try Client(endpoint: endpoint).request(ServiceVerb.compact.rawValue) }
        }
        // It waits behind the submissions on either side of it.
        for name in ["a", "b"] {
            Thread.detachNewThread {
                let spec = SubmissionTests.spec.replacing("name: small", with: "name: \(name)")
                answers.note { _ = try coordinator.submit(SubmitRequest(file: "small.yaml", spec: spec)) }
            }
        }
        bench.touch("release")
        #expect(eventually { answers.count == 3 })
        // Whichever came first: either it was refused, or it was done before a plan began.
        #expect(answers.failures.allSatisfy { $0.contains("a sweep is being planned") }, "\(answers.failures)")
        #expect(answers.failures.isEmpty != coordinator.store.artifacts.contains(stranger))
        for digest in try coordinator.store.references().keys { try coordinator.store.artifacts.verify(digest) }
    }
}

/// How several requests went.
private final class Answers: @unchecked Sendable {
    private let lock = NSLock()
    private var all: [String?] = []

    var count: Int { lock.withLock { all.count } }
    var failures: [String] { lock.withLock { all.compactMap(\.self) } }

    func note(_ request: () throws -> Void) {
        var failure: String?
        do { try request() } catch { failure = "\(error)" }
        lock.withLock { all.append(failure) }
    }
}
