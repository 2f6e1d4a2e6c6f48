import Lottery

/// The weights of least validation loss so far, which the test set has not seen yet (`test: best`).
///
/// In a resume file they are `best.NAME` in the form of `SurvivorForm`, beside the lists of survivors that are there anyway, and
/// `best.evaluation` i64 [].
struct BestWeights {
    /// Index of the evaluation that found them.
    let evaluation: Int
    /// Of each parameter the survivors' values.
    private let packed: [[Float]]

    init(of network: Network, evaluation: Int) {
        self.evaluation = evaluation
        packed = network.parameters.indices.map { BestWeights.form(of: $0, in: network).packed(network.values(of: $0)) }
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
        var packed: [[Float]] = []
        for (index, parameter) in network.parameters.enumerated() {
            packed.append(BestWeights.form(of: index, in: network).packed(try file.values("best", of: parameter)))
        }
        self.packed = packed
    }

    private static func form(of index: Int, in network: Network) -> SurvivorForm {
        SurvivorForm(network.parameters[index], mask: network.mask(of: index))
    }

    func tensors(_ network: Network) -> [Safetensors.Tensor] {
        packed.enumerated().map { BestWeights.form(of: $0, in: network).tensor("best", packed: $1) } + [
            .init(name: "best.evaluation", shape: [], [evaluation])
        ]
    }

    /// Has `network` these weights for as long as `body` runs.
    func with<Value>(in network: Network, _ body: () -> Value) -> Value {
        let present = BestWeights(of: network, evaluation: evaluation)
        put(into: network)
        defer { present.put(into: network) }
        return body()
    }

    private func put(into network: Network) {
        for (index, values) in packed.enumerated() {
            network.setValues(BestWeights.form(of: index, in: network).unpacked(values), of: index)
        }
    }
}
