import Coordination
import Lottery

/// Messages as ZeroMQ frames: `[magic, major, type]`, a header of at most `Limits.headerBytes`, and for some types a
/// payload.
///
/// What is sent often (TASK, RESULT, acks, beats, chunks) is fixed-layout and little-endian; the rest has a JSON
/// header. Decoding throws on anything that `encode` could not have made within the limits, and never traps.
///
/// Whoever changes what a frame holds, or adds a type, raises `major`: peers of different majors refuse each other with
/// a sentence, and those of one understand all that the other says. A test has the bytes of this one.
///
/// Frozen for all majors, so that peers of different versions can part with a sentence: the first frame begins with
/// `magic`, `major`, `type`; type 21 is `refused`, whose second frame is the reason in plain UTF-8.
public enum Wire {
    public static let magic: UInt8 = 0xF6
    public static let major: UInt8 = 4

    /// Type numbers are never given a second meaning.
    enum Kind: UInt8 {
        case hello = 1
        case beat = 2
        case result = 3
        case failure = 4
        case goodbye = 5
        case checkpoint = 6
        case welcome = 16
        case sayHello = 17
        case task = 18
        case beatAck = 19
        case resultAck = 20
        case refused = 21
        case shutdown = 22
        case checkpointAck = 23
        case drain = 24
        case blobHello = 32
        case get = 33
        case chunk = 34
        case missing = 35
        case clientRequest = 48
        case clientReply = 49

        /// Largest payload; nil for types without one.
        var payloadLimit: Int? {
            switch self {
            case .hello: Limits.headerBytes * 3
            case .result: Limits.summaryBytes
            case .task: Limits.payloadBytes
            case .chunk: Limits.chunkBytes
            case .clientRequest, .clientReply: Limits.clientBodyBytes
            case .beat, .failure, .checkpoint, .goodbye, .welcome, .sayHello, .beatAck, .resultAck, .checkpointAck,
                .refused, .drain, .shutdown, .blobHello, .get, .missing:
                nil
            }
        }
    }

    /// A message taken apart, its limits checked, its content not looked at.
    struct Envelope {
        var kind: Kind
        var header: [UInt8]
        var payload: [UInt8]
    }

    static func frames(_ kind: Kind, _ header: [UInt8] = [], payload: [UInt8]? = nil) -> [[UInt8]] {
        precondition(header.count <= Limits.headerBytes, "a \(kind) header of \(header.count) bytes")
        precondition((payload == nil) == (kind.payloadLimit == nil), "\(kind) with or without payload")
        precondition(payload?.count ?? 0 <= kind.payloadLimit ?? 0, "a \(kind) payload of \(payload?.count ?? 0) bytes")
        let prefix = [magic, major, kind.rawValue]
        return payload.map { [prefix, header, $0] } ?? [prefix, header]
    }

    static func open(_ frames: [[UInt8]]) throws(WireError) -> Envelope {
        guard let prefix = frames.first, prefix.count >= 3, prefix[0] == magic else { throw .foreign }
        guard prefix[1] == major else {
            if prefix[2] == Kind.refused.rawValue { throw .refused(reason: reason(in: frames)) }
            throw .version(theirs: Int(prefix[1]))
        }
        guard prefix.count == 3, let kind = Kind(rawValue: prefix[2]) else {
            throw .malformed("message type \(prefix[2]) is unknown")
        }
        guard frames.count == (kind.payloadLimit == nil ? 2 : 3) else {
            throw .malformed("\(kind) came in \(frames.count) frames")
        }
        guard frames[1].count <= Limits.headerBytes else {
            throw .malformed("\(kind) header of \(frames[1].count) bytes")
        }
        let payload = frames.count == 3 ? frames[2] : []
        guard payload.count <= kind.payloadLimit ?? 0 else {
            throw .malformed("\(kind) payload of \(payload.count) bytes")
        }
        return Envelope(kind: kind, header: frames[1], payload: payload)
    }

    /// The reason of a `refused` of any version.
    static func reason(in frames: [[UInt8]]) -> String {
        guard frames.count > 1 else { return "no reason given" }
        return printable(String(decoding: frames[1].prefix(Limits.reasonBytes), as: UTF8.self))
    }

    /// The `refused` that a peer of any version can read, worker or client.
    public static func encodeRefusal(reason: String) -> [[UInt8]] {
        frames(.refused, Array(cut(reason).utf8))
    }

    /// A reason of at most `Limits.reasonBytes` bytes.
    static func cut(_ reason: String) -> String {
        guard reason.utf8.count > Limits.reasonBytes else { return reason }
        var cut = Substring(String(decoding: reason.utf8.prefix(Limits.reasonBytes - 3), as: UTF8.self))
        // The cut may have split a character, whose replacement is longer than its bytes were.
        while cut.utf8.count > Limits.reasonBytes - 3 { cut.removeLast() }
        return cut + "…"
    }

    /// The end of a log, of at most `Limits.logTailBytes` bytes.
    static func tail(of log: String) -> String {
        guard log.utf8.count > Limits.logTailBytes else { return log }
        var tail = Substring(String(decoding: log.utf8.suffix(Limits.logTailBytes - 3), as: UTF8.self))
        // The cut may have split a character, whose replacements are longer than its bytes were.
        while tail.utf8.count > Limits.logTailBytes - 3 { tail.removeFirst() }
        return "…" + tail
    }
}

public enum WireError: Error, Hashable, Sendable {
    /// The frames are not ours at all.
    case foreign
    /// The peer speaks another major version: answer with `Wire.encodeRefusal`.
    case version(theirs: Int)
    case malformed(String)
    /// A coordinator refused us, and why.
    case refused(reason: String)
}

extension WireError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .foreign: "the peer does not speak Tombola's protocol; check the address and port"
        case .version(let theirs):
            "the peer speaks version \(theirs) of the protocol and this program version \(Wire.major); install the same release on both"
        case .malformed(let what): "a broken message came: \(what)"
        case .refused(let reason): reason
        }
    }
}
