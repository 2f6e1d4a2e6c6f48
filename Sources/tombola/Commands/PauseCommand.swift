import ArgumentParser
import CoordinatorService

struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Give out no more tasks of a sweep; what runs goes on.",
        discussion: """
            It lasts, also over restarts of the coordinator, until `tombola resume`. Tasks that another sweep wants go out for that one.
            """)

    @Argument(help: "The sweep's name.")
    var sweep: String

    @OptionGroup var options: ChangeOptions

    func run() throws {
        let reply = try options.tell { try $0.order(OrderRequest(.pause, sweep)) }
        if options.output.json { return try Output.json(reply) }
        let runs =
            reply.running == 1 ? "1 task that runs goes on" : "\(Format.count(reply.running)) tasks that run go on"
        Output.line("\(sweep) is paused" + (reply.running > 0 ? "; \(runs)" : ""))
    }
}
