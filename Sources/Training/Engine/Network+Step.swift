import Kernels

/// What became of one training step.
public enum StepOutcome: Sendable, Equatable {
    /// The mean loss of the batch before the update.
    case trained(loss: Float)
    /// An activation, the loss or a gradient was infinite or NaN. Nothing was updated.
    case diverged
}

extension Network {
    /// Takes one step on `indices` of the images, at most `batch` of them.
    /// - Parameters:
    ///   - images: u8, each image's features together.
    ///   - labels: one per image, below `classes`.
    public func train(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>,
        learningRate: Float
    ) -> StepOutcome {
        guard let loss = backward(images: images, labels: labels, indices: indices) else { return .diverged }
        let rule = optimizer.nextRule(learningRate: Double(learningRate))
        let width = DenseShape.padded(indices.count)
        for layer in layers {
            kernels.update(
                layer.shape(batch: width), rule: rule, mask: layer.survivors.pointer, dy: layer.gradient.pointer,
                transposed: layer.transposedInput.pointer, biasGradient: layer.biasGradient.pointer,
                weights: layer.updatedWeights, bias: layer.updatedBias)
        }
        return .trained(loss: loss)
    }

    /// The mean loss of a batch and its gradient by each parameter, in the order and layouts of `parameters`; nil if either is
    /// not finite. Changes no parameter.
    public func lossAndGradient(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>
    ) -> (loss: Float, gradients: [[Float]])? {
        guard let loss = backward(images: images, labels: labels, indices: indices) else { return nil }
        let width = DenseShape.padded(indices.count)
        var gradients: [[Float]] = []
        for (position, layer) in layers.enumerated() {
            let weightGradient = AlignedBuffer<Float>(zeroed: layer.weights.count)
            _ = weightGradients(of: position, width: width, into: weightGradient)
            gradients.append(layer.unpacked(weightGradient))
            gradients.append(layer.unpackedBias(layer.biasGradient))
        }
        return (loss, gradients)
    }

    func input(of position: Int) -> UnsafePointer<Float> {
        UnsafePointer(position == 0 ? images.pointer : layers[position - 1].activations.pointer)
    }

    /// Computes the activations of the batch in `images`; nil as soon as one is not finite, else the largest of each layer.
    func forward(width: Int) -> [Magnitude]? {
        var magnitudes: [Magnitude] = []
        magnitudes.reserveCapacity(layers.count)
        for (position, layer) in layers.enumerated() {
            let magnitude = kernels.forward(
                layer.shape(batch: width), weights: layer.weights.pointer, bias: layer.bias.pointer, live: layer.live,
                rectify: layer.rectifies, x: input(of: position), y: layer.activations.pointer)
            guard magnitude.isFinite else { return nil }
            magnitudes.append(magnitude)
        }
        return magnitudes
    }

    /// Loads a batch into `images` and `labels`; for `training` the first layer's transposed input as well.
    func load(
        images source: UnsafePointer<UInt8>, labels from: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>,
        training: Bool
    ) {
        guard let first = indices.baseAddress else { preconditionFailure("a batch of no images") }
        for (example, index) in indices.enumerated() {
            let label = from[Int(index)]
            precondition(label < classes, "image \(index) has label \(label) of \(classes) classes")
            labels[example] = label
        }
        kernels.loadImages(
            source, indices: first, count: indices.count, batch: DenseShape.padded(indices.count),
            channels: pixelMean.count, featuresPerChannel: inputs / pixelMean.count, means: pixelMean.pointer,
            deviations: pixelDeviation.pointer, x: images.pointer,
            transposed: training ? layers[0].transposedInput.pointer : nil)
    }

    /// Runs the batch forward and back: afterwards each layer's `gradient` is that of the mean loss by its results. Nil if an
    /// activation, the loss or any gradient, those of the weights included, is not finite.
    private func backward(
        images source: UnsafePointer<UInt8>, labels from: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>
    ) -> Float? {
        precondition((1...batch).contains(indices.count), "a batch of \(indices.count), at most \(batch)")
        let width = DenseShape.padded(indices.count)
        load(images: source, labels: from, indices: indices, training: true)
        guard let activationMagnitudes = forward(width: width) else { return nil }

        let last = layers[layers.count - 1]
        var lossSum = 0.0
        var gradientMagnitude = kernels.softmaxCrossEntropy(
            classes: classes, batch: width, count: indices.count, labels: labels.pointer,
            logits: last.activations.pointer, gradient: last.gradient.pointer, lossSum: &lossSum)
        let loss = Float(lossSum / Double(indices.count))
        guard loss.isFinite, gradientMagnitude.isFinite else { return nil }

        for position in layers.indices.reversed() {
            let layer = layers[position]
            if position > 0 {
                kernels.transpose(
                    features: layer.inputs, batch: width, x: input(of: position),
                    transposed: layer.transposedInput.pointer)
            }
            let inputMagnitude = position == 0 ? pixelMagnitude : activationMagnitudes[position - 1]
            guard
                weightGradientsAreFinite(
                    of: position, width: width, input: inputMagnitude, gradient: gradientMagnitude)
            else { return nil }
            guard position > 0 else { break }
            gradientMagnitude = kernels.inputGradient(
                layer.shape(batch: width), weights: layer.weights.pointer, live: layer.live,
                dy: layer.gradient.pointer, x: input(of: position),
                dx: layers[position - 1].gradient.pointer)
            guard gradientMagnitude.isFinite else { return nil }
        }
        return loss
    }

    /// The update never stores the weights' gradient, so whether it is finite must be known before. Nearly always the sizes
    /// of its factors prove it; where they do not, the gradient is computed for this question only.
    private func weightGradientsAreFinite(of position: Int, width: Int, input: Magnitude, gradient: Magnitude) -> Bool {
        let bound = Double(gradient.value) * max(Double(input.value), 1) * Double(width)
        if bound < 1e38 { return true }
        let scratch = AlignedBuffer<Float>(zeroed: layers[position].weights.count)
        return weightGradients(of: position, width: width, into: scratch).isFinite
    }

    private func weightGradients(
        of position: Int, width: Int, into weightGradient: borrowing AlignedBuffer<Float>
    ) -> Magnitude {
        let layer = layers[position]
        return kernels.weightGradient(
            layer.shape(batch: width), mask: layer.survivors.pointer, dy: layer.gradient.pointer,
            transposed: layer.transposedInput.pointer, weightGradient: weightGradient.pointer,
            biasGradient: layer.biasGradient.pointer)
    }
}
