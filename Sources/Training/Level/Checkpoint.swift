import Lottery

/// Weights and optimizer state after some steps, as a file has them: `step-k`, and most of what a resume file holds.
/// They go from and to the network tensor by tensor, so that little more than the network is in memory.
///
/// Tensors `weight.NAME` and `optimizer.SLOT.NAME` f32 in the form of `SurvivorForm`, `scalar.NAME` f64 [],
/// `optimizer_steps` and `step` i64 []. Nothing in it names the task, so that the same state reached by two tasks is
/// one artifact. With Adam, whose state is two numbers a weight, a survivor costs 16 bytes: 4 of them are its index.
struct Checkpoint {
    let step: Int
    /// Set if the training diverged before it came to the step this was asked for; the state is the last one it had.
    let divergedAt: Int?
    private let file: TensorFile
    /// Which elements survive of each parameter that the file does not list them of.
    private let masks: [Mask?]
    /// Nil if it is left as it is.
    private let optimizer: (steps: Int, scalars: [String: Double])?

    /// Finds what `network` needs; its parameters and optimizer say which tensors there must be.
    /// - Parameters:
    ///   - weightsAlone: whether the optimizer's state is left as `network` has it; the file may then be without.
    ///   - isUnlisted: whether survivors that the file does not list are those of `network`, as in a resume file.
    init(
        _ file: TensorFile, for network: Network, weightsAlone: Bool = false, isUnlisted: Bool = false
    ) throws(TrainingError) {
        self.file = file
        masks = network.parameters.indices.map { isUnlisted ? network.mask(of: $0) : nil }
        step = try Checkpoint.count("step", in: file)
        divergedAt = file.header.metadata["diverged_at"].flatMap { Int($0) }
        for (parameter, mask) in zip(network.parameters, masks) {
            try file.check("weight", of: parameter, unlisted: mask)
        }
        guard !weightsAlone else {
            optimizer = nil
            return
        }
        for (parameter, mask) in zip(network.parameters, masks) where parameter.isTrained {
            for slot in network.optimizer.slots {
                try file.check("optimizer.\(slot)", of: parameter, unlisted: mask)
            }
        }
        var scalars = network.optimizer.scalars
        for name in scalars.keys.sorted() { scalars[name] = try file.doubles("scalar.\(name)", shape: [])[0] }
        optimizer = (try Checkpoint.count("optimizer_steps", in: file), scalars)
    }

    private static func count(_ name: String, in file: TensorFile) throws(TrainingError) -> Int {
        let count = try file.integers(name, shape: [])[0]
        guard count >= 0 else { throw .unreadable("“\(name)” in \(file.path) is \(count)") }
        return count
    }

    /// Puts weights and optimizer state into `network`; what its masks prune stays zero. Values that are not finite are
    /// refused: no training leaves any.
    func restore(_ network: Network) throws(TrainingError) {
        for (index, parameter) in network.parameters.enumerated() {
            network.setValues(try finite("weight", of: parameter, masks[index]), of: index)
            guard optimizer != nil, parameter.isTrained else { continue }
            for (position, slot) in network.optimizer.slots.enumerated() {
                network.setOptimizerValues(
                    try finite("optimizer.\(slot)", of: parameter, masks[index]), position, of: index)
            }
        }
        if let optimizer { network.restoreOptimizer(steps: optimizer.steps, scalars: optimizer.scalars) }
    }

    private func finite(
        _ prefix: String, of parameter: Network.Parameter, _ mask: Mask?
    ) throws(TrainingError) -> [Float] {
        let values = try file.values(prefix, of: parameter, unlisted: mask)
        guard values.allSatisfy(\.isFinite) else {
            throw .unreadable("“\(prefix).\(parameter.name)” in \(file.path) holds a value that is not finite")
        }
        return values
    }

    /// The tensors of a file that holds the present state of `network`, after `step` steps, but for the lists of
    /// survivors.
    static func unlistedTensors(of network: Network, step: Int) -> [Safetensors.Tensor] {
        var tensors: [Safetensors.Tensor] = []
        for (index, parameter) in network.parameters.enumerated() {
            let form = SurvivorForm(parameter, mask: network.mask(of: index))
            tensors.append(form.tensor("weight", network.values(of: index)))
            if parameter.isTrained {
                for (position, slot) in network.optimizer.slots.enumerated() {
                    tensors.append(form.tensor("optimizer.\(slot)", network.optimizerValues(position, of: index)))
                }
            }
        }
        for (name, value) in network.optimizer.scalars.sorted(by: { $0.key < $1.key }) {
            tensors.append(.init(name: "scalar.\(name)", shape: [], [value]))
        }
        tensors.append(.init(name: "optimizer_steps", shape: [], [network.optimizer.steps]))
        tensors.append(.init(name: "step", shape: [], [step]))
        return tensors
    }

    /// The lists of survivors: which elements of `network` the values in its files are of.
    static func lists(of network: Network) -> [Safetensors.Tensor] {
        network.parameters.indices.compactMap {
            SurvivorForm(network.parameters[$0], mask: network.mask(of: $0)).survivors
        }
    }

    /// What else is in the `step-k` artifact.
    static func metadata(divergedAt: Int?) -> [String: String] { divergedAt.map { ["diverged_at": String($0)] } ?? [:] }
}
