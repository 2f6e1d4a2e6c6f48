/// What a task is: the digest of all that decides its result and of nothing else.
public struct TaskKey: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    public let digest: Digest

    public init(_ digest: Digest) { self.digest = digest }

    public static func < (left: TaskKey, right: TaskKey) -> Bool { left.digest < right.digest }
    public var description: String { digest.short }
    public var hex: String { digest.hex }

    public init(from decoder: any Decoder) throws { digest = try Digest(from: decoder) }
    public func encode(to encoder: any Encoder) throws { try digest.encode(to: encoder) }
}

/// The name under which a task leaves an artifact: `final`, `metrics`, `step-500`.
public struct OutputName: Hashable, Sendable, Comparable, Codable, CustomStringConvertible, ExpressibleByStringLiteral {
    public let text: String

    public init(_ text: String) { self.text = text }
    public init(stringLiteral text: String) { self.text = text }

    /// Weights, masks and batch-norm statistics at the end of a level.
    public static let final: OutputName = "final"
    /// Every evaluation of a level.
    public static let metrics: OutputName = "metrics"
    /// Weights and optimizer state after `step` training steps: θk.
    public static func step(_ step: Int) -> OutputName { OutputName("\(checkpoint)\(step)") }
    private static let checkpoint = "step-"

    /// k of θk; nil for any other output.
    public var checkpointStep: Int? {
        text.hasPrefix(OutputName.checkpoint) ? Int(text.dropFirst(OutputName.checkpoint.count)) : nil
    }

    public static func < (left: OutputName, right: OutputName) -> Bool { left.text < right.text }
    public var description: String { text }

    public init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// A worker process, under a name that stays the same when it is started again on the same directory.
public struct WorkerID: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    public let text: String

    public init(_ text: String) { self.text = text }

    public static func < (left: WorkerID, right: WorkerID) -> Bool { left.text < right.text }
    public var description: String { text }

    public init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
