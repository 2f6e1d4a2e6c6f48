/// What one step of a training costs, on surviving weights.
public struct StepCost: Hashable, Sendable {
    /// Floating-point operations.
    public var flops: Double
    /// Bytes that kernels read and write, were nothing cached.
    public var bytes: Double

    public init(flops: Double, bytes: Double) {
        self.flops = flops
        self.bytes = bytes
    }
}
