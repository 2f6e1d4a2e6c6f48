import ArgumentParser
import CoordinatorService
import Sweeps

struct ExtendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extend",
        abstract: "Put a changed spec in the place of its sweep's old one, and compute what is new.",
        discussion: """
            The sweep keeps its name, and all that is done and that the changed spec still has. What it has no more is ended and \
            cancelled, unless another sweep wants it; results of it stay in the store.
            """)

    @Argument(help: "The sweep's changed YAML file, under the same name.")
    var spec: String

    @Flag(help: "Go on with more than a million runs.")
    var yes = false

    @OptionGroup var options: ChangeOptions

    func run() throws {
        let text = try SpecFile.read(spec)
        let reply = try options.tell {
            try $0.submit(SubmitRequest(file: spec, spec: text, consents: yes, extends: true))
        }
        if options.output.json { return try Output.json(reply) }
        Output.facts(PlanText.facts(reply.plan))
        if let warning = reply.warning { Console.shared.say("note: \(warning)") }
        Output.line("extended: \(OrderText.tasks(reply.plan.tasksToDo)) to do")
    }
}
