import ArgumentParser
import Coordination
import CoordinatorService

struct RetryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Try tasks anew that were given up, with nothing held against them.",
        discussion: """
            With --state only those given up under these names: failed, quarantined, lost, cancelled. What only waited for one of \
            them comes back with it. A training that diverged is done, and would diverge again.
            """)

    @Argument(help: "The sweep's name, or the first digits of a task's key.")
    var target: String

    @Option(name: .customLong("state"), help: "Only tasks in this state; may be given several times.")
    var states: [String] = []

    @OptionGroup var options: ChangeOptions

    func validate() throws {
        for state in states where !TaskFailure.names.map(\.rawValue).contains(state) {
            let known = TaskFailure.names.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("no task is given up as “\(state)”; --state takes \(known)")
        }
    }

    func run() throws {
        let names = states.isEmpty ? nil : states.compactMap(FailureName.init)
        let reply = try options.tell { try $0.order(OrderRequest(.retry, target, states: names)) }
        if options.output.json { return try Output.json(reply) }
        Output.line("\(OrderText.tasks(reply.revived)) to be tried anew")
    }
}
