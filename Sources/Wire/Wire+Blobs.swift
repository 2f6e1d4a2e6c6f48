import Coordination
import Lottery

/// What goes over the blob socket, in both directions.
extension Wire {
    public static func encode(_ message: BlobMessage) -> [[UInt8]] {
        var header = ByteWriter()
        switch message {
        case .hello(let worker):
            header.text(worker.text, limit: Limits.nameBytes)
            return frames(.blobHello, header.bytes)
        case .get(let digest, let offset, let count):
            header.digest(digest)
            header.integer(UInt64(offset))
            header.integer(UInt64(count))
            return frames(.get, header.bytes)
        case .chunk(let digest, let offset, let byteCount, let bytes):
            header.digest(digest)
            header.integer(UInt64(offset))
            header.integer(UInt64(byteCount))
            return frames(.chunk, header.bytes, payload: bytes)
        case .missing(let digest):
            header.digest(digest)
            return frames(.missing, header.bytes)
        }
    }

    public static func decodeBlobMessage(_ frames: [[UInt8]]) throws(WireError) -> BlobMessage {
        let envelope = try open(frames)
        var reader = ByteReader(envelope.header)
        let message: BlobMessage
        switch envelope.kind {
        case .blobHello: message = .hello(try reader.workerID())
        case .get:
            message = .get(
                digest: try reader.digest(), offset: try reader.count(in: 0...Limits.blobBytes, "an offset"),
                count: try reader.count(in: 0...Limits.chunkBytes, "a chunk's size"))
        case .chunk:
            let digest = try reader.digest()
            let offset = try reader.count(in: 0...Limits.blobBytes, "an offset")
            let byteCount = try reader.count(in: 0...Limits.blobBytes, "a blob's size")
            guard offset + envelope.payload.count <= byteCount else {
                throw .malformed("a chunk beyond its blob's end")
            }
            message = .chunk(digest: digest, offset: offset, byteCount: byteCount, bytes: envelope.payload)
        case .missing: message = .missing(try reader.digest())
        case .refused: throw .refused(reason: reason(in: frames))
        case .hello, .beat, .result, .failure, .checkpoint, .goodbye, .welcome, .sayHello, .task, .beatAck, .resultAck,
            .checkpointAck, .drain, .shutdown, .clientRequest, .clientReply:
            throw .malformed("\(envelope.kind) does not belong on the blob socket")
        }
        try reader.finish()
        return message
    }
}
