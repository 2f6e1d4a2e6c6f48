import CKernels

/// Forward and input gradient of one convolution under one mask. The order of every sum stands in `conv_gather.h`;
/// neither path nor instruction set changes a bit.
///
/// An object holds scratch memory: one thread at a time may use it.
public final class Convolution {
    public let shape: ConvolutionShape
    public var survivorCount: Int { mask.survivorCount }
    private let mask: ConvolutionMask
    private let dense: Bool
    private let instructionSet: InstructionSet
    /// The survivors, and at least one +0.
    private let weights: AlignedBuffer<Float>
    private var live: [Bool]
    private var forwardPlan: Prepared?
    private var gradientPlan: Prepared?

    /// A plan, which is made when it is first wanted: the first layer of a network needs no input gradient.
    private struct Prepared {
        let plan: ConvolutionPlan
        var isLoaded = false
    }

    /// Share of surviving weights from which gathering all is faster.
    private static let denseFrom = 0.7
    /// The same for maps of at most four columns, whose sparse lists take several times the memory for little more
    /// speed.
    private static let denseFromWhereNarrow = 0.5

    /// - Parameter survivors: [output][input][row][column]; nil where all survive.
    public init(
        shape: ConvolutionShape, survivors: [Bool]?, path: KernelPath = .fastest,
        instructionSet: InstructionSet = .current
    ) {
        precondition(instructionSet.isSupported, "\(instructionSet) does not run on this processor")
        precondition(survivors.map { $0.count == shape.weightCount } ?? true, "a mask of another size")
        self.shape = shape
        self.instructionSet = instructionSet
        mask = ConvolutionMask(shape: shape, survivors: survivors)
        dense = Convolution.isDense(path, shape: shape, survivorCount: mask.survivorCount)
        weights = AlignedBuffer(zeroed: mask.survivorCount + 1)
        live = Array(repeating: true, count: shape.outputs)
    }

    private static func isDense(_ path: KernelPath, shape: ConvolutionShape, survivorCount: Int) -> Bool {
        switch path {
        case .dense: true
        case .sparse: false
        case .fastest: survivorCount >= leastDense(shape)
        }
    }

    /// How many survivors are gathered faster with the pruned weights among them.
    private static func leastDense(_ shape: ConvolutionShape) -> Int {
        let share = shape.output.width > 4 ? denseFrom : denseFromWhereNarrow
        return Int((Double(shape.weightCount) * share).rounded(.up))
    }

    /// What the object keeps in memory: weights and, once they were wanted, packed copies of them and lists of what
    /// they meet.
    public var byteCount: Int {
        4 * weights.count + mask.byteCount + live.count + (forwardPlan?.plan.byteCount ?? 0)
            + (gradientPlan?.plan.byteCount ?? 0)
    }

    /// An upper bound of an object's bytes, whatever the mask; and if weights are pruned at all, of those of objects with
    /// fewer survivors, though sparse lists take more memory than the weights that are packed without any.
    public static func byteCount(
        shape: ConvolutionShape, survivorCount: Int, path: KernelPath = .fastest,
        instructionSet: InstructionSet = .current
    ) -> Int {
        func bytes(_ survivorCount: Int, dense: Bool) -> Int {
            let plans = [ConvolutionDirection.forward, .inputGradient].map {
                ConvolutionPlan.byteCount(
                    $0, shape: shape, survivorCount: survivorCount, dense: dense, instructionSet: instructionSet)
            }
            return plans[0] + plans[1] + 4 * (survivorCount + 1) + ConvolutionMask.byteCount(shape: shape)
                + shape.outputs
        }
        let dense = isDense(path, shape: shape, survivorCount: survivorCount)
        let most = bytes(survivorCount, dense: dense)
        guard dense, path == .fastest, survivorCount < shape.weightCount else { return most }
        return max(most, bytes(leastDense(shape) - 1, dense: false))
    }

    /// Chooses the outputs that take part: the others become +0, and their gradients are not read. At first all take
    /// part.
    /// - Complexity: that of a new object; not for every step.
    public func setLive(outputs: [Bool]) {
        precondition(outputs.count == shape.outputs, "\(outputs.count) of \(shape.outputs) outputs")
        guard outputs != live else { return }
        live = outputs
        forwardPlan = nil
        gradientPlan = nil
    }

    /// Takes over compact weights; to be called after each change of theirs.
    public func load(weights: UnsafePointer<Float>) {
        self.weights.pointer.update(from: weights, count: survivorCount)
        forwardPlan?.isLoaded = false
        gradientPlan?.isLoaded = false
    }

