/// What the holder of a key may do. Each may do what it is for and nothing of what the other may.
public enum Role: String, Hashable, Sendable, CaseIterable, Codable {
    /// Runs tasks: takes them, fetches their inputs, delivers results.
    case worker
    /// Submits sweeps, and reads status and leaderboards.
    case client
}

/// Whose a key is, for people; also the first part of its file's name. 1 to 64 letters, digits, '.', '_' and '-', of
/// which neither '.' nor '-' comes first.
public struct KeyName: Hashable, Sendable, Comparable, CustomStringConvertible {
    public static let maximumBytes = 64
    /// Names of files that a folder of keys has of its own.
    static let reserved: Set<String> = ["server"]

    public let text: String

    /// - Throws: `badName`.
    public init(_ text: String) throws(KeyError) {
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard allowed, (1...KeyName.maximumBytes).contains(text.utf8.count), !text.hasPrefix("."), !text.hasPrefix("-"),
            !KeyName.reserved.contains(text)
        else { throw .badName(text) }
        self.text = text
    }

    public static func < (left: KeyName, right: KeyName) -> Bool { left.text < right.text }
    public var description: String { text }
}
