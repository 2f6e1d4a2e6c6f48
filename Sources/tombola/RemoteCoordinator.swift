import Artifacts
import Client
import Coordination
import CoordinatorService
import Foundation
import Keys
import Lottery
import Sweeps
import ZeroMQ

/// A coordinator of another process, asked over its control socket.
struct RemoteCoordinator {
    /// Planning or ranking a sweep of a million runs takes a while, and waits for others' turns.
    private static let longMilliseconds: Int64 = 10 * 60_000
    private static let shortMilliseconds: Int64 = 5_000

    private let client: Client

    /// - Parameter interrupt: ends any waiting once it rings, by `ClientError.interrupted`.
    init(_ endpoint: String, _ peer: PeerOptions, interrupt: Doorbell? = nil) throws {
        client = try Client(
            endpoint: endpoint, security: peer.security(for: endpoint, as: .client), interrupt: interrupt)
    }

    init(endpoint: String, security: SocketSecurity) throws {
        client = try Client(endpoint: endpoint, security: security)
    }

    /// To be called before it is asked again after a request that nobody answered.
    func reconnect() throws { try client.reconnect() }

    func status() throws -> ServiceStatus { try ask(.status, Self.shortMilliseconds) }

    func submit(_ request: SubmitRequest) throws -> SubmitReply {
        try requireAnswer()
        return try ask(.submit, body: request, Self.longMilliseconds)
    }

    /// All sweeps' leaderboards, or that of one.
    func leaderboards(of sweep: String?) throws -> [Leaderboard] {
        try requireAnswer()
        return try ask(.leaderboard, body: LeaderboardRequest(sweep: sweep), Self.longMilliseconds)
    }

    func explain(_ task: String) throws -> TaskReport {
        try requireAnswer()
        return try ask(.explain, body: ExplainRequest(task: task), Self.longMilliseconds)
    }

    func order(_ request: OrderRequest) throws -> OrderReply {
        try requireAnswer()
        return try ask(.order, body: request, Self.longMilliseconds)
    }

    func compact(_ request: CompactRequest) throws -> CompactReply {
        try requireAnswer()
        return try ask(.compact, body: request, Self.longMilliseconds)
    }

    func stop(_ request: StopRequest) throws -> StopReply {
        try ask(.stop, body: request, Self.shortMilliseconds)
    }

    func ticket(_ id: String) throws -> TicketRecord {
        try requireAnswer()
        return try ask(.ticket, body: TicketRequest(ticket: id), Self.longMilliseconds)
    }

    /// Brings a blob into `folder`, checked by its digest.
    func fetch(_ digest: Digest, into folder: ArtifactFolder) throws {
        if folder.contains(digest) { return }
        let part = try folder.beginPart(digest, byteCount: try chunk(of: digest, at: 0, count: 0).byteCount)
        while !part.isComplete {
            let chunk = try chunk(of: digest, at: part.received, count: Limits.chunkBytes)
            guard !chunk.bytes.isEmpty else {
                throw Failure(.infrastructure, "the coordinator sent nothing of blob \(digest) at \(part.received)")
            }
            try part.append(chunk.bytes)
        }
        try part.finish()
    }

    private func chunk(of digest: Digest, at offset: Int, count: Int) throws -> (byteCount: Int, bytes: [UInt8]) {
        let request = BlobRequest(digest: digest, offset: offset, count: count)
        let reply = try bytes(.blob, Array(try JSONEncoder().encode(request)), Self.longMilliseconds)
        guard reply.count >= 8 else {
            throw Failure(.infrastructure, "the coordinator's answer about blob \(digest) has \(reply.count) bytes")
        }
        let byteCount = reply.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return (Int(clamping: byteCount), Array(reply.dropFirst(8)))
    }

    /// Fails soon where no coordinator is, before something is asked that may take long.
    private func requireAnswer() throws { _ = try status() }

    private func ask<Reply: Decodable>(_ verb: ServiceVerb, _ milliseconds: Int64) throws -> Reply {
        try ask(verb, bytes: [], milliseconds)
    }

    private func ask<Reply: Decodable>(_ verb: ServiceVerb, body: some Encodable, _ milliseconds: Int64) throws -> Reply
    {
        try ask(verb, bytes: Array(try JSONEncoder().encode(body)), milliseconds)
    }

    private func ask<Reply: Decodable>(_ verb: ServiceVerb, bytes: [UInt8], _ milliseconds: Int64) throws -> Reply {
        let reply = Data(try self.bytes(verb, bytes, milliseconds))
        do { return try JSONDecoder().decode(Reply.self, from: reply) } catch is DecodingError {
            throw Failure(
                .infrastructure,
                "the coordinator's answer to “\(verb.rawValue)” is that of another version: install the same tombola here and there"
            )
        }
    }

    private func bytes(_ verb: ServiceVerb, _ body: [UInt8], _ milliseconds: Int64) throws -> [UInt8] {
        do {
            return try client.request(verb.rawValue, body: body, timeoutMilliseconds: milliseconds)
        } catch ClientError.refused(let status, let body) {
            let refusal = try JSONDecoder().decode(ServiceRefusal.self, from: Data(body))
            throw Failure(ExitStatus(code: Int32(status)), refusal.error)
        }
    }
}
