import ArgumentParser
import CoordinatorService
import Lottery

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what became of a task, or why it is still waiting.",
        discussion: "With its attempts, the last error, and the end of what its process wrote.")

    @Argument(
        help: "The first digits of the task's key, as `tombola status` prints it; a ticket's id is its task's key.")
    var task: String

    @OptionGroup var store: StoreOption
    @OptionGroup var connect: ConnectOption
    @OptionGroup var peer: PeerOptions
    @OptionGroup var data: DataOption
    @OptionGroup var output: OutputOptions

    func run() throws {
        let report: TaskReport
        if let endpoint = try connect.endpoint(besides: store) {
            report = try RemoteCoordinator(endpoint, peer).explain(task)
        } else {
            report = try StoredSweeps(directory: store.directory, catalog: data.catalog(store: store.directory))
                .report(on: task)
        }
        if output.json { try Output.json(report) } else { ExplainText.print(report) }
    }
}
