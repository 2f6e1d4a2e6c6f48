import Coordination
import Lottery
import Testing

extension WorkerID: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}

func key(_ number: Int) -> TaskKey { TaskKey(Digest.of("task \(number)".utf8)) }
func blob(_ name: String) -> Digest { Digest.of(name.utf8) }

func work(_ number: Int, needs parents: [Int] = [], priority: Int = 0, payload: String = "run") -> Work {
    Work(
        key: key(number), inputs: parents.map { WorkInput(name: "parent-\($0)", source: .output(key($0), .final)) },
        cost: 1,
        priority: priority, payload: Array(payload.utf8))
}

func result(_ number: Int, outputs: [OutputName] = [.final], variant: String = "") -> WorkResult {
    WorkResult(
        outputs: outputs.map { TaskOutput(name: $0, digest: blob("\(number) \($0)\(variant)"), byteCount: 10) },
        summary: Array("summary \(number)".utf8), seconds: 1)
}

let firstGeneration = Generation(nonce: 1)

func attempt(_ task: Int, _ number: Int, _ generation: Generation = firstGeneration) -> AttemptID {
    AttemptID(task: key(task), attempt: Attempt(number), generation: generation)
}

/// A store in memory: it folds changes as the real one does.
struct MemoryStore: Sendable {
    let id = StoreID("store")
    private var order: [TaskKey] = []
    private(set) var records: [TaskKey: Snapshot.TaskRecord] = [:]
    private(set) var sweeps: [SweepStanding] = []
    private(set) var quarantines: [WorkerID: Quarantine] = [:]
    private(set) var drain: Drain?
    private(set) var nondeterministic = 0

    mutating func commit(_ changes: [Change]) {
        for change in changes {
            if case .taskAdded(let work) = change { order.append(work.key) }
            if case .nondeterminism = change { nondeterministic += 1 }
            if case .workerQuarantined(let worker, let quarantine) = change { quarantines[worker] = quarantine }
            if case .drainChanged(let wish) = change { drain = wish }
            if case .attemptStarted(let id, _) = change, let record = records[id.task] {
                precondition(record.running == nil, "two attempts of \(id.task) are open")
                precondition(record.state == .pending, "an attempt of a settled task: \(record)")
            }
            if case .taskDone(let key, _, _) = change, case .done = records[key]!.state {
                preconditionFailure("\(key) is done twice")
            }
            if case .sweepChanged(let standing) = change {
                sweeps.removeAll { $0.id == standing.id }
                sweeps.append(standing)
            }
            for key in change.tasks { records[key] = .applying(change, to: records[key]) }
        }
    }

    /// Without the payloads' bytes, as the real one.
    var snapshot: Snapshot {
        let tasks = order.map { key in
            var record = records[key]!
            record.work = record.work.withoutPayload
            return record
        }
        return Snapshot(store: id, tasks: tasks, sweeps: sweeps, quarantines: quarantines, drain: drain)
    }
}

/// A coordinator with a clock, a store, and one route per worker named after it.
struct Bench {
    var now = Instant(milliseconds: 0)
    var disk = MemoryStore()
    var coordinator: Coordinator
    var settings: CoordinatorSettings
    var counters: [WorkerID: UInt64] = [:]
    let store = StoreID("store")

    init(settings: CoordinatorSettings = CoordinatorSettings()) {
        self.settings = settings
        coordinator = Coordinator(
            restoring: Snapshot(store: StoreID("store"), tasks: []), generation: firstGeneration, settings: settings,
            at: Instant(milliseconds: 0))
    }

    var status: CoordinatorStatus { coordinator.status }

    @discardableResult
    mutating func handle(_ event: Coordinator.Event, after milliseconds: Int64 = 0) -> Coordinator.Outcome {
        now = now.advanced(byMilliseconds: milliseconds)
        let outcome = coordinator.handle(event, at: now)
        coordinator.checkInvariants()
        disk.commit(outcome.changes)
        return outcome
    }

