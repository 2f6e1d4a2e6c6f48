import ArgumentParser
import Lottery
import Training

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure this machine.", subcommands: [Train.self])

    struct Train: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Training steps per second of one slot: one thread, random images.",
            discussion:
                "TOMBOLA_ISA=portable, avx2 or avx512 chooses the instruction set; the results of all are the same bits."
        )

        @Option(help: "Model family.")
        var model = "lenet-300-100"

        @Option(help: "Hidden layers of an mlp.")
        var depth: Int?

        @Option(help: "Units of each hidden layer of an mlp.")
        var width: Double?

        @Option(help: "Data set whose image size and classes are used.")
        var dataset = "mnist"

        @Option(help: "Examples per step.")
        var batch = 60

        @Option(help: "Share of each layer's weights that survives, at random.")
        var density = 1.0

        @Option(help: "Optimizer.")
        var optimizer = "adam"

        @OptionGroup var output: OutputOptions

        func run() throws {
            let vocabulary = Registry.standard.vocabulary
            guard (1...65_536).contains(batch) else {
                throw Failure(.usage, "--batch must be in 1…65536, not \(batch)")
            }
            guard (0...1).contains(density) else { throw Failure(.usage, "--density must be in 0…1, not \(density)") }
            guard let shape = vocabulary.datasets.first(where: { $0.name == dataset }) else {
                throw Failure(
                    .usage,
                    "unknown data set “\(dataset)”; it is one of \(vocabulary.datasets.map(\.name).joined(separator: ", "))"
                )
            }
            guard vocabulary.models.contains(model) else {
                throw Failure(
                    .usage, "unknown model “\(model)”; it is one of \(vocabulary.models.joined(separator: ", "))")
            }
            guard vocabulary.optimizers.contains(optimizer) else {
                throw Failure(
                    .usage,
                    "unknown optimizer “\(optimizer)”; it is one of \(vocabulary.optimizers.joined(separator: ", "))")
            }
            var settings = ModelSettings()
            settings.family = model
            settings.depth = depth
            settings.width = width
            let layers: [LayerShape]
            do { layers = try vocabulary.layers(settings, shape) } catch { throw Failure(.usage, "\(model): \(error)") }
            var update = OptimizerSettings()
            update.name = optimizer

            let rate = measureTraining(
                inputs: shape.channels * shape.height * shape.width,
                hidden: layers.filter { $0.kind == .fc }.map(\.biases),
                classes: shape.classes, batch: batch, density: density, optimizer: update)
            if output.json { return try Output.json(rate) }
            Output.facts([
                (
                    "rate",
                    "\(Format.count(Int(rate.stepsPerSecond.rounded()))) steps/s, median of \(rate.windows) windows"
                ),
                (
                    "spread",
                    "\(Format.count(Int(rate.slowest.rounded())))…\(Format.count(Int(rate.fastest.rounded()))) steps/s"
                ),
                ("arithmetic", "\(Format.fixed(rate.gigaflopsPerSecond, 1)) GFLOP/s on surviving weights"),
                ("instruction set", rate.instructionSet),
            ])
        }
    }
}
