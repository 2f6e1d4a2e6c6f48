import ArgumentParser
import Kernels
import Lottery
import Training

/// `tombola bench train`.
struct BenchTrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Training steps per second of one slot: one thread, random images.",
        discussion:
            """
            TOMBOLA_ISA=portable, avx2, avx512 or amx chooses the instruction set; the results of all are the same bits. The density is uniform \
            unless --like names an exported ticket, or p1: what P1's prune rates for the network leave after --prunings levels.
            """)

    @Option(help: "Network: lenet-300-100, mlp, conv-6, resnet-20, vgg-19, …")
    var model = "lenet-300-100"

    @Option(help: "Layers: of an mlp, or of a resnet or vgg that has no number in its name.")
    var depth: Int?

    @Option(help: "Units of each hidden layer of an mlp; a factor on the layers of a convolutional network.")
    var width: Double?

    @Option(
        help:
            "Data set whose image size and classes are used; default: mnist for networks of dense layers, else cifar10."
    )
    var dataset: String?

    @Option(help: "Examples per step.")
    var batch = 60

    @Option(help: "Share of each layer's weights that survives, at random.")
    var density: Double?

    @Option(help: "Take each layer's density from a ticket's file (`tombola ticket export`), or from p1's prune rates.")
    var like: String?

    @Option(help: "Levels of pruning that --like p1 stands for.")
    var prunings = 15

    @Option(help: "Optimizer; sgd has momentum 0.9.")
    var optimizer = "adam"

    @Option(help: "f32 or bf16.")
    var precision = Precision.f32

    @Option(help: "Windows whose median is told.")
    var windows = 7

    @OptionGroup var output: OutputOptions

    func run() throws {
        try check()
        let (settings, data) = try network()
        guard let family = Registry.standard.models.first(where: { $0.name == settings.family }) else {
            preconditionFailure("\(settings.family) was found and is not there")
        }
        let description: NetworkDescription
        do { description = try family.describe(settings, data) } catch { throw Failure(.usage, "\(model): \(error)") }
        var measurement = TrainingMeasurement(network: description, batch: batch)
        measurement.densities = try densities(of: description)
        measurement.optimizer.name = optimizer
        measurement.optimizer.momentum = optimizer == "sgd" ? 0.9 : 0
        measurement.engine.precision = precision
        measurement.windows = windows
        try MemoryBudget.system.require(
            .steps(description, batch: batch, precision: precision, optimizer: measurement.optimizer))
        let engine = measurement.engine
        let peak =
            precision == .bf16
            ? MachinePeak.gigaflopsPerSecond(engine.tiles) : MachinePeak.gigaflopsPerSecond(engine.instructionSet)
        let report = Report(
            model: model, batch: batch, rate: measurement.rate(), peakGigaflopsPerSecond: peak,
            peakMemoryBytes: ProcessMemory.peakBytes())
        if output.json { return try Output.json(report) }
        show(report)
    }

    private func show(_ report: Report) {
        let rate = report.rate
        Output.facts([
            ("rate", "\(Format.rate(rate.stepsPerSecond)) steps/s, median of \(rate.windows) windows"),
            ("spread", "\(Format.rate(rate.slowest))…\(Format.rate(rate.fastest)) steps/s"),
            (
                "arithmetic",
                "\(Format.fixed(rate.gigaflopsPerSecond, 1)) GFLOP/s on surviving weights, "
                    + "\(Format.fixed(100 * report.shareOfPeak, 0)) % of the \(Format.fixed(report.peakGigaflopsPerSecond, 0)) that "
                    + "this thread can do"
            ),
            (
                "traffic",
                "\(Format.fixed(rate.bytesPerStep * 1e-6, 1)) MB a step, "
                    + "\(Format.fixed(rate.bytesPerStep * rate.stepsPerSecond * 1e-9, 1)) GB/s"
            ),
            (
                "memory",
                "\(Format.fixed(Double(report.peakMemoryBytes) * 1e-6, 0)) MB at the most, "
                    + "\(Format.fixed(Double(rate.memoryBytes) * 1e-6, 0)) MB predicted for the network"
            ),
            ("density", Format.density(rate.density)),
            ("instruction set", "\(rate.instructionSet), \(rate.precision.rawValue)"),
        ])
    }

    private func check() throws {
        let registry = Registry.standard
        guard (0...1).contains(density ?? 1) else {
            throw Failure(.usage, "--density must be in 0…1, not \(density ?? 1)")
        }
        guard density == nil || like == nil else {
            throw Failure(.usage, "--density and --like both say which weights survive; leave one out")
        }
        guard (1...1_000).contains(windows) else {
            throw Failure(.usage, "--windows must be in 1…1000, not \(windows)")
        }
        guard (1...100).contains(prunings) else {
            throw Failure(.usage, "--prunings must be in 1…100, not \(prunings)")
        }
        guard registry.optimizers.contains(where: { $0.name == optimizer }) else {
            let known = registry.optimizers.map(\.name).joined(separator: ", ")
            throw Failure(.usage, "unknown optimizer “\(optimizer)”; it is one of \(known)")
        }
    }

    /// `resnet-20` is the family resnet at depth 20.
    private func network() throws -> (ModelSettings, DatasetShape) {
        let registry = Registry.standard
        var settings = ModelSettings()
        settings.family = model
        if !registry.models.contains(where: { $0.name == model }), let dash = model.lastIndex(of: "-"),
            let number = Int(model[model.index(after: dash)...])
        {
            settings.family = String(model[..<dash])
            settings.depth = number
        }
        guard registry.models.contains(where: { $0.name == settings.family }) else {
            let known = registry.models.map(\.name).joined(separator: ", ")
            throw Failure(.usage, "unknown model “\(model)”; families are \(known), as in resnet-20")
        }
        for (option, path, value) in [
            ("--depth", "model.depth", depth.map { "\($0)" }), ("--width", "model.width", width.map { "\($0)" }),
            ("--batch", "training.batch", "\(batch)"),
        ] {
            guard let value, let setting = Settings.table.first(where: { $0.path == path }) else { continue }
            var all = Settings()
            all.model = settings
            do { try setting.write(&all, .scalar(value)) } catch { throw Failure(.usage, "\(option) \(error)") }
            settings = all.model
        }
        let isDense = ["lenet-300-100", "mlp"].contains(settings.family)
        let name = dataset ?? (isDense ? "mnist" : "cifar10")
        let datasets = registry.vocabulary.datasets
        guard let data = datasets.first(where: { $0.name == name }) else {
            let known = datasets.map(\.name).joined(separator: ", ")
            throw Failure(.usage, "unknown data set “\(name)”; it is one of \(known)")
        }
        return (settings, data)
    }

    private func densities(of network: NetworkDescription) throws -> [Double] {
        guard let like else { return [density ?? 1] }
        if like == "p1" { return LayerDensities.published(of: network, family: model, prunings: prunings) }
        return try LayerDensities.read(ticket: like, for: network)
    }
}

extension BenchTrainCommand {
    /// What `--json` prints: `steps_per_second` and its company on one level.
    struct Report: Encodable {
        let model: String
        let batch: Int
        let rate: TrainingRate
        let peakGigaflopsPerSecond: Double
        let peakMemoryBytes: Int

        var shareOfPeak: Double { rate.gigaflopsPerSecond / peakGigaflopsPerSecond }

        private enum CodingKeys: String, CodingKey {
            case model, batch, peakGigaflopsPerSecond, shareOfPeak, peakMemoryBytes
        }

        func encode(to encoder: any Encoder) throws {
            try rate.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(model, forKey: .model)
            try container.encode(batch, forKey: .batch)
            try container.encode(peakGigaflopsPerSecond, forKey: .peakGigaflopsPerSecond)
            try container.encode(shareOfPeak, forKey: .shareOfPeak)
            try container.encode(peakMemoryBytes, forKey: .peakMemoryBytes)
        }
    }
}

extension Precision: ExpressibleByArgument {}
