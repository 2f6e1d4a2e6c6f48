import Kernels
import Lottery

/// The size of what one image is between two layers.
public enum FeatureShape: Hashable, Sendable {
    /// A vector, as dense layers read and make it: [feature][example].
    case features(Int)
    /// Maps of pixels, as convolutions read and make them.
    case planes(PlanesShape)

    /// Features, or channels.
    public var units: Int {
        switch self {
        case .features(let count): count
        case .planes(let shape): shape.channels
        }
    }

    /// Values of one image.
    public var values: Int {
        switch self {
        case .features(let count): count
        case .planes(let shape): shape.channels * shape.height * shape.width
        }
    }

    /// Bytes of the values of one image.
    func bytes(_ precision: Precision) -> Int {
        switch (self, precision) {
        case (.features, _), (.planes, .f32): 4 * values
        case (.planes, .bf16): 2 * values
        }
    }

    /// Bytes in memory of 16 images, with the rows, the halo or the partner of an odd last channel that pad them.
    func bytesPerBlock(_ precision: Precision) -> Int {
        switch (self, precision) {
        case (.features(let count), _): 4 * DenseShape.padded(count) * 16
        case (.planes(let shape), .f32): 4 * shape.floats(blocks: 1)
        case (.planes(let shape), .bf16): 4 * PairPlanes(shape).words(blocks: 1)
        }
    }
}

/// Memory for the values of a batch at one place in a network: features in f32, maps as `MapKernels` of the precision
/// read them.
final class BatchMemory {
    let shape: FeatureShape
    let pointer: UnsafeMutableRawPointer
    private let bytesPerBlock: Int
    private let byteCount: Int
    private let features: AlignedBuffer<Float>?
    private let planes: PlanesBuffer?
    private let pairs: PairPlanesBuffer?

    /// - Parameter blocks: room for so many times 16 images.
    init(_ shape: FeatureShape, precision: Precision, blocks: Int) {
        self.shape = shape
        bytesPerBlock = shape.bytesPerBlock(precision)
        byteCount = bytesPerBlock * blocks
        switch (shape, precision) {
        case (.features, _):
            let buffer = AlignedBuffer<Float>(zeroed: byteCount / 4)
            pointer = UnsafeMutableRawPointer(buffer.pointer)
            features = consume buffer
            planes = nil
            pairs = nil
        case (.planes(let shape), .f32):
            let buffer = PlanesBuffer(zeroed: shape, blocks: blocks)
            pointer = UnsafeMutableRawPointer(buffer.pointer)
            features = nil
            planes = consume buffer
            pairs = nil
        case (.planes(let shape), .bf16):
            let buffer = PairPlanesBuffer(zeroed: shape, blocks: blocks)
            pointer = UnsafeMutableRawPointer(buffer.pointer)
            features = nil
            planes = nil
            pairs = consume buffer
        }
    }

    /// Where 16 images begin; features are not stored by block and have no such place but the first.
    func block(_ block: Int) -> UnsafeMutableRawPointer {
        if block > 0, case .features = shape { preconditionFailure("block \(block) of \(shape)") }
        return pointer + block * bytesPerBlock
    }

    /// Features: [feature][example].
    var rows: UnsafeMutablePointer<Float> {
        guard case .features = shape else { preconditionFailure("\(shape) has no rows") }
        return pointer.assumingMemoryBound(to: Float.self)
    }

    /// Sets the rows that pad the number of features to +0, for a batch of `width` examples.
    func clearPadding(width: Int) {
        let count = shape.units
        (rows + count * width).update(repeating: 0, count: (DenseShape.padded(count) - count) * width)
    }

    /// Sets all values to +0.
    func clear() { pointer.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount) }
}
