import ArgumentParser
import Coordination
import CoordinatorService

struct PriorityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "priority", abstract: "Say how urgent a sweep is beside the others of its coordinator.",
        discussion: """
            Tasks of the sweep with the highest priority go out first; sweeps of equal priority share the slots evenly. A sweep \
            begins with 0. What runs goes on.
            """)

    @Argument(help: "The sweep's name.")
    var sweep: String

    @Argument(help: "A whole number in \(SweepStanding.priorities.lowerBound)…\(SweepStanding.priorities.upperBound).")
    var priority: Int

    @OptionGroup var options: ChangeOptions

    /// The arguments with a negative number put behind a `--`: the argument parser takes `-5` for options otherwise.
    static func readable(_ arguments: [String]) -> [String] {
        guard arguments.first == configuration.commandName, !arguments.contains("--"),
            let number = arguments.firstIndex(where: { $0.hasPrefix("-") && Int($0) != nil })
        else { return arguments }
        var rest = arguments
        rest.remove(at: number)
        return rest + ["--", arguments[number]]
    }

    func validate() throws {
        guard SweepStanding.priorities.contains(priority) else {
            let (low, high) = (SweepStanding.priorities.lowerBound, SweepStanding.priorities.upperBound)
            throw ValidationError("the priority must be in \(low)…\(high), not \(priority)")
        }
    }

    func run() throws {
        let reply = try options.tell { try $0.order(OrderRequest(.priority, sweep, priority: priority)) }
        if options.output.json { return try Output.json(reply) }
        Output.line("\(sweep) has priority \(priority)")
    }
}
