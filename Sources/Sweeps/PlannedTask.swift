import Lottery

/// What decides a training apart from seeds, masks and starts; shared by all tasks of one recipe.
struct Recipe: Sendable {
    /// A point whose model and training settings it has.
    var point: Int32
    /// In `PlanStorage.surroundings`.
    var surroundings: Int32
    /// Of a full training.
    var iterations: Int
    /// Of a dense network that no point has; nil for those of the point.
    var own: Own?

    /// Model and training of a network that no point has. Few recipes have one, so that they are apart.
    final class Own: Sendable {
        let model: ModelSettings
        let training: TrainingSettings

        init(model: ModelSettings, training: TrainingSettings) {
            self.model = model
            self.training = training
        }
    }

    /// The rest of it, which few recipes differ in.
    struct Surroundings: Hashable, Sendable {
        var numerics: NumericsID
        var dataset: Digest
        var data: DataSettings
        var semantics: [String: Int]
        /// Predicted of a training; 0 if nothing is known. It is no part of what decides the result.
        var memoryBytes: Int
    }
}

/// What a task is but for recipe, seeds and the tasks it waits for; shared by all replicates at least.
final class TaskForm: Sendable {
    let role: PlannedTask.Role
    /// The parent in it stands for nothing.
    private let step: TrainingTask.PruningStep?
    /// The trajectory in it stands for nothing.
    private let beginning: TrainingTask.Start
    let search: TrainingTask.EarlyBird?
    /// Set for a sibling: how it is compared with its peer.
    let instability: Instability?
    let stopAfter: Int?

    /// - Parameters:
    ///   - pruning: of any parent.
    ///   - start: of any trajectory.
    init(
        _ role: PlannedTask.Role, pruning: TrainingTask.PruningStep?, start: TrainingTask.Start,
        search: TrainingTask.EarlyBird? = nil, instability: Instability? = nil, stopAfter: Int? = nil
    ) {
        self.role = role
        step = pruning
        beginning = start
        self.search = search
        self.instability = instability
        self.stopAfter = stopAfter
    }

    var rates: PruneRates? { step?.rates }
    /// Whether it is a dense network trained to the end, whatever its role.
    var isDense: Bool { step == nil && search == nil && instability == nil && stopAfter == nil }
    /// The step of the dense training whose weights are ranked; nil where they are the parent's trained ones.
    var rankedStep: Int? { step?.at }
    /// k, where weights are rewound.
    var rewindStep: Int? { if case .rewound(_, let step, _) = beginning { step } else { nil } }

    /// The first step that it trains from.
    var firstStep: Int {
        switch beginning {
        case .rewound(_, let step, _), .retrained(let step, _): step
        case .initialisation, .reinitialised, .varied: 0
        }
    }
    /// Whether it goes on from its parent's trained weights.
    var keepsWeights: Bool { if case .retrained = beginning { true } else { false } }

    func pruning(parent: TaskKey?) -> TrainingTask.PruningStep? {
        guard var step, let parent else { return nil }
        step.parent = parent
        return step
    }

    func connection(peer: TaskKey?) -> TrainingTask.Connection? {
        guard let instability, let peer else { return nil }
        return TrainingTask.Connection(peer: peer, points: instability.points, batchNorm: instability.batchNorm)
    }

    /// The seeds of a replicate as the task has them.
    func seeds(_ replicate: Seeds) -> Seeds { instability == nil ? replicate : replicate.withOtherNoise }

    func start(trajectory: TaskKey?) -> TrainingTask.Start {
        guard case .rewound(_, let step, let optimizer) = beginning, let trajectory else { return beginning }
        return .rewound(trajectory: trajectory, step: step, optimizer: optimizer)
    }
}

/// Where the checkpoints of the dense training that a task reads come from, shared by the levels of a chain; and what a
/// sibling is compared with. All are indices in the plan.
struct CheckpointSources: Hashable, Sendable {
    /// The dense training, which names θk.
    var trajectory: Int32
    /// That training or its replay, which leaves the weights that survivors go back to; nil if they go back to none.
    var rewind: Int32?
    /// Likewise the weights that the criterion ranks; nil if it ranks trained ones or θ0.
    var ranked: Int32?
    /// The training that a sibling is compared with; nil for any other task.
    var peer: Int32?
}

