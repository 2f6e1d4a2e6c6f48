import ArgumentParser

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a bundle: checksums, tables and leaderboard made anew, tickets evaluated again.",
        discussion: """
            The spec is planned again, which names every training by the digest of all that decides it; the results must be of those \
            trainings. Tables and leaderboard are made anew from the results and compared byte for byte. Each ticket must have the \
            density, rewind step and survivors of each layer that the results have, and no weight that its mask prunes. Where the data \
            set is at hand, its trained weights are evaluated, and must get as many test images right as it says, and weights that it \
            goes back to are drawn again, if they were drawn. Exit status 1 if anything differs.
            """)

    @Argument(help: "The archive that `tombola bundle` wrote.")
    var bundle: String

    @OptionGroup var store: StoreOption
    @OptionGroup var data: DataOption
    @OptionGroup var output: OutputOptions

    func run() throws {
        let check = BundleCheck(try Bundle(reading: bundle), catalog: data.catalog(store: store.directory))
        if output.json {
            try Output.json(check.findings)
        } else {
            var grid = TextGrid([.init("subject"), .init("state"), .init("found")])
            for finding in check.findings {
                let colour: Ink.Colour? =
                    switch finding.state {
                    case .good: .green
                    case .bad: .red
                    case .unchecked: .yellow
                    }
                grid.append([.init(finding.subject), .init(finding.state.rawValue, colour), .init(finding.found)])
            }
            Output.table(grid)
        }
        guard check.isGood else { throw Failure(.infrastructure, "\(bundle) is not what it says") }
    }
}
