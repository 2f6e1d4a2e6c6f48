import Artifacts
import Coordination
import Foundation
import GRDB
import Lottery

/// What an artifact of a store is for.
public enum ArtifactPurpose: String, Sendable, Codable, CaseIterable {
    /// Data sets, and what else tasks read that no task made.
    case input
    /// What a level's training ended with: the tickets.
    case trained
    /// Weights at a step of a training, for rewinding.
    case checkpoint
    /// The course of a training.
    case metrics
    case other

    init(output name: OutputName) {
        self =
            switch name {
            case .final: .trained
            case .metrics: .metrics
            default: name.checkpointStep != nil ? .checkpoint : .other
            }
    }
}

/// An artifact that a store's records name.
public struct ArtifactReference: Sendable {
    public var purpose: ArtifactPurpose
    /// Nil for what no task made.
    public var byteCount: Int?
    /// The first task that left it, or that reads it.
    public var task: TaskKey
    public var name: String
}

/// A training's weights and optimizer state at a step, kept for those that rewind to it.
public struct StoredCheckpoint: Hashable, Sendable {
    public var task: TaskKey
    public var output: TaskOutput
    /// Tasks that read it.
    public var readers: Int
    /// Of them, those that are not done.
    public var readersLeft: Int
}

extension Store {
    /// Every artifact that the records name, as of the last commit.
    /// - Complexity: one pass over outputs and inputs.
    public func references() throws(StoreError) -> [Digest: ArtifactReference] {
        try read { database in
            var references: [Digest: ArtifactReference] = [:]
            let outputs = try Row.fetchCursor(
                database,
                sql: """
                    SELECT digest, byte_count, name, key, task FROM outputs JOIN tasks ON tasks.id = task
                    UNION ALL SELECT digest, byte_count, name, key, task FROM remainders JOIN tasks ON tasks.id = task
                    ORDER BY task, name
                    """)
            while let row = try outputs.next() {
                let name = OutputName(row[2])
                let reference = ArtifactReference(
                    purpose: ArtifactPurpose(output: name), byteCount: row[1], task: TaskKey(try row.digest(at: 3)),
                    name: name.text)
                references[try row.digest(at: 0), default: reference].byteCount = reference.byteCount
            }
            let inputs = try Row.fetchCursor(
                database,
                sql: """
                    SELECT digest, min(task), name, key FROM inputs JOIN tasks ON tasks.id = task
                    WHERE output IS NULL GROUP BY digest
                    """)
            while let row = try inputs.next() {
                let digest = try row.digest(at: 0)
                guard references[digest] == nil else { continue }
                references[digest] = ArtifactReference(
                    purpose: .input, byteCount: nil, task: TaskKey(try row.digest(at: 3)), name: row[2])
            }
            return references
        }
    }

    /// Checkpoints that trainings left for others to rewind to, of which those that wait for one could do without.
    /// - Complexity: one pass over outputs and inputs.
    public func storedCheckpoints() throws(StoreError) -> [StoredCheckpoint] {
        try read { database in
            struct Reader {
                var count: Int
                var waiting: Int
            }
            var readers: [WorkInput.Source: Reader] = [:]
            let inputs = try Row.fetchCursor(
                database,
                sql: """
                    SELECT digest, output, count(*), count(*) FILTER (WHERE state <> ?) FROM inputs JOIN tasks ON tasks.id = task
                    WHERE output GLOB 'step-*' GROUP BY digest, output
                    """, arguments: [StoredState.done.rawValue])
            while let row = try inputs.next() {
                readers[.output(TaskKey(try row.digest(at: 0)), OutputName(row[1]))] = Reader(
                    count: row[2], waiting: row[3])
            }
            let outputs = try Row.fetchCursor(
                database,
                sql: """
                    SELECT name, digest, byte_count, key FROM outputs JOIN tasks ON tasks.id = task
                    WHERE name GLOB 'step-*' ORDER BY task, name
                    """)
            var checkpoints: [StoredCheckpoint] = []
            while let row = try outputs.next() {
                let output = try row.output(at: 0)
                let task = TaskKey(try row.digest(at: 3))
                let reader = readers[.output(task, output.name)]
                checkpoints.append(
                    StoredCheckpoint(
                        task: task, output: output, readers: reader?.count ?? 0, readersLeft: reader?.waiting ?? 0))
            }
            return checkpoints
        }
    }

    /// What is kept of an output that is gone.
    public func remainder(of task: TaskKey, _ name: OutputName) throws(StoreError) -> TaskOutput? {
        try read { database in
            try Row.fetchOne(
                database,
                sql: """
                    SELECT name, digest, byte_count FROM remainders JOIN tasks ON tasks.id = task WHERE key = ? AND name = ?
                    """, arguments: [task.digest.data, name.text]
            ).map { try $0.output(at: 0) }
        }
    }

