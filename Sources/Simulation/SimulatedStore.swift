import Coordination
import Lottery
import OrderedCollections

/// The coordinator's disk: change sets that were committed, and blobs. What was not committed is gone after a crash.
struct SimulatedStore: Sendable {
    struct Full: Error {}

    let id = StoreID("simulated")
    private(set) var records: OrderedDictionary<TaskKey, Snapshot.TaskRecord> = [:]
    private(set) var sweeps: OrderedDictionary<SweepID, SweepStanding> = [:]
    private(set) var blobs: [Digest: [UInt8]] = [:]
    /// Blobs of saved checkpoints, apart from the artifacts.
    private(set) var checkpoints: [Digest: [UInt8]] = [:]
    var isFull = false
    /// Copies of tasks and sweeps that were made along the way.
    private var backups: [Backup] = []

    private struct Backup: Sendable {
        var records: OrderedDictionary<TaskKey, Snapshot.TaskRecord>
        var sweeps: OrderedDictionary<SweepID, SweepStanding>
    }

    /// One transaction: all of `changes`, or none.
    mutating func commit(_ changes: [Change]) throws(Full) {
        guard !changes.isEmpty else { return }
        if isFull { throw Full() }
        for change in changes {
            if case .sweepChanged(let standing) = change { sweeps[standing.id] = standing }
            for key in change.tasks { records[key] = .applying(change, to: records[key]) }
        }
    }

    mutating func keep(_ bytes: [UInt8], under digest: Digest, as kind: BlobPull.Kind = .artifact) throws(Full) {
        if isFull { throw Full() }
        switch kind {
        case .artifact: blobs[digest] = bytes
        case .checkpoint: checkpoints[digest] = bytes
        }
    }

    func has(_ digest: Digest, as kind: BlobPull.Kind) -> Bool {
        switch kind {
        case .artifact: blobs[digest] != nil
        case .checkpoint: checkpoints[digest] != nil
        }
    }

    mutating func removeCheckpoint(_ digest: Digest) { checkpoints[digest] = nil }

    /// At a start: what a crash left between a commit and a deletion.
    mutating func sweepCheckpoints() {
        let kept = Set(records.values.compactMap(\.checkpoint?.digest))
        checkpoints = checkpoints.filter { kept.contains($0.key) }
    }

    mutating func backUp() { backups.append(Backup(records: records, sweeps: sweeps)) }

    /// Puts an earlier copy in place of the records; blobs stay, as `backup` copies them first. False if there is none.
    mutating func restoreBackup(_ random: inout SeededRandom) -> Bool {
        guard !backups.isEmpty else { return false }
        let backup = random.element(of: backups)
        (records, sweeps) = (backup.records, backup.sweeps)
        return true
    }

    /// What the task's slot is to do.
    func payload(of key: TaskKey) -> [UInt8] { records[key]?.work.payload.bytes ?? [] }

    /// Without payloads, as the real one.
    var snapshot: Snapshot {
        let tasks = records.values.map { record in
            var record = record
            record.work = record.work.withoutPayload
            return record
        }
        return Snapshot(store: id, tasks: tasks, sweeps: Array(sweeps.values))
    }
}
