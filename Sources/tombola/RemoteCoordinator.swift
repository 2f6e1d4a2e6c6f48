import Client
import CoordinatorService
import Foundation
import Keys
import Sweeps

/// A coordinator of another process, asked over its control socket.
struct RemoteCoordinator {
    /// Planning or ranking a sweep of a million runs takes a while, and waits for others' turns.
    private static let longMilliseconds: Int64 = 10 * 60_000
    private static let shortMilliseconds: Int64 = 5_000

    private let client: Client

    init(_ endpoint: String, _ peer: PeerOptions) throws {
        client = try Client(endpoint: endpoint, security: peer.security(for: endpoint, as: .client))
    }

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
        let decoder = JSONDecoder()
        do {
            return try decoder.decode(
                Reply.self,
                from: Data(try client.request(verb.rawValue, body: bytes, timeoutMilliseconds: milliseconds)))
        } catch ClientError.refused(let status, let body) {
            let refusal = try decoder.decode(ServiceRefusal.self, from: Data(body))
            throw Failure(ExitStatus(code: Int32(status)), refusal.error)
        }
    }
}
