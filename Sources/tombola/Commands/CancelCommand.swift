import ArgumentParser
import CoordinatorService

struct CancelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "End a sweep's trainings, or one task, and do no more of it.",
        discussion: """
            Of a sweep, tasks that another sweep wants live on. A task goes whoever wants it, and with it what waits for it. What \
            is done stays done; `tombola retry`, or to submit the sweep again, brings the rest back.
            """)

    @Argument(help: "The sweep's name, or the first digits of a task's key.")
    var target: String

    @OptionGroup var options: ChangeOptions

    func run() throws {
        let reply = try options.tell { try $0.order(OrderRequest(.cancel, target)) }
        if options.output.json { return try Output.json(reply) }
        if reply.cancelled == 0, reply.sweep != nil {
            return Output.line("nothing was left of it that no other sweep wants")
        }
        Output.line(
            "\(OrderText.tasks(reply.cancelled)) cancelled"
                + (reply.ended > 0 ? ", \(Format.count(reply.ended)) of them running" : "")
                + (reply.sweep != nil && reply.running > 0
                    ? "; \(Format.count(reply.running)) running for other sweeps, too, go on" : ""))
    }
}

/// What orders did, in words.
enum OrderText {
    static func tasks(_ count: Int) -> String { "\(Format.count(count)) task\(count == 1 ? "" : "s")" }
}
