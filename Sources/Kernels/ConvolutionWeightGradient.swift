import CKernels

/// The weight and bias gradients of one convolution under one mask. The order of every sum stands in
/// `conv_weight_gradient.h`; neither path nor instruction set changes a bit.
///
/// An object holds scratch memory: one thread at a time may use it.
public final class ConvolutionWeightGradient {
    public let shape: ConvolutionShape
    public var survivorCount: Int { mask.survivorCount }
    private let instructionSet: InstructionSet
    private let mask: ConvolutionMask
    private let dense: Bool
    private var plan: Plan
    private var strips: ConvolutionStrips

    /// Share of surviving weights from which computing all of them is faster.
    private static let denseFrom = 0.6

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
        dense = ConvolutionWeightGradient.isDense(path, shape: shape, survivorCount: mask.survivorCount)
        plan = Plan(
            shape: shape, mask: mask, dense: dense, outputs: Array(0..<shape.outputs), instructionSet: instructionSet)
        strips = plan.strips(blocks: 1)
    }

    private static func isDense(_ path: KernelPath, shape: ConvolutionShape, survivorCount: Int) -> Bool {
        switch path {
        case .dense: true
        case .sparse: false
        case .fastest: Double(survivorCount) >= Double(shape.weightCount) * denseFrom
        }
    }

    /// What the object keeps in memory: the order of the weights, sums that wait, and the positions of the blocks it
    /// last had.
    public var byteCount: Int { mask.byteCount + plan.byteCount + strips.byteCount }

    /// An upper bound of an object's bytes for batches of `blocks` blocks, whatever the mask and the outputs that are
    /// live.
    public static func byteCount(
        shape: ConvolutionShape, survivorCount: Int, blocks: Int, path: KernelPath = .fastest,
        instructionSet: InstructionSet = .current
    ) -> Int {
        Plan.byteCount(
            shape: shape, survivorCount: survivorCount, blocks: blocks,
            dense: isDense(path, shape: shape, survivorCount: survivorCount), instructionSet: instructionSet)
            + ConvolutionMask.byteCount(shape: shape)
    }

    /// Has the gradients of all weights and biases of the other outputs be +0, without computing them. All outputs are
    /// live at first.
    /// - Parameter outputs: one for each output.
    public func setLive(outputs: [Bool]) {
        precondition(outputs.count == shape.outputs, "\(outputs.count) outputs of \(shape.outputs)")
        plan = Plan(
            shape: shape, mask: mask, dense: dense, outputs: outputs.indices.filter { outputs[$0] },
            instructionSet: instructionSet)
    }

    /// - Parameters:
    ///   - x: planes of `shape.input`.
    ///   - dy: planes of `shape.output`; +0 in the halo.
    ///   - gradient: compact, a multiple of 16 floats; the padding becomes +0.
    ///   - biasGradient: `shape.outputs` floats, if it is wanted.
    /// - Returns: the largest magnitude among both gradients.
    public func compute(
        x: UnsafePointer<Float>, dy: UnsafePointer<Float>, blocks: Int, gradient: UnsafeMutablePointer<Float>,
        biasGradient: UnsafeMutablePointer<Float>?
    ) -> Magnitude {
        if strips.blocks != blocks { strips = plan.strips(blocks: blocks) }
        for output in plan.deadOutputs {
            let kernels = output * shape.input.channels..<(output + 1) * shape.input.channels
            let count = kernels.reduce(0) { $0 + mask.count(kernel: $1) }
            (gradient + Int(mask.starts[kernels.lowerBound])).update(repeating: 0, count: count)
            biasGradient?[output] = 0
        }
        for place in survivorCount..<(survivorCount + 15) / 16 * 16 { gradient[place] = 0 }
        var positions = strips.code
        var bits: tk_magnitude = 0
        plan.forEachDenseBlock { block in
            bits = max(
                bits,
                tk_conv_dense_gradient(instructionSet.code, &positions, block, x, dy, plan.sums.pointer, gradient))
        }
        // Whoever reads dy first sums it as well.
        var bias = tk_conv_bias(
            outputs: plan.outputs.pointer, count: plan.outputs.count, sums: plan.biasSums.pointer,
            gradient: biasGradient)
        var isBiasWanted = biasGradient != nil
        plan.forEachSparseBlock { block in
            bits = max(
                bits,
                withUnsafePointer(to: bias) {
                    tk_conv_sparse_gradient(
                        instructionSet.code, &positions, block, isBiasWanted ? $0 : nil, x, dy, plan.sums.pointer,
                        gradient)
                })
            isBiasWanted = false
        }
        if isBiasWanted { bits = max(bits, tk_conv_bias_gradient(instructionSet.code, &positions, &bias, dy)) }
        return Magnitude(bits: bits)
    }
}
