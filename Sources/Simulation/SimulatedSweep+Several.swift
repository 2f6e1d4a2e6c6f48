import Coordination
import Lottery
import OrderedCollections
import Sweeps

/// What a simulated cluster is given to do.
extension [SimulatedSweep] {
    /// One sweep, or two that have some tasks in common.
    init(_ random: inout SeededRandom, count: Int, scale: Int, areAdaptive: Bool) {
        let rewind = random.element(of: ["0", "100"])
        self = ["simulated", "second"].prefix(count).map {
            SimulatedSweep($0, rewind: rewind, scale: scale, isAdaptive: areAdaptive, &random)
        }
    }

    /// Every task once that is to be done if nothing goes wrong.
    var keys: OrderedSet<TaskKey> {
        OrderedSet(flatMap { sweep in sweep.works.map(\.key).filter { sweep.undisturbed[$0] != nil } })
    }

    /// Training steps of all tasks together.
    var steps: Int {
        keys.reduce(0) { $0 + SimulatedTraining($1, inputs: [], scale: self[0].scale).steps }
    }

    func result(of training: SimulatedTraining) -> (result: WorkResult, blobs: [Digest: [UInt8]]) {
        guard let sweep = first(where: { $0.contains(training.key) }) else {
            preconditionFailure("task \(training.key) is in no plan")
        }
        return sweep.result(of: training)
    }
}

/// What a person says of a sweep or a task.
enum SimulatedOrder: Sendable {
    case sweep(SweepID, SweepOrder)
    case task(TaskKey, TaskOrder)
    /// The coordinator ends once nothing runs.
    case stop(isAtOnce: Bool)
    /// Checkpoints that nobody will read are to go.
    case compact

    func event(for store: SimulatedStore) -> Coordinator.Event {
        switch self {
        case .compact: .retire(store.checkpointsOfTasks)
        case .sweep(let id, let order): .sweepOrdered(id, order)
        case .task(let key, let order): .taskOrdered(key, order)
        case .stop(let isAtOnce): .drain(Drain(isAtOnce: isAtOnce))
        }
    }
}
