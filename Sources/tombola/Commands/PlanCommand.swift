import ArgumentParser
import Sweeps
import Training

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Say what a sweep would train, what the store holds of it, and what is left.")

    @Argument(help: "The sweep's YAML file.")
    var spec: String

    @Flag(help: "Go on with more than a million runs.")
    var yes = false

    @OptionGroup var store: StoreOption
    @OptionGroup var data: DataOption
    @OptionGroup var budget: BudgetOption
    @OptionGroup var output: OutputOptions

    func run() throws {
        let catalog = data.catalog(store: store.directory)
        let sweep = try Sweep(
            yaml: SpecFile.read(spec), file: spec, vocabulary: catalog.vocabulary,
            maximumRuns: yes ? Sweep.runsAtMost : Sweep.runsWithoutConsent)
        let (plan, isAsked) = try StoredSweeps.plan(of: sweep, store: store.directory, catalog: catalog)
        var summary = plan.summary(asking: isAsked)
        summary.budget = try budget.seconds().map { try BudgetOption.plan($0, of: plan) }
        if output.json { try Output.json(summary) } else { Output.facts(PlanText.facts(summary)) }
    }
}
