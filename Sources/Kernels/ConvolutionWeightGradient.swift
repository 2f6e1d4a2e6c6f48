import CKernels

/// The weight and bias gradients of one convolution under one mask. The order of every sum stands in
/// `conv_weight_gradient.h`; neither path nor instruction set changes a bit.
///
/// An object holds scratch memory: one thread at a time may use it.
public final class ConvolutionWeightGradient {
    public let shape: ConvolutionShape
    public let survivorCount: Int
    private let instructionSet: InstructionSet
    private let groups: AlignedBuffer<tk_conv_gradient_group>
    private let weights: AlignedBuffer<tk_conv_gradient_weight>
    private let sums: AlignedBuffer<Float>
    private let capacity: Int

    /// Sums that wait between tiles: half a megabyte, so that they stay in the second-level cache.
    private static let waitingSums = 8192
    /// Lines of x that one tile reads before it comes to other channels: half of the first-level cache.
    private static let nearLines = 256
    /// Share of surviving weights from which reading x again from near pays for reading dy more often.
    private static let denseFrom = 0.05

    /// - Parameter survivors: [output][input][row][column]; nil where all survive.
    public init(
        shape: ConvolutionShape, survivors: [Bool]?, path: ConvolutionPath = .fastest,
        instructionSet: InstructionSet = .current
    ) {
        precondition(instructionSet.isSupported, "\(instructionSet) does not run on this processor")
        precondition(survivors.map { $0.count == shape.weightCount } ?? true, "a mask of another size")
        self.shape = shape
        self.instructionSet = instructionSet
        survivorCount = survivors?.count { $0 } ?? shape.weightCount

        let inputs = shape.input.channels
        let taps = shape.kernel * shape.kernel
        let blocked =
            switch path {
            case .dense: true
            case .sparse: false
            case .fastest: Double(survivorCount) >= ConvolutionWeightGradient.denseFrom * Double(shape.weightCount)
            }
        let channels =
            blocked
            ? min(inputs, max(1, ConvolutionWeightGradient.nearLines / shape.tileLines))
            : min(inputs, ConvolutionWeightGradient.waitingSums / taps)

        // The first survivor of each (output, input) in compact arrays.
        var starts = [UInt32](repeating: 0, count: shape.outputs * inputs)
        var place: UInt32 = 0
        for kernel in starts.indices {
            starts[kernel] = place
            place += UInt32((0..<taps).count { survivors?[kernel * taps + $0] ?? true })
        }

        let edge = shape.kernel == 1 ? 1 : 0
        var groups: [tk_conv_gradient_group] = []
        weights = AlignedBuffer(zeroed: survivorCount)
        var next = 0
        for firstInput in stride(from: 0, to: inputs, by: channels) {
            for output in 0..<shape.outputs {
                let first = next
                for input in firstInput..<min(firstInput + channels, inputs) {
                    var place = starts[output * inputs + input]
                    for tap in 0..<taps where survivors?[(output * inputs + input) * taps + tap] ?? true {
                        let row = tap / shape.kernel + edge
                        let column = tap % shape.kernel + edge
                        let line = input * shape.input.planeLines + row * shape.input.rowLines + column
                        weights.pointer[next] = tk_conv_gradient_weight(line: UInt32(line), place: place)
                        place += 1
                        next += 1
                    }
                }
                guard next > first else { continue }
                groups.append(
                    tk_conv_gradient_group(output: UInt32(output), first: UInt32(first), last: UInt32(next)))
            }
        }
        self.groups = AlignedBuffer(zeroed: groups.count)
        for (index, group) in groups.enumerated() { self.groups.pointer[index] = group }
        capacity = max(1, min(survivorCount, ConvolutionWeightGradient.waitingSums))
        sums = AlignedBuffer(zeroed: capacity * 16)
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
        var code = shape.gradientCode
        var magnitude = Magnitude(
            bits: tk_conv_weight_gradient(
                instructionSet.code, &code, groups.pointer, groups.count, weights.pointer, x, dy, blocks,
                sums.pointer, capacity, gradient))
        for place in survivorCount..<(survivorCount + 15) / 16 * 16 { gradient[place] = 0 }
        if let biasGradient {
            magnitude = max(
                magnitude, Magnitude(bits: tk_conv_bias_gradient(instructionSet.code, &code, dy, blocks, biasGradient)))
        }
        return magnitude
    }
}

extension ConvolutionShape {
    fileprivate var gradientCode: tk_conv_gradient_shape {
        tk_conv_gradient_shape(
            inputs: input.channels, height: input.height, width: input.width, outputs: outputs, kernel: kernel,
            stride: stride)
    }

    /// Lines of one input channel under one tile of the output map.
    fileprivate var tileLines: Int {
        let (rows, columns, blocks) = output.width > 4 ? (2, 8, 1) : output.width > 2 ? (4, 4, 1) : (2, 2, 4)
        return ((rows - 1) * stride + kernel) * ((columns - 1) * stride + kernel) * blocks
    }
}
