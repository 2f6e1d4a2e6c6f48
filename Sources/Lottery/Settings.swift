/// Every setting of one grid point. A value equal to its default leaves a task's key unchanged, so that a new setting
/// with a no-op default keeps old results valid.
public struct Settings: Hashable, Sendable {
    /// Registered name of the data set: `glyphs`, `mnist`, `cifar10`.
    public var dataset = "glyphs"
    public var data = DataSettings()
    public var model = ModelSettings()
    public var training = TrainingSettings()
    public var pruning = PruningSettings()
    /// Where a run's accuracy is read: at the end of training or at the early-stop step.
    public var report = ReportedStep.final
    /// ε of "matching", in accuracy (0.002 is 0.2 points).
    public var matchingMargin = 0.002

    public init() {}
}

public struct DataSettings: Hashable, Sendable, Codable {
    /// Images held out of the training set for validation: 5,000 in Frankle & Carbin 2019.
    public var validation = 5_000
    /// Images of the training set that are used, validation included; nil for all.
    public var train: Int?
    /// The side in pixels that images are averaged down to, a divisor of their own; nil for images as they are.
    public var resize: Int?
    /// How training images are changed at random. Evaluations are always of images as they are.
    public var augment = AugmentationSettings()

    public init() {}

    /// Without what changes nothing about images of `shape`, so that the same work has one key.
    public func simplified(for shape: DatasetShape) -> DataSettings {
        var settings = self
        if resize == shape.height, resize == shape.width { settings.resize = nil }
        return settings
    }
}

/// Random changes to training images, drawn anew for each epoch: P1's “flip + 4-pixel crop” is `flip: true, crop: 4`.
public struct AugmentationSettings: Hashable, Sendable, Codable {
    /// Whether an image is mirrored, left to right, with probability ½.
    public var flip = false
    /// Black pixels put on each side of an image, of which a random window of its own size is then taken.
    public var crop = 0

    public init() {}
}

public struct ModelSettings: Hashable, Sendable, Codable {
    /// Registered name: `lenet-300-100`, `mlp`.
    public var family = "lenet-300-100"
    /// Number of hidden layers of an `mlp`; for other families what their name says.
    public var depth: Int?
    /// Units of each hidden layer of an `mlp`; for convolutional families a factor on the size of every hidden layer,
    /// nil for 1.
    public var width: Double?
    /// Units of every hidden layer, first to last; instead of `depth` and `width`.
    public var hidden: [Int]?
    /// Registered name: `glorot-normal`, `glorot-uniform`, `kaiming-normal`, `kaiming-uniform`, `orthogonal`.
    public var initialisation = "glorot-normal"
    /// How a `resnet` shortcut leads to a map of another size.
    public var shortcut = ShortcutKind.projection

    public init() {}

    /// The channels or units of a layer that has `published` of them at width 1: the nearest count, halves to even, at
    /// least one.
    public func scaled(_ published: Int) -> Int {
        max(1, Int((Double(published) * (width ?? 1)).rounded(.toNearestOrEven)))
    }
}

/// How a residual shortcut leads to a map with more channels and fewer pixels (He et al. 2016, section 3.3).
public enum ShortcutKind: String, Hashable, Sendable, Codable, CaseIterable {
    /// Option A: every other pixel, with channels of zeros added; has no weights.
    case padding = "A"
    /// Option B: a 1×1 convolution with stride 2.
    case projection = "B"
}

public struct TrainingSettings: Hashable, Sendable, Codable {
    /// T: the steps of one full training.
    public var iterations = 10_000
    public var batch = 60
    public var optimizer = OptimizerSettings()
    /// The type of what is multiplied; together with the order of sums it is a task's numerics id.
    public var precision = Precision.f32
    /// s: the loss of training is (1 − s) · cross-entropy + s · the mean over the classes of −log p (PyTorch's
    /// `label_smoothing`). Evaluations are always of plain cross-entropy.
    public var labelSmoothing = 0.0
    /// The largest L2 norm of the gradient of all parameters together; a longer one is scaled down to it. 0 for no
    /// limit.
    public var clip = 0.0
    public var learningRate = 1.2e-3
    /// Steps over which the learning rate rises linearly: step t < warmup trains at learningRate · (t + 1) / warmup.
    public var warmup = 0
    /// What the learning rate does after the warmup.
    public var schedule = LearningRateSchedule.step
    /// Factors on the learning rate of the schedule `step`, each from its step on.
    public var decay: [Decay] = []
    /// Steps between evaluations; the last step is always evaluated.
    public var evaluateEvery = 100
    /// Which of them are of the test set as well as of the validation set.
    public var test = TestEvaluations.always

