import Coordination
import Lottery

/// What the coordinator says to workers.
extension Wire {
    public static func encode(_ message: CoordinatorMessage) -> [[UInt8]] {
        switch message {
        case .welcome(let welcome): frames(.welcome, json(welcome))
        case .sayHello: frames(.sayHello)
        case .task(let assignment): encode(assignment)
        case .beatAck(let ack): encode(ack)
        case .resultAck(let ack): encode(ack)
        case .checkpointAck(let ack): frames(.checkpointAck, json(ack))
        case .refused(let reason): encodeRefusal(reason: reason)
        case .drain: frames(.drain)
        case .shutdown: frames(.shutdown)
        }
    }

    /// A `refused` of any version is a message; everything else of another version throws.
    public static func decodeCoordinatorMessage(_ frames: [[UInt8]]) throws(WireError) -> CoordinatorMessage {
        let envelope: Envelope
        do throws(WireError) {
            envelope = try open(frames)
        } catch {
            if case .refused(let reason) = error { return .refused(reason: reason) }
            throw error
        }
        switch envelope.kind {
        case .welcome: return .welcome(try welcome(envelope.header))
        case .sayHello:
            try ByteReader(envelope.header).finish()
            return .sayHello
        case .task: return .task(try task(envelope))
        case .beatAck: return .beatAck(try beatAck(envelope.header))
        case .resultAck: return .resultAck(try resultAck(envelope.header))
        case .checkpointAck: return .checkpointAck(try checkpointAck(envelope.header))
        case .refused: return .refused(reason: reason(in: frames))
        case .drain:
            try ByteReader(envelope.header).finish()
            return .drain
        case .shutdown:
            try ByteReader(envelope.header).finish()
            return .shutdown
        case .hello, .beat, .result, .failure, .checkpoint, .goodbye, .blobHello, .get, .chunk, .missing,
            .clientRequest, .clientReply:
            throw .malformed("\(envelope.kind) is nothing a coordinator says to a worker")
        }
    }

    private static func welcome(_ header: [UInt8]) throws(WireError) -> Welcome {
        let welcome = try fromJSON(Welcome.self, header)
        try check(name: welcome.store.text, "the store's id")
        guard (0...65_535).contains(welcome.blobEndpointPort) else {
            throw .malformed("\(welcome.blobEndpointPort) is no port")
        }
        let day: Int64 = 86_400_000
        guard (1...day).contains(welcome.beatMilliseconds), (1...day).contains(welcome.sessionMilliseconds) else {
            throw .malformed("beats of \(welcome.beatMilliseconds) ms, sessions of \(welcome.sessionMilliseconds) ms")
        }
        return welcome
    }

    /// attempt, sequence u64, inputs (name, digest) and perhaps a saved checkpoint among them; what the slot is to do
    /// is the payload.
    private static func encode(_ assignment: Assignment) -> [[UInt8]] {
        var header = ByteWriter()
        header.attemptID(assignment.id)
        header.integer(assignment.sequence)
        header.list(assignment.inputs, limit: Limits.inputsPerTask + 1) { writer, input in
            writer.text(input.name, limit: Limits.nameBytes)
            writer.digest(input.digest)
        }
        return frames(.task, header.bytes, payload: assignment.payload)
    }

    private static func task(_ envelope: Envelope) throws(WireError) -> Assignment {
        var reader = ByteReader(envelope.header)
        let id = try reader.attemptID()
        let sequence = try reader.integer(UInt64.self)
        let inputs = try reader.list(limit: Limits.inputsPerTask + 1) { reader throws(WireError) in
            ResolvedInput(name: try reader.name("an input's name"), digest: try reader.digest())
        }
        try reader.finish()
        return Assignment(id: id, sequence: sequence, inputs: inputs, payload: envelope.payload)
    }

    private static func checkpointAck(_ header: [UInt8]) throws(WireError) -> CheckpointAck {
        let ack = try fromJSON(CheckpointAck.self, header)
        try check(name: ack.store.text, "the store's id")
        try check(ack.id)
        return ack
    }

    /// store, generation u64, revoked attempts (44 bytes each, and a byte that is 1 for a stalled one).
    private static func encode(_ ack: BeatAck) -> [[UInt8]] {
        var header = ByteWriter()
        header.text(ack.store.text, limit: Limits.nameBytes)
        header.integer(ack.generation.nonce)
        let stalled = Set(ack.stalled)
        header.list(ack.revoked, limit: Limits.attemptsPerMessage) { writer, id in
            writer.attemptID(id)
            writer.integer(UInt8(stalled.contains(id) ? 1 : 0))
        }
        return frames(.beatAck, header.bytes)
    }

    private static func beatAck(_ header: [UInt8]) throws(WireError) -> BeatAck {
        var reader = ByteReader(header)
        let store = StoreID(try reader.name("the store's id"))
        let generation = Generation(nonce: try reader.integer(UInt64.self))
        let revoked = try reader.list(limit: Limits.attemptsPerMessage) {
            reader throws(WireError) -> (id: AttemptID, isStalled: Bool) in
            let id = try reader.attemptID()
            switch try reader.integer(UInt8.self) {
            case 0: return (id, false)
            case 1: return (id, true)
            case let other: throw .malformed("\(other) where a revoked attempt is stalled or not")
            }
        }
        try reader.finish()
        return BeatAck(
            store: store, generation: generation, revoked: revoked.map(\.id),
            stalled: revoked.filter(\.isStalled).map(\.id))
    }

    /// store, attempt, verdict u8: 1 accepted, 2 discarded.
    private static func encode(_ ack: ResultAck) -> [[UInt8]] {
        var header = ByteWriter()
        header.text(ack.store.text, limit: Limits.nameBytes)
        header.attemptID(ack.id)
        switch ack.verdict {
        case .accepted: header.integer(UInt8(1))
        case .discarded: header.integer(UInt8(2))
        }
        return frames(.resultAck, header.bytes)
    }

    private static func resultAck(_ header: [UInt8]) throws(WireError) -> ResultAck {
        var reader = ByteReader(header)
        let store = StoreID(try reader.name("the store's id"))
        let id = try reader.attemptID()
        let verdict: ResultAck.Verdict
        switch try reader.integer(UInt8.self) {
        case 1: verdict = .accepted
        case 2: verdict = .discarded
        case let other: throw .malformed("\(other) is no verdict")
        }
        try reader.finish()
        return ResultAck(store: store, id: id, verdict: verdict)
    }
}
