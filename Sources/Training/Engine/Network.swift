import Kernels
import Lottery

/// A network in training: its layers, the memory of a batch between them, cross-entropy after the last, one optimizer.
///
/// Its results have the same bits with every `Engine` of one precision, and whether or not the training was stopped and
/// continued. It belongs to one thread, which has called `FloatingPointMode.flushDenormals()`.
public final class Network {
    /// Every tensor, layer by layer. Other members name a parameter by its index here.
    public let parameters: [Parameter]
    public let classes: Int
    /// The most examples of a step.
    public let batch: Int

    let description: NetworkDescription
    let layers: [any Layer]
    let tensors: [ParameterTensor]
    /// The layer that each parameter belongs to.
    let layerOf: [Int]
    let kernels: DenseKernels
    let mapKernels: any MapKernels
    package internal(set) var optimizer: Optimizer
    let labelSmoothing: Float
    let clipping: GradientClipping?
    let pixelMean: AlignedBuffer<Float>
    let pixelDeviation: AlignedBuffer<Float>
    /// The largest normalised pixel.
    let pixelMagnitude: Magnitude

    /// Images side by side in an evaluation. It changes no result.
    static let evaluationBatch = 64
    let labels: AlignedBuffer<UInt8>
    /// The values of each tensor of `description`; the first is the images.
    let activations: [BatchMemory]
    let forwardSegments: [Segment]
    let gradientPlan: GradientPlan
    private var liveIsStale = false

