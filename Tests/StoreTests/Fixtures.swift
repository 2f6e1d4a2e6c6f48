import Coordination
import Foundation
import Lottery
import Store

/// A folder that goes with the test.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        path = FileManager.default.temporaryDirectory.path + "/tombola-store-" + UUID().uuidString
        // Tests cannot go on without it, and then fail at their first use of it.
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // What is left behind is only a nuisance.
        try? FileManager.default.removeItem(atPath: path)
    }

    var store: String { path + "/store" }

    /// A second folder with the same files as the store has now, as a crash at this moment would leave them.
    func copyOfStore(_ name: String) throws -> String {
        let copy = path + "/" + name
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        for suffix in ["", "-wal"] {
            let file = "/" + Store.databaseName + suffix
            if FileManager.default.fileExists(atPath: store + file) {
                try FileManager.default.copyItem(atPath: store + file, toPath: copy + file)
            }
        }
        return copy
    }
}

enum Sample {
    static func digest(_ number: Int) -> Digest { Digest.of("\(number)".utf8) }
    static func key(_ number: Int) -> TaskKey { TaskKey(digest(number)) }

    /// Task `number`, which needs a data set and, but for task 0, the `final` of the task before it.
    static func work(_ number: Int, priority: Int = 7, payload: String? = nil) -> Work {
        var inputs = [WorkInput(name: "dataset", source: .blob(digest(-1)))]
        if number > 0 { inputs.append(WorkInput(name: "parent", source: .output(key(number - 1), .final))) }
        return Work(
            key: key(number), inputs: inputs, cost: 100 + number, priority: priority,
            needs: Work.Needs(memoryBytes: number << 30, numerics: number.isMultiple(of: 2) ? .f32Lanes16 : nil),
            payload: Array((payload ?? "{\"task\":\(number)}").utf8))
    }

    static func attempt(_ task: Int, _ number: Int, generation: UInt64 = .max) -> AttemptID {
        AttemptID(task: key(task), attempt: Attempt(number), generation: Generation(nonce: generation))
    }

    static func result(_ number: Int, seconds: Double = 1.5) -> WorkResult {
        WorkResult(
            outputs: [
                TaskOutput(name: .final, digest: digest(1000 + number), byteCount: 1 << 33),
                TaskOutput(name: .metrics, digest: digest(2000 + number), byteCount: 0),
            ], summary: Array("summary \(number)".utf8), seconds: seconds, origin: "0.1.0\nnode-\(number)\navx512")
    }

    static func sweep(_ name: String, spec: String) -> SweepRecord {
        SweepRecord(
            name: name, file: "sweeps/\(name).yaml", spec: spec, digest: Digest.of(spec.utf8),
            submittedAt: 1_700_000_000.25)
    }

    static let worker = WorkerID("worker 1")
}

extension Snapshot {
    func record(_ number: Int) -> TaskRecord? { tasks.first { $0.work.key == Sample.key(number) } }
}
