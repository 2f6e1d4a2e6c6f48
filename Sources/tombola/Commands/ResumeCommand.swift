import ArgumentParser
import CoordinatorService

struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Give out the tasks of a paused sweep again.",
        discussion: """
            What was cancelled is brought back by `tombola retry`.
            """)

    @Argument(help: "The sweep's name.")
    var sweep: String

    @OptionGroup var options: ChangeOptions

    func run() throws {
        let reply = try options.tell { try $0.order(OrderRequest(.resume, sweep)) }
        if options.output.json { return try Output.json(reply) }
        Output.line("\(sweep) goes on")
    }
}
