import Lottery

/// The weights of least validation loss so far, which the test set has not seen yet (`test: best`).
///
/// In a resume file they are `best.NAME` in the form of `SurvivorForm`, 4 bytes a survivor, and `best.evaluation`
/// i64 [].
struct BestWeights {
    /// Index of the evaluation that found them.
    let evaluation: Int
    private let weights: PackedWeights

    init(of network: Network, evaluation: Int) {
        self.evaluation = evaluation
        weights = PackedWeights(of: network)
    }

    /// Those of a resume file; nil if it has none.
    /// - Parameter evaluations: how many there were.
    init?(resuming file: TensorFile, for network: Network, evaluations: Int) throws(TrainingError) {
        let name = "best.evaluation"
        guard file.header[name] != nil else { return nil }
        evaluation = try file.integers(name, shape: [])[0]
        guard (0..<evaluations).contains(evaluation) else {
            throw .unreadable("“\(name)” in \(file.path) is \(evaluation), of \(evaluations)")
        }
        weights = try PackedWeights("best", in: file, for: network)
    }

    func tensors(_ network: Network) -> [Safetensors.Tensor] {
        weights.tensors("best", network) + [.init(name: "best.evaluation", shape: [], [evaluation])]
    }

    /// Has `network` these weights for as long as `body` runs.
    func with<Value>(in network: Network, _ body: () -> Value) -> Value {
        let present = PackedWeights(of: network)
        weights.put(into: network)
        defer { present.put(into: network) }
        return body()
    }
}

/// A copy of the values of all parameters of a network, of pruned ones those of the survivors alone.
struct PackedWeights {
    private let packed: [[Float]]

    init(of network: Network) {
        packed = network.parameters.indices.map {
            PackedWeights.form(of: $0, in: network).packed(network.values(of: $0))
        }
    }

    /// The tensors `PREFIX.NAME` of a file whose survivors are those of `network`.
    init(_ prefix: String, in file: TensorFile, for network: Network) throws(TrainingError) {
        var packed: [[Float]] = []
        for (index, parameter) in network.parameters.enumerated() {
            let values = try file.values(prefix, of: parameter, unlisted: network.mask(of: index))
            packed.append(PackedWeights.form(of: index, in: network).packed(values))
        }
        self.packed = packed
    }

    private static func form(of index: Int, in network: Network) -> SurvivorForm {
        SurvivorForm(network.parameters[index], mask: network.mask(of: index))
    }

    /// Of one parameter, in its own layout.
    func values(of index: Int, in network: Network) -> [Float] {
        PackedWeights.form(of: index, in: network).unpacked(packed[index])
    }

    func put(into network: Network) {
        for index in packed.indices { network.setValues(values(of: index, in: network), of: index) }
    }

    func tensors(_ prefix: String, _ network: Network) -> [Safetensors.Tensor] {
        packed.enumerated().map { PackedWeights.form(of: $0, in: network).tensor(prefix, packed: $1) }
    }
}
