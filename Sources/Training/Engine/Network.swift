import Kernels
import Lottery

/// A multilayer perceptron in training: dense layers with ReLU between them, cross-entropy after the last, one optimizer.
///
/// Its results have the same bits with every `InstructionSet`, and whether or not the training was stopped and continued.
/// It belongs to one thread, which has called `FloatingPointMode.flushDenormals()`.
public final class Network {
    /// A tensor that is trained, under its PyTorch name and layout.
    public struct Parameter: Sendable, Hashable {
        /// `fc1.weight`, `fc1.bias`, … `output.weight`, `output.bias`.
        public let name: String
        /// `[outputs, inputs]` of a weight, `[outputs]` of a bias.
        public let shape: [Int]
        public let kind: LayerKind
        /// Weights can be pruned, biases cannot.
        public let isWeight: Bool

        public var count: Int { shape.reduce(1, *) }
    }

    /// Weight and bias of each layer, first to last. Other members name a parameter by its index here.
    public let parameters: [Parameter]
    public let inputs: Int
    public let classes: Int
    /// The most examples of a step.
    public let batch: Int

    let layers: [DenseLayer]
    let kernels: DenseKernels
    var optimizer: Optimizer
    let pixelMean: AlignedBuffer<Float>
    let pixelDeviation: AlignedBuffer<Float>
    /// The largest normalised pixel.
    let pixelMagnitude: Magnitude

    /// Images side by side in an evaluation. It changes no result.
    static let evaluationBatch = 64
    /// [padded inputs][batch]
    let images: AlignedBuffer<Float>
    let labels: AlignedBuffer<UInt8>

    /// A network whose parameters are all zero.
    /// - Parameters:
    ///   - inputs: features per image, all channels.
    ///   - hidden: units of the hidden layers, first to last; may be empty.
    ///   - batch: the most examples of a step.
    ///   - pixelMean: per channel, subtracted from pixels in 0…1.
    ///   - pixelDeviation: per channel, divides pixels after that.
    public init(
        inputs: Int, hidden: [Int], classes: Int, optimizer settings: OptimizerSettings, batch: Int,
        pixelMean: [Float], pixelDeviation: [Float], instructionSet: InstructionSet = .current
    ) {
        precondition(FloatingPointMode.flushesDenormals, "denormals are not flushed on the training thread")
        precondition(batch > 0 && (1...256).contains(classes), "a batch of \(batch), \(classes) classes")
        precondition(
            !pixelMean.isEmpty && pixelMean.count == pixelDeviation.count && inputs.isMultiple(of: pixelMean.count),
            "\(pixelMean.count) means and \(pixelDeviation.count) deviations for \(inputs) features")
        precondition(
            zip(pixelMean, pixelDeviation).allSatisfy { $0.isFinite && $1.isNormal && $1 > 0 },
            "pixels normalised by \(pixelMean) and \(pixelDeviation)")
        self.inputs = inputs
        self.classes = classes
        self.batch = batch
        kernels = DenseKernels(instructionSet)
        optimizer = Optimizer(settings)

        let widths = [inputs] + hidden + [classes]
        let capacity = DenseShape.padded(max(batch, Network.evaluationBatch))
        let stateCount = optimizer.slots.count
        layers = (0...hidden.count).map { position in
            DenseLayer(
                inputs: widths[position], outputs: widths[position + 1], rectifies: position < hidden.count,
                stateCount: stateCount, batchCapacity: capacity)
        }
        parameters = layers.enumerated().flatMap { position, layer in
            let isLast = position == hidden.count
            let name = isLast ? "output" : "fc\(position + 1)"
            let kind: LayerKind = isLast ? .output : .fc
            return [
                Parameter(name: name + ".weight", shape: [layer.outputs, layer.inputs], kind: kind, isWeight: true),
                Parameter(name: name + ".bias", shape: [layer.outputs], kind: kind, isWeight: false),
            ]
        }
        images = AlignedBuffer(zeroed: DenseShape.padded(inputs) * capacity)
        labels = AlignedBuffer(zeroed: capacity)
        self.pixelMean = AlignedBuffer(zeroed: pixelMean.count)
        self.pixelDeviation = AlignedBuffer(zeroed: pixelMean.count)
        var largest = Magnitude.zero
        for channel in pixelMean.indices {
            self.pixelMean[channel] = pixelMean[channel]
            self.pixelDeviation[channel] = pixelDeviation[channel]
            for pixel: Float in [0, 1] {
                largest = max(largest, Magnitude((pixel - pixelMean[channel]) / pixelDeviation[channel]))
            }
        }
        precondition(largest.isFinite, "pixels normalised by \(pixelMean) and \(pixelDeviation)")
        pixelMagnitude = largest
    }

