import CKernels

/// The sizes of a dense layer and of the batch that passes through it.
///
/// A batch is stored [feature][example] with examples padded to a multiple of 16, weights [output][input] with inputs
/// padded to a multiple of 16. Buffers over features have room for `paddedInputs` or `paddedOutputs` rows; the padding
/// is 0.
public struct DenseShape: Sendable, Hashable {
    public let inputs: Int
    public let outputs: Int
    /// Examples, padding included: a multiple of 16.
    public let batch: Int

    public init(inputs: Int, outputs: Int, batch: Int) {
        precondition(inputs > 0 && outputs > 0, "a dense layer of \(inputs) inputs and \(outputs) outputs")
        precondition(batch > 0 && batch.isMultiple(of: 16), "a padded batch of \(batch)")
        self.inputs = inputs
        self.outputs = outputs
        self.batch = batch
    }

    /// `count` rounded up to a multiple of 16.
    public static func padded(_ count: Int) -> Int { (count + 15) / 16 * 16 }

    public var paddedInputs: Int { DenseShape.padded(inputs) }
    public var paddedOutputs: Int { DenseShape.padded(outputs) }
    /// Floats in a buffer of weights.
    public var weightCount: Int { paddedOutputs * paddedInputs }
    /// Where weight (output, input) is in a buffer of weights.
    public func index(output: Int, input: Int) -> Int { output * paddedInputs + input }

    var code: tk_dense_shape {
        tk_dense_shape(inputs: inputs, padded_inputs: paddedInputs, outputs: outputs, batch: batch)
    }
}

/// The outputs of a layer that take part, ascending. A dead one, from which no surviving weight leads on, is left out
/// of the forward pass and of the input gradient, so that nothing it holds can reach a result.
public struct LiveOutputs: ~Copyable {
    let indices: AlignedBuffer<UInt32>
    public let count: Int

    public init(_ live: [Int]) {
        indices = AlignedBuffer(zeroed: live.count)
        for (position, output) in live.enumerated() { indices[position] = UInt32(output) }
        count = live.count
    }

    public subscript(position: Int) -> Int { Int(indices[position]) }
}

/// What an optimizer changes in one step: values and up to two tensors of state. A rule that keeps less state is given
/// nil.
public struct UpdatedTensor {
    let values: UnsafeMutablePointer<Float>
    let state1: UnsafeMutablePointer<Float>?
    let state2: UnsafeMutablePointer<Float>?

    public init(
        values: UnsafeMutablePointer<Float>, state1: UnsafeMutablePointer<Float>?,
        state2: UnsafeMutablePointer<Float>?
    ) {
        self.values = values
        self.state1 = state1
        self.state2 = state2
    }
}

/// The kernels of a dense layer, for one instruction set. The order of every sum stands in `kernels.h`.
public struct DenseKernels: Sendable {
    public let instructionSet: InstructionSet
    private let code: tk_isa

    public init(_ instructionSet: InstructionSet = .current) {
        precondition(instructionSet.isSupported, "\(instructionSet) does not run on this processor")
        self.instructionSet = instructionSet
        code = instructionSet.code
    }

