import Artifacts
import Coordination
import Foundation
import Lottery
import Store
import Sweeps
import Training

/// A done level of a store, found by the first digits of its key.
struct StoredTicket {
    let key: TaskKey
    let summary: LevelSummary
    /// Where it belongs, in words: a task that runs share has several places.
    let places: [String]
    /// The first sweep's spec that has it.
    let spec: String?

    private let request: TrainingRequest
    private let final: String
    private let rewind: String?
    private let dataset: String

    /// Places beyond this many are counted, not listed.
    private static let placesShown = 4
    private static let shortestPrefix = 4

    init(_ id: String, in stored: StoredSweeps) throws {
        key = try StoredTicket.find(id, in: stored)
        guard let record = stored.record(of: key) else { preconditionFailure("\(key) was found and is not there") }
        switch record.state {
        case .pending: throw Failure(.usage, "\(key) is not done yet; `tombola status` says how far its sweep is")
        case .failed(let failure):
            throw Failure(.usage, "\(key) is \(failure.name) and left no ticket: \(failure.reason)")
        case .done(let result):
            let decoder = JSONDecoder()
            request = try decoder.decode(TrainingRequest.self, from: Data(record.work.payload))
            summary = try decoder.decode(LevelSummary.self, from: Data(result.summary))
            guard let output = result.outputs.first(where: { $0.name == .final }) else {
                throw Failure(.usage, "\(key) is a replay, which leaves a checkpoint and no ticket")
            }
            final = stored.store.artifacts.path(of: output.digest)
        }
        dataset = stored.store.artifacts.path(of: request.task.dataset)
        rewind = try StoredTicket.rewind(of: record.work, in: stored)
        (places, spec) = try StoredTicket.places(of: key, in: stored)
    }

    /// What the level was trained in.
    var precision: Precision { request.task.training.precision }

    /// The ticket with its weights, evaluated on the test set.
    func assemble() throws -> Ticket {
        try Ticket(of: request.task, final: final, rewind: rewind, dataset: dataset, registry: .standard)
    }

    private static func find(_ id: String, in stored: StoredSweeps) throws(Failure) -> TaskKey {
        guard id.count >= shortestPrefix, id.allSatisfy(\.isHexDigit) else {
            throw Failure(
                .usage,
                "“\(id)” is no ticket's id: give at least its first \(shortestPrefix) hexadecimal digits, from `tombola leaderboard`"
            )
        }
        let keys = stored.keys(beginningWith: id)
        guard let first = keys.first else {
            throw Failure(
                .usage, "no ticket in \(stored.store.directory) begins with “\(id)”; `tombola leaderboard` lists them")
        }
        guard keys.count == 1 else {
            let list = keys.prefix(10).map(\.description).joined(separator: ", ") + (keys.count > 10 ? ", …" : "")
            throw Failure(.usage, "“\(id)” begins \(keys.count) tickets: \(list)")
        }
        return first
    }

    private static func rewind(of work: Work, in stored: StoredSweeps) throws(Failure) -> String? {
        guard let input = work.inputs.first(where: { $0.name == TrainingRequest.Input.rewind }) else { return nil }
        guard case .output(let task, let name) = input.source, case .done(let result)? = stored.record(of: task)?.state,
            let output = result.outputs.first(where: { $0.name == name })
        else { throw Failure(.infrastructure, "the checkpoint that \(work.key) was rewound to is not in the store") }
        return stored.store.artifacts.path(of: output.digest)
    }

    private static func places(of key: TaskKey, in stored: StoredSweeps) throws -> (places: [String], spec: String?) {
        var places: [String] = []
        var spec: String?
        for record in try stored.records(named: nil) {
            let plan = try stored.plan(of: record)
            guard let index = plan.tasks.firstIndex(where: { $0.key == key }) else { continue }
            spec = spec ?? record.spec
            let role =
                switch plan.tasks[index].role {
                case .dense: "level 0 (dense)"
                case .level(let level): "level \(level)"
                case .branch(let name, let level): "\(name) of level \(level)"
                case .replay(let step): "replay to step \(step)"
                }
            for point in plan.sweep.points {
                for replicate in 0..<plan.sweep.replicates {
                    let run = plan.run(point: point.index, replicate: replicate)
                    guard run.dense == index || run.levels.contains(index) || run.branches.joined().contains(index)
                    else {
                        continue
                    }
                    let values = plan.sweep.describe(point)
                    places.append(
                        "\(plan.sweep.name)\(values.isEmpty ? "" : ", \(values)"), replicate \(replicate), \(role)")
                }
            }
        }
        if places.count > placesShown {
            places = places.prefix(placesShown) + ["\(places.count - placesShown) more runs"]
        }
        return (places, spec)
    }
}
