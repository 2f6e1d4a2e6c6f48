import Artifacts
import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store
import Sweeps
import Training

/// The sweeps of a store as of one moment, read beside the coordinator that may be using it.
struct StoredSweeps {
    let store: Store
    private let catalog: DataCatalog
    private let snapshot: Snapshot
    private let tasks: [TaskKey: Snapshot.TaskRecord]
    /// What those tasks that wait for no other, and are not done, are to do.
    private let payloads: [TaskKey: [UInt8]]
    /// Digests of the data sets that the store has handed to workers, by name.
    private let datasets: [String: Set<Digest>]

    init(directory: String, catalog: DataCatalog) throws {
        store = try Store.open(directory: directory, mode: .reader)
        self.catalog = catalog
        snapshot = try store.snapshot()
        let records = snapshot.tasks
        tasks = Dictionary(uniqueKeysWithValues: records.map { ($0.work.key, $0) })
        // Of the others it does not matter which checkpoints they keep.
        payloads = try store.payloads(
            of: records.lazy.filter { $0.state == .pending && !$0.work.waitsForOthers }.map(\.work.key))
        datasets = StoredSweeps.datasets(of: records, in: store)
    }

    /// A sweep's plan beside what a store holds, which may not be there yet, and which of its tasks are asked for so
    /// far. Unless the store has taken the very spec on, it must do as a new one.
    static func plan(of sweep: Sweep, store: String, catalog: DataCatalog) throws -> (Plan, isAsked: [Bool]) {
        // A folder may hold data sets for a store that is still to come.
        guard try Store.exists(in: store) else {
            let plan = try Plan(
                sweep: sweep, vocabulary: catalog.vocabulary, dataDigest: { try catalog.digest(of: $0) })
            try plan.checkAsNew()
            return (plan, plan.isAsked(within: Extent(plan: plan) { _ in .pending }))
        }
        let stored = try StoredSweeps(directory: store, catalog: catalog)
        let plan = try stored.plan(of: sweep)
        let isStored = try stored.store.sweeps().contains { $0.name == sweep.name && $0.digest == sweep.specDigest }
        if !isStored { try plan.checkAsNew() }
        return (plan, try stored.isAsked(plan))
    }

    /// All sweeps in the order of submission, or the one of that name.
    func records(named name: String?) throws -> [SweepRecord] {
        let all = try store.sweeps()
        guard let name else { return all }
        if let sweep = all.first(where: { $0.name == name }) { return [sweep] }
        let known = all.isEmpty ? "it has none yet" : "it has \(all.map(\.name).joined(separator: ", "))"
        throw Failure(.usage, "the store \(store.directory) has no sweep “\(name)”; \(known)")
    }

    /// The sweep of that name; where the store has one only, that one.
    func record(named name: String?) throws -> SweepRecord {
        let all = try records(named: name)
        guard all.count > 1 else {
            if let only = all.first { return only }
            throw Failure(.usage, "the store \(store.directory) has no sweep yet")
        }
        let names = all.map(\.name).joined(separator: ", ")
        throw Failure(.usage, "the store \(store.directory) has several sweeps; name one of \(names)")
    }

    func sweep(of record: SweepRecord) throws -> Sweep {
        try Sweep(
            yaml: record.spec, file: record.file, vocabulary: Registry.standard.vocabulary,
            maximumRuns: Sweep.runsAtMost)
    }

    func plan(of record: SweepRecord) throws -> Plan { try plan(of: sweep(of: record)) }

    func plan(of sweep: Sweep) throws -> Plan {
        try Plan(sweep: sweep, vocabulary: Registry.standard.vocabulary, dataDigest: digest, known: known)
    }

    func leaderboard(of plan: Plan) throws -> Leaderboard {
        let results = try results(of: plan)
        return Leaderboard(plan: plan) { CellResult(results[$0] ?? .pending) }
    }

    /// Which tasks the sweep asks for, as far as its results say.
    func isAsked(_ plan: Plan) throws -> [Bool] {
        let results = plan.isAdaptive ? try results(of: plan) : [:]
        return plan.isAsked(within: Extent(plan: plan) { CellResult(results[$0] ?? .pending) })
    }

    /// Which tasks the sweep waits for as it stands: one that is cancelled asks for nothing that it has not got.
    func isAwaited(_ plan: Plan) throws -> [Bool] {
        let isAsked = try isAsked(plan)
        guard standing(of: plan.sweep.name)?.isCancelled == true else { return isAsked }
        return zip(isAsked, plan.tasks).map { $0 && tasks[$1.key] != nil }
    }

    /// What the store knows of each task of the plan that it knows.
    func results(of plan: Plan) throws -> [TaskKey: TaskRecord] {
        var results: [TaskKey: TaskRecord] = [:]
        for task in plan.tasks {
            switch tasks[task.key]?.state {
            case .done(let result):
                guard let summary = LevelSummary.reading(result.summary) else {
                    let failure = TaskFailure.unreadableResult
                    results[task.key] = .failed(name: failure.name.rawValue, reason: failure.reason)
                    continue
                }
                results[task.key] = .done(
                    summary, seconds: result.seconds, origin: ResultOrigin(text: result.origin))
            case .failed(let failure):
                results[task.key] = .failed(name: failure.name.rawValue, reason: failure.reason)
            case .pending, nil: break
            }
        }
        return results
    }

