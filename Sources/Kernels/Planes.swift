/// The sizes of a batch of images or feature maps, and where each value lies.
///
/// A batch is stored [batch / 16][channel][height + 2][width + 2][16]: a line of 64 bytes holds one value of 16
/// examples (lane = example mod 16), and every map has a halo of one line all around that is always +0.
public struct PlanesShape: Sendable, Hashable {
    public let channels: Int
    public let height: Int
    public let width: Int

    public init(channels: Int, height: Int, width: Int) {
        precondition(channels > 0 && height > 0 && width > 0, "planes of \(channels) × \(height) × \(width)")
        self.channels = channels
        self.height = height
        self.width = width
    }

    /// Lines from a value to the one below it.
    public var rowLines: Int { width + 2 }
    /// Lines from a channel to the next.
    public var planeLines: Int { (height + 2) * (width + 2) }
    /// Lines from 16 examples to the next 16.
    public var blockLines: Int { channels * planeLines }

    /// Where the value of `example` at (channel, row, column) is, counted in floats from the first halo corner.
    public func index(example: Int, channel: Int, row: Int, column: Int) -> Int {
        let line = example / 16 * blockLines + channel * planeLines + (row + 1) * rowLines + column + 1
        return line * 16 + example % 16
    }

    /// Floats of `blocks` times 16 examples.
    public func floats(blocks: Int) -> Int { blocks * blockLines * 16 }
}

/// Memory for a batch in planes: zeroed, with 64 lines of zeros before the first halo corner and after the last, so
/// that kernels may read over the edge.
public struct PlanesBuffer: ~Copyable {
    /// Room on either side, in lines.
    public static let slackLines = 64

    public let shape: PlanesShape
    public let blocks: Int
    private let memory: AlignedBuffer<Float>

    public init(zeroed shape: PlanesShape, blocks: Int) {
        precondition(blocks >= 0, "\(blocks) blocks of 16 examples")
        self.shape = shape
        self.blocks = blocks
        memory = AlignedBuffer(zeroed: shape.floats(blocks: blocks) + 2 * PlanesBuffer.slackLines * 16)
    }

    /// The first halo corner of channel 0 of the first 16 examples.
    public var pointer: UnsafeMutablePointer<Float> { memory.pointer + PlanesBuffer.slackLines * 16 }
}

/// The same maps in bf16, where each value lies: [batch / 16][height + 2][width + 2][⌈channels / 2⌉][16] of 32-bit
/// words. A word holds two channels of one example, the even one in its lower half, so that the lines of 64 bytes of a
/// pixel follow each other and are what products of bf16 tiles read. The halo, and the partner of an odd last channel,
/// are always +0.
public struct PairPlanes: Sendable, Hashable {
    public let shape: PlanesShape

    public init(_ shape: PlanesShape) { self.shape = shape }

    /// Lines of a pixel.
    public var pairs: Int { (shape.channels + 1) / 2 }
    /// Words from 16 examples to the next 16.
    public var blockWords: Int { shape.planeLines * pairs * 16 }

    /// Where the word is that holds the value of `example` at (channel, row, column), counted from the first halo
    /// corner.
    public func index(example: Int, channel: Int, row: Int, column: Int) -> Int {
        let pixel = (example / 16 * (shape.height + 2) + row + 1) * shape.rowLines + column + 1
        return (pixel * pairs + channel / 2) * 16 + example % 16
    }

    /// Words of `blocks` times 16 examples.
    public func words(blocks: Int) -> Int { blocks * blockWords }
}

/// Memory for a batch in pair planes: zeroed, with 16 lines of zeros after the last halo corner, as far as kernels may
/// read past it.
public struct PairPlanesBuffer: ~Copyable {
    public static let slackLines = 16

    public let planes: PairPlanes
    public let blocks: Int
    private let memory: AlignedBuffer<UInt32>

    public init(zeroed shape: PlanesShape, blocks: Int) {
        precondition(blocks > 0, "\(blocks) blocks of 16 examples")
        planes = PairPlanes(shape)
        self.blocks = blocks
        memory = AlignedBuffer(zeroed: planes.words(blocks: blocks) + PairPlanesBuffer.slackLines * 16)
    }

    /// The first halo corner of the first 16 examples.
    public var pointer: UnsafeMutablePointer<UInt32> { memory.pointer }
}
