/// How fast one kernel is on one thread of this machine, beside what limits it.
public struct KernelMeasurement: Sendable, Codable {
    public enum Unit: String, Sendable, Codable {
        /// Multiply-adds of surviving weights count 2; those with the halo of a map, none.
        case gigaflops
        /// `Traffic`.
        case gigabytes
    }

    /// What takes longer at the machine's best: the arithmetic (`MachinePeak`), or moving the bytes (`Traffic`).
    public enum Bound: String, Sendable, Codable {
        case arithmetic, memory
    }

    public var kernel: String
    public var shape: String
    public var density: Double
    public var unit: Unit
    /// Per second of processor time: median over windows.
    public var rate: Double
    public var slowest: Double
    public var fastest: Double
    /// Per second.
    public var limit: Double
    public var bound: Bound
    /// Why the kernel cannot come near the limit, where that is known: the end of a sentence that begins with its name.
    public var reason: String?

    public var shareOfLimit: Double { rate / limit }
}

/// The bytes that a kernel moves at the least: each array once, however often the kernel passes over it, since a second
/// pass may find it in a nearer cache.
public struct Traffic: Hashable, Sendable {
    public var read: Int
    /// Read and written in place.
    public var updated: Int
    public var written: Int

    public init(read: Int = 0, updated: Int = 0, written: Int = 0) {
        self.read = read
        self.updated = updated
        self.written = written
    }

    public var byteCount: Int { read + 2 * updated + written }
}
