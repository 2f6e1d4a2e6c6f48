import Kernels

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

    /// Floats in memory of 16 images, with the rows or the halo that pad them.
    var floatsPerBlock: Int {
        switch self {
        case .features(let count): DenseShape.padded(count) * 16
        case .planes(let shape): shape.floats(blocks: 1)
        }
    }
}

/// Memory for the values of a batch at one place in a network.
final class BatchMemory {
    let shape: FeatureShape
    let pointer: UnsafeMutablePointer<Float>
    private let features: AlignedBuffer<Float>
    private let planes: PlanesBuffer?

    /// - Parameter blocks: room for so many times 16 images.
    init(_ shape: FeatureShape, blocks: Int) {
        self.shape = shape
        switch shape {
        case .features:
            features = AlignedBuffer(zeroed: shape.floatsPerBlock * blocks)
            planes = nil
            pointer = features.pointer
        case .planes(let shape):
            features = AlignedBuffer(zeroed: 0)
            let buffer = PlanesBuffer(zeroed: shape, blocks: blocks)
            pointer = buffer.pointer
            planes = consume buffer
        }
    }

    /// Where 16 images begin; features are not stored by block and have no such place but the first.
    func block(_ block: Int) -> UnsafeMutablePointer<Float> {
        precondition(block == 0 || planes != nil, "block \(block) of \(shape)")
        return pointer + block * shape.floatsPerBlock
    }
}

extension BatchMemory {
    /// Sets the rows that pad the number of features to +0, for a batch of `width` examples.
    func clearPadding(width: Int) {
        guard case .features(let count) = shape else { preconditionFailure("\(shape) has no rows") }
        (pointer + count * width).update(repeating: 0, count: (DenseShape.padded(count) - count) * width)
    }
}
