import ArgumentParser
import CoordinatorService

struct SubmitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "submit", abstract: "Give a coordinator a sweep.")

    @Argument(help: "The sweep's YAML file.")
    var spec: String

    @Option(help: "The coordinator's address (TOMBOLA_CONNECT; default: \(ServeCommand.defaultAddress)).")
    var connect: String?

    @Flag(help: "Go on with more than a million runs.")
    var yes = false

    @OptionGroup var peer: PeerOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let text = try SpecFile.read(spec)
        let endpoint = Environment.setting(connect, "CONNECT") ?? ServeCommand.defaultAddress
        let coordinator = try RemoteCoordinator(endpoint, peer)
        let reply = try coordinator.submit(SubmitRequest(file: spec, spec: text, consents: yes))
        if output.json { return try Output.json(reply) }
        if let warning = reply.warning { Console.shared.say("note: \(warning)") }
        Output.facts(PlanText.facts(reply.plan))
        Output.line(reply.isContinued ? "continued: the store had this sweep already" : "submitted")
    }
}
