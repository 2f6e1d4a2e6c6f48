import Coordination
import Lottery
import Store
import Testing

@Suite("A store remembers what coordination says it must")
struct FoldTests {
    @Test(
        "A snapshot equals the fold of all changes, whatever happened to the tasks", arguments: [1, 2, 3] as [UInt64])
    func fold(seed: UInt64) throws {
        let folder = TemporaryFolder()
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let random = CounterRandom(seed: seed, purpose: .dataOrder)
        var draws: UInt64 = 0
        func draw(below bound: Int) -> Int {
            draws += 1
            return random.integer(below: bound, epoch: 0, index: draws)
        }

        var order: [TaskKey] = []
        var records: [TaskKey: Snapshot.TaskRecord] = [:]
        var changes: [Change] = []
        var sweeps: [SweepID: SweepStanding] = [:]
        for name in ["a", "b", "c"] {
            try store.addSweep(Sample.sweep(name, spec: name), changes: [])
            sweeps[SweepID(name)] = SweepStanding(id: SweepID(name))
        }
        /// The most of each that any record ever had; checkpoints in all.
        var seen = (childFailures: 0, failedOn: 0, losses: 0, checkpoints: 0)
        /// What a coordinator may say of task `number` as it stands now.
        func next(_ number: Int) -> Change {
            let key = Sample.key(number)
            guard let record = records[key] else { return .taskAdded(Sample.work(number)) }
            let sweep = SweepID(["a", "b", "c"][draw(below: 3)])
            switch draw(below: 12) {
            case 0:
                return .sweepChanged(
                    SweepStanding(
                        id: sweep, priority: draw(below: 9) - 4, isPaused: draw(below: 2) == 0,
                        isCancelled: draw(below: 2) == 0))
            case 1: return .sweepWants(sweep, [key] + records.keys.filter { $0.hex.hasPrefix("a") }.sorted())
            case 2: return .sweepDrops(sweep, [key] + records.keys.filter { $0.hex.hasPrefix("b") }.sorted())
            default: break
            }
            let ends: [AttemptEnd] = [
                .childFailed(reason: "trap", log: ""), .lost, .stalled, .revoked, .released,
                .preempted,
            ]
            switch record.state {
            case .done(let result):
                switch draw(below: 4) {
                case 0: return .taskReopened(Sample.work(number, payload: "again"))
                case 1:
                    guard let output = result.outputs.first else { break }
                    return .outputRetired(
                        Retirement(task: key, name: output.name, remainder: draw(below: 2) == 0 ? output : nil))
                default: break
                }
                return .nondeterminism(key, kept: [], other: Sample.result(number).outputs, worker: Sample.worker)
            case .failed:
                return draw(below: 4) == 0
                    ? .taskDone(key, attempt: nil, Sample.result(number)) : .taskRevived(key)
            case .pending:
                switch draw(below: 10) {
                case 0: return .taskRequested(Sample.work(number, priority: draw(below: 50), payload: "asked anew"))
                case 1:
                    let name = TaskFailure.names[draw(below: TaskFailure.names.count)]
                    return .taskFailed(key, TaskFailure(name, "given up"))
                case 2: return .taskDone(key, attempt: record.running?.attempt, Sample.result(number))
                case 3:
                    let digest = Sample.digest(draw(below: 99))
                    return .checkpointKept(
                        key, SavedCheckpoint(step: draw(below: 999), digest: digest, byteCount: 1 << 33))
                default:
                    if let running = record.running {
                        return .attemptEnded(running.attempt, ends[draw(below: ends.count)])
                    }
                    // Sometimes an attempt that was given up comes back under its number.
                    let comesBack = record.attempts > 0 && draw(below: 3) == 0
                    let attempt = record.attempts + (comesBack ? 0 : 1)
                    return .attemptStarted(
                        Sample.attempt(number, attempt), worker: WorkerID("worker \(attempt % 3)"))
                }
            }
        }
        for step in 0..<2000 {
            let change = next(draw(below: 100))
            for key in change.tasks {
                if records[key] == nil { order.append(key) }
                records[key] = .applying(change, to: records[key])
            }
            if case .sweepChanged(let standing) = change { sweeps[standing.id] = standing }
            changes.append(change)
            for record in change.tasks.compactMap({ records[$0] }) {
                seen.childFailures = max(seen.childFailures, record.childFailures)
                seen.failedOn = max(seen.failedOn, record.failedOn.count)
                seen.losses = max(seen.losses, record.losses)
            }
            if case .checkpointKept = change { seen.checkpoints += 1 }
            if draw(below: 5) == 0 || step == 1999 {
                try store.commit(changes)
                changes = []
                let snapshot = try store.snapshot()
                #expect(snapshot.tasks == order.map { records[$0]! }, "seed \(seed), step \(step)")
                #expect(snapshot.sweeps == sweeps.values.sorted { $0.id < $1.id }, "seed \(seed), step \(step)")
            }
        }
        #expect(
            seen.childFailures > 1 && seen.failedOn > 1 && seen.losses > 0 && seen.checkpoints > 1,
            "seed \(seed): \(seen)")
        #expect(records.values.contains { $0.sweeps.count > 1 }, "seed \(seed)")
    }
}
