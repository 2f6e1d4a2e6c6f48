import Kernels
import Lottery

/// A kind of layer as a model describes it: sizes and tensors, no memory. One file a kind, beside the layer that it
/// makes.
protocol LayerDescription: Sendable {
    /// What the layer makes of its input.
    /// - Precondition: it fits; a model has checked its settings before.
    func output(of input: FeatureShape) -> FeatureShape
    /// The layer's tensors, in PyTorch's order.
    func parameters(of input: FeatureShape) -> [Network.Parameter]
    /// Whether a ReLU ends the layer.
    var rectifies: Bool { get }
    /// Whether each result is a value of the input, the mean of some, or 0.
    var passesValues: Bool { get }
    /// Whether the layer can pool its results as it computes them, so that they need not be stored.
    func canPool(_ input: FeatureShape, precision: Precision) -> Bool
    /// Multiply-adds that each surviving weight costs an image in one pass.
    func usesPerWeight(of input: FeatureShape) -> Int
    /// Bytes that one image's training step reads and writes, each array as often as a kernel passes over it.
    func bytesMoved(of input: FeatureShape, precision: Precision, needsInputGradient: Bool) -> Int
    /// Weights that the layer has values, gradients and optimizer state of: the survivors, or more.
    func held(of input: FeatureShape, precision: Precision, survivors: Int) -> Int
    /// Memory beyond a value, a gradient and an optimizer's state per parameter, at most.
    func scratch(of input: FeatureShape, precision: Precision, survivors: Int, blocks: Int) -> ScratchBytes
    func makeLayer(_ place: LayerPlace) -> any Layer
    /// What the layer makes of `x` in the synaptic flow (`SynapticFlow`): flat, maps by channel, row and column.
    /// - Parameter parameters: the values of the layer's tensors.
    func flow(_ x: [Double], of input: FeatureShape, parameters: [[Float]]) -> [Double]
    /// The gradients of the flow, given that by what `flow` returned for `x`.
    func flowGradient(_ dy: [Double], x: [Double], of input: FeatureShape, parameters: [[Float]]) -> LayerGradient
    /// What the layer makes of a batch in training, in f64 (`LossCurvature`), before a shortcut and a ReLU: values in
    /// the order of `flow`, each with its lanes.
    /// - Parameter choices: what a layer that chooses among values has chosen, by which it goes; it chooses, and says
    ///   what, where this is nil.
    func exact(
        _ x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]], choices: inout [Int32]?
    ) -> [Double]
    /// The gradients, given that by what `exact` returned for `x`.
    func exactGradient(
        _ dy: [Double], x: [Double], _ batch: ExactBatch, of input: FeatureShape, parameters: [[Double]],
        choices: [Int32]?
    ) -> LayerGradient
}

extension LayerDescription {
    func parameters(of input: FeatureShape) -> [Network.Parameter] { [] }
    var rectifies: Bool { false }
    var passesValues: Bool { false }
    func canPool(_ input: FeatureShape, precision: Precision) -> Bool { false }
    func usesPerWeight(of input: FeatureShape) -> Int { 0 }
    func held(of input: FeatureShape, precision: Precision, survivors: Int) -> Int { survivors }
    func scratch(of input: FeatureShape, precision: Precision, survivors: Int, blocks: Int) -> ScratchBytes {
        ScratchBytes(own: 0, shared: 0)
    }
}

/// What the kernels of a layer keep beside its tensors.
struct ScratchBytes {
    /// Weights as they read them, lists, and memory that they work in.
    var own: Int
    /// Memory that they work in and that all layers of a network share, so that the largest counts.
    var shared: Int
}

/// The layers of a network and what each reads: a graph without cycles, in the order of the forward pass.
public struct NetworkDescription: Sendable {
    /// What one layer left for others, or the images.
    public struct Tensor: Sendable, Hashable {
        let index: Int
        public let shape: FeatureShape
    }

    struct Node: Sendable {
        let layer: any LayerDescription
        /// Index of the tensor that it reads. Node n makes tensor n + 1; tensor 0 is the images.
        let input: Int
        /// Index of the tensor that is added before the ReLU.
        let shortcut: Int?
        let output: FeatureShape
        let parameters: [Network.Parameter]
    }

    private(set) var nodes: [Node] = []
    public let images: Tensor

    /// - Parameter images: features for networks of dense layers, else planes.
    public init(images: FeatureShape) { self.images = Tensor(index: 0, shape: images) }

    /// Adds `layer`, which reads `input`.
    /// - Parameter shortcut: added to the layer's results before its ReLU; of a batch-norm only.
    mutating func add(
        _ layer: some LayerDescription, to input: Tensor, shortcut: Tensor? = nil
    ) -> Tensor {
        let output = layer.output(of: input.shape)
        precondition(shortcut.map { $0.shape == output } ?? true, "a shortcut of \(shortcut!.shape) to \(output)")
        nodes.append(
            Node(
                layer: layer, input: input.index, shortcut: shortcut?.index, output: output,
                parameters: layer.parameters(of: input.shape)))
        return Tensor(index: nodes.count, shape: output)
    }

    /// All tensors, layer by layer.
    public var parameters: [Network.Parameter] { nodes.flatMap(\.parameters) }

    /// Units of the last layer.
    public var classes: Int { nodes.last?.output.units ?? 0 }

    func shape(of tensor: Int) -> FeatureShape { tensor == 0 ? images.shape : nodes[tensor - 1].output }

    /// Whether a tensor's values came out of a ReLU: the gradient by it is 0 where it is 0.
    func isRectified(_ tensor: Int) -> Bool { tensor > 0 && nodes[tensor - 1].layer.rectifies }

