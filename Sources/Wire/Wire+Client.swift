import Coordination
import Lottery

/// What clients ask on the control socket, and the answers.
extension Wire {
    /// What comes in on the coordinator's control socket.
    public enum Request: Hashable, Sendable {
        case worker(WorkerMessage)
        case client(ClientRequest)
    }

    public static func decodeRequest(_ frames: [[UInt8]]) throws(WireError) -> Request {
        let envelope = try open(frames)
        guard envelope.kind == .clientRequest else { return .worker(try workerMessage(envelope)) }
        var reader = ByteReader(envelope.header)
        let id = try reader.integer(UInt64.self)
        let verb = try reader.name("a verb")
        try reader.finish()
        return .client(ClientRequest(id: id, verb: verb, body: envelope.payload))
    }

    /// id u64, verb; the body is the payload.
    public static func encode(_ request: ClientRequest) -> [[UInt8]] {
        var header = ByteWriter()
        header.integer(request.id)
        header.text(request.verb, limit: Limits.nameBytes)
        return frames(.clientRequest, header.bytes, payload: request.body)
    }

    /// id u64, status u8; the body is the payload.
    public static func encode(_ reply: ClientReply) -> [[UInt8]] {
        var header = ByteWriter()
        header.integer(reply.id)
        header.integer(UInt8(reply.status))
        return frames(.clientReply, header.bytes, payload: reply.body)
    }

    /// - Throws: `refused` if the coordinator cannot serve this client, such as one of another version.
    public static func decodeClientReply(_ frames: [[UInt8]]) throws(WireError) -> ClientReply {
        let envelope = try open(frames)
        if envelope.kind == .refused { throw .refused(reason: reason(in: frames)) }
        guard envelope.kind == .clientReply else { throw .malformed("\(envelope.kind) is no answer to a client") }
        var reader = ByteReader(envelope.header)
        let id = try reader.integer(UInt64.self)
        let status = Int(try reader.integer(UInt8.self))
        try reader.finish()
        return ClientReply(id: id, status: status, body: envelope.payload)
    }
}
