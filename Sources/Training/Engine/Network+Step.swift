import Kernels

/// What became of one training step.
public enum StepOutcome: Sendable, Equatable {
    /// The mean loss of the batch before the update.
    case trained(loss: Float)
    /// An activation, the loss, a gradient, or what the update would have made of a parameter or its optimizer state
    /// was infinite or NaN. Nothing is changed.
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
        // Clipping looks at all gradients before the first update, so that they must be stored.
        let stored = clipping != nil
        guard let (loss, pass, gradients) = backward(images: images, labels: labels, indices: indices, stored: stored)
        else { return .diverged }
        clip()
        return update(pass, gradients: gradients, stored: stored, learningRate: learningRate)
            ? .trained(loss: loss) : .diverged
    }

    /// Takes the optimizer's step; false, and nothing is changed, if a parameter or its state would no longer be
    /// finite.
    ///
    /// A step cannot be undone. So before one whose outcome no bound vouches for, which a training that goes well never
    /// meets, what it may change is copied.
    /// - Parameter gradients: of each layer the largest magnitude.
    private func update(_ pass: Pass, gradients: [Magnitude], stored: Bool, learningRate: Float) -> Bool {
        let optimizerBefore = optimizer
        let rule = optimizer.nextRule(learningRate: Double(learningRate))
        func takeStep() {
            for (position, layer) in layers.enumerated() {
                layer.update(pass, dy: gradientPlan.resultGradients[position], rule: rule, stored: stored)
            }
        }
        let isBounded = zip(tensors, layerOf).allSatisfy { tensor, layer in
            !tensor.parameter.isTrained || rule.staysFinite(present: tensor.magnitude, gradient: gradients[layer])
        }
        if isBounded {
            takeStep()
            return true
        }
        // No training leaves a value that is not finite, and none comes from a checkpoint. Whoever sets one in a unit
        // that takes no part may go on training the others.
        let before = tensors.map { (snapshot: $0.snapshot(), wasFinite: $0.measuredMagnitude().isFinite) }
        takeStep()
        if zip(tensors, before).allSatisfy({ $0.measuredMagnitude().isFinite || !$1.wasFinite }) { return true }
        for (tensor, before) in zip(tensors, before) { tensor.restore(before.snapshot) }
        for layer in layers { layer.parametersChanged() }
        optimizer = optimizerBefore
        clearBatch()
        return false
    }

    /// The mean loss of a batch and its gradient by each parameter, in the order and layouts of `parameters`, before
    /// any clipping; nil if either is not finite. Changes no parameter. A statistic's gradient is 0.
    public func lossAndGradient(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>
    ) -> (loss: Float, gradients: [[Float]])? {
        guard let (loss, _, _) = backward(images: images, labels: labels, indices: indices, stored: true) else {
            return nil
        }
        return (loss, tensors.map(\.flatGradient))
    }

    /// Moves running statistics by a batch, at most `batch` images, and changes nothing else; false, and nothing is
    /// moved, if an activation is not finite.
    public func moveStatistics(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>
    ) -> Bool {
        precondition((1...batch).contains(indices.count), "a batch of \(indices.count), at most \(batch)")
        let pass = Pass(examples: indices.count, isTraining: true)
        load(images: images, labels: labels, indices: indices, pass)
        guard forward(pass) != nil else {
            clearBatch()
            return false
        }
        for layer in layers { layer.moveStatistics(pass) }
        return true
    }

    private func clip() {
        guard let clipping else { return }
        let norm = GradientNorm(kernels.instructionSet)
        let trained = tensors.filter(\.parameter.isTrained)
        let sums = trained.map { $0.gradientSumOfSquares(norm) }
        guard let factor = clipping.factor(sumsOfSquares: sums) else { return }
        for tensor in trained { norm.scale(count: tensor.paddedCount, tensor.gradient, by: factor) }
    }

    /// Runs the loaded batch through the layers: the largest magnitude of each tensor, or nil as soon as a value is not
    /// finite.
    func forward(_ pass: Pass) -> [Magnitude]? {
        settleLiveUnits()
        var magnitudes = [pixelMagnitude] + Array(repeating: Magnitude.zero, count: layers.count)
        for segment in forwardSegments {
            for position in segment.layers { layers[position].beginForward(pass) }
            for blocks in segment.ranges(of: pass.blocks) {
                for position in segment.layers {
                    let node = description.nodes[position]
                    var magnitude = layers[position].forward(pass, blocks: blocks)
                    guard magnitude.isFinite else { return nil }
                    // What moves values without computing any tells no magnitude.
                    if node.layer.passesValues { magnitude = max(magnitude, magnitudes[node.input]) }
                    magnitudes[position + 1] = max(magnitudes[position + 1], magnitude)
                }
            }
        }
        return magnitudes
    }

    /// Loads a batch into the first tensor and `labels`.
    func load(
        images source: UnsafePointer<UInt8>, labels from: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>,
        _ pass: Pass
    ) {
        guard let first = indices.baseAddress else { preconditionFailure("a batch of no images") }
        for (example, index) in indices.enumerated() {
            let label = from[Int(index)]
            precondition(label < classes, "image \(index) has label \(label) of \(classes) classes")
            labels[example] = label
        }
        switch description.images.shape {
        case .planes(let shape):
            mapKernels.loadImages(
                source, indices: first, count: indices.count, shape: shape, blocks: pass.blocks,
                means: pixelMean.pointer, deviations: pixelDeviation.pointer, y: activations[0].pointer)
        case .features(let count):
            let reader = layers[0] as? DenseLayer
            let transposed = pass.isTraining ? reader?.transposedInput : nil
            kernels.loadImages(
                source, indices: first, count: indices.count, batch: pass.width, channels: pixelMean.count,
                featuresPerChannel: count / pixelMean.count, means: pixelMean.pointer,
                deviations: pixelDeviation.pointer, x: activations[0].rows, transposed: transposed)
            reader?.inputIsTransposed = transposed != nil
        }
    }

    /// Forgets a batch that was not finite. The last tile of a product over pair planes reaches into the block that
    /// follows, which may be of the batch before: with weights of +0, but +0 times infinity is NaN.
    func clearBatch() {
        for memory in activations + gradientPlan.resultGradients { memory.clear() }
    }

    /// Runs a batch forward and back: afterwards every layer can take its step. Of each layer the largest magnitude
    /// among the gradients of its parameters, or a bound of it. Nil if an activation, the loss or any gradient, those
    /// of the parameters included, is not finite.
    private func backward(
        images: UnsafePointer<UInt8>, labels: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>, stored: Bool
    ) -> (loss: Float, pass: Pass, gradients: [Magnitude])? {
        let done = finiteBackward(images: images, labels: labels, indices: indices, stored: stored)
        if done == nil { clearBatch() }
        return done
    }

    private func finiteBackward(
        images source: UnsafePointer<UInt8>, labels from: UnsafePointer<UInt8>, indices: UnsafeBufferPointer<Int32>,
        stored: Bool
    ) -> (loss: Float, pass: Pass, gradients: [Magnitude])? {
        precondition((1...batch).contains(indices.count), "a batch of \(indices.count), at most \(batch)")
        let pass = Pass(examples: indices.count, isTraining: true)
        load(images: source, labels: from, indices: indices, pass)
        guard let magnitudes = forward(pass) else { return nil }

        let last = layers.count - 1
        let top = gradientPlan.resultGradients[last]
        top.clearPadding(width: pass.width)
        var lossSum = 0.0
        var gradientMagnitudes = Array(repeating: Magnitude.zero, count: layers.count + 1)
        gradientMagnitudes[last + 1] = kernels.softmaxCrossEntropy(
            classes: classes, batch: pass.width, count: indices.count, labels: labels.pointer,
            logits: activations[last + 1].rows, smoothing: labelSmoothing, gradient: top.rows, lossSum: &lossSum)
        let loss = Float(lossSum / Double(indices.count))
        guard loss.isFinite, gradientMagnitudes[last + 1].isFinite else { return nil }
        layers[last].gradientArrived(pass, dy: top, blocks: 0..<pass.blocks)

        var parameterGradients = Array(repeating: Magnitude.zero, count: layers.count)
        for segment in gradientPlan.segments {
            for position in segment.layers {
                let magnitude = layers[position].beginBackward(pass)
                guard magnitude.isFinite else { return nil }
                parameterGradients[position] = magnitude
            }
            for blocks in segment.ranges(of: pass.blocks) {
                for position in segment.layers {
                    guard
                        gradientsOfInputs(of: position, pass, blocks: blocks, magnitudes: &gradientMagnitudes)
                    else { return nil }
                }
            }
            for position in segment.layers {
                let magnitude = layers[position].gradients(
                    pass, dy: gradientPlan.resultGradients[position],
                    inputMagnitude: magnitudes[description.nodes[position].input],
                    gradientMagnitude: gradientMagnitudes[position + 1], stored: stored)
                guard magnitude.isFinite else { return nil }
                parameterGradients[position] = max(parameterGradients[position], magnitude)
            }
        }
        return (loss, pass, parameterGradients)
    }

    /// Hands on the gradient by a layer's results to what it reads; false if something is not finite.
    private func gradientsOfInputs(
        of position: Int, _ pass: Pass, blocks: Range<Int>, magnitudes: inout [Magnitude]
    ) -> Bool {
        let node = description.nodes[position]
        let dy = gradientPlan.resultGradients[position]
        if let target = gradientPlan.targets[position] {
            let magnitude = layers[position].backward(pass, dy: dy, to: target, blocks: blocks)
            guard magnitude.isFinite else { return false }
            magnitudes[node.input] = max(magnitudes[node.input], magnitude)
        }
        if let shortcut = node.shortcut, let share = gradientPlan.shortcuts[position] {
            switch share {
            case .shared: magnitudes[shortcut] = max(magnitudes[shortcut], magnitudes[position + 1])
            case .added(let shape, let target):
                let first = blocks.lowerBound
                let magnitude = mapKernels.accumulate(
                    shape, dy: dy.block(first), addend: target.addend?.block(first), gate: target.gate?.block(first),
                    dx: target.memory.block(first), blocks: blocks.count)
                guard magnitude.isFinite else { return false }
                magnitudes[shortcut] = max(magnitudes[shortcut], magnitude)
            }
        }
        for tensor in gradientPlan.completes[position] {
            layers[tensor - 1].gradientArrived(
                pass, dy: gradientPlan.resultGradients[tensor - 1], blocks: blocks)
        }
        return true
    }
}
