extension Settings {
    /// Every setting, in the order in which people meet them. A new axis is one property in `Settings` and one row
    /// here.
    public static let table: [Setting] = [
        .name("dataset", nil, \.dataset, .training, "a registered data set"),
        .integer(
            "data.validation", "validation", \.data.validation, 1...10_000_000, .training,
            "images held out for validation"),
        .optionalInteger(
            "data.train", "train", \.data.train, 2...10_000_000, .training, "images used of the training set"),
        .optionalInteger(
            "data.resize", "resize", \.data.resize, 1...1_024, .training,
            "side in pixels that images are averaged down to"),
        .flag(
            "data.augment.flip", "flip", \.data.augment.flip, .training,
            "whether training images are mirrored at random"),
        .integer(
            "data.augment.crop", "crop", \.data.augment.crop, 0...256, .training,
            "pixels of black around training images, of which a random window is taken"),

        .name("model.family", "model", \.model.family, .training, "a registered model family"),
        .optionalInteger(
            "model.depth", "depth", \.model.depth, 1...1_000, .training, "layers, as the family counts them"),
        width,
        hidden,
        .name("model.initialisation", "init", \.model.initialisation, .training, "how θ0 is drawn"),
        .choice(
            "model.shortcut", "shortcut", \.model.shortcut, .training,
            "of resnet where maps change size: A pads with zeros, B projects"),

        .integer(
            "training.iterations", "iterations", \.training.iterations, 1...100_000_000, .training, "training steps"),
        .integer("training.batch", "batch", \.training.batch, 1...65_536, .training, "examples per step"),
        .name("training.optimizer", "optimizer", \.training.optimizer.name, .training, "a registered optimizer"),
        .real(
            "training.optimizer.momentum", "momentum", \.training.optimizer.momentum, 0...0.9999, .training,
            "of SGD and RMSprop"),
        .flag(
            "training.optimizer.nesterov", "nesterov", \.training.optimizer.nesterov, .training,
            "whether the momentum of SGD is Nesterov's"),
        .real(
            "training.optimizer.weight_decay", "weight_decay", \.training.optimizer.weightDecay, 0...1, .training,
            "L2 penalty; of AdamW, decoupled decay"),
        .real("training.optimizer.beta1", nil, \.training.optimizer.beta1, 0...0.999999, .training, "of Adam, AdamW"),
        .real("training.optimizer.beta2", nil, \.training.optimizer.beta2, 0...0.999999, .training, "of Adam, AdamW"),
        .real(
            "training.optimizer.epsilon", nil, \.training.optimizer.epsilon, 1e-30...1, .training,
            "of Adam, AdamW and RMSprop"),
        .real("training.optimizer.alpha", nil, \.training.optimizer.alpha, 0...0.999999, .training, "of RMSprop"),
        .choice(
            "training.precision", "precision", \.training.precision, .training, "f32, or bf16 where it is built in"),
        .real(
            "training.label_smoothing", "label_smoothing", \.training.labelSmoothing, 0...0.9999, .training,
            "share of each label that is spread over all classes"),
        .real(
            "training.clip", "clip", \.training.clip, 0...1e6, .training,
            "largest norm of the gradient of all parameters; 0 for none"),
        .real(
            "training.learning_rate", "lr", \.training.learningRate, 1e-12...1e6, .training,
            "after warmup, before decay"),
        .integer("training.warmup", "warmup", \.training.warmup, 0...100_000_000, .training, "steps of linear warmup"),
        .choice(
            "training.schedule", "lr_schedule", \.training.schedule, .training,
            "step, cosine or linear: the learning rate after warmup"),
        decay,
        .integer(
            "training.evaluate_every", nil, \.training.evaluateEvery, 1...100_000_000, .training,
            "steps between evaluations"),
        .choice(
            "training.test", nil, \.training.test, .training,
            "always, or best: only the weights of least validation loss, and those at the end"),

        .name("pruning.criterion", "criterion", \.pruning.criterion, .pruning, "a registered pruning criterion"),
        at,
        .choice("pruning.scope", "scope", \.pruning.scope, .pruning, "layer or global"),
        rate,
        kindRate("conv", \.pruning.rate.conv),
        kindRate("fc", \.pruning.rate.fc),
        kindRate("output", \.pruning.rate.output),
        .integer("pruning.levels", "levels", \.pruning.levels, 0...200, .pruning, "prunings after the dense level 0"),
        .choice("pruning.schedule", "schedule", \.pruning.schedule, .pruning, "iterative or one-shot"),
        .optionalInteger(
            "pruning.rounds", "rounds", \.pruning.rounds, 1...1_000, .pruning,
            "rankings, each followed by a pruning, in which a level comes to its count"),
        .integer(
            "pruning.examples", "examples", \.pruning.examples, 1...1_000, .pruning,
            "training images per class that snip and grasp look at"),
        .choice(
            "pruning.search", "search", \.pruning.search, .pruning,
            "full, or early-bird: the training that a mask is got from ends once the mask has settled"),
        .integer(
            "pruning.rewind", "rewind", \.pruning.rewind, 0...100_000_000, .pruning, "step whose weights come back"),
        .choice(
            "pruning.rewind_optimizer", "rewind_optimizer", \.pruning.rewindOptimizer, .pruning, "restore or fresh"),
        .choice(
            "pruning.retrain", "retrain", \.pruning.retrain, .pruning,
            "weight-rewinding, learning-rate-rewinding or fine-tuning: what survivors go on with"),
        .choice(
            "pruning.initialisation_scale", "init_scale", \.pruning.initialisationScale, .pruning,
            "none, or density: drawn weights of sparse levels are multiplied by 1 / √density of their layer's mask"),

        .choice("report", nil, \.report, .report, "final or early-stop"),
        .real(
            "matching_margin", nil, \.matchingMargin, 0...0.1, .report, "ε of matching, as a fraction of the test set"),
    ]

