/// The sizes of a convolution with padding (kernel − 1) / 2. Weights are [output][input][row][column].
public struct ConvolutionShape: Sendable, Hashable {
    public let input: PlanesShape
    public let outputs: Int
    /// 1 or 3.
    public let kernel: Int
    /// 1 or 2.
    public let stride: Int

    public init(input: PlanesShape, outputs: Int, kernel: Int, stride: Int) {
        precondition(outputs > 0, "a convolution of \(outputs) outputs")
        precondition((kernel == 1 || kernel == 3) && (stride == 1 || stride == 2), "kernel \(kernel), stride \(stride)")
        self.input = input
        self.outputs = outputs
        self.kernel = kernel
        self.stride = stride
    }

    public var output: PlanesShape {
        PlanesShape(
            channels: outputs, height: (input.height - 1) / stride + 1, width: (input.width - 1) / stride + 1)
    }

    /// Whether `Convolution.forwardPooled` can pool the results.
    public var canPool: Bool {
        stride == 1 && output.width > 4 && output.width.isMultiple(of: 2) && output.height.isMultiple(of: 2)
    }

    public var weightCount: Int { outputs * input.channels * kernel * kernel }
}

/// How kernels go about pruned weights; never changes a bit.
public enum KernelPath: Sendable, CaseIterable {
    case dense
    case sparse
    /// The faster of the two for the share of weights that survive.
    case fastest
}