    public init() {}
}

/// The type of the factors of products in layers.
public enum Precision: String, Hashable, Sendable, Codable, CaseIterable {
    case f32
    /// Factors rounded to bfloat16, sums and master weights in f32.
    case bf16
}

/// Which evaluations of a level are of the test set as well. Both give the same early-stop step and the same accuracies
/// there and at the end.
public enum TestEvaluations: String, Hashable, Sendable, Codable, CaseIterable {
    case always
    /// That of least validation loss, whose weights are kept for it, and the one after the last step: the others' test
    /// losses are not known.
    case best
}

/// What the learning rate does after the warmup.
public enum LearningRateSchedule: String, Hashable, Sendable, Codable, CaseIterable {
    /// Constant but for the decays.
    case step
    /// Half a cosine, to zero.
    case cosine
    /// A line, to zero.
    case linear
}

/// From step `at` on, the learning rate is multiplied by `by`.
public struct Decay: Hashable, Sendable, Codable {
    public var at: Int
    public var by: Double

    public init(at: Int, by: Double) {
        self.at = at
        self.by = by
    }
}

public struct OptimizerSettings: Hashable, Sendable, Codable {
    /// Registered name: `sgd`, `adam`, `adamw`, `rmsprop`. `sgd` with `momentum` > 0 is SGD with momentum.
    public var name = "adam"
    /// Of `sgd` and `rmsprop`.
    public var momentum = 0.0
    /// Whether the momentum of `sgd` is Nesterov's.
    public var nesterov = false
    /// PyTorch's `weight_decay`: an L2 penalty added to the gradient; for `adamw` the decoupled decay.
    public var weightDecay = 0.0
    public var beta1 = 0.9
    public var beta2 = 0.999
    public var epsilon = 1e-8
    /// Smoothing constant of `rmsprop`.
    public var alpha = 0.99

    public init() {}
}

public struct PruningSettings: Hashable, Sendable {
    /// Registered name: `magnitude`, `random`, `snip`.
    public var criterion = "magnitude"
    /// Whose weights the criterion ranks.
    public var at = PruningMoment.published
    public var scope = PruningScope.layer
    public var rate = PruneRates(all: Ratio("0.2")!)
    /// Prunings after the dense level 0.
    public var levels = 10
    /// Iterative: level n prunes level n − 1. One-shot: every level prunes level 0, to the same counts.
    public var schedule = PruningSchedule.iterative
    /// Rankings, each followed by a pruning, in which a level comes to its count; nil for as many as the criterion was
    /// published with. One where all would rank alike.
    public var rounds: Int?
    /// Training images per class from which criteria of gradients take theirs: 10 in Wang et al. 2020 and Frankle et
    /// al. 2021.
    public var examples = 10
    /// How long the weights are trained that a level's mask is got from.
    public var search = MaskSearch.full
    /// k: the step whose weights the survivors go back to; 0 is the initialisation.
    public var rewind = 0
    public var rewindOptimizer = RewindOptimizer.restore
    /// What the survivors of a pruning go on with.
    public var retrain = Retraining.weightRewinding
    /// What a sparse level's drawn weights are multiplied by.
    public var initialisationScale = InitialisationScale.none

    public init() {}
}

/// Whose weights a criterion ranks.
public enum PruningMoment: Hashable, Sendable {
    /// Those that the criterion was published for: SNIP, GraSP and SynFlow rank those of the initialisation, others
    /// trained ones.
    case published
    /// The parent level's at the end of its training.
    case end
    /// Those of the dense training after `step` steps, under the mask so far; 0 for the initialisation.
    case step(Int)
}

extension PruningSettings {
    /// With what a criterion was published with in the place of what was left to it, and without what it does not look
    /// at, so that settings which mean the same are the same.
    public func resolved(for traits: CriterionTraits) -> PruningSettings {
        var settings = self
        if at == .published { settings.at = traits.at }
        settings.rounds = traits.ranksAnew ? rounds ?? traits.rounds : 1
        if !traits.readsExamples { settings.examples = PruningSettings().examples }
        return settings
    }
}

