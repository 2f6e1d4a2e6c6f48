/// Dense layers, what all parameters go through, and the two ends of a network: 64 examples.
extension KernelBench {
    private static let batch = 64

    func dense(inputs: Int, outputs: Int) {
        let names = ["forward", "input gradient", "weight gradient", "weight gradient and update"].map { "dense \($0)" }
        guard wantsAny(names) else { return }
        let kernels = DenseKernels(instructionSet)
        let shape = DenseShape(inputs: inputs, outputs: outputs, batch: Self.batch)
        let weights = Self.values(shape.weightCount)
        let gradient = Self.values(shape.weightCount)
        let bias = Self.values(shape.paddedOutputs)
        let biasGradient = Self.values(shape.paddedOutputs)
        let x = Self.values(shape.paddedInputs * Self.batch)
        let dx = Self.values(shape.paddedInputs * Self.batch)
        let transposed = Self.values(shape.paddedInputs * Self.batch)
        let y = Self.values(shape.paddedOutputs * Self.batch)
        let dy = Self.values(shape.paddedOutputs * Self.batch)
        let mask = AlignedBuffer<UInt16>(copying: Array(repeating: .max, count: shape.weightCount / 16))
        let live = LiveOutputs(Array(0..<outputs))
        let flops = 2 * Double(inputs * outputs * Self.batch)
        let name = "\(inputs) → \(outputs)"
        let (all, into, out) = (4 * inputs * outputs, 4 * inputs * Self.batch, 4 * outputs * Self.batch)
        report(names[0], name, flops: flops, Traffic(read: all + into, written: out)) {
            _ = kernels.forward(
                shape, weights: weights.pointer, bias: bias.pointer, live: live, rectify: true, x: x.pointer,
                y: y.pointer)
        }
        report(names[1], name, flops: flops, Traffic(read: all + out + into, written: into)) {
            _ = kernels.inputGradient(
                shape, weights: weights.pointer, live: live, dy: dy.pointer, x: x.pointer, dx: dx.pointer)
        }
        report(names[2], name, flops: flops, Traffic(read: into + out, written: all)) {
            _ = kernels.weightGradient(
                shape, mask: mask.pointer, dy: dy.pointer, transposed: transposed.pointer,
                weightGradient: gradient.pointer, biasGradient: biasGradient.pointer)
        }
        report(names[3], name, flops: flops, Traffic(read: into + out, updated: all)) {
            _ = kernels.update(
                shape, rule: .sgd(rate: 1e-9, decay: 0), mask: mask.pointer, dy: dy.pointer,
                transposed: transposed.pointer, biasGradient: biasGradient.pointer,
                weights: UpdatedTensor(values: weights.pointer, state1: nil, state2: nil),
                bias: UpdatedTensor(values: bias.pointer, state1: nil, state2: nil))
        }
    }

    func sparse(inputs: Int, outputs: Int, density: Double) {
        let names = ["forward", "input gradient", "weight gradient"].map { "sparse dense \($0)" }
        guard wantsAny(names) else { return }
        let survivors = Self.survivors(inputs * outputs, density)
        let layer = SparseDense(
            inputs: inputs, outputs: outputs, survivors: survivors, instructionSet: instructionSet)
        let weights = Self.values(layer.paddedCount)
        let gradient = Self.values(layer.paddedCount)
        let padded = DenseShape.padded(outputs)
        let bias = Self.values(padded)
        let biasGradient = Self.values(padded)
        let x = Self.values(DenseShape.padded(inputs) * Self.batch)
        let dx = Self.values(DenseShape.padded(inputs) * Self.batch)
        let y = Self.values(padded * Self.batch)
        let dy = Self.values(padded * Self.batch)
        let flops = 2 * Double(layer.survivorCount * Self.batch)
        let name = "\(inputs) → \(outputs)"
        let live = Self.live(survivors, inputs: inputs)
        let (all, row) = (4 * layer.survivorCount, 4 * Self.batch)
        report(
            names[0], name, density, flops: flops, Traffic(read: all + live.inputs * row, written: outputs * row)
        ) {
            _ = layer.forward(
                weights: weights.pointer, bias: bias.pointer, rectify: true, x: x.pointer, y: y.pointer,
                batch: Self.batch)
        }
        report(
            names[1], name, density, flops: flops,
            Traffic(read: all + (live.outputs + live.inputs) * row, written: inputs * row)
        ) {
            _ = layer.inputGradient(
                weights: weights.pointer, dy: dy.pointer, x: x.pointer, dx: dx.pointer, batch: Self.batch)
        }
        report(
            names[2], name, density, flops: flops, Traffic(read: (live.outputs + live.inputs) * row, written: all)
        ) {
            _ = layer.weightGradient(
                dy: dy.pointer, x: x.pointer, batch: Self.batch, gradient: gradient.pointer,
                biasGradient: biasGradient.pointer)
        }
    }

