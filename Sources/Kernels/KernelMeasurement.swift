/// How fast one kernel is on one thread of this machine, beside what limits it.
public struct KernelMeasurement: Sendable, Codable {
    public enum Unit: String, Sendable, Codable {
        /// Multiply-adds of surviving weights count 2; the limit is `MachinePeak`.
        case gigaflops
        /// Each array counts as often as the kernel passes over it; the limit is a copy of as many bytes.
        case gigabytes
    }

    public var kernel: String
    public var shape: String
    public var density: Double
    public var unit: Unit
    /// Per second: median over windows.
    public var rate: Double
    public var slowest: Double
    public var fastest: Double
    /// Per second.
    public var limit: Double

    public var shareOfLimit: Double { rate / limit }
}
