import Coordination
import Foundation
import Lottery

/// What a worker and the child process of one of its slots say to each other, on the child's standard input and output:
/// frames of a 32-bit little-endian length and that many bytes of JSON.
///
/// The child does one task at a time. Each `run` is answered by any number of `progress` and `saved` and one of
/// `finished`, `failed`, `unable` and `stopped`; the end of its input ends the child at once.
public enum SlotProtocol {
    /// A longer frame is a bug on the other side.
    public static let maximumFrameBytes = 4 * 1024 * 1024

    public enum ToChild: Hashable, Sendable, Codable {
        case run(SlotTask)
        /// Write the resume file and answer `stopped`. A child that has nothing to do ignores it: its answer was on its
        /// way.
        case stop
    }

    public enum FromChild: Hashable, Sendable, Codable {
        case progress(step: Int)
        /// The resume file was written, with the training as it is after this step.
        case saved(step: Int)
        case finished(SlotResult)
        /// `isFinal`: the task itself is at fault, so that trying again cannot help.
        case failed(reason: String, isFinal: Bool)
        /// No task can be done here: the disk is full, say.
        case unable(reason: String)
        case stopped
    }

    /// One frame, length and all.
    public static func encode(_ message: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        let body = try encoder.encode(message)
        precondition(
            body.count <= maximumFrameBytes, "a slot's frame of \(body.count) bytes is above \(maximumFrameBytes)")
        return withUnsafeBytes(of: UInt32(body.count).littleEndian) { Array($0) } + body
    }
}

/// What a slot is to do.
public struct SlotTask: Hashable, Sendable, Codable {
    /// What the sweep's planner wrote for the slot; no one between reads it.
    public var payload: Data
    /// File by input name.
    public var inputs: [String: String]
    /// Where outputs go; it is there and empty.
    public var outputDirectory: String
    /// Where to go on from if it is there, and to leave a checkpoint for a later try.
    public var resumeFile: String

    public init(payload: Data, inputs: [String: String], outputDirectory: String, resumeFile: String) {
        self.payload = payload
        self.inputs = inputs
        self.outputDirectory = outputDirectory
        self.resumeFile = resumeFile
    }
}

/// What came of it.
public struct SlotResult: Hashable, Sendable, Codable {
    /// At most `Limits.summaryBytes`; no one between reads it. Must not say anything that may differ between two tries.
    public var summary: Data
    public var outputs: [Output]
    /// Processor time, in seconds: of what was gone on from as well, as far as known.
    public var seconds: Double
    /// At most `Limits.originBytes`; no one between reads it.
    public var origin: String

    public struct Output: Hashable, Sendable, Codable {
        public var name: OutputName
        /// A file that the worker takes away.
        public var path: String

        public init(name: OutputName, path: String) {
            self.name = name
            self.path = path
        }
    }

    public init(summary: Data, outputs: [Output], seconds: Double, origin: String = "") {
        self.summary = summary
        self.outputs = outputs
        self.seconds = seconds
        self.origin = origin
    }
}

/// Cuts a stream of bytes into frames.
public struct SlotFrameReader: Sendable {
    private var bytes: [UInt8] = []
    private var start = 0

    public init() {}

    public mutating func append(_ more: some Collection<UInt8>) {
        if start > 0 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes += more
    }

    /// The next whole message, or nil if more bytes must come first.
    /// - Throws: `SlotProtocolError`; the stream is of no more use then.
    public mutating func next<Message: Decodable>(_ type: Message.Type = Message.self) throws(SlotProtocolError)
        -> Message?
    {
        guard bytes.count - start >= 4 else { return nil }
        let length = (0..<4).reduce(0) { $0 | Int(bytes[start + $1]) << (8 * $1) }
        guard length <= SlotProtocol.maximumFrameBytes else { throw .tooLong(byteCount: length) }
        guard bytes.count - start - 4 >= length else { return nil }
        let body = Data(bytes[(start + 4)..<(start + 4 + length)])
        start += 4 + length
        do { return try JSONDecoder().decode(type, from: body) } catch { throw .unreadable(String(describing: error)) }
    }
}

/// The other end of a slot's pipes does not speak the protocol.
public enum SlotProtocolError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooLong(byteCount: Int)
    case unreadable(String)

    public var description: String {
        switch self {
        case .tooLong(let byteCount):
            "a frame of \(byteCount) bytes came, above the limit of \(SlotProtocol.maximumFrameBytes)"
        case .unreadable(let reason): "a frame came that cannot be read: \(reason)"
        }
    }
}