    func tileDense(inputs: Int, outputs: Int) {
        let names = ["forward", "input gradient", "weight gradient"].map { "bf16 dense \($0)" }
        guard wantsAny(names) else { return }
        let layer = TileDense(inputs: inputs, outputs: outputs, survivors: nil, backend: tiles)
        let weights = Self.values(DenseShape.padded(inputs * outputs))
        let gradient = Self.values(DenseShape.padded(inputs * outputs))
        let bias = Self.values(DenseShape.padded(outputs))
        let biasGradient = Self.values(DenseShape.padded(outputs))
        let x = Self.values(DenseShape.padded(inputs) * Self.batch)
        let dx = Self.values(DenseShape.padded(inputs) * Self.batch)
        let y = Self.values(DenseShape.padded(outputs) * Self.batch)
        let dy = Self.values(DenseShape.padded(outputs) * Self.batch)
        layer.load(weights: weights.pointer)
        let flops = 2 * Double(inputs * outputs * Self.batch)
        let name = "\(inputs) → \(outputs)"
        // The weights are there in bf16.
        let (all, into, out) = (2 * inputs * outputs, 4 * inputs * Self.batch, 4 * outputs * Self.batch)
        report(names[0], name, flops: flops, by: .tiles, Traffic(read: all + into, written: out)) {
            _ = layer.forward(bias: bias.pointer, rectify: true, x: x.pointer, y: y.pointer, batch: Self.batch)
        }
        report(names[1], name, flops: flops, by: .tiles, Traffic(read: all + out + into, written: into)) {
            _ = layer.inputGradient(dy: dy.pointer, gate: x.pointer, dx: dx.pointer, batch: Self.batch)
        }
        report(names[2], name, flops: flops, by: .tiles, Traffic(read: into + out, written: 2 * all)) {
            _ = layer.weightGradient(
                dy: dy.pointer, x: x.pointer, batch: Self.batch, gradient: gradient.pointer,
                biasGradient: biasGradient.pointer)
        }
    }

    /// Updates from stored gradients, and what clipping needs, of as many parameters as LeNet-300-100 has, and of a
    /// million.
    func parameters() {
        let names = [
            "update, sgd", "update, momentum", "update, adam", "norm for clipping", "norm under a mask", "scaling",
        ]
        guard wantsAny(names) else { return }
        let kernels = DenseKernels(instructionSet)
        let norm = GradientNorm(instructionSet)
        let adam = UpdateRule.adam(
            rate: 1e-9, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, product1: 0.5, product2: 0.5, decay: 0)
        /// How many arrays beside the gradient each updates.
        let rules: [(rule: UpdateRule, updated: Int)] = [
            (.sgd(rate: 1e-9, decay: 0), 1), (.momentum(rate: 1e-9, momentum: 0.9, decay: 0), 2), (adam, 3),
        ]
        for count in [266_208, 1 << 20] {
            let values = Self.values(count)
            let gradient = Self.values(count)
            let state1 = AlignedBuffer<Float>(zeroed: count)
            let state2 = AlignedBuffer<Float>(zeroed: count)
            let mask = AlignedBuffer<UInt16>(copying: (0..<count / 16).map { UInt16(truncatingIfNeeded: $0 &* 40_503) })
            let bytes = 4 * count
            let name = "\(count) parameters"
            for (index, (rule, updated)) in rules.enumerated() {
                report(names[index], name, Traffic(read: bytes, updated: updated * bytes)) {
                    _ = kernels.update(
                        rule: rule, count: count, gradient: gradient.pointer,
                        tensor: UpdatedTensor(
                            values: values.pointer, state1: state1.pointer, state2: state2.pointer))
                }
            }
            report(names[3], name, Traffic(read: bytes)) {
                _ = norm.sumOfSquares(count: count, gradient.pointer)
            }
            report(
                names[4], name, Traffic(read: bytes + count / 8),
                because: "it picks the survivors of each line before it can add them"
            ) {
                _ = norm.sumOfSquares(rows: count / 16, inputs: 16, mask: mask.pointer, gradient.pointer)
            }
            report(names[5], name, Traffic(updated: bytes)) {
                norm.scale(count: count, gradient.pointer, by: 1)
            }
        }
    }

