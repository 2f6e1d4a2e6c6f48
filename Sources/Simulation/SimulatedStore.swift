import Coordination
import Lottery
import OrderedCollections

/// How far a submission is that is taken on piece by piece.
enum SubmissionMark: Sendable {
    case begun(SweepID)
    case whole(SweepID)
}

/// The coordinator's disk: change sets that were committed, and blobs. What was not committed is gone after a crash.
struct SimulatedStore: Sendable {
    struct Full: Error {}

    let id = StoreID("simulated")
    private(set) var records: OrderedDictionary<TaskKey, Snapshot.TaskRecord> = [:]
    private(set) var sweeps: OrderedDictionary<SweepID, SweepStanding> = [:]
    private(set) var quarantines: [WorkerID: Quarantine] = [:]
    private(set) var drain: Drain?
    /// Sweeps whose submission has begun and is not whole.
    private(set) var incomplete: Set<SweepID> = []
    private(set) var blobs: [Digest: [UInt8]] = [:]
    /// Blobs of saved checkpoints, apart from the artifacts.
    private(set) var checkpoints: [Digest: [UInt8]] = [:]
    var isFull = false
    /// Copies of tasks and sweeps that were made along the way.
    private var backups: [Backup] = []

    private struct Backup: Sendable {
        var records: OrderedDictionary<TaskKey, Snapshot.TaskRecord>
        var sweeps: OrderedDictionary<SweepID, SweepStanding>
        var quarantines: [WorkerID: Quarantine]
        var drain: Drain?
        var incomplete: Set<SweepID>
    }

    /// One transaction: all of `changes` and what is said of a submission, or nothing.
    mutating func commit(_ changes: [Change], _ mark: SubmissionMark? = nil) throws(Full) {
        guard !changes.isEmpty || mark != nil else { return }
        if isFull { throw Full() }
        switch mark {
        case .begun(let sweep): incomplete.insert(sweep)
        case .whole(let sweep): incomplete.remove(sweep)
        case nil: break
        }
        for change in changes {
            switch change {
            case .sweepChanged(let standing): sweeps[standing.id] = standing
            case .workerQuarantined(let worker, let quarantine): quarantines[worker] = quarantine
            case .drainChanged(let wish): drain = wish
            default: break
            }
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

    func isDone(_ key: TaskKey) -> Bool { if case .done = records[key]?.state { true } else { false } }

    func has(_ digest: Digest, as kind: BlobPull.Kind) -> Bool {
        switch kind {
        case .artifact: blobs[digest] != nil
        case .checkpoint: checkpoints[digest] != nil
        }
    }

    /// What done tasks left for others to rewind to.
    var checkpointsOfTasks: [Retirement] {
        records.values.flatMap { record -> [Retirement] in
            guard case .done(let result) = record.state else { return [] }
            return result.outputs.filter { $0.name.checkpointStep != nil }
                .map { Retirement(task: record.work.key, name: $0.name) }
        }
    }

    /// Deletes what only outputs that were retired had named.
    mutating func removeUnnamed(after changes: [Change], _ before: OrderedDictionary<TaskKey, Snapshot.TaskRecord>) {
        let retired = changes.compactMap { change -> Digest? in
            guard case .outputRetired(let retirement) = change, case .done(let result) = before[retirement.task]?.state
            else { return nil }
            return result.output(retirement.name)?.digest
        }
        guard !retired.isEmpty else { return }
        var named: Set<Digest> = []
        for case .done(let result) in records.values.map(\.state) { named.formUnion(result.outputs.map(\.digest)) }
        for digest in retired where !named.contains(digest) { blobs[digest] = nil }
    }

    mutating func removeCheckpoint(_ digest: Digest) { checkpoints[digest] = nil }

    /// At a start: what a crash left between a commit and a deletion.
    mutating func sweepCheckpoints() {
        let kept = Set(records.values.compactMap(\.checkpoint?.digest))
        checkpoints = checkpoints.filter { kept.contains($0.key) }
    }

    mutating func backUp() {
        backups.append(
            Backup(records: records, sweeps: sweeps, quarantines: quarantines, drain: drain, incomplete: incomplete))
    }

    /// Puts an earlier copy in place of the records; blobs stay, as `backup` copies them first. False if there is none.
    mutating func restoreBackup(_ random: inout SeededRandom) -> Bool {
        guard !backups.isEmpty else { return false }
        let backup = random.element(of: backups)
        (records, sweeps) = (backup.records, backup.sweeps)
        (quarantines, drain, incomplete) = (backup.quarantines, backup.drain, backup.incomplete)
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
        return Snapshot(
            store: id, tasks: tasks, sweeps: Array(sweeps.values), quarantines: quarantines, drain: drain)
    }
}
