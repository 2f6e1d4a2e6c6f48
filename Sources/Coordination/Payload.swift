import Lottery

/// What a worker's slot is to do: bytes that coordination does not read, and that only the store keeps.
///
/// The coordinator's value remembers the mark alone, by which it can tell whether a task is asked for anew in other
/// words; the shell puts the bytes into a TASK as it is sent. Payloads of equal marks are equal.
public struct Payload: Hashable, Sendable {
    public let mark: PayloadMark
    /// Nil where they were left in the store.
    public let bytes: [UInt8]?

    public init(_ bytes: [UInt8]) {
        mark = PayloadMark(of: bytes)
        self.bytes = bytes
    }

    /// Bytes that are in the store and not here.
    public init(stored mark: PayloadMark) {
        self.mark = mark
        bytes = nil
    }

    public static func == (left: Payload, right: Payload) -> Bool { left.mark == right.mark }
    public func hash(into hasher: inout Hasher) { hasher.combine(mark) }
}

extension Work {
    /// With the payload's mark alone, as a store tells of it.
    public var withoutPayload: Work {
        var work = self
        work.payload = Payload(stored: payload.mark)
        return work
    }
}

/// Enough of a payload to tell it from the one that the same task was asked for before, and to know its size.
///
/// Only two payloads of one task are ever compared, so 64 bits of SHA-256 mistake a new one for the old with a chance
/// of 2⁻⁶⁴. The task would then run with its older wishes, and what waits for an output that it did not leave would say
/// so and fail.
public struct PayloadMark: Hashable, Sendable {
    /// The first 8 bytes of the payload's SHA-256.
    public let head: UInt64
    public let byteCount: Int

    public init(head: UInt64, byteCount: Int) {
        self.head = head
        self.byteCount = byteCount
    }

    public init(of bytes: [UInt8]) { self.init(head: Digest.of(bytes).head, byteCount: bytes.count) }
}
