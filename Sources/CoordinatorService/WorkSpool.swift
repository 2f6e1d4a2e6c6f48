import Artifacts
import Coordination
import Foundation
import Lottery
import Sweeps

/// The tasks of a plan that are not done, as coordination takes them on, piece by piece. Their payloads, a gigabyte for
/// a million tasks, wait in a file without a name, so that neither the desk nor the coordinator ever holds them all.
final class WorkSpool: Sendable {
    static let worksPerPiece = 4_096

    private let plan: Plan
    private let file: File
    private let tasks: [Entry]
    /// Tasks that the store has not got yet.
    let newCount: Int
    /// About what those will take in its database.
    let newByteCount: Int
    /// About what a task takes there besides its payload.
    private static let bytesPerTask = 1_024

    private struct Entry {
        /// In the plan.
        var index: Int32
        /// Of its payload.
        var byteCount: Int32
    }

    /// - Parameters:
    ///   - folder: on a disk that has room for a kilobyte or two a task.
    ///   - isStored: whether the store has a task already.
    ///   - isWanted: whether the plan's task at an index is one of them.
    /// - Throws: `ArtifactError`, or what the encoder says of a task that cannot be written as JSON.
    init(
        plan: Plan, folder: String, isStored: (TaskKey) -> Bool, isWanted: (Int) -> Bool
    ) throws {
        self.plan = plan
        file = try File(temporaryIn: folder)
        try Folder.removeFile(file.path)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var tasks: [Entry] = []
        var pending = Data()
        var new = (count: 0, byteCount: 0)
        for (index, task) in plan.tasks.enumerated() where !task.isDone && isWanted(index) {
            let payload = try encoder.encode(task.request)
            tasks.append(Entry(index: Int32(index), byteCount: Int32(payload.count)))
            if !isStored(task.key) {
                new.count += 1
                new.byteCount += payload.count + WorkSpool.bytesPerTask
            }
            pending += payload
            if pending.count >= File.bufferBytes {
                try WorkSpool.write(pending, to: file)
                pending.removeAll(keepingCapacity: true)
            }
        }
        try WorkSpool.write(pending, to: file)
        self.tasks = tasks
        (newCount, newByteCount) = new
    }

    private static func write(_ bytes: Data, to file: borrowing File) throws {
        try bytes.withUnsafeBytes { try file.write($0) }
    }

    /// How far works were read.
    struct Place: Sendable {
        fileprivate(set) var count = 0
        fileprivate var offset = 0
    }

    /// The works after `place`, parents first, at most `worksPerPiece` of them, which it moves behind; none at the end.
    func next(after place: inout Place) throws -> [Work] {
        let piece = tasks[place.count..<min(place.count + WorkSpool.worksPerPiece, tasks.count)]
        if piece.isEmpty { return [] }
        var payloads = [UInt8](repeating: 0, count: piece.reduce(0) { $0 + Int($1.byteCount) })
        let count = try payloads.withUnsafeMutableBytes { try file.read(into: $0, offset: place.offset) }
        guard count == payloads.count else {
            throw ArtifactError(errno: EIO, operation: "read", path: file.path)
        }
        place.count += piece.count
        place.offset += count
        var first = 0
        return piece.map { entry in
            let payload = payloads[first..<first + Int(entry.byteCount)]
            first += payload.count
            return Work(planned: plan.tasks[Int(entry.index)], payload: Array(payload))
        }
    }

    var count: Int { tasks.count }
    /// Keys of all works.
    var keys: [TaskKey] { tasks.map { plan.tasks[Int($0.index)].key } }
}

extension Work {
    /// What coordination needs to know of a planned task.
    /// - Parameter payload: the training request, as JSON with sorted keys.
    init(planned task: PlannedTask, payload: [UInt8]) {
        let inputs = task.inputs.map { input in
            switch input.source {
            case .dataset(let digest): WorkInput(name: input.name, source: .blob(digest))
            case .output(let parent, let name): WorkInput(name: input.name, source: .output(parent, name))
            }
        }
        self.init(
            key: task.key, inputs: inputs, cost: task.cost, priority: task.priority, needs: Needs(planned: task),
            payload: payload)
    }
}

extension Work.Needs {
    /// What is predicted of the network is rounded up, so that few needs differ, and a process has some for itself.
    private static let stepBytes = 64 << 20

    init(planned task: PlannedTask) {
        let steps = (task.memoryBytes + Work.Needs.stepBytes - 1) / Work.Needs.stepBytes
        self.init(
            memoryBytes: task.memoryBytes == 0 ? 0 : (steps + 1) * Work.Needs.stepBytes, numerics: task.numerics)
    }
}