    /// The index in `parameters` of the one called `name`.
    public func index(of name: String) -> Int? { parameters.firstIndex { $0.name == name } }

    /// The values of parameter `index`, flat in row-major order of its PyTorch layout.
    public func values(of index: Int) -> [Float] {
        let layer = layers[index / 2]
        return parameters[index].isWeight ? layer.unpacked(layer.weights) : layer.unpackedBias(layer.bias)
    }

    /// Sets parameter `index`, flat in row-major order of its PyTorch layout. Pruned weights stay +0.
    public func setValues(_ values: [Float], of index: Int) {
        let layer = layers[index / 2]
        if parameters[index].isWeight {
            layer.pack(values, into: layer.weights)
        } else {
            layer.packBias(values, into: layer.bias)
        }
    }

    /// The mask of parameter `index`; nil while it is dense.
    public func mask(of index: Int) -> Mask? { layers[index / 2].mask }

    /// Prunes weight tensor `index` to `mask`, nil for none: pruned weights and their optimizer state are +0 from now on.
    /// A unit from which no surviving weight leads to the output no longer takes part.
    public func setMask(_ mask: Mask?, of index: Int) {
        precondition(parameters[index].isWeight, "\(parameters[index].name) cannot be pruned")
        layers[index / 2].setMask(mask)
        for position in layers.indices.dropLast().reversed() {
            layers[position].setLive(layers[position + 1].inputsInUse)
        }
    }

    /// The optimizer's memory. Setting it asks for exactly the tensors that getting it gives; pruned weights' state stays +0.
    public var optimizerState: OptimizerState {
        get {
            var tensors: [OptimizerState.Tensor] = []
            for (index, parameter) in parameters.enumerated() {
                for (position, slot) in optimizer.slots.enumerated() {
                    tensors.append(
                        OptimizerState.Tensor(
                            parameter: parameter.name, slot: slot, values: state(position, of: index)))
                }
            }
            return OptimizerState(tensors: tensors, scalars: optimizer.scalars, steps: optimizer.steps)
        }
        set {
            let expected = parameters.flatMap { parameter in optimizer.slots.map { [parameter.name, $0] } }
            precondition(
                newValue.tensors.map { [$0.parameter, $0.slot] }.sorted { $0.lexicographicallyPrecedes($1) }
                    == expected.sorted { $0.lexicographicallyPrecedes($1) },
                "an optimizer state of \(newValue.tensors.map { "\($0.parameter) \($0.slot)" })")
            for tensor in newValue.tensors {
                guard let parameter = index(of: tensor.parameter),
                    let position = optimizer.slots.firstIndex(of: tensor.slot)
                else { preconditionFailure("no optimizer state \(tensor.parameter) \(tensor.slot)") }
                setState(position, of: parameter, to: tensor.values)
            }
            optimizer.restore(steps: newValue.steps, scalars: newValue.scalars)
        }
    }

    /// Forgets all that the optimizer remembers, as if no step had been taken.
    public func resetOptimizer() {
        for layer in layers {
            layer.weights1.clear()
            layer.weights2.clear()
            layer.bias1.clear()
            layer.bias2.clear()
        }
        optimizer = Optimizer(optimizer.settings)
    }

    private func state(_ position: Int, of index: Int) -> [Float] {
        let layer = layers[index / 2]
        if parameters[index].isWeight {
            return position == 0 ? layer.unpacked(layer.weights1) : layer.unpacked(layer.weights2)
        }
        return position == 0 ? layer.unpackedBias(layer.bias1) : layer.unpackedBias(layer.bias2)
    }

    private func setState(_ position: Int, of index: Int, to values: [Float]) {
        let layer = layers[index / 2]
        switch (parameters[index].isWeight, position) {
        case (true, 0): layer.pack(values, into: layer.weights1)
        case (true, _): layer.pack(values, into: layer.weights2)
        case (false, 0): layer.packBias(values, into: layer.bias1)
        case (false, _): layer.packBias(values, into: layer.bias2)
        }
    }

    /// Whether every pruned weight and its optimizer state are exactly zero.
    public func prunedWeightsAreZero() -> Bool { layers.allSatisfy { $0.prunedWeightsAreZero() } }
}
