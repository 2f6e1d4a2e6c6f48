import ArgumentParser
import Glibc

struct Tombola: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tombola",
        abstract: "Sweeps that search for winning lottery tickets, on one machine or many.",
        discussion: """
            Results go to standard output, everything else to standard error. Settings: flags over TOMBOLA_* variables over the \
            spec over defaults; the variable of --store is TOMBOLA_STORE, and so on.

            Exit status: 0 ok, 1 infrastructure, 2 usage or spec, 3 some tasks failed.
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(name: "One machine", subcommands: [PlanCommand.self, RunCommand.self]),
            CommandGroup(
                name: "Many machines",
                subcommands: [
                    ServeCommand.self, WorkerCommand.self, SubmitCommand.self, StatusCommand.self, WatchCommand.self,
                    KeysCommand.self,
                ]),
            CommandGroup(
                name: "A sweep under way",
                subcommands: [
                    ExplainCommand.self, PauseCommand.self, ResumeCommand.self, StopCommand.self, CancelCommand.self,
                    RetryCommand.self, ExtendCommand.self, PriorityCommand.self,
                ]),
            CommandGroup(
                name: "Results",
                subcommands: [
                    LeaderboardCommand.self, AtlasCommand.self, ContrastCommand.self, TicketCommand.self,
                    ExportCommand.self, BundleCommand.self, VerifyCommand.self,
                ]),
            CommandGroup(
                name: "This machine",
                subcommands: [
                    DoctorCommand.self, StoreCommand.self, DataCommand.self, BenchCommand.self, SimulateCommand.self,
                    SlotCommand.self,
                ]),
        ])
}

/// Entry point: parses, runs, and turns whatever was thrown into one sentence and an exit status.
@main
enum Main {
    static func main() {
        // A reader that goes away must not kill a coordinator; writes report it.
        signal(SIGPIPE, SIG_IGN)
        // Whoever started us may have these blocked, as threads of a pool do, and we end in order by them.
        var stops = sigset_t()
        sigemptyset(&stops)
        sigaddset(&stops, SIGINT)
        sigaddset(&stops, SIGTERM)
        sigaddset(&stops, SIGHUP)
        pthread_sigmask(SIG_UNBLOCK, &stops, nil)
        do {
            var command = try Tombola.parseAsRoot(PriorityCommand.readable(Array(CommandLine.arguments.dropFirst())))
            try Environment.checkInstructionSet()
            try command.run()
            end(.ok)
        } catch {
            let failure = Failure(error)
            if !failure.message.isEmpty {
                (failure.status == .ok ? Terminal.output : Terminal.error).write(failure.message + "\n")
            }
            end(failure.status)
        }
    }

    /// Ends the process without running what libraries registered for its end: their threads may still be at work, all
    /// that matters is on disk by now, and a command must not hang after its last word.
    private static func end(_ status: ExitStatus) -> Never {
        fflush(nil)
        _exit(status.code)
    }
}