    /// A network whose weights and biases are zero, and batch-norm that of a new one.
    /// - Parameters:
    ///   - masks: by weight tensor, in network order, as `setMask` would set them one by one; memory is taken for
    ///     survivors alone. Nil for none.
    ///   - batch: the most examples of a step.
    ///   - pixelMean: per channel, subtracted from pixels in 0…1.
    ///   - pixelDeviation: per channel, divides pixels after that.
    ///   - labelSmoothing: of the training loss, in 0..<1.
    public init(
        _ description: NetworkDescription, masks: [Mask]? = nil, optimizer settings: OptimizerSettings, batch: Int,
        pixelMean: [Float], pixelDeviation: [Float], labelSmoothing: Double = 0, clipping: GradientClipping? = nil,
        engine: Engine = Engine()
    ) {
        precondition(FloatingPointMode.flushesDenormals, "denormals are not flushed on the training thread")
        classes = description.classes
        precondition(batch > 0 && (1...256).contains(classes), "a batch of \(batch), \(classes) classes")
        let values = description.images.shape.values
        precondition(
            !pixelMean.isEmpty && pixelMean.count == pixelDeviation.count && values.isMultiple(of: pixelMean.count),
            "\(pixelMean.count) means and \(pixelDeviation.count) deviations for \(values) features")
        precondition(
            zip(pixelMean, pixelDeviation).allSatisfy { $0.isFinite && $1.isNormal && $1 > 0 },
            "pixels normalised by \(pixelMean) and \(pixelDeviation)")
        self.description = description
        self.batch = batch
        kernels = DenseKernels(engine.instructionSet)
        mapKernels = engine.mapKernels
        optimizer = Optimizer(settings)
        self.labelSmoothing = Float(labelSmoothing)
        self.clipping = clipping

        let blocks = DenseShape.padded(max(batch, Network.evaluationBatch)) / 16
        let stateCount = optimizer.slots.count
        let pooled = description.pooledAtOnce(engine.precision)
        let activations = (0...description.nodes.count).map {
            BatchMemory(
                description.shape(of: $0), precision: engine.precision, blocks: pooled[$0] == nil ? blocks : 0)
        }
        let tileScratch = TileScratch()
        var layers: [any Layer] = []
        var tensors: [ParameterTensor] = []
        var layerOf: [Int] = []
        var masksLeft = masks.map { $0[...] }
        for (position, node) in description.nodes.enumerated() {
            let own = node.parameters.map { ParameterTensor($0, stateCount: stateCount) }
            let mask = own.first?.parameter.isWeight == true ? masksLeft?.removeFirst() : nil
            layers.append(
                node.layer.makeLayer(
                    LayerPlace(
                        input: description.shape(of: node.input), x: activations[node.input],
                        y: activations[position + 1], shortcut: node.shortcut.map { activations[$0] }, tensors: own,
                        mask: mask.flatMap { $0.survivors < $0.count ? $0 : nil },
                        needsInputGradient: node.input > 0, inputIsNotNegative: description.isNotNegative(node.input),
                        blockCapacity: blocks, engine: engine, tileScratch: tileScratch)))
            tensors += own
            layerOf += own.map { _ in position }
            // A convolution makes the sums of the batch-norm after it while it stores.
            if let norm = layers[position] as? BatchNormLayer, node.input > 0,
                let maker = layers[node.input - 1] as? any SummingLayer
            {
                maker.sums = norm.sums.pointer
                norm.sumsAreMade = true
            }
            // It pools what it computes if only a max-pooling after it reads that.
            if let pooling = layers[position] as? MaxPoolLayer, pooled[node.input] == position + 1,
                let maker = layers[node.input - 1] as? ConvolutionLayer
            {
                let winners = PoolWinners(planes(node.output), blocks: blocks)
                maker.pool = (activations[position + 1], winners)
                pooling.winners = winners
            }
        }
        self.layers = layers
        self.tensors = tensors
        self.layerOf = layerOf
        self.activations = activations
        precondition(masksLeft?.isEmpty ?? true, "\(masks?.count ?? 0) masks are more than the weights of the network")
        liveIsStale = masks != nil
        parameters = tensors.map(\.parameter)
        forwardSegments = Segment.all(
            Array(layers.indices), needs: layers.map(\.forwardNeed), description: description, engine: engine)
        gradientPlan = GradientPlan(
            description, layers: layers, activations: activations, engine: engine, blocks: blocks)

        labels = AlignedBuffer(zeroed: blocks * 16)
        self.pixelMean = AlignedBuffer(copying: pixelMean)
        self.pixelDeviation = AlignedBuffer(copying: pixelDeviation)
        var largest = Magnitude.zero
        for channel in pixelMean.indices {
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
    public func values(of index: Int) -> [Float] { tensors[index].flatValues }

    /// Sets parameter `index`, flat in row-major order of its PyTorch layout. Pruned weights stay +0.
    public func setValues(_ values: [Float], of index: Int) {
        tensors[index].setFlat(values)
        layers[layerOf[index]].parametersChanged()
    }

    /// The mask of parameter `index`; nil while it is dense.
    public func mask(of index: Int) -> Mask? { tensors[index].mask }

    /// Prunes weight tensor `index` to `mask`, nil for none: pruned weights and their optimizer state are +0 from now
    /// on. A unit from which no surviving weight leads to the output no longer takes part.
    public func setMask(_ mask: Mask?, of index: Int) {
        precondition(parameters[index].isWeight, "\(parameters[index].name) cannot be pruned")
        layers[layerOf[index]].setMask(mask)
        liveIsStale = true
    }

    /// Tells every layer which of its units lead to the output, if masks have changed.
    func settleLiveUnits() {
        guard liveIsStale else { return }
        liveIsStale = false
        var live = activations.map { Array(repeating: false, count: $0.shape.units) }
        live[live.count - 1] = Array(repeating: true, count: classes)
        for (position, node) in description.nodes.enumerated().reversed() {
            let outputs = live[position + 1]
            layers[position].setLive(outputs)
            for (unit, used) in layers[position].inputsInUse.enumerated() where used { live[node.input][unit] = true }
            guard let shortcut = node.shortcut else { continue }
            for (unit, used) in outputs.enumerated() where used { live[shortcut][unit] = true }
        }
    }

    /// One tensor of the optimizer's memory, flat in the parameter's PyTorch layout.
    package func optimizerValues(_ slot: Int, of index: Int) -> [Float] { tensors[index].state(slot) }

    /// - Parameter slot: as in `optimizer.slots`.
    package func setOptimizerValues(_ values: [Float], _ slot: Int, of index: Int) {
        tensors[index].setState(slot, values)
    }

    /// Sets what of the optimizer's memory is not by parameter.
    package func restoreOptimizer(steps: Int, scalars: [String: Double]) {
        optimizer.restore(steps: steps, scalars: scalars)
    }

    /// Forgets all that the optimizer remembers, as if no step had been taken.
    public func resetOptimizer() {
        for tensor in tensors { tensor.clearState() }
        optimizer = Optimizer(optimizer.settings)
    }

    /// Whether every pruned weight and its optimizer state are exactly zero.
    public func prunedWeightsAreZero() -> Bool { tensors.allSatisfy(\.restIsZero) }

    /// Floats that a parameter takes, its optimizer state included: as many as survive, rounded up to 16, where its
    /// kernels are sparse.
    package func floatsHeld(by index: Int) -> Int { tensors[index].paddedCount * (1 + tensors[index].stateCount) }
}

extension Network {
    /// A tensor of a network that its files hold, under its PyTorch name and layout.
    public struct Parameter: Sendable, Hashable {
        public enum Role: Sendable, Hashable {
            /// Can be pruned.
            case weight
            /// Is trained and never pruned: a bias, or batch-norm's γ and β.
            case bias
            /// Is measured in training: batch-norm's running mean and variance. No optimizer sees it.
            case statistic
        }

        /// `fc1.weight`, `layer2.0.conv1.weight`, `bn1.running_mean`.
        public let name: String
        /// `[outputs, inputs]` or `[outputs, inputs, rows, columns]` of a weight, `[outputs]` of everything else.
        public let shape: [Int]
        /// Of the layer that it belongs to; batch-norm's are those of the convolution before it.
        public let kind: LayerKind
        public let role: Role
        /// Each element in a new network.
        public let initialValue: Float

        init(name: String, shape: [Int], kind: LayerKind, role: Role, initialValue: Float = 0) {
            self.name = name
            self.shape = shape
            self.kind = kind
            self.role = role
            self.initialValue = initialValue
        }

        public var count: Int { shape.reduce(1, *) }
        public var isWeight: Bool { role == .weight }
        public var isTrained: Bool { role != .statistic }
    }
}
