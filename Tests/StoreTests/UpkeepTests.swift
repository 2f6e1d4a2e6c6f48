import Artifacts
import Coordination
import Foundation
import Lottery
import Store
import Testing

@Suite("A store's room, soundness and copies")
struct UpkeepTests {
    let folder = TemporaryFolder()

    /// A store with a data set and two levels' outputs, all there.
    private func store() throws -> Store {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let dataset = try store.artifacts.write(Array("images".utf8))
        func work(_ number: Int) -> Work {
            Work(
                key: Sample.key(number), inputs: [WorkInput(name: "dataset", source: .blob(dataset))], cost: 1,
                priority: 0,
                payload: [])
        }
        try store.commit([.taskAdded(work(0)), .taskAdded(work(1)), .taskAdded(work(2))])
        for number in 0..<2 {
            let outputs = try [OutputName.final, .metrics, .step(20)].sorted().map { name in
                let bytes = Array("\(name) of \(number)".utf8)
                return TaskOutput(name: name, digest: try store.artifacts.write(bytes), byteCount: bytes.count)
            }
            try store.commit([
                .taskDone(Sample.key(number), attempt: nil, WorkResult(outputs: outputs, summary: [1], seconds: 1))
            ])
        }
        return store
    }

    @Test("Every artifact that a record names is listed once, with its purpose, its size and the first task")
    func references() throws {
        let store = try store()
        let stranger = try store.artifacts.write([9])
        let references = try store.references()
        #expect(references.count == 7)
        #expect(references[stranger] == nil)
        let counts = Dictionary(grouping: references.values, by: \.purpose).mapValues(\.count)
        #expect(counts == [.input: 1, .trained: 2, .metrics: 2, .checkpoint: 2])
        let dataset = try #require(references.values.first { $0.purpose == .input })
        #expect(dataset.byteCount == nil && dataset.task == Sample.key(0) && dataset.name == "dataset")
        #expect(
            try references.allSatisfy { digest, reference in
                guard let byteCount = reference.byteCount else { return true }
                return try store.artifacts.byteCount(of: digest) == byteCount
            })
    }

    @Test(
        "Of checkpoints it is said how many read them and wait for them; of one that goes the remainder stays, by its own name"
    )
    func checkpoints() throws {
        let store = try store()
        func reader(_ number: Int) -> Work {
            Work(
                key: Sample.key(number),
                inputs: [WorkInput(name: "rewind", source: .output(Sample.key(0), .step(20)))], cost: 1, priority: 0,
                payload: [])
        }
        try store.commit([.taskAdded(reader(5)), .taskAdded(reader(6))])
        try store.commit([
            .taskDone(Sample.key(5), attempt: nil, WorkResult(outputs: [], summary: [1], seconds: 1))
        ])
        let checkpoints = try store.storedCheckpoints()
        #expect(checkpoints.map(\.task) == [Sample.key(0), Sample.key(1)])
        #expect(checkpoints.map(\.readers) == [2, 0] && checkpoints.map(\.readersLeft) == [1, 0])
        let weights = TaskOutput(name: .step(20), digest: try store.artifacts.write([7, 7]), byteCount: 2)
        try store.commit([
            .outputRetired(Retirement(task: Sample.key(0), name: .step(20), remainder: weights)),
            .outputRetired(Retirement(task: Sample.key(1), name: .step(20))),
        ])
        #expect(try store.storedCheckpoints().isEmpty)
        #expect(try store.outputs(of: Sample.key(0)).map(\.name) == [.final, .metrics])
        #expect(try store.remainder(of: Sample.key(0), .step(20)) == weights)
        #expect(try store.remainder(of: Sample.key(1), .step(20)) == nil)
        let references = try store.references()
        #expect(references[weights.digest]?.purpose == .checkpoint && references.count == 6)
        // The task is done again: its result goes, what was kept for people stays.
        try store.commit([.taskReopened(Sample.work(0))])
        #expect(try store.result(of: Sample.key(0)) == nil && store.outputs(of: Sample.key(0)).isEmpty)
        #expect(try store.remainder(of: Sample.key(0), .step(20)) == weights)
        try store.commit([
            .taskDone(
                Sample.key(0), attempt: nil,
                WorkResult(outputs: [checkpoints[0].output], summary: [1], seconds: 1))
        ])
        #expect(try store.outputs(of: Sample.key(0)) == [checkpoints[0].output])
    }

    @Test("A backup has what was committed when it began, and is a store of its own")
    func backup() throws {
        let store = try store()
        let reader = try Store.open(directory: folder.store, mode: .reader)
        let target = folder.path + "/backup"
        let done = try reader.backUp(to: target) { number, _ in
            // A coordinator goes on meanwhile.
            if number == 1 { try? store.commit([.taskAdded(Sample.work(7))]) }
        }
        #expect(done.artifacts == 7)
        #expect(try store.snapshot().tasks.count == 4)
        let copy = try Store.open(directory: target, mode: .coordinator)
        #expect(copy.id == store.id)
        #expect(try copy.snapshot().tasks.count == 3)
        #expect(try copy.databaseDamage().isEmpty)
        let named = try copy.references().keys.sorted()
        try copy.commit([.taskAdded(Sample.work(8))])
        // What happens to the first store is nothing to the second.
        for digest in try store.artifacts.digests() { try store.artifacts.remove(digest) }
        for digest in named { try copy.artifacts.verify(digest) }
    }

    @Test("A store that lacks an artifact, or has a damaged one, gives no backup, and says which")
    func incomplete() throws {
        let store = try store()
        let target = folder.path + "/backup"
        let digest = try #require(try store.references().first { $0.value.purpose == .trained }?.key)
        let path = store.artifacts.path(of: digest)
        try FileManager.default.removeItem(atPath: path)
        try Data("something else".utf8).write(to: URL(filePath: path))
        #expect { try store.backUp(to: target) } throws: { "\($0)".contains("damaged") && "\($0)".contains(digest.hex) }
        try FileManager.default.removeItem(atPath: path)
        #expect { try store.backUp(to: target) } throws: { "\($0)".contains("missing") && "\($0)".contains(digest.hex) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["store"])
    }

    @Test("A backup replaces nothing that is there")
    func occupied() throws {
        let store = try store()
        #expect { try store.backUp(to: folder.store) } throws: { "\($0)".contains("already") }
        #expect(try store.snapshot().tasks.count == 3)
    }

    @Test("A compacted database is smaller and holds the same")
    func compaction() throws {
        let store = try store()
        let payload = String(repeating: "x", count: 4_000)
        try store.commit((100..<400).map { .taskAdded(Sample.work($0, payload: payload)) })
        try store.commit((100..<400).map { .taskRequested(Sample.work($0, payload: "y")) })
        let before = store.databaseByteCount
        let tasks = try store.snapshot().tasks
        try store.compactDatabase()
        #expect(store.databaseByteCount < before / 2, "\(before) bytes before, \(store.databaseByteCount) after")
        #expect(try store.snapshot().tasks == tasks)
    }
}
