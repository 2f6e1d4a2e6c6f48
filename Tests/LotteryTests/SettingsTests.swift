import Lottery
import Testing

@Suite("Table of settings")
struct SettingsTests {
    private func setting(_ path: String) throws -> Setting { try #require(Settings.table.first { $0.path == path }) }

    @Test("Paths and short names are told apart")
    func namesAreDistinct() {
        let names = Settings.table.flatMap { [$0.path] + ($0.shortName.map { [$0] } ?? []) }
        #expect(Set(names).count == names.count)
    }

    @Test("What is written is read back, and changes one line of canonical text")
    func roundTrip() throws {
        let values: [String: SettingValue] = [
            "dataset": .scalar("mnist"), "data.validation": .scalar("4_000"), "data.train": .scalar("1000"),
            "data.resize": .scalar("16"), "data.augment.flip": .scalar("true"), "data.augment.crop": .scalar("4"),
            "model.family": .scalar("mlp"), "model.depth": .scalar("3"), "model.width": .scalar("50"),
            "model.hidden": .list([.scalar("30"), .scalar("20")]), "model.initialisation": .scalar("kaiming-normal"),
            "model.shortcut": .scalar("A"), "training.precision": .scalar("bf16"),
            "training.label_smoothing": .scalar("0.1"), "training.clip": .scalar("1"),
            "pruning.initialisation_scale": .scalar("density"),
            "training.iterations": .scalar("77"), "training.batch": .scalar("32"), "training.optimizer": .scalar("sgd"),
            "training.optimizer.momentum": .scalar("0.9"), "training.optimizer.weight_decay": .scalar("1e-4"),
            "training.optimizer.beta1": .scalar("0.8"), "training.optimizer.beta2": .scalar("0.99"),
            "training.optimizer.nesterov": .scalar("true"), "training.optimizer.alpha": .scalar("0.9"),
            "training.optimizer.epsilon": .scalar("1e-7"), "training.learning_rate": .scalar("0.1"),
            "training.warmup": .scalar("500"), "training.schedule": .scalar("cosine"),
            "training.decay": .list([
                .map([.init(key: "at", value: .scalar("10")), .init(key: "by", value: .scalar("0.1"))])
            ]),
            "training.evaluate_every": .scalar("7"), "training.test": .scalar("best"),
            "pruning.criterion": .scalar("random"),
            "pruning.scope": .scalar("global"), "pruning.rank_at": .scalar("500"), "pruning.rounds": .scalar("100"),
            "pruning.examples": .scalar("1"), "pruning.retrain": .scalar("fine-tuning"),
            "pruning.search": .scalar("early-bird"),
            "pruning.rate": .scalar("0.3"), "pruning.rate.conv": .scalar("0.1"), "pruning.rate.fc": .scalar("0.1"),
            "pruning.rate.output": .scalar("0.1"), "pruning.levels": .scalar("3"),
            "pruning.schedule": .scalar("one-shot"),
            "pruning.rewind": .scalar("500"), "pruning.rewind_optimizer": .scalar("fresh"),
            "report": .scalar("early-stop"),
            "matching_margin": .scalar("0.01"),
        ]
        for setting in Settings.table {
            let value = try #require(values[setting.path], "no example of \(setting.path)")
            var settings = Settings()
            try setting.write(&settings, value)
            #expect(setting.read(settings) != setting.read(Settings()), "\(setting.path)")
            let lines = settings.canonicalLines(of: setting.part)
            #expect(lines.contains { $0.hasPrefix(setting.path + "=") }, "\(setting.path): \(lines)")
        }
    }

    @Test("Defaults leave no line, so that a new setting changes no key")
    func defaults() {
        for part in [Setting.Part.training, .pruning, .report] { #expect(Settings().canonicalLines(of: part) == []) }
    }

    @Test("A width is written as people write it, and a convolutional net of width 1 is the net without a width")
    func width() throws {
        let width = try setting("model.width")
        func text(_ family: String, _ value: String) throws -> String {
            var settings = Settings()
            settings.model.family = family
            try width.write(&settings, .scalar(value))
            return width.read(settings)
        }
        #expect(try text("mlp", "100") == "100" && text("mlp", "1") == "1")
        #expect(try text("mlp", "1e2") == "100" && text("mlp", "100.0") == "100")
        #expect(try text("resnet", "0.25") == "0.25" && text("resnet", ".250") == "0.25")
        #expect(try text("resnet", "2") == "2" && text("resnet", "1.0") == "")
        var model = ModelSettings()
        #expect(model.scaled(64) == 64)
        model.width = 0.1
        #expect(model.scaled(64) == 6 && model.scaled(16) == 2 && model.scaled(3) == 1)
        model.width = 0.25
        #expect(model.scaled(10) == 2 && model.scaled(14) == 4)
    }

    @Test(
        "A value that does not fit says what it must be",
        arguments: [
            ("training.iterations", "0", "1…100000000"), ("training.iterations", "many", "whole number"),
            ("training.learning_rate", "-1", "not -1"), ("training.learning_rate", "nan", "number"),
            ("pruning.rate", "1", "below 1"), ("pruning.rate", "-0.2", "decimal"),
            ("pruning.scope", "row", "layer or global"),
            ("model.width", "0", "0.01…"), ("model.width", "wide", "number"), ("model.shortcut", "C", "A or B"),
            ("training.precision", "f16", "f32 or bf16"), ("training.label_smoothing", "1", "0.0…0.9999"),
            ("training.clip", "-1", "not -1"), ("pruning.initialisation_scale", "true", "none or density"),
            ("training.decay", "3", "list"), ("model.hidden", "300", "list"), ("data.validation", "0", "1…"),
        ])
    func refused(path: String, text: String, said: String) throws {
        let setting = try setting(path)
        var settings = Settings()
        let error = #expect(throws: SettingError.self) { try setting.write(&settings, .scalar(text)) }
        #expect(try #require(error).description.contains(said))
        #expect(settings == Settings())
    }

    @Test("A rate per kind leaves unnamed kinds alone, and output follows fc")
    func rateMap() throws {
        var settings = Settings()
        let rate = try setting("pruning.rate")
        try rate.write(&settings, .map([.init(key: "fc", value: .scalar("0.2"))]))
        #expect(settings.pruning.rate[.fc] == Ratio("0.2") && settings.pruning.rate[.output] == Ratio("0.2"))
        #expect(settings.pruning.rate[.conv] == .zero && settings.pruning.rate[.shortcut] == .zero)
        #expect(throws: SettingError.self) {
            try rate.write(&settings, .map([.init(key: "dense", value: .scalar("0.2"))]))
        }
    }

    @Test("Decay steps must rise")
    func decayOrder() throws {
        func item(_ at: String) -> SettingValue {
            .map([.init(key: "at", value: .scalar(at)), .init(key: "by", value: .scalar("0.1"))])
        }
        var settings = Settings()
        let decay = try setting("training.decay")
        #expect(throws: SettingError.self) { try decay.write(&settings, .list([item("20"), item("10")])) }
        try decay.write(&settings, .list([item("10"), item("20")]))
        #expect(settings.training.decay == [Decay(at: 10, by: 0.1), Decay(at: 20, by: 0.1)])
    }
}