    /// What SQLite finds wrong with the database, a sentence each; empty if all is well.
    /// - Complexity: reads every page.
    public func databaseDamage() throws(StoreError) -> [String] {
        try read { database in
            let found = try String.fetchAll(database, sql: "PRAGMA integrity_check(20)")
            let strangers = try Row.fetchAll(database, sql: "PRAGMA foreign_key_check").prefix(20).map {
                "a row of \($0[0] as String) points to a row of \($0[2] as String) that is not there"
            }
            return found.filter { $0 != "ok" } + strangers
        }
    }

    /// Bytes of the database and its log.
    public var databaseByteCount: Int {
        ["", "-wal", "-shm"].reduce(0) { sum, suffix in
            let path = "\(directory)/\(Store.databaseName)\(suffix)"
            // What is not there takes no room.
            return sum + ((try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0)
        }
    }

    /// Writes the database anew, without the room of what was deleted, and empties its log. Nobody can commit
    /// meanwhile.
    public func compactDatabase() throws(StoreError) {
        do {
            try database.vacuum()
            try truncateLog()
        } catch {
            throw StoreError(error, directory: directory, byteCount: databaseByteCount)
        }
    }

    /// Brings all that is in the log into the database.
    public func truncateLog() throws(StoreError) {
        do { _ = try database.writeWithoutTransaction { try $0.checkpoint(.truncate) } } catch {
            throw StoreError(error, directory: directory, byteCount: 0)
        }
    }

    /// Makes a store of its own at `target` with all that was committed until now. A coordinator may go on meanwhile.
    /// Artifacts are second names of the same files where the disk is the same, else copies; each is read and checked.
    /// Keys, data set folders, workers' folders and checkpoints of trainings under way stay behind.
    ///
    /// - Parameters:
    ///   - target: a folder that is not there yet. It appears when all is in it and durable.
    ///   - progress: told how many artifacts of how many are in it.
    /// - Throws: `artifact(.damaged)` or `artifact(.missing)` where this store lacks something; then there is no
    ///   `target`.
    public func backUp(
        to target: String, progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) throws(StoreError) -> (artifacts: Int, byteCount: Int) {
        do {
            guard !Folder.exists(target) else {
                throw StoreError.notWritable(
                    directory: target, reason: "there is something of that name already, which a backup does not touch")
            }
            try NetworkFileSystem.refuse(Folder.parent(of: target))
            let partial = target + ".partial"
            try? FileManager.default.removeItem(atPath: partial)  // of a backup that was cut off
            try Folder.make(partial)
            do {
                let done = try fillBackup(partial, progress)
                try Folder.synchronize(partial)
                guard rename(partial, target) == 0 else {
                    throw ArtifactError(errno: errno, operation: "rename the backup", path: partial)
                }
                try Folder.synchronize(Folder.parent(of: target))
                return done
            } catch {
                try? FileManager.default.removeItem(atPath: partial)  // the error says what matters
                throw error
            }
        } catch {
            throw StoreError(error, directory: target, byteCount: databaseByteCount)
        }
    }

    private static func speaksOfWhatIsRead(_ error: any Error) -> Bool {
        guard let error = error as? DatabaseError else { return false }
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_BUSY, .SQLITE_LOCKED: return true
        case .SQLITE_IOERR:
            return [.SQLITE_IOERR_READ, .SQLITE_IOERR_SHORT_READ].contains(error.extendedResultCode)
        default: return false
        }
    }

    private func fillBackup(_ folder: String, _ progress: (Int, Int) -> Void) throws -> (Int, Int) {
        let path = "\(folder)/\(Store.databaseName)"
        // No transaction may be open. The copy is of one moment all the same.
        do { try database.unsafeRead { try $0.execute(sql: "VACUUM INTO ?", arguments: [path]) } } catch {
            // What is wrong with this store must not be said of the backup.
            if Store.speaksOfWhatIsRead(error) { throw StoreError(error, directory: directory, byteCount: 0) }
            throw error
        }
        try File(path, O_RDONLY).synchronize()
        // What is in the copy decides, not what was committed since.
        let copy = try Store.open(directory: folder, mode: .reader)
        let digests = try copy.references().keys.sorted()
        try copy.close()
        let there = try ArtifactFolder(directory: "\(folder)/\(Store.artifactsName)", access: .owner)
        var byteCount = 0
        for (number, digest) in digests.enumerated() {
            guard artifacts.contains(digest) else { throw ArtifactError.missing(digest, folder: artifacts.directory) }
            let added = try there.add(linkingFile: artifacts.path(of: digest))
            if added.digest != digest { try artifacts.verify(digest) }
            byteCount += added.byteCount
            progress(number + 1, digests.count)
        }
        return (digests.count, byteCount)
    }
}
