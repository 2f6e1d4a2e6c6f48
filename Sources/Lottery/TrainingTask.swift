/// All that decides the result of one training, and nothing else: one level of one run, or the replay of its first
/// steps.
public struct TrainingTask: Hashable, Sendable, Codable {
    public var numerics: NumericsID
    /// Content of the decoded data set.
    public var dataset: Digest
    public var data: DataSettings
    public var model: ModelSettings
    public var training: TrainingSettings
    public var seeds: Seeds
    /// Nil for the dense level 0.
    public var pruning: PruningStep?
    public var start: Start
    /// Set for a training that ends once the mask it would give has settled; nil for one to the end.
    public var search: EarlyBird?
    /// Set for a training that is compared with another one at its end.
    public var connection: Connection?
    /// Set for a replay: train only to this step, and leave the checkpoint there.
    public var stopAfter: Int?
    /// Semantics version of each component this task runs that is not 1, by component name (`optimizer.adam`).
    public var semantics: [String: Int]

    public init(
        numerics: NumericsID, dataset: Digest, data: DataSettings, model: ModelSettings, training: TrainingSettings,
        seeds: Seeds,
        pruning: PruningStep?, start: Start, search: EarlyBird? = nil, connection: Connection? = nil,
        stopAfter: Int? = nil, semantics: [String: Int] = [:]
    ) {
        self.numerics = numerics
        self.dataset = dataset
        self.data = data
        self.model = model
        self.training = training
        self.seeds = seeds
        self.pruning = pruning
        self.start = start
        self.search = search
        self.connection = connection
        self.stopAfter = stopAfter
        self.semantics = semantics
    }

    /// Where a training starts from.
    public enum Start: Hashable, Sendable, Codable {
        /// θ0 and step 0: θ0 is drawn again from its seed rather than sent.
        case initialisation
        /// θk and step k of `trajectory`, read from the input `rewind`.
        case rewound(trajectory: TaskKey, step: Int, optimizer: RewindOptimizer)
        /// Fresh weights drawn for (seed, level, draw), and step 0: the random-reinit control.
        case reinitialised(level: Int, draw: Int)
        /// The trained weights of the pruning's parent, read from the input `rewind`, and step k with a new optimizer.
        case retrained(step: Int, rate: RetrainingRate)
        /// What `weights` makes of θ0 or of fresh weights for (seed, level, draw), and step 0.
        case varied(WeightVariant, level: Int, draw: Int)
    }

    /// The learning rates of a training that goes on from trained weights.
    public enum RetrainingRate: String, Hashable, Sendable, Codable {
        /// Those of the schedule.
        case scheduled
        /// That of the schedule's last step.
        case last
    }

    /// What takes the place of θ0 in a control, layer by layer (Zhou et al. 2019, section 4). “The same signs” are
    /// θ0's, weight by weight; α is the root mean square of all of the layer's θ0, which is the deviation of its
    /// distribution.
    public enum WeightVariant: String, Hashable, Sendable, Codable, CaseIterable {
        /// Fresh weights with the same signs.
        case signedReinit = "signed-reinit"
        /// θ0 permuted among the survivors.
        case permuted
        /// Magnitudes permuted among the survivors, with the same signs.
        case signedPermuted = "signed-permuted"
        /// ±α with random signs.
        case constant
        /// ±α with the same signs.
        case signedConstant = "signed-constant"
    }

    /// The pruning that gives this level its mask.
    public struct PruningStep: Hashable, Sendable, Codable {
        /// Whose weights and mask are pruned, read from the input `parent`: its output `final`, or `step-k` with `at`.
        /// At step 0 nothing is read of it and it is not in the key, since θ0 is drawn again.
        public var parent: TaskKey
        /// The step of the dense training `parent` whose weights are ranked; nil for the parent's trained ones.
        public var at: Int?
        public var criterion: String
        public var scope: PruningScope
        public var rates: PruneRates
        /// How many times the rates apply: 1, or n for the one-shot counts of level n.
        public var repetitions: Int
        /// Prunings one after the other, each by the rates and repetitions: n for level n of a chain whose levels all
        /// rank the weights of one step, else 1. Each goes on from the mask of the one before.
        public var stages: Int
        /// Rankings in which each stage comes to its count.
        public var rounds: Int
        /// Training images per class that the criterion takes gradients on; nil if it takes none.
        public var examples: Int?
        public var control: MaskControl
        /// Addresses the random numbers of a random criterion or control.
        public var level: Int
        /// What this level's weights are multiplied by, if it draws them.
        public var initialisationScale: InitialisationScale

        public init(
            parent: TaskKey, at: Int? = nil, criterion: String, scope: PruningScope, rates: PruneRates,
            repetitions: Int = 1, stages: Int = 1, rounds: Int = 1, examples: Int? = nil,
            control: MaskControl = .none, level: Int, initialisationScale: InitialisationScale = .none
        ) {
            self.parent = parent
            self.at = at
            self.criterion = criterion
            self.scope = scope
            self.rates = rates
            self.repetitions = repetitions
            self.stages = stages
            self.rounds = rounds
            self.examples = examples
            self.control = control
            self.level = level
            self.initialisationScale = initialisationScale
        }
    }

