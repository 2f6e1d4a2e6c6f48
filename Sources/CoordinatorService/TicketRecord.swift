import Coordination
import Foundation
import Lottery
import Store
import Sweeps

public struct TicketRequest: Hashable, Sendable, Codable {
    /// The first digits of its key.
    public var ticket: String

    public init(ticket: String) { self.ticket = ticket }
}

/// Bytes of an artifact, for whoever has a ticket's record.
public struct BlobRequest: Hashable, Sendable, Codable {
    public var digest: Digest
    public var offset: Int
    /// The answer has no more than `Limits.chunkBytes`.
    public var count: Int

    public init(digest: Digest, offset: Int, count: Int) {
        self.digest = digest
        self.offset = offset
        self.count = count
    }
}

/// What a store has of a done level, and which blobs make its ticket.
public struct TicketRecord: Hashable, Sendable, Codable {
    public var key: TaskKey
    /// The `TrainingRequest` that was carried out, and the `LevelSummary` it came to, as JSON.
    public var request: Data
    public var summary: Data
    /// Trained weights, and the weights that were rewound to, unless those are the initial ones.
    public var final: Digest
    public var rewind: Digest?
    public var dataset: Digest
    /// Where it belongs, in words: a task that runs share has several places.
    public var places: [String]
    /// The first sweep's spec that has it.
    public var spec: String?
    /// Done trainings that differ from it in nothing but their noise, and were compared with it. A coordinator of an
    /// earlier version does not say this.
    public var siblings: [Sibling]?

    public struct Sibling: Hashable, Sendable, Codable {
        public var key: TaskKey
        public var batchNorm: BatchNormPolicy
        /// Nil if it diverged.
        public var connectivity: Connectivity?
    }

    /// Places beyond this many are counted, not listed.
    private static let placesShown = 4

    /// - Throws: `QuestionRefusal` for one that is not there, or is no ticket.
    package init(_ digits: String, in store: Store, plans: [Plan], specs: [String: String]) throws {
        key = try store.task(beginningWith: digits)
        let key = key
        guard let task = try store.task(key) else { preconditionFailure("\(key) was found and is not there") }
        switch task.state {
        case .pending, .running:
            throw QuestionRefusal(description: "\(key) is not done yet; `tombola explain` says why")
        case .failed(let failure):
            throw QuestionRefusal(description: "\(key) is \(failure.name) and left no ticket: \(failure.reason)")
        case .done: break
        }
        guard let output = task.outputs.first(where: { $0.name == .final }), let result = try store.result(of: key)
        else { throw QuestionRefusal(description: "\(key) is a replay, which leaves a checkpoint and no ticket") }
        request = Data(task.payload)
        summary = Data(result.summary)
        final = output.digest
        let inputs = try store.inputs(of: key)
        guard case .blob(let dataset)? = inputs.first(where: { $0.name == TrainingRequest.Input.dataset })?.source
        else {
            throw QuestionRefusal(description: "\(key) was trained on no data set, and is no ticket")
        }
        self.dataset = dataset
        if case .output(let parent, let name)? = inputs.first(where: { $0.name == TrainingRequest.Input.rewind })?
            .source
        {
            let checkpoint =
                try store.outputs(of: parent).first { $0.name == name } ?? store.remainder(of: parent, name)
            guard let checkpoint else {
                throw QuestionRefusal(description: "the checkpoint that \(key) was rewound to is not in the store")
            }
            rewind = checkpoint.digest
        }
        let places = plans.flatMap { $0.places(of: key) }
        self.places =
            places.count > TicketRecord.placesShown
            ? places.prefix(TicketRecord.placesShown) + ["\(places.count - TicketRecord.placesShown) more runs"]
            : places
        spec = plans.first { $0.index(of: key) != nil }.flatMap { specs[$0.sweep.name] }
        var siblings: [Sibling] = []
        for (sibling, connection) in plans.flatMap({ $0.siblings(of: key) }) {
            guard !siblings.contains(where: { $0.key == sibling }), let result = try store.result(of: sibling) else {
                continue
            }
            siblings.append(
                Sibling(
                    key: sibling, batchNorm: connection.batchNorm,
                    connectivity: LevelSummary.reading(result.summary)?.connectivity))
        }
        self.siblings = siblings
    }
}
