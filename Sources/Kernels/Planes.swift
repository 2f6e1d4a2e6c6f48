/// The sizes of a batch of images or feature maps, and where each value lies.
///
/// A batch is stored [batch / 16][channel][height + 2][width + 2][16]: a line of 64 bytes holds one value of 16 examples (lane =
/// example mod 16), and every map has a halo of one line all around that is always +0.
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

/// Memory for a batch in planes: zeroed, with 64 lines of zeros before the first halo corner and after the last, so that
/// kernels may read over the edge.
public struct PlanesBuffer: ~Copyable {
    /// Room on either side, in lines.
    public static let slackLines = 64

    public let shape: PlanesShape
    public let blocks: Int
    private let memory: AlignedBuffer<Float>

    public init(zeroed shape: PlanesShape, blocks: Int) {
        precondition(blocks > 0, "\(blocks) blocks of 16 examples")
        self.shape = shape
        self.blocks = blocks
        memory = AlignedBuffer(zeroed: shape.floats(blocks: blocks) + 2 * PlanesBuffer.slackLines * 16)
    }

    /// The first halo corner of channel 0 of the first 16 examples.
    public var pointer: UnsafeMutablePointer<Float> { memory.pointer + PlanesBuffer.slackLines * 16 }
}
