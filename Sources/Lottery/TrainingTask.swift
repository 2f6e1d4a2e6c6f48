/// All that decides the result of one training, and nothing else: one level of one run, or the replay of its first steps.
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
    /// Set for a replay: train only to this step, and leave the checkpoint there.
    public var stopAfter: Int?
    /// Semantics version of each component this task runs that is not 1, by component name (`optimizer.adam`).
    public var semantics: [String: Int]

    public init(
        numerics: NumericsID, dataset: Digest, data: DataSettings, model: ModelSettings, training: TrainingSettings,
        seeds: Seeds,
        pruning: PruningStep?, start: Start, stopAfter: Int? = nil, semantics: [String: Int] = [:]
    ) {
        self.numerics = numerics
        self.dataset = dataset
        self.data = data
        self.model = model
        self.training = training
        self.seeds = seeds
        self.pruning = pruning
        self.start = start
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
    }

    /// The pruning that gives this level its mask.
    public struct PruningStep: Hashable, Sendable, Codable {
        /// Whose trained weights and mask are pruned, read from the input `parent` (its output `final`).
        public var parent: TaskKey
        public var criterion: String
        public var scope: PruningScope
        public var rates: PruneRates
        /// How many times the rates apply: 1, or n for the one-shot counts of level n.
        public var repetitions: Int
        public var control: MaskControl
        /// Addresses the random numbers of a random criterion or control.
        public var level: Int
        /// What this level's weights are multiplied by, if it draws them.
        public var initialisationScale: InitialisationScale

        public init(
            parent: TaskKey, criterion: String, scope: PruningScope, rates: PruneRates, repetitions: Int = 1,
            control: MaskControl = .none, level: Int, initialisationScale: InitialisationScale = .none
        ) {
            self.parent = parent
            self.criterion = criterion
            self.scope = scope
            self.rates = rates
            self.repetitions = repetitions
            self.control = control
            self.level = level
            self.initialisationScale = initialisationScale
        }
    }

    /// What takes the mask's place in a control.
    public enum MaskControl: String, Hashable, Sendable, Codable, CaseIterable {
        case none
        /// A random mask with the same per-layer counts.
        case randomPerLayer = "random-per-layer"
    }
}

// As of settings: what a store's older tasks lack has its default.
extension TrainingTask.PruningStep {
    public init(from decoder: any Decoder) throws {
        let saved = try decoder.container(keyedBy: CodingKeys.self)
        parent = try saved.decode(TaskKey.self, forKey: .parent)
        criterion = try saved.decode(String.self, forKey: .criterion)
        scope = try saved.decode(PruningScope.self, forKey: .scope)
        rates = try saved.decode(PruneRates.self, forKey: .rates)
        repetitions = try saved.decode(Int.self, forKey: .repetitions)
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
        ).key(seeds: seeds, pruning: pruning, start: start, stopAfter: stopAfter)
    }

    /// One fact a line; settings at their defaults are left out, so that a new one with a no-op default changes no key.
    public var canonicalText: String { RecipeText.text(of: self) }

    /// The step at which training begins: k when rewound, else 0.
    public var firstStep: Int {
        if case .rewound(_, let step, _) = start { step } else { 0 }
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
        /// The parent level's `final`.
        public static let parent = "parent"
        /// The checkpoint θk.
        public static let rewind = "rewind"
        /// Where an earlier attempt of this very task has come to: a resume file. It may be missing, or be of no use.
        public static let checkpoint = "checkpoint"
    }
}