    /// Every evaluation of a done task; nil if it left none.
    func curve(of key: TaskKey) throws -> LearningCurve? {
        guard case .done(let result) = tasks[key]?.state, let metrics = result.output(.metrics) else { return nil }
        let path = store.artifacts.path(of: metrics.digest)
        do { return try LearningCurve(decoding: [UInt8](Data(contentsOf: URL(filePath: path)))) } catch {
            throw Failure(
                .infrastructure,
                "the learning curve of task \(key.digest.short) cannot be read: \(path): \(error); see `tombola store verify`"
            )
        }
    }

    /// A sweep's results for people's own analyses.
    func tables(of plan: Plan) throws -> Records {
        let results = try results(of: plan)
        return Records(
            plan: plan, results: { results[$0] ?? .pending }, stepCost: Registry.standard.stepCost, curve: curve)
    }

    /// What the store knows of a task.
    func record(of key: TaskKey) -> Snapshot.TaskRecord? { tasks[key] }

    /// How a sweep stands.
    func standing(of name: String) -> SweepStanding? { snapshot.sweeps.first { $0.id.text == name } }

    /// All there is to say about the task whose key begins with these digits. Why it is not done is what a coordinator
    /// without workers would say that begins with this store now.
    func report(on digits: String) throws -> TaskReport {
        do {
            let key = try store.task(beginningWith: digits)
            var report = try TaskReport(key, in: store, plans: records(named: nil).map { try plan(of: $0) })
            let coordinator = Coordinator(
                restoring: snapshot, generation: Generation(nonce: 0), settings: CoordinatorSettings(),
                at: Instant(milliseconds: 0))
            report.explanation = coordinator.explanation(of: key)
            return report
        } catch let refusal as QuestionRefusal { throw Failure(.usage, refusal.description) }
    }

    /// The ticket whose id begins with these digits.
    func ticket(_ digits: String) throws -> TicketRecord {
        let records = try records(named: nil)
        do {
            return try TicketRecord(
                digits, in: store, plans: try records.map(plan),
                specs: Dictionary(uniqueKeysWithValues: records.map { ($0.name, $0.spec) }))
        } catch let refusal as QuestionRefusal { throw Failure(.usage, refusal.description) }
    }

    /// The data set as the store's tasks know it: files may have moved or changed since. Without such a task, as the
    /// files are.
    private func digest(of dataset: String) throws -> Digest {
        if let digests = datasets[dataset], digests.count == 1, let digest = digests.first { return digest }
        return try catalog.digest(of: dataset)
    }

    private func known(_ key: TaskKey) -> KnownTask? {
        guard let task = tasks[key] else { return nil }
        switch task.state {
        case .done(let result): return .done(outputs: Set(result.outputs.map(\.name)))
        case .failed: return .failed
        case .pending:
            let steps = keepSteps(of: key)
            return task.running == nil ? .pending(keepSteps: steps) : .running(keepSteps: steps)
        }
    }

    /// Checkpoints that a task was asked to keep. A payload that this version cannot read asks for none that it could
    /// count on.
    private func keepSteps(of key: TaskKey) -> [Int] {
        let request = payloads[key].flatMap { try? JSONDecoder().decode(TrainingRequest.self, from: Data($0)) }
        return request?.keepSteps ?? []
    }

    private static func datasets(of tasks: [Snapshot.TaskRecord], in store: Store) -> [String: Set<Digest>] {
        var names: [String: Set<Digest>] = [:]
        var seen: Set<Digest> = []
        for input in tasks.lazy.flatMap(\.work.inputs) where input.name == TrainingRequest.Input.dataset {
            guard case .blob(let digest) = input.source, seen.insert(digest).inserted, store.artifacts.contains(digest)
            else {
                continue
            }
            // A data set that cannot be read here is looked for among the files, which says what is wrong.
            guard
                let file = try? Data(
                    contentsOf: URL(filePath: store.artifacts.path(of: digest)), options: .alwaysMapped),
                let header = try? file.withUnsafeBytes({ try Safetensors.header(of: $0) }),
                let name = header.metadata["name"]
            else { continue }
            names[name, default: []].insert(digest)
        }
        return names
    }
}

extension Work {
    fileprivate var waitsForOthers: Bool { inputs.contains { if case .output = $0.source { true } else { false } } }
}

/// A spec as a file.
enum SpecFile {
    /// A spec is written by a person; more than this is another file by mistake.
    private static let byteLimit = 4 * 1024 * 1024

    static func read(_ path: String) throws(Failure) -> String {
        let data: Data
        do { data = try Data(contentsOf: URL(filePath: path)) } catch {
            var isFolder: ObjCBool = false
            let reason =
                !FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                ? "there is no such file"
                : isFolder.boolValue ? "it is a folder" : "it cannot be read (\(error.localizedDescription))"
            throw Failure(.usage, "\(path): \(reason); name a YAML file such as sweeps/quickstart.yaml")
        }
        guard data.count <= byteLimit, let text = String(data: data, encoding: .utf8) else {
            throw Failure(
                .usage, "\(path): this is no spec, which is a small YAML file in UTF-8; see sweeps/quickstart.yaml")
        }
        return text
    }
}