/// One task of a plan, as a view of it: a large plan has millions, so it keeps what they have in common once.
public struct PlannedTask: Sendable {
    /// What a task is within its plan.
    public enum Role: Hashable, Sendable {
        /// Level 0.
        case dense
        case level(Int)
        /// A control at a level, by the branch's registered name.
        case branch(String, level: Int)
        /// The training that the mask of a level is got from, where it is not the parent level.
        case search(level: Int)
        /// A training like that of a level, or of the dense network at 0, but for its noise, compared with it.
        case sibling(level: Int)
        /// The dense training's first steps again, because nobody kept the checkpoint.
        case replay(step: Int)
    }

    let plan: PlanStorage
    let index: Int

    private var slot: PlanStorage.Slot { plan.slots[index] }
    private var form: TaskForm { plan.forms[Int(plan.slots[index].form)] }
    private var recipe: Recipe { plan.recipes[Int(plan.slots[index].recipe)] }
    private var surroundings: Recipe.Surroundings { plan.surroundings[Int(recipe.surroundings)] }
    private var checkpoints: CheckpointSources? { slot.checkpoints.map { plan.checkpoints[Int($0)] } }
    private func key(_ index: Int32) -> TaskKey { plan.slots[Int(index)].key }

    public var key: TaskKey { plan.slots[index].key }
    public var role: Role { form.role }
    /// Steps whose checkpoints to keep, ascending; a wish outside of the key.
    public var keepSteps: [Int] { plan.keepSteps[Int32(index)] ?? [] }
    /// Cost of the task and of the dearest chain of tasks that wait for it, in training steps.
    public var priority: Int { plan.slots[index].priority }
    /// Whether it is done, and has all that this plan needs of it.
    public var isDone: Bool { plan.slots[index].isDone }

    var rates: PruneRates? { form.rates }

    public var task: TrainingTask {
        let (form, surroundings) = (form, surroundings)
        let settings = plan.sweep.points[Int(recipe.point)].settings
        let own = recipe.own
        return TrainingTask(
            numerics: surroundings.numerics, dataset: surroundings.dataset, data: surroundings.data,
            model: own?.model ?? settings.model, training: own?.training ?? settings.training,
            seeds: form.seeds(Seeds(base: plan.sweep.seed, replicate: Int(slot.replicate))),
            pruning: form.pruning(parent: slot.parent.map(key)),
            start: form.start(trajectory: checkpoints.map { key($0.trajectory) }), search: form.search,
            connection: form.connection(peer: checkpoints?.peer.map(key)),
            stopAfter: form.stopAfter, semantics: surroundings.semantics)
    }

    public var request: TrainingRequest { TrainingRequest(task: task, keepSteps: keepSteps) }

    /// Bytes that its training is predicted to take, without the data set; 0 if nothing is known.
    public var memoryBytes: Int { surroundings.memoryBytes }
    public var numerics: NumericsID { surroundings.numerics }

    /// Step at which it begins: that of the weights that were rewound to or retrained, else 0.
    public var firstStep: Int { form.firstStep }

    /// Training steps.
    public var cost: Int { plan.cost(of: slot) }

    /// What must be there before the task can start, under the names by which it finds it.
    public var inputs: [PlannedInput] {
        var inputs = [PlannedInput(name: TrainingRequest.Input.dataset, source: .dataset(surroundings.dataset))]
        if let parent = slot.parent, form.rankedStep == nil {
            inputs.append(PlannedInput(name: TrainingRequest.Input.parent, source: .output(key(parent), .final)))
        }
        if let ranked = checkpoints?.ranked, let step = form.rankedStep {
            inputs.append(PlannedInput(name: TrainingRequest.Input.parent, source: .output(key(ranked), .step(step))))
        }
        if let parent = slot.parent, form.keepsWeights {
            inputs.append(PlannedInput(name: TrainingRequest.Input.rewind, source: .output(key(parent), .final)))
        }
        if let rewind = checkpoints?.rewind, let step = form.rewindStep {
            inputs.append(PlannedInput(name: TrainingRequest.Input.rewind, source: .output(key(rewind), .step(step))))
        }
        if let peer = checkpoints?.peer {
            inputs.append(PlannedInput(name: TrainingRequest.Input.peer, source: .output(key(peer), .final)))
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
