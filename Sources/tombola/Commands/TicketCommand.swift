import ArgumentParser
import CoordinatorService
import Lottery
import Training

struct TicketCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ticket", abstract: "Look at a ticket, or take it to PyTorch.",
        subcommands: [Show.self, Export.self])

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Evaluate a ticket's trained weights on the test set, and say what it is.")

        @Argument(help: "The ticket's id, or its first digits.")
        var id: String

        @OptionGroup var store: StoreOption
        @OptionGroup var connect: ConnectOption
        @OptionGroup var peer: PeerOptions
        @OptionGroup var data: DataOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            let (stored, facts) = try StoredTicket.with(
                id, store: store, connect: connect, peer: peer, data: data
            ) { ($0, try $0.assemble().facts) }
            if output.json { return try Output.json(TicketReport(facts, stored)) }
            var lines = [("ticket", facts.task.hex)]
            for place in stored.record.places { lines.append(("part of", place)) }
            lines += [
                ("model", "\(facts.model) on \(facts.dataset)"),
                ("rewound to", "step \(Format.count(facts.rewindStep))"),
                (
                    "density",
                    "\(Format.density(facts.density)): \(Format.count(facts.surviving)) of \(Format.count(facts.weights)) weights"
                ),
                (
                    "test images",
                    "\(Format.count(facts.testImagesRight)) right of \(Format.count(facts.testImagesSeen)), \(Format.percent(facts.accuracy))"
                ),
            ]
            if stored.precision != .f32, let last = stored.summary.final {
                lines.append(
                    (
                        "in \(stored.precision.rawValue)",
                        "\(Format.count(last.testCorrect)) right, as it was trained; above in f32, as PyTorch computes"
                    ))
            }
            if let early = stored.summary.earlyStop {
                lines.append(
                    ("early stop", "step \(Format.count(early.step)), \(Format.percent(early.testAccuracy)) there"))
            }
            if let own = stored.summary.connectivity {
                lines.append(("barrier", "\(Self.words(own)), to the training that it is a sibling of"))
            }
            for sibling in stored.record.siblings ?? [] {
                let barrier = sibling.connectivity.map(Self.words) ?? "none, since it diverged"
                lines.append(
                    ("barrier", "\(barrier), batch-norm \(sibling.batchNorm.rawValue), to its sibling \(sibling.key)"))
            }
            lines += [
                ("weights", facts.finalDigest.hex), ("mask", facts.maskDigest.hex), ("data", facts.datasetDigest.hex),
            ]
            Output.facts(lines)

            var grid = TextGrid([
                .init("layer"), .init("kind"), .init("weights", .right), .init("surviving", .right),
                .init("density", .right),
            ])
            for layer in facts.layers {
                let density = layer.weights == 0 ? 0 : Double(layer.surviving) / Double(layer.weights)
                grid.append([
                    .init(layer.name), .init(layer.kind.rawValue), .init(Format.count(layer.weights)),
                    .init(Format.count(layer.surviving)),
                    .init(
                        layer.surviving == 0 ? "emptied" : Format.density(density), layer.surviving == 0 ? .red : nil),
                ])
            }
            Output.line("")
            Output.table(grid)
        }

        private static func words(_ connectivity: Connectivity) -> String {
            let barrier = connectivity.barrier
            return "\(Format.fixed(100 * barrier, 2)) points over \(connectivity.errors.count) values of α"
                + (barrier < Connectivity.stableBelow ? " (stable)" : "")
        }
    }

    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a ticket's weights and masks as safetensors, under PyTorch's names and layouts.",
            discussion: """
                Tensors are rewind.NAME (weights at the rewind step), trained.NAME and mask.NAME (weights only). Loaded in PyTorch, the \
                trained network gets exactly the test images right that `ticket show` says.
                """)

        @Argument(help: "The ticket's id, or its first digits.")
        var id: String

        @Option(help: "The file to write, in the place of one that is there; default: ticket-ID.safetensors.")
        var out: String?

        @OptionGroup var store: StoreOption
        @OptionGroup var connect: ConnectOption
        @OptionGroup var peer: PeerOptions
        @OptionGroup var data: DataOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            try StoredTicket.with(id, store: store, connect: connect, peer: peer, data: data) { stored in
                let path = out ?? "ticket-\(stored.record.key).safetensors"
                try OutputPath.check(path)
                let ticket = try stored.assemble()
                try ticket.export(to: path, spec: stored.record.spec)
                if output.json { return try Output.json(["path": path, "task": ticket.facts.task.hex]) }
                Output.line(path)
            }
        }
    }
}

/// What `ticket show --json` prints.
private struct TicketReport: Encodable {
    var ticket: TicketFacts
    var density: Double
    var accuracy: Double
    var partOf: [String]
    var summary: LevelSummary
    var siblings: [TicketRecord.Sibling]

    init(_ facts: TicketFacts, _ stored: StoredTicket) {
        ticket = facts
        density = facts.density
        accuracy = facts.accuracy
        partOf = stored.record.places
        summary = stored.summary
        siblings = stored.record.siblings ?? []
    }
}
