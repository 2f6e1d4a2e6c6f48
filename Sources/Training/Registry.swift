import Lottery

/// What this build can train. A new criterion, model, data set, optimizer or initialisation is one file, and one line
/// here.
public struct Registry: Sendable {
    public var datasets: [DatasetSource]
    public var models: [ModelFamily]
    public var initialisations: [Initialisation]
    public var optimizers: [OptimizerKind]
    public var criteria: [Criterion]
    public var branches: [String]
    /// The numerics id of each precision that this build can train in.
    public var numerics: [Precision: NumericsID] = [.f32: .f32Lanes16, .bf16: .bf16Tiles16]

    /// All that ships.
    public static let standard = Registry(
        datasets: [.glyphs, .colouredGlyphs, .mnist, .fashionMNIST, .cifar10, .cifar100],
        models: [.lenet300100, .mlp, .conv2, .conv4, .conv6, .resnet, .vgg],
        initialisations: [.glorotNormal, .glorotUniform, .kaimingNormal, .kaimingUniform, .orthogonal],
        optimizers: [.sgd, .adam, .adamW, .rmsProp],
        criteria: [
            .magnitude, .random, .magnitudeIncrease, .movement, .magnitudeSameSign, .magnitudeIncreaseSameSign, .snip,
            .grasp,
            .synflow,
        ],
        branches: [
            "random-reinit", "random-mask", "random-mask-global", "permuted", "signed-permuted", "signed-reinit",
            "constant",
            "signed-constant", "one-shot", "dense-budget", "small-dense",
        ])

    public init(
        datasets: [DatasetSource], models: [ModelFamily], initialisations: [Initialisation],
        optimizers: [OptimizerKind],
        criteria: [Criterion], branches: [String]
    ) {
        self.datasets = datasets
        self.models = models
        self.initialisations = initialisations
        self.optimizers = optimizers
        self.criteria = criteria
        self.branches = branches
    }

    /// Names, shapes and counts for `Sweeps`.
    public var vocabulary: Vocabulary {
        var vocabulary = Vocabulary(
            datasets: datasets.map(\.shape), models: models.map(\.name), initialisations: initialisations.map(\.name),
            optimizers: optimizers.map(\.name), criteria: criteria.map(\.name), branches: branches,
            numerics: numerics,
            layers: { [models] settings, shape throws(SettingError) in
                guard let family = models.first(where: { $0.name == settings.family }) else {
                    throw SettingError(
                        "must be \(models.map(\.name).joined(separator: " or ")), not “\(settings.family)”")
                }
                return try family.describe(settings, shape).layerShapes
            },
            semantics: { [self] settings, pruned in
                semantics(
                    model: settings.model, training: settings.training,
                    criterion: pruned ? settings.pruning.criterion : nil)
            })
        vocabulary.criterionTraits = Dictionary(uniqueKeysWithValues: criteria.map { ($0.name, $0.traits) })
        vocabulary.memoryBytes = { [models, criteria] settings, shape in
            // Settings that do not fit have been refused before anyone asks.
            guard let family = models.first(where: { $0.name == settings.model.family }),
                let shape = try? shape.resized(to: settings.data.resize),
                let network = try? family.describe(settings.model, shape)
            else { return 0 }
            let dense = MemoryNeed.training(network, settings.training).bytes
            guard settings.pruning.levels > 0 else { return dense }
            // The first level may take more: nearly as many weights, and lists of them.
            let survivors = network.parameters.filter(\.isWeight).map { max(0, $0.count - 1) }
            let training = max(dense, MemoryNeed.training(network, settings.training, survivors: survivors).bytes)
            let traits = criteria.first { $0.name == settings.pruning.criterion }?.traits ?? CriterionTraits()
            let examples = settings.pruning.examples * network.classes
            let batch = min(settings.training.batch, examples)
            let need: MemoryNeed =
                if traits.readsCurvature {
                    .rankingByCurvature(network, examples: examples, batch: batch)
                } else if traits.readsExamples {
                    .rankingByGradients(network, batch: settings.training.batch)
                } else {
                    .ranking(network)
                }
            let ranking = need.bytes
            // A search ranks weights while their training waits.
            return settings.pruning.search == .earlyBird ? training + ranking : max(training, ranking)
        }
        return vocabulary
    }

    /// Semantics versions, other than 1, of the named components that this build has.
    func semantics(model: ModelSettings, training: TrainingSettings, criterion: String?) -> [String: Int] {
        let optimizer = training.optimizer
        let versions: [(String, Int?)] = [
            ("model.\(model.family)", models.first { $0.name == model.family }?.semanticsVersion),
            (
                "initialisation.\(model.initialisation)",
                initialisations.first { $0.name == model.initialisation }?.semanticsVersion
            ),
            ("optimizer.\(optimizer.name)", optimizers.first { $0.name == optimizer.name }?.semanticsVersion),
            ("clip", GradientClipping(training).map { _ in GradientClipping.semanticsVersion }),
            ("criterion.\(criterion ?? "")", criteria.first { $0.name == criterion }?.semanticsVersion),
        ]
        return Dictionary(
            uniqueKeysWithValues: versions.compactMap { name, version in
                version.flatMap { $0 == 1 ? nil : (name, $0) }
            })
    }
}
