import Artifacts
import Coordination
import Foundation
import Glibc
import Lottery

/// A worker's folder, held exclusively: `id`, `lock`, `artifacts/`, `outbox/` and `attempts/<task key>/`.
///
/// A task's folder has `out/` for the outputs being written and `resume`, where an interrupted try goes on, also after
/// the worker itself was restarted. It goes once the result is acknowledged.
struct WorkerDirectory: Sendable {
    /// Of the part of an id that the user chooses.
    static let maximumNameBytes = 64
    /// A task that was begun here and not heard of for so long was finished elsewhere.
    static let attemptLifetimeSeconds = 7 * 24 * 3600.0

    let worker: WorkerID
    let artifacts: ArtifactFolder
    let outbox: Outbox
    private let path: String
    private let lock: FolderLock

    init(path: String, name: String) throws(WorkerServiceError) {
        guard (1...WorkerDirectory.maximumNameBytes).contains(name.utf8.count),
            name.utf8.allSatisfy({ isalnum(Int32($0)) != 0 || "._-".utf8.contains($0) })
        else { throw .badName(name) }
        do {
            try NetworkFileSystem.refuse(path)
            try WorkerDirectory.make(path)
            lock = try FolderLock(path: path + "/lock")
            artifacts = try ArtifactFolder(directory: path + "/artifacts")
            outbox = try Outbox(folder: path + "/outbox")
            worker = try WorkerDirectory.identity(in: path, name: name)
            self.path = path
            try FileManager.default.createDirectory(atPath: path + "/attempts", withIntermediateDirectories: true)
            try removeForgottenAttempts()
        } catch let error as WorkerServiceError {
            throw error
        } catch let error as ArtifactError {
            if case .locked(_, let processID) = error {
                let holder = processID.map { " (process \($0))" } ?? ""
                throw .directory(
                    "another worker\(holder) uses the folder \(path): give this one a folder of its own with --directory"
                )
            }
            throw .directory(error.description)
        } catch {
            throw .directory("the worker's folder \(path) cannot be used: \(error.localizedDescription)")
        }
    }

    private static func make(_ path: String) throws(WorkerServiceError) {
        func cannotBeMade(_ reason: String) -> WorkerServiceError {
            .directory("the worker's folder \(path) cannot be made (\(reason)): name another with --directory")
        }
        if Folder.exists(path), !Folder.isFolder(path) {
            throw cannotBeMade("there is a file of that name")
        }
        do { try Folder.make(path) } catch {
            switch error {
            case .notWritable(let place, let reason), .failed(_, let place, let reason):
                throw cannotBeMade("\(place): \(reason)")
            default: throw .directory(error.description)
            }
        }
    }

    /// The id that was drawn when the folder was first used, so that a restarted worker is recognised.
    private static func identity(in path: String, name: String) throws -> WorkerID {
        let file = path + "/id"
        if FileManager.default.fileExists(atPath: file) {
            let text = try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
            if !text.isEmpty && text.utf8.count <= Limits.nameBytes { return WorkerID(text) }
        }
        let nonce = String(UInt32.random(in: .min ... .max), radix: 16)
        let id = "\(name)-\(String(repeating: "0", count: 8 - nonce.count))\(nonce)"
        try Data((id + "\n").utf8).write(to: URL(filePath: file), options: .atomic)
        return WorkerID(id)
    }

    /// Lets another worker have the folder.
    func release() { lock.release() }

    func folder(of task: TaskKey) -> String { "\(path)/attempts/\(task.hex)" }

    /// Makes the task's folder ready for another try: no outputs, the resume file kept.
    func prepare(_ task: TaskKey) throws -> (outputs: String, resumeFile: String) {
        let outputs = folder(of: task) + "/out"
        if FileManager.default.fileExists(atPath: outputs) { try FileManager.default.removeItem(atPath: outputs) }
        try FileManager.default.createDirectory(atPath: outputs, withIntermediateDirectories: true)
        return (outputs, resumeFile(of: task))
    }

    func resumeFile(of task: TaskKey) -> String { folder(of: task) + "/resume" }

    func remove(_ task: TaskKey) throws {
        let folder = folder(of: task)
        if FileManager.default.fileExists(atPath: folder) { try FileManager.default.removeItem(atPath: folder) }
    }

    private func removeForgottenAttempts() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: path + "/attempts") {
            let folder = "\(path)/attempts/\(name)"
            let attributes = try FileManager.default.attributesOfItem(atPath: folder)
            guard let changed = attributes[.modificationDate] as? Date else { continue }
            if -changed.timeIntervalSinceNow > WorkerDirectory.attemptLifetimeSeconds {
                try FileManager.default.removeItem(atPath: folder)
            }
        }
    }
}
