import ArgumentParser
import Foundation
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
    @OptionGroup var output: OutputOptions

    func run() throws {
        let catalog = data.catalog(store: store.directory)
        let vocabulary = catalog.vocabulary
        let sweep = try Sweep(
            yaml: SpecFile.read(spec), file: spec, vocabulary: vocabulary,
            maximumRuns: yes ? Sweep.runsAtMost : Sweep.runsWithoutConsent)
        let summary: PlanSummary
        if FileManager.default.fileExists(atPath: store.directory) {
            let stored = try StoredSweeps(directory: store.directory, catalog: catalog)
            let plan = try stored.plan(of: sweep)
            summary = plan.summary(asking: try stored.isAsked(plan))
        } else {
            let plan = try Plan(sweep: sweep, vocabulary: vocabulary, dataDigest: { try catalog.digest(of: $0) })
            summary = plan.summary(asking: plan.isAsked(within: Extent(plan: plan) { _ in .pending }))
        }
        if output.json { try Output.json(summary) } else { Output.facts(PlanText.facts(summary)) }
    }
}
