/// Memory that kernels over bf16 tiles use while they run. The layers of a network share one, which then stays in the
/// cache from layer to layer; one thread at a time may use it.
public final class TileScratch {
    private var memory = AlignedBuffer<UInt8>(zeroed: 0)

    public init() {}

    /// At least `byteCount` bytes, of any content, until the next call.
    func pointer(byteCount: Int) -> UnsafeMutableRawPointer {
        if memory.count < byteCount { memory = AlignedBuffer(zeroed: byteCount) }
        return UnsafeMutableRawPointer(memory.pointer)
    }
}
