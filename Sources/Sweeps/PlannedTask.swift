import Lottery

/// What decides a training apart from seeds, masks and starts; shared by all tasks of one recipe.
final class Recipe: Sendable {
    let numerics: NumericsID
    let dataset: Digest
    let data: DataSettings
    let model: ModelSettings
    let training: TrainingSettings
    let semantics: [String: Int]
    let text: RecipeText
    /// Predicted of a training; 0 if nothing is known. It is no part of what decides the result.
    let memoryBytes: Int

    init(
        numerics: NumericsID, dataset: Digest, data: DataSettings, model: ModelSettings, training: TrainingSettings,
        semantics: [String: Int], text: RecipeText, memoryBytes: Int
    ) {
        self.numerics = numerics
        self.dataset = dataset
        self.data = data
        self.model = model
        self.training = training
        self.semantics = semantics
        self.text = text
        self.memoryBytes = memoryBytes
    }
}

/// What a task is but for recipe, seeds and the tasks it waits for; shared by all replicates at least.
final class TaskForm: Sendable {
    let role: PlannedTask.Role
    /// The parent in it stands for nothing.
    private let step: TrainingTask.PruningStep?
    /// The trajectory in it stands for nothing.
    private let beginning: TrainingTask.Start
    let stopAfter: Int?

    /// - Parameters:
    ///   - pruning: of any parent.
    ///   - start: of any trajectory.
    init(
        _ role: PlannedTask.Role, pruning: TrainingTask.PruningStep?, start: TrainingTask.Start, stopAfter: Int? = nil
    ) {
        self.role = role
        step = pruning
        beginning = start
        self.stopAfter = stopAfter
    }

    var rates: PruneRates? { step?.rates }
    /// k, where weights are rewound.
    var rewindStep: Int? { if case .rewound(_, let step, _) = beginning { step } else { nil } }

    func pruning(parent: TaskKey?) -> TrainingTask.PruningStep? {
        guard var step, let parent else { return nil }
        step.parent = parent
        return step
    }

    func start(trajectory: TaskKey?) -> TrainingTask.Start {
        guard case .rewound(_, let step, let optimizer) = beginning, let trajectory else { return beginning }
        return .rewound(trajectory: trajectory, step: step, optimizer: optimizer)
    }
}

/// Where a rewound task's θk comes from; shared by all tasks of a chain.
final class RewindSource: Sendable {
    /// The dense training, which names θk.
    let trajectory: TaskKey
    /// Whose output it is: that training, or its replay.
    let source: TaskKey
    /// The source in the plan.
    let index: Int32

    init(trajectory: TaskKey, source: TaskKey, index: Int32) {
        self.trajectory = trajectory
        self.source = source
        self.index = index
    }
}

/// One task of a plan. A large plan has millions, so what they have in common is kept once.
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
    public var role: Role { form.role }
    /// Steps whose checkpoints to keep, ascending; a wish outside of the key.
    public internal(set) var keepSteps: [Int]
    /// Cost of the task and of the dearest chain of tasks that wait for it, in training steps.
    public internal(set) var priority: Int
    /// What the plan was told of this task.
    public let isDone: Bool

    let recipe: Recipe
    let seeds: Seeds
    let form: TaskForm
    /// The task whose weights it prunes: its key, and its index in the plan.
    let parent: TaskKey?
    let parentIndex: Int32?
    let rewind: RewindSource?

    var rates: PruneRates? { form.rates }

    public var task: TrainingTask {
        TrainingTask(
            numerics: recipe.numerics, dataset: recipe.dataset, data: recipe.data, model: recipe.model,
            training: recipe.training,
            seeds: seeds, pruning: form.pruning(parent: parent), start: form.start(trajectory: rewind?.trajectory),
            stopAfter: form.stopAfter, semantics: recipe.semantics)
    }

    public var request: TrainingRequest { TrainingRequest(task: task, keepSteps: keepSteps) }

    /// Bytes that its training is predicted to take, without the data set; 0 if nothing is known.
    public var memoryBytes: Int { recipe.memoryBytes }
    public var numerics: NumericsID { recipe.numerics }

    /// Step at which it begins: that of the weights that were rewound to, else 0.
    var firstStep: Int { form.rewindStep ?? 0 }

    /// Training steps.
    public var cost: Int { max(0, (form.stopAfter ?? recipe.training.iterations) - firstStep) }

    /// What must be there before the task can start, under the names by which it finds it.
    public var inputs: [PlannedInput] {
        var inputs = [PlannedInput(name: TrainingRequest.Input.dataset, source: .dataset(recipe.dataset))]
        if let parent {
            inputs.append(PlannedInput(name: TrainingRequest.Input.parent, source: .output(parent, .final)))
        }
        if let rewind, let step = form.rewindStep {
            inputs.append(
                PlannedInput(name: TrainingRequest.Input.rewind, source: .output(rewind.source, .step(step))))
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