    /// y = b + Σ W x, halo left as it is.
    /// - Parameters:
    ///   - x: planes of `shape.input`.
    ///   - bias: `shape.outputs` floats; nil for +0.
    ///   - rectify: whether y ≤ 0 becomes +0.
    ///   - y: planes of `shape.output`.
    ///   - examples: lanes past these are left out of the sums.
    ///   - sums: becomes [block][output][2], Σ y and Σ y² over each block, if it is given.
    /// - Returns: the largest magnitude among results and sums.
    public func forward(
        x: UnsafePointer<Float>, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutablePointer<Float>,
        blocks: Int, examples: Int, sums: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        clearDead(y, shape.output, blocks: blocks, sums: sums)
        var finish = tk_conv_finish()
        finish.bias = bias
        finish.rectify = rectify ? 1 : 0
        finish.sums = sums
        finish.examples = examples
        return plan(.forward, &forwardPlan).run(
            compact: weights.pointer, source: x, blocks: blocks, finish: finish, target: y)
    }

    /// The largest of each 2 × 2 of the results of `forward`, bit for bit as `PlanesKernels.maxPool` finds it. The
    /// results themselves are not stored, which spares the memory more than anything else at low densities.
    /// - Parameters:
    ///   - y: planes of `shape.output.halved`, halo left as it is.
    ///   - winners: one for each line of y: which of the four pixels won, as `PlanesKernels.maxPoolGradient` reads
    ///     them.
    /// - Returns: the largest magnitude among the results.
    /// - Precondition: `shape.canPool`.
    public func forwardPooled(
        x: UnsafePointer<Float>, bias: UnsafePointer<Float>?, rectify: Bool, y: UnsafeMutablePointer<Float>,
        winners: UnsafeMutablePointer<UInt64>, blocks: Int
    ) -> Magnitude {
        precondition(shape.canPool, "pooling of the results of \(shape)")
        let halved = shape.output.halved
        clearDead(y, halved, blocks: blocks, sums: nil)
        var pool = tk_conv_pool(
            target: y, winners: winners, block: halved.blockLines, plane: halved.planeLines, row: halved.rowLines)
        return withUnsafePointer(to: &pool) { pool in
            var finish = tk_conv_finish()
            finish.bias = bias
            finish.rectify = rectify ? 1 : 0
            finish.pool = pool
            return plan(.forward, &forwardPlan).run(
                compact: weights.pointer, source: x, blocks: blocks, finish: finish, target: nil)
        }
    }

    /// dx = Σ Wᵀ dy + addend where the gate is positive, else +0; halo left as it is.
    /// - Parameters:
    ///   - dy: planes of `shape.output`; +0 in the halo.
    ///   - addend: planes of `shape.input`, which may be `dx`; nil for none.
    ///   - gate: planes of `shape.input`: x itself where it came from a ReLU; nil for none.
    ///   - dx: planes of `shape.input`.
    public func inputGradient(
        dy: UnsafePointer<Float>, addend: UnsafePointer<Float>?, gate: UnsafePointer<Float>?,
        dx: UnsafeMutablePointer<Float>, blocks: Int
    ) -> Magnitude {
        var finish = tk_conv_finish()
        finish.addend = addend
        finish.gate = gate
        return plan(.inputGradient, &gradientPlan).run(
            compact: weights.pointer, source: dy, blocks: blocks, finish: finish, target: dx)
    }

    private func plan(_ direction: ConvolutionDirection, _ prepared: inout Prepared?) -> ConvolutionPlan {
        var now =
            prepared
            ?? Prepared(
                plan: ConvolutionPlan(
                    direction, shape: shape, mask: mask, live: live, dense: dense, instructionSet: instructionSet))
        if !now.isLoaded { now.plan.load(weights.pointer) }
        now.isLoaded = true
        prepared = now
        return now.plan
    }

    private func clearDead(
        _ y: UnsafeMutablePointer<Float>, _ planes: PlanesShape, blocks: Int, sums: UnsafeMutablePointer<Float>?
    ) {
        for output in 0..<shape.outputs where !live[output] {
            for block in 0..<blocks {
                for row in 0..<planes.height {
                    let first = y + planes.index(example: block * 16, channel: output, row: row, column: 0)
                    first.update(repeating: 0, count: planes.width * 16)
                }
                if let sums {
                    let pair = sums + 2 * (block * shape.outputs + output)
                    pair[0] = 0
                    pair[1] = 0
                }
            }
        }
    }
}