    @discardableResult
    mutating func add(_ works: [Work], sweep: SweepID? = nil) -> Coordinator.Outcome {
        handle(.tasksAdded(works, sweep: sweep))
    }

    @discardableResult
    mutating func join(
        _ worker: WorkerID, slots: Int = 1, incarnation: UInt64 = 1, running: [RunningAttempt] = [],
        finished: [AttemptID] = [], route: RouteID? = nil
    ) -> Coordinator.Outcome {
        counters[worker, default: 0] += 1
        return handle(
            .worker(
                route ?? RouteID(worker),
                .hello(
                    Hello(
                        worker: worker, incarnation: incarnation, counter: counters[worker]!, slots: slots,
                        running: running,
                        finished: finished, datasets: [], host: "host", processID: 1))))
    }

    @discardableResult
    mutating func beat(
        _ worker: WorkerID, holding: [RunningAttempt] = [], lastSequence: UInt64 = 0, slots: Int = 1,
        incarnation: UInt64 = 1,
        route: RouteID? = nil
    ) -> Coordinator.Outcome {
        handle(
            .worker(
                route ?? RouteID(worker),
                .beat(
                    Beat(
                        worker: worker, incarnation: incarnation, holding: holding, lastSequence: lastSequence,
                        slots: slots))))
    }

    @discardableResult
    mutating func result(
        _ id: AttemptID, from worker: WorkerID, route: RouteID? = nil, _ result: WorkResult? = nil
    ) -> Coordinator.Outcome {
        let number = (0..<1000).first { key($0) == id.task } ?? 0
        return handle(
            .worker(
                route ?? RouteID(worker),
                .result(ResultReport(worker: worker, id: id, result: result ?? CoordinationTests.result(number)))))
    }

    @discardableResult
    mutating func failure(_ id: AttemptID, from worker: WorkerID, isFinal: Bool = false) -> Coordinator.Outcome {
        handle(
            .worker(
                RouteID(worker), .failure(FailureReport(worker: worker, id: id, reason: "it broke", isFinal: isFinal))))
    }

    /// Offers a result and stores its blobs.
    @discardableResult
    mutating func finish(_ id: AttemptID, from worker: WorkerID, _ result: WorkResult? = nil) -> Coordinator.Outcome {
        var all = self.result(id, from: worker, result)
        for pull in all.pulls {
            let stored = handle(.blobStored(pull.digest))
            all.changes += stored.changes
            all.messages += stored.messages
        }
        return all
    }

    /// Throws the coordinator away and starts another one from the store.
    mutating func restart(generation: Generation = Generation(nonce: 2)) {
        coordinator = Coordinator(restoring: disk.snapshot, generation: generation, settings: settings, at: now)
        coordinator.checkInvariants()
    }
}

extension RouteID {
    init(_ worker: WorkerID) { self.init(bytes: Array(worker.text.utf8)) }
}

extension Coordinator.Outcome {
    /// TASKs it sends, in order.
    var tasks: [Assignment] { messages.compactMap { if case .task(let task) = $0.message { task } else { nil } } }
    var acks: [ResultAck] { messages.compactMap { if case .resultAck(let ack) = $0.message { ack } else { nil } } }
    var revoked: [AttemptID] {
        messages.flatMap { if case .beatAck(let ack) = $0.message { ack.revoked } else { [] as [AttemptID] } }
    }
    var saysHello: Bool { messages.contains { $0.message == .sayHello } }
    var started: [AttemptID] { changes.compactMap { if case .attemptStarted(let id, _) = $0 { id } else { nil } } }
    var ended: [AttemptEnd] { changes.compactMap { if case .attemptEnded(_, let end) = $0 { end } else { nil } } }
    var failed: [TaskKey] { changes.compactMap { if case .taskFailed(let key, _) = $0 { key } else { nil } } }
}