    /// Convolutional nets of width 1 are those without a width, and have their keys.
    private static let width = Setting(
        path: "model.width", shortName: "width",
        meaning: "units of each hidden layer of an mlp; of convolutional nets a factor on each hidden layer",
        part: .training,
        write: { (settings, value) throws(SettingError) in settings.model.width = try value.real(in: 0.01...65_536) },
        read: { settings in
            guard let width = settings.model.width, width != 1 || settings.model.family == "mlp" else { return "" }
            return Int(exactly: width).map(String.init) ?? String(width)
        })

    private static let hidden = Setting(
        path: "model.hidden", shortName: "hidden", meaning: "units of every hidden layer", part: .training,
        write: { (settings, value) throws(SettingError) in
            guard case .list(let items) = value, !items.isEmpty, items.count <= 1_000 else {
                throw SettingError("must be a list of layer sizes such as [300, 100], not \(value)")
            }
            var sizes: [Int] = []
            for item in items { sizes.append(try item.integer(in: 1...65_536)) }
            settings.model.hidden = sizes
        },
        read: { $0.model.hidden.map { $0.map(String.init).joined(separator: "-") } ?? "" })

    private static let decay = Setting(
        path: "training.decay", shortName: "decay", meaning: "factors on the learning rate, each from a step on",
        part: .training,
        write: { (settings, value) throws(SettingError) in
            guard case .list(let items) = value, items.count <= 1_000 else {
                throw SettingError("must be a list such as [{at: 20000, by: 0.1}], not \(value)")
            }
            var decays: [Decay] = []
            for item in items {
                guard case .map(let entries) = item, entries.map(\.key).sorted() == ["at", "by"],
                    let at = entries.first(where: { $0.key == "at" }), let by = entries.first(where: { $0.key == "by" })
                else { throw SettingError("must hold items such as {at: 20000, by: 0.1}, not \(item)") }
                decays.append(
                    Decay(at: try at.value.integer(in: 0...100_000_000), by: try by.value.real(in: 0...1_000)))
            }
            guard zip(decays, decays.dropFirst()).allSatisfy({ $0.at < $1.at }) else {
                throw SettingError("must name steps in rising order, not \(value)")
            }
            settings.training.decay = decays
        },
        read: { $0.training.decay.map { "\($0.at)x\($0.by)" }.joined(separator: "-") })

    /// A scalar covers every kind of layer; in a map, a kind that is not named keeps its weights, but `output` follows
    /// `fc`.
    private static let rate = Setting(
        path: "pruning.rate", shortName: "prune_rate", meaning: "share of surviving weights pruned per level",
        part: .pruning,
        write: { (settings, value) throws(SettingError) in
            guard case .map(let entries) = value else {
                settings.pruning.rate = PruneRates(all: try value.ratio())
                return
            }
            var named: [String: Ratio] = [:]
            for entry in entries {
                guard ["conv", "fc", "output"].contains(entry.key) else {
                    throw SettingError("must be a rate or a map of conv, fc and output, not of “\(entry.key)”")
                }
                named[entry.key] = try entry.value.ratio()
            }
            settings.pruning.rate = PruneRates(
                conv: named["conv"] ?? .zero, fc: named["fc"] ?? .zero, output: named["output"] ?? named["fc"] ?? .zero)
        },
        read: { settings in
            let rate = settings.pruning.rate
            return rate == PruneRates(all: rate.fc)
                ? rate.fc.description : "conv \(rate.conv), fc \(rate.fc), output \(rate.output)"
        })

    private static let at = Setting(
        path: "pruning.rank_at", shortName: "rank_at",
        meaning:
            "end, or a step: whose weights the criterion ranks, those after training or those of the dense network at that step",
        part: .pruning,
        write: { (settings, value) throws(SettingError) in
            if case .scalar("end") = value {
                settings.pruning.at = .end
                return
            }
            guard case .scalar(let text) = value, Int(text.replacing("_", with: "")) != nil else {
                throw SettingError("must be end or a step such as 0, not \(value)")
            }
            settings.pruning.at = .step(try value.integer(in: 0...100_000_000))
        },
        read: { settings in
            switch settings.pruning.at {
            case .published: ""
            case .end: "end"
            case .step(let step): String(step)
            }
        })

    private static func kindRate(_ kind: String, _ place: any Setting.Place<Ratio>) -> Setting {
        Setting(
            path: "pruning.rate.\(kind)", shortName: nil,
            meaning: "share of surviving \(kind) weights pruned per level",
            part: .pruning,
            write: { (settings, value) throws(SettingError) in settings[keyPath: place] = try value.ratio() },
            read: { $0[keyPath: place].description })
    }

    private static let defaultValues = table.map { $0.read(Settings()) }
    private static let rows = Dictionary(grouping: table.indices) { table[$0].part }

    /// `path=value` lines of the settings of `part` that differ from their defaults, in table order.
    public func canonicalLines(of part: Setting.Part) -> [String] {
        var lines: [String] = []
        for row in Settings.rows[part] ?? [] {
            let value = Settings.table[row].read(self)
            if value != Settings.defaultValues[row] { lines.append("\(Settings.table[row].path)=\(value)") }
        }
        return lines
    }
}
