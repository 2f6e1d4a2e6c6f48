import Lottery

/// Weights and optimizer state after some steps: what `step-k` holds, and most of what a resume file holds.
///
/// Tensors `weight.NAME` and `optimizer.SLOT.NAME` f32 in the form of `SurvivorForm`, `scalar.NAME` f64 [], `optimizer_steps` and
/// `step` i64 []. Nothing in it names the task, so that the same state reached by two tasks is one artifact. With Adam, whose state is two
/// numbers a weight, a survivor costs 16 bytes.
struct Checkpoint {
    var step: Int
    var weights: [[Float]]
    var optimizer: OptimizerState
    /// By parameter; nil where nothing is pruned.
    private let masks: [Mask?]
    /// Set if the training diverged before it came to the step this was asked for; the state is the last one it had.
    var divergedAt: Int?

    init(of network: Network, step: Int, divergedAt: Int? = nil) {
        self.step = step
        weights = network.parameters.indices.map { network.values(of: $0) }
        optimizer = network.optimizerState
        masks = network.parameters.indices.map { network.mask(of: $0) }
        self.divergedAt = divergedAt
    }

    /// Reads what `network` needs; its parameters and optimizer say which tensors there must be.
    /// - Parameter weightsAlone: whether the optimizer's state is left as `network` has it; the file may then be without.
    init(_ file: TensorFile, for network: Network, weightsAlone: Bool = false) throws(TrainingError) {
        step = try file.integers("step", shape: [])[0]
        weights = []
        for parameter in network.parameters {
            weights.append(try file.values("weight", of: parameter))
        }
        masks = network.parameters.indices.map { network.mask(of: $0) }
        optimizer = network.optimizerState
        divergedAt = file.header.metadata["diverged_at"].flatMap { Int($0) }
        guard step >= 0 else { throw .unreadable("\(file.path) is of step \(step)") }
        if weightsAlone { return }
        let parameters = Dictionary(uniqueKeysWithValues: network.parameters.map { ($0.name, $0) })
        for index in optimizer.tensors.indices {
            let tensor = optimizer.tensors[index]
            // The network asks for the state of its own parameters only.
            optimizer.tensors[index].values = try file.values(
                "optimizer.\(tensor.slot)", of: parameters[tensor.parameter]!)
        }
        for name in optimizer.scalars.keys.sorted() {
            optimizer.scalars[name] = try file.doubles("scalar.\(name)", shape: [])[0]
        }
        optimizer.steps = try file.integers("optimizer_steps", shape: [])[0]
        guard optimizer.steps >= 0 else { throw .unreadable("\(file.path) is of step \(step)") }
    }

    /// Puts weights and optimizer state into `network`; what its masks prune stays zero.
    func restore(_ network: Network) {
        for index in weights.indices { network.setValues(weights[index], of: index) }
        network.optimizerState = optimizer
    }

    func tensors(_ parameters: [Network.Parameter]) -> [Safetensors.Tensor] {
        var tensors: [Safetensors.Tensor] = []
        let states = Dictionary(grouping: optimizer.tensors, by: \.parameter)
        for (index, parameter) in parameters.enumerated() {
            let form = SurvivorForm(parameter, mask: masks[index])
            tensors.append(form.tensor("weight", weights[index]))
            for state in states[parameter.name] ?? [] {
                tensors.append(form.tensor("optimizer.\(state.slot)", state.values))
            }
            if let survivors = form.survivors { tensors.append(survivors) }
        }
        for (name, value) in optimizer.scalars.sorted(by: { $0.key < $1.key }) {
            tensors.append(.init(name: "scalar.\(name)", shape: [], [value]))
        }
        tensors.append(.init(name: "optimizer_steps", shape: [], [optimizer.steps]))
        tensors.append(.init(name: "step", shape: [], [step]))
        return tensors
    }

    /// The `step-k` artifact.
    func file(_ parameters: [Network.Parameter]) -> [UInt8] {
        Safetensors.encode(tensors(parameters), metadata: divergedAt.map { ["diverged_at": String($0)] } ?? [:])
    }
}
