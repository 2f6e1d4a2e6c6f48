import ArgumentParser
import Coordination
import CoordinatorService
import ZeroMQ

struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Follow a coordinator's sweeps until they are done.",
        discussion: "Ctrl-C ends the watching only. With --json, each look is one JSON object.")

    @Option(help: "The coordinator's address (TOMBOLA_CONNECT; default: \(ServeCommand.defaultAddress)).")
    var connect: String?

    @OptionGroup var peer: PeerOptions
    @OptionGroup var output: OutputOptions

    private static let lookMilliseconds: Int64 = 500

    func run() throws {
        let endpoint = Environment.setting(connect, "CONNECT") ?? ServeCommand.defaultAddress
        let coordinator = try RemoteCoordinator(endpoint, peer)
        let signals = try StopSignals()
        var reporter = ProgressReporter()
        defer { reporter.end() }
        while signals.signal == nil {
            let status = try coordinator.status()
            if output.json {
                try Output.json(status)
            } else {
                reporter.show(Progress(status), at: monotonicSeconds(), isFinal: status.isSettled)
            }
            if status.isSettled {
                reporter.end()
                guard status.tasks.faulty == 0 else {
                    throw Failure(.tasksFailed, "\(status.tasks.faulty) tasks failed; `tombola status` says why")
                }
                return
            }
            var poller = Poller()
            _ = poller.watch(readable: signals.doorbell.descriptor)
            _ = try poller.wait(milliseconds: WatchCommand.lookMilliseconds)
        }
    }
}
