import ArgumentParser
import CoordinatorService

struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Have a coordinator give out nothing more, and end once nothing runs.",
        discussion: """
            `tombola run` ends with it. What is left stays in the store for the next start. Workers of `tombola serve` wait for \
            that unless --workers is given. With --now nobody waits for trainings to end: workers save what they train, hand it \
            back and end, and it goes on from there.

            A coordinator that dies before it has stopped goes on stopping when `tombola serve` starts it again, say by systemd; `tombola \
            serve --go-on` and `tombola run` do not.
            """)

    @Flag(help: "Have the workers end, too.")
    var workers = false

    @Flag(help: "Have workers save what they train, hand it back and end.")
    var now = false

    @OptionGroup var options: ChangeOptions

    func run() throws {
        let (reply, idleStore) = try options.tellWhoIsThere {
            try $0.stop(StopRequest(endsWorkers: workers, isAtOnce: now))
        }
        if options.output.json { return try Output.json(reply) }
        let left =
            reply.left > 0
            ? "\(OrderText.tasks(reply.left)) \(reply.left == 1 ? "stays" : "stay") for the next start"
            : "nothing else is left to do"
        if let idleStore {
            return Output.line(
                "no coordinator works on \(idleStore), so there is nothing to stop"
                    + (reply.left > 0 ? "; \(left)" : ""))
        }
        Output.line(
            reply.running > 0
                ? "ends once \(OrderText.tasks(reply.running)) \(reply.running == 1 ? "has" : "have") \(now ? "been saved" : "ended"); \(left)"
                : "ends now; \(left)")
    }
}
