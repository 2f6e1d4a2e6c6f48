/// What the canonical texts of all tasks of one recipe share, written and hashed once for the many keys of a plan.
public struct RecipeText: Sendable {
    /// Has seen the lines before the seeds.
    private let hasher: ContentHasher
    /// The lines after all else.
    private let tail: String
    /// Of all that the texts share: equal recipes have equal ones.
    public let digest: Digest

    public init(
        numerics: NumericsID, dataset: Digest, data: DataSettings, model: ModelSettings, training: TrainingSettings,
        semantics: [String: Int]
    ) {
        tail = semantics.sorted { $0.key < $1.key }.map { "\nsemantics.\($0.key)=\($0.value)" }.joined()
        var hasher = ContentHasher()
        hasher.update(
            RecipeText.head(numerics: numerics, dataset: dataset, data: data, model: model, training: training))
        self.hasher = hasher
        hasher.update(tail)
        digest = hasher.finalize()
    }

    private static func head(
        numerics: NumericsID, dataset: Digest, data: DataSettings, model: ModelSettings, training: TrainingSettings
    ) -> String {
        var settings = Settings()
        settings.data = data
        settings.model = model
        settings.training = training
        let lines =
            ["tombola task 1", "numerics=\(numerics)", "dataset=\(dataset.hex)"]
            + settings.canonicalLines(of: .training)
        return lines.joined(separator: "\n")
    }

    /// The canonical text of a task: one fact a line; settings at their defaults are left out, so that a new one with a
    /// no-op default changes no key.
    static func text(of task: TrainingTask) -> String {
        let shared = RecipeText(
            numerics: task.numerics, dataset: task.dataset, data: task.data, model: task.model, training: task.training,
            semantics: task.semantics)
        return head(
            numerics: task.numerics, dataset: task.dataset, data: task.data, model: task.model, training: task.training)
            + shared.own(task.seeds, task.pruning, task.start, task.search, task.connection, task.stopAfter)
            + shared.tail
    }

    /// The digest of a task's canonical text. Golden digests in tests hold it still.
    public func key(
        seeds: Seeds, pruning: TrainingTask.PruningStep?, start: TrainingTask.Start,
        search: TrainingTask.EarlyBird? = nil,
        connection: TrainingTask.Connection? = nil, stopAfter: Int?
    ) -> TaskKey {
        var hasher = hasher
        hasher.update(own(seeds, pruning, start, search, connection, stopAfter))
        if !tail.isEmpty { hasher.update(tail) }
        return TaskKey(hasher.finalize())
    }

    private func own(
        _ seeds: Seeds, _ pruning: TrainingTask.PruningStep?, _ start: TrainingTask.Start,
        _ search: TrainingTask.EarlyBird?,
        _ connection: TrainingTask.Connection?, _ stopAfter: Int?
    ) -> String {
        var text = "\nseeds=\(seeds.initialisation),\(seeds.dataOrder),\(seeds.augmentation)"
        switch start {
        case .initialisation: break
        case .rewound(let trajectory, let step, let optimizer):
            text += "\nstart=\(trajectory.hex)/step-\(step),\(optimizer.rawValue)"
        case .reinitialised(let level, let draw):
            text += "\nstart=reinitialised,\(level),\(draw)"
        case .retrained(let step, let rate):
            text += "\nstart=trained,\(step),\(rate.rawValue)"
        case .varied(let variant, let level, let draw):
            text += "\nstart=\(variant.rawValue),\(level),\(draw)"
        }
        if let pruning {
            let rates = pruning.rates
            switch pruning.at {
            case nil: text += "\nparent=\(pruning.parent.hex)/final"
            case 0: text += "\nparent=initialisation"
            case let step?: text += "\nparent=\(pruning.parent.hex)/step-\(step)"
            }
            text += "\npruning=\(pruning.criterion),\(pruning.scope.rawValue),\(rates.conv),\(rates.fc),\(rates.output)"
            text += ",×\(pruning.repetitions)"
            if pruning.stages != 1 { text += ",stages \(pruning.stages)" }
            if pruning.rounds != 1 { text += ",rounds \(pruning.rounds)" }
            if let examples = pruning.examples { text += ",examples \(examples)" }
            if pruning.criterion != "magnitude" || pruning.control != .none {
                text += "\nrandom=\(pruning.control.rawValue),\(pruning.level)"
            }
            if pruning.initialisationScale != .none {
                text += "\ninitialisation.scale=\(pruning.initialisationScale.rawValue)"
            }
        }
        if let search {
            let rates = search.rates
            text += "\nsearch=\(search.criterion),\(search.scope.rawValue),\(rates.conv),\(rates.fc),\(rates.output)"
            text += ",×\(search.repetitions),rounds \(search.rounds),level \(search.level)"
        }
        if let connection {
            text += "\nconnects=\(connection.peer.hex)/final,\(connection.points),\(connection.batchNorm.rawValue)"
        }
        if let stopAfter { text += "\nstop=\(stopAfter)" }
        return text
    }
}