/// What plans need to know of a pruning criterion.
public struct CriterionTraits: Hashable, Sendable {
    /// Whose weights it was published to rank.
    public var at: PruningMoment
    /// The rounds that it was published with.
    public var rounds: Int
    /// Whether what is left ranks otherwise once some is pruned; if not, all rounds come to what one comes to.
    public var ranksAnew: Bool
    /// Whether it takes gradients on training images.
    public var readsExamples: Bool
    /// Whether it takes second derivatives on them, which is done in f64.
    public var readsCurvature: Bool
    /// Whether it compares weights with θ0.
    public var readsStart: Bool

    public init(
        at: PruningMoment = .end, rounds: Int = 1, ranksAnew: Bool = false, readsExamples: Bool = false,
        readsCurvature: Bool = false, readsStart: Bool = false
    ) {
        precondition(at != .published && rounds > 0, "a criterion of \(rounds) rounds at \(at)")
        precondition(ranksAnew || rounds == 1, "a criterion of \(rounds) rounds that all rank alike")
        self.at = at
        self.rounds = rounds
        self.ranksAnew = ranksAnew
        self.readsExamples = readsExamples
        self.readsCurvature = readsCurvature
        self.readsStart = readsStart
    }
}

public enum PruningScope: String, Hashable, Sendable, Codable, CaseIterable {
    /// Each layer loses its own share.
    case layer
    /// Layers of one rate are ranked together.
    case global
}

public enum PruningSchedule: String, Hashable, Sendable, Codable, CaseIterable {
    case iterative
    case oneShot = "one-shot"
}

/// How long the weights are trained that a mask is got from.
public enum MaskSearch: String, Hashable, Sendable, Codable, CaseIterable {
    /// To the end: the parent level itself is pruned.
    case full
    /// Until the mask that they would give has settled (You et al. 2020): a training of its own, beside the parent
    /// level.
    case earlyBird = "early-bird"
}

/// What the optimizer's state goes back to when the weights are rewound.
public enum RewindOptimizer: String, Hashable, Sendable, Codable, CaseIterable {
    /// To its state at step k.
    case restore
    /// To nothing, as open_lth does.
    case fresh
}

/// What survivors of a pruning go on with (Renda et al. 2020). All three train from step k to step T, on the same
/// batches.
public enum Retraining: String, Hashable, Sendable, Codable, CaseIterable {
    /// The weights and the learning rates of step k.
    case weightRewinding = "weight-rewinding"
    /// Their trained weights, and the learning rates of step k on. The optimizer begins anew.
    case learningRateRewinding = "learning-rate-rewinding"
    /// Their trained weights, and the learning rate of the last step throughout. The optimizer begins anew.
    case fineTuning = "fine-tuning"
}

extension PruningSettings {
    /// Whether survivors go back to θ0, as those of a winning ticket do.
    public var rewindsToStart: Bool { rewind == 0 && retrain == .weightRewinding }
}

/// What the weights that a sparse level draws are multiplied by: θ0 of a ticket rewound to step 0, and fresh weights of
/// a control. Those rewound to a later step were trained and stay as they were.
public enum InitialisationScale: String, Hashable, Sendable, Codable, CaseIterable {
    /// By 1: a unit that lost inputs starts with smaller sums than it had.
    case none
    /// By 1 / √density of each layer's mask. A unit then has on average the inputs' variance that the initialisation
    /// means it to have, as Evci et al. 2022, “Gradient flow in sparse neural networks and how lottery tickets win”,
    /// have by each unit's own fan-in.
    case density
}

public enum ReportedStep: String, Hashable, Sendable, Codable, CaseIterable {
    case final
    case earlyStop = "early-stop"
}

/// What a layer's weights are to pruning.
public enum LayerKind: String, Hashable, Sendable, Codable, CaseIterable {
    case conv
    case fc
    /// The last dense layer.
    case output
    /// A 1×1 convolution on a residual shortcut: never pruned.
    case shortcut
}

/// The share of surviving weights that each kind of layer loses per level.
public struct PruneRates: Hashable, Sendable, Codable {
    public var conv: Ratio
    public var fc: Ratio
    public var output: Ratio

    /// One rate for every kind.
    public init(all: Ratio) { self.init(conv: all, fc: all, output: all) }

