import Kernels
import Lottery

/// One batch on its way through a network.
struct Pass {
    /// Real images; lanes past them pad the last block.
    let examples: Int
    let isTraining: Bool

    /// Groups of 16 images.
    var blocks: Int { DenseShape.padded(examples) / 16 }
    /// Images with the padding.
    var width: Int { blocks * 16 }

    /// Real images in a range of blocks.
    func examples(in blocks: Range<Int>) -> Int { min(examples, 16 * blocks.upperBound) - 16 * blocks.lowerBound }
}

/// What a layer needs of a batch before it can work on a block of it.
enum BlockNeed {
    /// That block.
    case block
    /// All blocks of what it reads; then it works block by block.
    case allBlocks
    /// All blocks, which it does at once.
    case wholeBatch
}

/// How layers compute. But for `precision` nothing here changes a bit.
public struct Engine: Sendable {
    public var precision: Precision
    public var instructionSet: InstructionSet
    public var tiles: TileBackend
    /// Which kernels serve layers with pruned weights.
    public var path: KernelPath
    /// Groups of 16 images that go through the layers of a segment together; nil for as many as the cache holds. Layers
    /// that need the whole batch take it.
    public var blocksAtOnce: Int?

    public init(
        precision: Precision = .f32, instructionSet: InstructionSet = .current, tiles: TileBackend = .current,
        path: KernelPath = .fastest, blocksAtOnce: Int? = nil
    ) {
        self.precision = precision
        self.instructionSet = instructionSet
        self.tiles = tiles
        self.path = path
        self.blocksAtOnce = blocksAtOnce
    }

    var mapKernels: any MapKernels {
        switch precision {
        case .f32: PlanesKernels(instructionSet)
        case .bf16: PairPlanesKernels(tiles)
        }
    }
}

/// What a layer is made from.
struct LayerPlace {
    let input: FeatureShape
    /// What it reads, what it leaves, and what is added before its ReLU.
    let x: BatchMemory
    let y: BatchMemory
    let shortcut: BatchMemory?
    /// In the order of the layer's parameters.
    let tensors: [ParameterTensor]
    /// Of the layer's weight; nil if nothing of it is pruned.
    let mask: Mask?
    let needsInputGradient: Bool
    let inputIsNotNegative: Bool
    /// Groups of 16 images there is room for.
    let blockCapacity: Int
    let engine: Engine
    /// The network's own.
    let tileScratch: TileScratch
}

/// Where a layer's share of the gradient by its input goes.
struct GradientTarget {
    let memory: BatchMemory
    /// The sum of the shares before it, which may be in `memory`; nil for the first.
    let addend: BatchMemory?
    /// The input itself, if a ReLU made it and this is the last share: the gradient is +0 where the input is not
    /// positive.
    let gate: BatchMemory?
}

/// A layer in training: its weights as kernels read them, and its work on a batch. It belongs to one network and one
/// thread.
///
/// A forward pass calls `beginForward`, then `forward` for all blocks in any ranges. A backward pass takes the layers
/// from last to first and calls `gradientArrived` as blocks of the gradient by a layer's results are complete,
/// `beginBackward`, `backward` for all blocks, and `gradients` once; `update` follows if everything was finite. Which
/// calls must come first, `BlockNeed` says.
protocol Layer: AnyObject {
    var forwardNeed: BlockNeed { get }
    var backwardNeed: BlockNeed { get }

    func beginForward(_ pass: Pass)
    /// Computes the results of `blocks`; the largest magnitude among them.
    func forward(_ pass: Pass, blocks: Range<Int>) -> Magnitude

    /// The gradient `dy` by the layer's results is complete in `blocks`.
    func gradientArrived(_ pass: Pass, dy: BatchMemory, blocks: Range<Int>)
    func beginBackward(_ pass: Pass) -> Magnitude
    /// Computes the gradient by the layer's input in `blocks`.
    func backward(_ pass: Pass, dy: BatchMemory, to target: GradientTarget, blocks: Range<Int>) -> Magnitude
    /// Computes the gradients of the layer's parameters, or, unless they are to be `stored`, proves a bound of theirs.
    /// - Parameters:
    ///   - inputMagnitude: the largest in `x`.
    ///   - gradientMagnitude: the largest in `dy`.
    /// - Returns: the largest magnitude among the gradients, or that bound, which is finite.
    func gradients(
        _ pass: Pass, dy: BatchMemory, inputMagnitude: Magnitude, gradientMagnitude: Magnitude, stored: Bool
    ) -> Magnitude
    /// Takes one step from the gradients that `gradients` computed or proved finite.
    func update(_ pass: Pass, dy: BatchMemory, rule: UpdateRule, stored: Bool)
    /// Moves running statistics by the batch that went forward.
    func moveStatistics(_ pass: Pass)

    /// Replaces the mask of the layer's weight; nil for none.
    func setMask(_ mask: Mask?)
    /// Chooses the units of the output that take part. The others become +0, and nothing they hold reaches a result.
    func setLive(_ outputs: [Bool])
    /// Which units of the input lead on to a unit that takes part.
    var inputsInUse: [Bool] { get }
    /// Values of parameters were changed from outside.
    func parametersChanged()
}

extension Layer {
    var forwardNeed: BlockNeed { .block }
    var backwardNeed: BlockNeed { .block }
    func beginForward(_ pass: Pass) {}
    func gradientArrived(_ pass: Pass, dy: BatchMemory, blocks: Range<Int>) {}
    func beginBackward(_ pass: Pass) -> Magnitude { .zero }
    func gradients(
        _ pass: Pass, dy: BatchMemory, inputMagnitude: Magnitude, gradientMagnitude: Magnitude, stored: Bool
    ) -> Magnitude { .zero }
    func update(_ pass: Pass, dy: BatchMemory, rule: UpdateRule, stored: Bool) {}
    func moveStatistics(_ pass: Pass) {}
    func setMask(_ mask: Mask?) { preconditionFailure("\(Self.self) has no weights to prune") }
    func parametersChanged() {}
}
