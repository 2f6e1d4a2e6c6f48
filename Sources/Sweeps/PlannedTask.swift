import Lottery

/// What decides a training apart from seeds, masks and starts; shared by all tasks of one recipe.
final class Recipe: Sendable {
    let numerics: NumericsID
    let dataset: Digest
    let data: DataSettings
    let model: ModelSettings
    let training: TrainingSettings
    let semantics: [String: Int]

    init(
        numerics: NumericsID, dataset: Digest, data: DataSettings, model: ModelSettings, training: TrainingSettings,
        semantics: [String: Int]
    ) {
        self.numerics = numerics
        self.dataset = dataset
        self.data = data
        self.model = model
        self.training = training
        self.semantics = semantics
    }
}

/// One task of a plan. A large plan has hundreds of thousands, so what they have in common is kept once.
public struct PlannedTask: Sendable {
    /// What a task is within its plan.
    public enum Role: Hashable, Sendable {
        /// Level 0.
        case dense
        case level(Int)
        /// A control at a level, by the branch's registered name.
        case branch(String, level: Int)
        /// The dense training's first steps again, because nobody kept the checkpoint.
        case replay(step: Int)
    }

    public let key: TaskKey
    public let role: Role
    /// Steps whose checkpoints to keep, ascending; a wish outside of the key.
    public internal(set) var keepSteps: [Int]
    /// Cost of the task and of the dearest chain of tasks that wait for it, in training steps.
    public internal(set) var priority: Int
    /// What the plan was told of this task.
    public let isDone: Bool

    let recipe: Recipe
    let seeds: Seeds
    let pruning: TrainingTask.PruningStep?
    let start: TrainingTask.Start
    let stopAfter: Int?
    /// Indices in the plan of the tasks it waits for; nil for those that it needs none of.
    let parentIndex: Int32?
    let rewindIndex: Int32?
    /// Whose output θk is: the dense training, or its replay.
    let rewindSource: TaskKey?

    public var task: TrainingTask {
        TrainingTask(
            numerics: recipe.numerics, dataset: recipe.dataset, data: recipe.data, model: recipe.model,
            training: recipe.training,
            seeds: seeds, pruning: pruning, start: start, stopAfter: stopAfter, semantics: recipe.semantics)
    }

    public var request: TrainingRequest { TrainingRequest(task: task, keepSteps: keepSteps) }

    /// Training steps.
    public var cost: Int {
        let first = if case .rewound(_, let step, _) = start { step } else { 0 }
        return max(0, (stopAfter ?? recipe.training.iterations) - first)
    }

    /// What must be there before the task can start, under the names by which it finds it.
    public var inputs: [PlannedInput] {
        var inputs = [PlannedInput(name: TrainingRequest.Input.dataset, source: .dataset(recipe.dataset))]
        if let pruning {
            inputs.append(PlannedInput(name: TrainingRequest.Input.parent, source: .output(pruning.parent, .final)))
        }
        if case .rewound(let trajectory, let step, _) = start {
            inputs.append(
                PlannedInput(
                    name: TrainingRequest.Input.rewind, source: .output(rewindSource ?? trajectory, .step(step))))
        }
        return inputs
    }
}

/// One input of a planned task.
public struct PlannedInput: Hashable, Sendable {
    public let name: String
    public let source: Source

    public init(name: String, source: Source) {
        self.name = name
        self.source = source
    }

    public enum Source: Hashable, Sendable {
        /// A decoded data set, by its content.
        case dataset(Digest)
        /// What another task leaves under a name.
        case output(TaskKey, OutputName)
    }
}

/// What a store holds of a task already.
public enum KnownTask: Hashable, Sendable {
    /// Waiting; it can still be asked to keep more checkpoints than these.
    case pending(keepSteps: [Int])
    /// Given out, with the checkpoints it was asked to keep.
    case running(keepSteps: [Int])
    case done(outputs: Set<OutputName>)
    case failed
}