    public init(conv: Ratio, fc: Ratio, output: Ratio) {
        self.conv = conv
        self.fc = fc
        self.output = output
    }

    public subscript(kind: LayerKind) -> Ratio {
        switch kind {
        case .conv: conv
        case .fc: fc
        case .output: output
        case .shortcut: .zero
        }
    }
}

// Stores hold tasks written before a setting was there: what is missing has its default, as it has in the task's key.
extension DataSettings {
    public init(from decoder: any Decoder) throws {
        let saved = try decoder.container(keyedBy: CodingKeys.self)
        validation = try saved.decodeIfPresent(Int.self, forKey: .validation) ?? validation
        train = try saved.decodeIfPresent(Int.self, forKey: .train)
        resize = try saved.decodeIfPresent(Int.self, forKey: .resize)
        augment = try saved.decodeIfPresent(AugmentationSettings.self, forKey: .augment) ?? augment
    }
}

extension AugmentationSettings {
    public init(from decoder: any Decoder) throws {
        let saved = try decoder.container(keyedBy: CodingKeys.self)
        flip = try saved.decodeIfPresent(Bool.self, forKey: .flip) ?? flip
        crop = try saved.decodeIfPresent(Int.self, forKey: .crop) ?? crop
    }
}

extension ModelSettings {
    public init(from decoder: any Decoder) throws {
        let saved = try decoder.container(keyedBy: CodingKeys.self)
        family = try saved.decodeIfPresent(String.self, forKey: .family) ?? family
        depth = try saved.decodeIfPresent(Int.self, forKey: .depth)
        width = try saved.decodeIfPresent(Double.self, forKey: .width)
        hidden = try saved.decodeIfPresent([Int].self, forKey: .hidden)
        initialisation = try saved.decodeIfPresent(String.self, forKey: .initialisation) ?? initialisation
        shortcut = try saved.decodeIfPresent(ShortcutKind.self, forKey: .shortcut) ?? shortcut
    }
}

extension TrainingSettings {
    public init(from decoder: any Decoder) throws {
        let saved = try decoder.container(keyedBy: CodingKeys.self)
        iterations = try saved.decodeIfPresent(Int.self, forKey: .iterations) ?? iterations
        batch = try saved.decodeIfPresent(Int.self, forKey: .batch) ?? batch
        optimizer = try saved.decodeIfPresent(OptimizerSettings.self, forKey: .optimizer) ?? optimizer
        precision = try saved.decodeIfPresent(Precision.self, forKey: .precision) ?? precision
        labelSmoothing = try saved.decodeIfPresent(Double.self, forKey: .labelSmoothing) ?? labelSmoothing
        clip = try saved.decodeIfPresent(Double.self, forKey: .clip) ?? clip
        learningRate = try saved.decodeIfPresent(Double.self, forKey: .learningRate) ?? learningRate
        warmup = try saved.decodeIfPresent(Int.self, forKey: .warmup) ?? warmup
        schedule = try saved.decodeIfPresent(LearningRateSchedule.self, forKey: .schedule) ?? schedule
        decay = try saved.decodeIfPresent([Decay].self, forKey: .decay) ?? decay
        evaluateEvery = try saved.decodeIfPresent(Int.self, forKey: .evaluateEvery) ?? evaluateEvery
        test = try saved.decodeIfPresent(TestEvaluations.self, forKey: .test) ?? test
    }
}

extension OptimizerSettings {
    public init(from decoder: any Decoder) throws {
        let saved = try decoder.container(keyedBy: CodingKeys.self)
        name = try saved.decodeIfPresent(String.self, forKey: .name) ?? name
        momentum = try saved.decodeIfPresent(Double.self, forKey: .momentum) ?? momentum
        nesterov = try saved.decodeIfPresent(Bool.self, forKey: .nesterov) ?? nesterov
        weightDecay = try saved.decodeIfPresent(Double.self, forKey: .weightDecay) ?? weightDecay
        beta1 = try saved.decodeIfPresent(Double.self, forKey: .beta1) ?? beta1
        beta2 = try saved.decodeIfPresent(Double.self, forKey: .beta2) ?? beta2
        epsilon = try saved.decodeIfPresent(Double.self, forKey: .epsilon) ?? epsilon
        alpha = try saved.decodeIfPresent(Double.self, forKey: .alpha) ?? alpha
    }
}
