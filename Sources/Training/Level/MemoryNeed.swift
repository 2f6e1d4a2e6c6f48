import Lottery

/// What a piece of work with a network holds in memory at the most, without the images of the data set, and how to say so.
public struct MemoryNeed: Sendable {
    public let bytes: Int
    /// `training in batches of 60`
    let work: String
    let remedy: String

    private init(bytes: Int, work: String, remedy: String) {
        self.bytes = bytes
        self.work = work
        self.remedy = remedy
    }

    /// Training by `settings`, and saving it: then values and optimizer state are there three times more, as they are read, as
    /// tensors, and as a file. Beside them are masks in their forms, a byte a weight, and the largest tensor twice, on its way from one form to another.
    public static func training(_ network: NetworkDescription, _ settings: TrainingSettings) -> MemoryNeed {
        let states = Optimizer(settings.optimizer).slots.count
        let values = 4 * network.parameters.reduce(0) { $0 + $1.count }
        let steps = steps(network, batch: settings.batch, precision: settings.precision, optimizer: settings.optimizer)
        let saving = 3 * values * (1 + states) + (settings.test == .best ? values : 0)
        let passing = 2 * 4 * (network.parameters.map(\.count).max() ?? 0)
        return MemoryNeed(bytes: steps.bytes + saving + values / 4 + passing, work: steps.work, remedy: steps.remedy)
    }

    /// Training steps alone.
    public static func steps(
        _ network: NetworkDescription, batch: Int, precision: Precision, optimizer: OptimizerSettings
    ) -> MemoryNeed {
        MemoryNeed(
            bytes: network.memoryBytes(batch: batch, precision: precision, stateCount: Optimizer(optimizer).slots.count),
            work: "training in batches of \(batch)",
            remedy: "use a smaller batch or network, fewer slots, or a machine with more memory")
    }

    /// The gradients that a criterion ranks by, in f32.
    static func gradients(_ network: NetworkDescription, batch: Int) -> MemoryNeed {
        MemoryNeed(
            bytes: network.memoryBytes(batch: batch, precision: .f32, stateCount: 0),
            work: "ranking weights by gradients in batches of \(batch)",
            remedy: "use a smaller batch or network, another criterion, fewer slots, or a machine with more memory")
    }

    /// Measuring a ticket on the test set, in f32.
    static func measuring(_ network: NetworkDescription) -> MemoryNeed {
        MemoryNeed(
            bytes: network.memoryBytes(batch: 1, precision: .f32, stateCount: 0), work: "measuring the ticket",
            remedy: "do it on a machine with more memory")
    }
}
