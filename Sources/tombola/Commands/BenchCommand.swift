import ArgumentParser

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure this machine.",
        subcommands: [
            BenchTrainCommand.self, BenchKernelsCommand.self, BenchTasksCommand.self, BenchSweepCommand.self,
            BenchTasksWorkerCommand.self, BenchIdleWorkersCommand.self,
        ])
}
