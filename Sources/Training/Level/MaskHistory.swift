import Lottery

/// The masks that a search would have given after its last epochs, the latest last.
struct MaskHistory {
    /// By epoch, then by weight tensor.
    private(set) var masks: [[Mask]] = []

    /// Adds the masks after an epoch.
    mutating func add(_ latest: [Mask]) {
        masks.append(latest)
        if masks.count > TrainingTask.EarlyBird.epochs { masks.removeFirst() }
    }

    /// Whether they have settled, as `TrainingTask.EarlyBird` says.
    /// - Parameters:
    ///   - before: what survives before the pruning.
    ///   - isPruned: of each weight tensor, whether the pruning chooses from it.
    func isSettled(before: [Mask], isPruned: [Bool]) -> Bool {
        guard masks.count == TrainingTask.EarlyBird.epochs, let latest = masks.last else { return false }
        let chosenFrom = zip(before, isPruned).reduce(0) { $0 + ($1.1 ? $1.0.survivors : 0) }
        return masks.dropLast().allSatisfy { earlier in
            let distance = zip(earlier, latest).reduce(0) { $0 + $1.0.distance(to: $1.1) }
            return Double(distance) < TrainingTask.EarlyBird.distance * Double(chosenFrom)
        }
    }

    // MARK: In a resume file

    private static func name(_ epoch: Int, _ parameter: Network.Parameter) -> String {
        "search.\(epoch).\(parameter.name)"
    }

    /// `search.E.NAME` u8, one byte a weight, of the E-th of the last epochs.
    func tensors(_ weights: [Network.Parameter]) -> [Safetensors.Tensor] {
        masks.enumerated().flatMap { epoch, masks in
            zip(weights, masks).map { .init(name: MaskHistory.name(epoch, $0), $1.bytes) }
        }
    }

    init() {}

    init(resuming file: TensorFile, _ weights: [Network.Parameter]) throws(TrainingError) {
        while masks.count < TrainingTask.EarlyBird.epochs,
            file.header[MaskHistory.name(masks.count, weights[0])] != nil
        {
            var epoch: [Mask] = []
            for parameter in weights {
                let bytes = try file.bytes(MaskHistory.name(masks.count, parameter), .u8, shape: [parameter.count])
                epoch.append(Mask(bytes.map { $0 == 1 }))
            }
            masks.append(epoch)
        }
    }
}