    /// y = W x + b for live outputs, +0 for the others; `rectify` applies ReLU.
    public func forward(
        _ shape: DenseShape, weights: UnsafePointer<Float>, bias: UnsafePointer<Float>, live: borrowing LiveOutputs,
        rectify: Bool, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_dense_forward(
                code, &shape, weights, bias, live.indices.pointer, live.count, rectify ? 1 : 0, x, y))
    }

    /// dx = Wᵀ dy over live outputs where x > 0, else +0.
    public func inputGradient(
        _ shape: DenseShape, weights: UnsafePointer<Float>, live: borrowing LiveOutputs, dy: UnsafePointer<Float>,
        x: UnsafePointer<Float>, dx: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_dense_input_gradient(code, &shape, weights, live.indices.pointer, live.count, dy, x, dx))
    }

    /// dW = dy xᵀ under the mask, and db = Σ dy.
    /// - Parameters:
    ///   - mask: bit l of word `index(output:input:) / 16` is 1 where weight l of that word survives.
    ///   - transposed: x as `transpose` leaves it.
    public func weightGradient(
        _ shape: DenseShape, mask: UnsafePointer<UInt16>, dy: UnsafePointer<Float>, transposed: UnsafePointer<Float>,
        weightGradient: UnsafeMutablePointer<Float>, biasGradient: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        var shape = shape.code
        return Magnitude(
            bits: tk_dense_weight_gradient(code, &shape, mask, dy, transposed, weightGradient, biasGradient))
    }

    /// db = Σ dy; `biasGradient` has room for the padded outputs, and the padding becomes +0.
    public func biasGradient(
        outputs: Int, batch: Int, dy: UnsafePointer<Float>, biasGradient: UnsafeMutablePointer<Float>
    ) -> Magnitude {
        Magnitude(bits: tk_dense_bias_gradient(code, outputs, batch, dy, biasGradient))
    }

    /// Writes x [feature][example] as [feature / 16][example][16], the order in which weight gradients read it.
    public func transpose(
        features: Int, batch: Int, x: UnsafePointer<Float>, transposed: UnsafeMutablePointer<Float>
    ) {
        tk_transpose(code, features, batch, x, transposed)
    }

    /// Takes one optimizer step from the gradient that `weightGradient` would give, without storing it.
    /// - Returns: the largest magnitude among new parameters and their state.
    public func update(
        _ shape: DenseShape, rule: UpdateRule, mask: UnsafePointer<UInt16>, dy: UnsafePointer<Float>,
        transposed: UnsafePointer<Float>, biasGradient: UnsafeMutablePointer<Float>, weights: UpdatedTensor,
        bias: UpdatedTensor
    ) -> Magnitude {
        var shape = shape.code
        var parameters = rule.parameters
        return Magnitude(
            bits: tk_dense_update(
                code, &shape, &parameters, mask, dy, transposed, biasGradient, weights.values, weights.state1,
                weights.state2, bias.values, bias.state1, bias.state2))
    }

    /// Takes one optimizer step of `count` parameters (a multiple of 16) from a stored gradient.
    /// - Returns: the largest magnitude among new parameters and their state.
    public func update(
        rule: UpdateRule, count: Int, gradient: UnsafePointer<Float>, tensor: UpdatedTensor
    ) -> Magnitude {
        precondition(count.isMultiple(of: 16), "an update of \(count) parameters")
        var parameters = rule.parameters
        return Magnitude(
            bits: tk_update(code, &parameters, count, gradient, tensor.values, tensor.state1, tensor.state2))
    }

    /// Adds the cross-entropy of the first `count` examples to `lossSum`, in order; `gradient`, if any, becomes that of
    /// the mean.
    /// - Parameter smoothing: the share of each label that is spread evenly over all classes (PyTorch's
    ///   `label_smoothing`).
    /// - Precondition: the logits are finite, every label is below `classes`, and `smoothing` is in 0..<1.
    public func softmaxCrossEntropy(
        classes: Int, batch: Int, count: Int, labels: UnsafePointer<UInt8>, logits: UnsafePointer<Float>,
        smoothing: Float = 0, gradient: UnsafeMutablePointer<Float>?, lossSum: inout Double
    ) -> Magnitude {
        Magnitude(
            bits: tk_softmax_cross_entropy(
                code, classes, batch, count, labels, logits, smoothing, gradient, &lossSum))
    }

    /// How many of the first `count` examples are right: their label's logit is the first of the largest, and none is
    /// NaN.
    public func countCorrect(
        classes: Int, batch: Int, count: Int, labels: UnsafePointer<UInt8>, logits: UnsafePointer<Float>
    ) -> Int {
        tk_count_correct(classes, batch, count, labels, logits)
    }

    /// x = (pixel / 255 − mean) / deviation of images[indices], transposed to [feature][example]; padding examples
    /// repeat the last image.
    /// - Parameter transposed: becomes the transpose of x, if it is given.
    public func loadImages(
        _ images: UnsafePointer<UInt8>, indices: UnsafePointer<Int32>, count: Int, batch: Int, channels: Int,
        featuresPerChannel: Int, means: UnsafePointer<Float>, deviations: UnsafePointer<Float>,
        x: UnsafeMutablePointer<Float>, transposed: UnsafeMutablePointer<Float>?
    ) {
        tk_load_images(
            code, images, indices, count, batch, channels, featuresPerChannel, means, deviations, x, transposed)
    }
}
