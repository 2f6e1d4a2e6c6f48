import Artifacts
import Coordination
import CoordinatorService
import Foundation
import Lottery
import Store
import Training

/// A done level, and where its weights and its data set lie on this machine.
struct StoredTicket {
    let record: TicketRecord
    let summary: LevelSummary
    private let request: TrainingRequest
    private let artifacts: ArtifactFolder

    /// - Parameter artifacts: holds what the record names.
    init(_ record: TicketRecord, in artifacts: ArtifactFolder) throws {
        self.record = record
        self.artifacts = artifacts
        let decoder = JSONDecoder()
        request = try decoder.decode(TrainingRequest.self, from: record.request)
        guard let summary = LevelSummary.reading(record.summary) else {
            throw Failure(.infrastructure, TaskFailure.unreadableResult.reason)
        }
        self.summary = summary
    }

    /// Hands the ticket to `body`, from a store, or from a coordinator whose blobs are brought here for that long.
    static func with<Value>(
        _ id: String, store: StoreOption, connect: ConnectOption, peer: PeerOptions, data: DataOption,
        _ body: (StoredTicket) throws -> Value
    ) throws -> Value {
        guard let endpoint = try connect.endpoint(besides: store) else {
            let sweeps = try StoredSweeps(directory: store.directory, catalog: data.catalog(store: store.directory))
            return try body(StoredTicket(sweeps.ticket(id), in: sweeps.store.artifacts))
        }
        let coordinator = try RemoteCoordinator(endpoint, peer)
        let record = try coordinator.ticket(id)
        let folder = FileManager.default.temporaryDirectory.path + "/tombola-ticket-" + UUID().uuidString
        defer {
            // What stays behind is only a nuisance.
            try? FileManager.default.removeItem(atPath: folder)
        }
        let artifacts = try ArtifactFolder(directory: folder)
        for digest in [record.final, record.rewind, record.dataset].compactMap(\.self) {
            try coordinator.fetch(digest, into: artifacts)
        }
        return try body(StoredTicket(record, in: artifacts))
    }

    /// What the level was trained in.
    var precision: Precision { request.task.training.precision }

    /// The ticket with its weights, evaluated on the test set.
    func assemble() throws -> Ticket {
        try Ticket(
            of: request.task, final: artifacts.path(of: record.final), rewind: record.rewind.map(artifacts.path),
            dataset: artifacts.path(of: record.dataset), registry: .standard)
    }
}