    /// Images on their way in, and logits on their way out.
    func examples() {
        let names = [
            "image loading", "image loading to planes", "bf16 image loading to planes", "transposing", "softmax",
        ]
        guard wantsAny(names) else { return }
        let kernels = DenseKernels(instructionSet)
        let indices = AlignedBuffer<Int32>(copying: (0..<Self.batch).map { Int32($0 * 7 % 256) })
        let means = AlignedBuffer<Float>(copying: [0.49, 0.48, 0.45])
        let deviations = AlignedBuffer<Float>(copying: [0.25, 0.24, 0.26])
        let shape = PlanesShape(channels: 3, height: 32, width: 32)
        let images = AlignedBuffer<UInt8>(copying: (0..<256 * 3072).map { UInt8(truncatingIfNeeded: $0 &* 37) })
        let features = 784
        let x = Self.values(features * Self.batch)
        let transposed = Self.values(features * Self.batch)
        let values = features * Self.batch
        let dividing = "it divides each pixel twice, correctly rounded"
        // A byte is read for each value, which is written twice.
        report(
            names[0], "\(features), \(Self.batch) examples", Traffic(read: values, written: 8 * values),
            because: dividing
        ) {
            kernels.loadImages(
                images.pointer, indices: indices.pointer, count: Self.batch, batch: Self.batch, channels: 1,
                featuresPerChannel: features, means: means.pointer, deviations: deviations.pointer, x: x.pointer,
                transposed: transposed.pointer)
        }
        for (name, inPairs) in [(names[1], false), (names[2], true)] {
            let maps = BenchMaps(shape, blocks: Self.batch / 16, inPairs: inPairs)
            let loader: any MapKernels = inPairs ? PairPlanesKernels(tiles) : PlanesKernels(instructionSet)
            let values = 3072 * Self.batch
            report(
                name, "3 × 32 × 32, \(Self.batch) examples",
                Traffic(read: values, written: (inPairs ? 2 : 4) * values), because: dividing
            ) {
                loader.loadImages(
                    images.pointer, indices: indices.pointer, count: Self.batch, shape: shape,
                    blocks: Self.batch / 16, means: means.pointer, deviations: deviations.pointer, y: maps.pointer)
            }
        }
        report(names[3], "\(features), \(Self.batch) examples", Traffic(read: 4 * values, written: 4 * values)) {
            kernels.transpose(features: features, batch: Self.batch, x: x.pointer, transposed: transposed.pointer)
        }
        for classes in [10, 100] {
            let logits = Self.values(classes * Self.batch)
            let gradient = Self.values(classes * Self.batch)
            let labels = AlignedBuffer<UInt8>(copying: (0..<Self.batch).map { UInt8($0 % 10) })
            let bytes = 4 * classes * Self.batch
            report(
                names[4], "\(classes) classes, \(Self.batch) examples", Traffic(read: bytes, written: bytes),
                because: "it takes a power and divides twice for each value, and takes a logarithm for each example"
            ) {
                var loss = 0.0
                _ = kernels.softmaxCrossEntropy(
                    classes: classes, batch: Self.batch, count: Self.batch, labels: labels.pointer,
                    logits: logits.pointer, gradient: gradient.pointer, lossSum: &loss)
            }
        }
    }
}
