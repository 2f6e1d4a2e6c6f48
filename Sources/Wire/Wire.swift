import Coordination
import Lottery

/// Messages as frames: `[magic, major, type]`, a header, a payload.
public enum Wire {
    public static let magic: UInt8 = 0xF6
    public static let major: UInt8 = 1

    public static func encode(_ message: WorkerMessage) -> [[UInt8]] { [] }
    public static func encode(_ message: CoordinatorMessage) -> [[UInt8]] { [] }
    public static func encode(_ message: BlobMessage) -> [[UInt8]] { [] }
    public static func encode(_ request: ClientRequest) -> [[UInt8]] { [] }
    public static func encode(_ reply: ClientReply) -> [[UInt8]] { [] }

    /// What comes in on the coordinator's control socket.
    public static func decodeRequest(_ frames: [[UInt8]]) throws(WireError) -> Request { throw .malformed("") }
    public static func decodeWorkerMessage(_ frames: [[UInt8]]) throws(WireError) -> WorkerMessage { throw .malformed("") }
    public static func decodeCoordinatorMessage(_ frames: [[UInt8]]) throws(WireError) -> CoordinatorMessage { throw .malformed("") }
    public static func decodeBlobMessage(_ frames: [[UInt8]]) throws(WireError) -> BlobMessage { throw .malformed("") }
    public static func decodeClientReply(_ frames: [[UInt8]]) throws(WireError) -> ClientReply { throw .malformed("") }

    public enum Request: Hashable, Sendable {
        case worker(WorkerMessage)
        case client(ClientRequest)
    }

    /// The `refused` that a peer of any version can read, worker or client.
    public static func encodeRefusal(reason: String) -> [[UInt8]] { [] }
}

public enum WireError: Error, Hashable, Sendable {
    /// The frames are not ours at all.
    case foreign
    /// The peer speaks another major version: answer with `Wire.encodeRefusal`.
    case version(theirs: Int)
    case malformed(String)
    /// The coordinator refused the peer, and why.
    case refused(reason: String)
}
