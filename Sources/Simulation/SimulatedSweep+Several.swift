import Coordination
import Lottery
import OrderedCollections
import Sweeps

/// What a simulated cluster is given to do.
extension [SimulatedSweep] {
    /// One sweep, or two that have some tasks in common.
    init(_ random: inout SeededRandom, count: Int) {
        let rewind = random.element(of: ["0", "100"])
        self = ["simulated", "second"].prefix(count).map { SimulatedSweep($0, rewind: rewind, &random) }
    }

    /// Every task once.
    var keys: OrderedSet<TaskKey> { OrderedSet(flatMap { $0.works.map(\.key) }) }

    func train(_ key: TaskKey, inputs: [ResolvedInput]) -> (result: WorkResult, blobs: [Digest: [UInt8]]) {
        guard let sweep = first(where: { $0.contains(key) }) else { preconditionFailure("task \(key) is in no plan") }
        return sweep.train(key, inputs: inputs)
    }
}

/// What a person says of a sweep or a task.
enum SimulatedOrder: Sendable {
    case sweep(SweepID, SweepOrder)
    case task(TaskKey, TaskOrder)

    var event: Coordinator.Event {
        switch self {
        case .sweep(let id, let order): .sweepOrdered(id, order)
        case .task(let key, let order): .taskOrdered(key, order)
        }
    }
}