    /// Whether no value of a tensor is negative.
    func isNotNegative(_ tensor: Int) -> Bool {
        guard tensor > 0 else { return false }
        let node = nodes[tensor - 1]
        return node.layer.rectifies || node.layer.passesValues && isNotNegative(node.input)
    }

    /// Tensors that only a max-pooling reads and that are pooled as they are made: they are never stored. Each with its
    /// maxima.
    func pooledAtOnce(_ precision: Precision) -> [Int: Int] {
        var pooled: [Int: Int] = [:]
        for (position, node) in nodes.enumerated() where node.layer is MaxPoolDescription && node.input > 0 {
            let maker = nodes[node.input - 1]
            let readers = nodes.count { $0.input == node.input || $0.shortcut == node.input }
            guard readers == 1, maker.layer.canPool(shape(of: maker.input), precision: precision) else { continue }
            pooled[node.input] = position + 1
        }
        return pooled
    }

    /// Layers with weights, as plans need to know them.
    var layerShapes: [LayerShape] {
        var shapes: [LayerShape] = []
        for node in nodes {
            for parameter in node.parameters {
                switch parameter.role {
                case .weight:
                    let name = parameter.name.split(separator: ".").dropLast().joined(separator: ".")
                    shapes.append(LayerShape(name: name, kind: parameter.kind, weights: parameter.count, biases: 0))
                // Batch-norm's γ and β count with the convolution before it.
                case .bias: shapes[shapes.count - 1].biases += parameter.count
                case .statistic: break
                }
            }
        }
        return shapes
    }
}

// What a training costs, known before it starts.
extension NetworkDescription {
    /// Floating-point operations of one training step: 2 for each multiply-add of a surviving weight, in the forward
    /// pass, the input gradient (the first layer has none) and the weight gradient.
    /// - Parameter survivors: by weight tensor, in network order; nil where all survive.
    public func flopsPerStep(batch: Int, survivors: [Int]? = nil) -> Double {
        var weight = 0
        return nodes.reduce(0) { sum, node in
            guard let count = node.parameters.first(where: \.isWeight)?.count else { return sum }
            let surviving = survivors?[weight] ?? count
            weight += 1
            let uses = node.layer.usesPerWeight(of: shape(of: node.input))
            return sum + 2 * Double(surviving) * Double(uses) * Double(batch) * (node.input == 0 ? 2 : 3)
        }
    }

    /// Bytes that the kernels of one training step read and write, were nothing cached: activations, their gradients,
    /// parameters and their optimizer state.
    /// - Parameter stateCount: tensors of optimizer state per parameter.
    public func bytesPerStep(batch: Int, precision: Precision, stateCount: Int, survivors: [Int]? = nil) -> Double {
        let bytes = nodes.reduce(0) {
            $0
                + $1.layer.bytesMoved(
                    of: shape(of: $1.input), precision: precision, needsInputGradient: $1.input > 0)
        }
        // A tensor that is pooled at once is neither written nor read twice; its maxima are not written by another
        // pass, but read by one.
        let spared = pooledAtOnce(precision).reduce(0) { sum, tensor in
            sum + 3 * shape(of: tensor.key).bytes(precision) - shape(of: tensor.value).bytes(precision)
        }
        // Value twice forward and back, gradient written and read, value and state read and written by the update.
        return Double(bytes - spared) * Double(batch) + 4 * Double(trained(survivors) * (6 + 2 * stateCount))
    }

    /// An upper bound of the bytes that a network in training holds, without the images of the data set.
    public func memoryBytes(batch: Int, precision: Precision, stateCount: Int, survivors: [Int]? = nil) -> Int {
        let blocks = DenseShape.padded(max(batch, Network.evaluationBatch)) / 16
        let gradients = (0...nodes.count).reduce(0) { $0 + shape(of: $1).bytesPerBlock(precision) * blocks }
        let activations = pooledAtOnce(precision).reduce(gradients) { sum, tensor in
            guard case .planes(let maxima) = shape(of: tensor.value) else { return sum }
            let winners = PoolWinners.bytesPerBlock(maxima)
            return sum + (winners - shape(of: tensor.key).bytesPerBlock(precision)) * blocks
        }
        let overwritten = nodes.filter { $0.layer is BatchNormDescription }.reduce(0) {
            $0 + $1.output.bytesPerBlock(precision) * blocks
        }
        var weight = 0
        // Of trained numbers, where layers hold more than the survivors, and of the lists of those.
        var unpruned = 0, listed = 0
        var scratch = ScratchBytes(own: 0, shared: 0)
        for node in nodes {
            guard let count = node.parameters.first(where: \.isWeight)?.count else { continue }
            let surviving = survivors?[weight] ?? count
            let input = shape(of: node.input)
            unpruned += node.layer.held(of: input, precision: precision, survivors: surviving) - surviving
            if surviving < count { listed += surviving }
            let of = node.layer.scratch(of: input, precision: precision, survivors: surviving, blocks: blocks)
            scratch = ScratchBytes(own: scratch.own + of.own, shared: max(scratch.shared, of.shared))
            weight += 1
        }
        // The gradient by a tensor needs the tensor's own size, but for what a batch-norm reads, which it overwrites.
        return activations + gradients - overwritten + scratch.own + scratch.shared + 4 * listed
            + 4 * (trained(survivors) + unpruned) * (2 + stateCount)
    }

    /// Numbers that are trained.
    private func trained(_ survivors: [Int]?) -> Int {
        let weights = parameters.filter(\.isWeight)
        let others = parameters.filter { $0.role == .bias }.reduce(0) { $0 + $1.count }
        return others + (survivors ?? weights.map(\.count)).reduce(0, +)
    }
}