    /// The search for a mask that ends early (You et al. 2020, algorithm 1). After each epoch the training's weights
    /// are pruned as the level that waits for them will prune them. It ends once the Hamming distance of that mask to
    /// those after each of the four epochs before is below 0.1, as a share of the weights that the pruning chooses
    /// from; else at step T.
    public struct EarlyBird: Hashable, Sendable, Codable {
        public var criterion: String
        public var scope: PruningScope
        public var rates: PruneRates
        public var repetitions: Int
        public var rounds: Int
        /// Addresses the random numbers of a random criterion.
        public var level: Int

        /// Epochs whose masks are compared.
        public static let epochs = 5
        /// The distance, as a share, that all must stay below.
        public static let distance = 0.1

        /// The search for what `step` will prune.
        public init(for step: PruningStep) {
            criterion = step.criterion
            scope = step.scope
            rates = step.rates
            repetitions = step.repetitions
            rounds = step.rounds
            level = step.level
        }

        /// The pruning of `task`'s weights.
        public func pruning(of task: TaskKey) -> PruningStep {
            PruningStep(
                parent: task, criterion: criterion, scope: scope, rates: rates, repetitions: repetitions,
                rounds: rounds,
                level: level)
        }
    }

    /// What takes the mask's place in a control.
    public enum MaskControl: String, Hashable, Sendable, Codable, CaseIterable {
        case none
        /// A random mask with the same per-layer counts.
        case randomPerLayer = "random-per-layer"
        /// A random mask with the same count in all layers that are pruned together.
        case randomGlobal = "random-global"
    }
}

// As of settings: what a store's older tasks lack has its default.
extension TrainingTask.PruningStep {
    public init(from decoder: any Decoder) throws {
        let saved = try decoder.container(keyedBy: CodingKeys.self)
        parent = try saved.decode(TaskKey.self, forKey: .parent)
        at = try saved.decodeIfPresent(Int.self, forKey: .at)
        criterion = try saved.decode(String.self, forKey: .criterion)
        scope = try saved.decode(PruningScope.self, forKey: .scope)
        rates = try saved.decode(PruneRates.self, forKey: .rates)
        repetitions = try saved.decode(Int.self, forKey: .repetitions)
        stages = try saved.decodeIfPresent(Int.self, forKey: .stages) ?? 1
        rounds = try saved.decodeIfPresent(Int.self, forKey: .rounds) ?? 1
        examples = try saved.decodeIfPresent(Int.self, forKey: .examples)
        control = try saved.decode(TrainingTask.MaskControl.self, forKey: .control)
        level = try saved.decode(Int.self, forKey: .level)
        initialisationScale =
            try saved.decodeIfPresent(InitialisationScale.self, forKey: .initialisationScale) ?? .none
    }
}

extension TrainingTask {
    /// The digest of the canonical text.
    public var key: TaskKey {
        RecipeText(
            numerics: numerics, dataset: dataset, data: data, model: model, training: training, semantics: semantics
        ).key(
            seeds: seeds, pruning: pruning, start: start, search: search, connection: connection, stopAfter: stopAfter)
    }

    /// One fact a line; settings at their defaults are left out, so that a new one with a no-op default changes no key.
    public var canonicalText: String { RecipeText.text(of: self) }

    /// The step at which training begins: k when rewound or retrained, else 0.
    public var firstStep: Int {
        switch start {
        case .rewound(_, let step, _), .retrained(let step, _): step
        case .initialisation, .reinitialised, .varied: 0
        }
    }

    /// The step at which training ends.
    public var lastStep: Int { stopAfter ?? training.iterations }

    /// Training steps this task costs.
    public var cost: Int { max(0, lastStep - firstStep) }
}

/// What is sent for a task: the task, and which steps' checkpoints to leave, which is a wish and so outside the key.
public struct TrainingRequest: Hashable, Sendable, Codable {
    public var task: TrainingTask
    /// Steps in `task.firstStep...task.lastStep` whose checkpoints (`OutputName.step`) to keep, ascending.
    public var keepSteps: [Int]

    public init(task: TrainingTask, keepSteps: [Int]) {
        self.task = task
        self.keepSteps = keepSteps
    }

    /// Names under which a task finds its inputs.
    public enum Input {
        /// The data set, by its digest.
        public static let dataset = "dataset"
        /// What is pruned: the parent level's `final`, or a checkpoint of the dense training.
        public static let parent = "parent"
        /// What the survivors go back to: the checkpoint θk, or the parent level's `final` where they keep their
        /// trained weights.
        public static let rewind = "rewind"
        /// The `final` of the training that it is compared with.
        public static let peer = "peer"
        /// Where an earlier attempt of this very task has come to: a resume file. It may be missing, or be of no use.
        public static let checkpoint = "checkpoint"
    }
}
