import ArgumentParser
import CoordinatorService
import Logging
import Store
import Sweeps
import Training
import WorkerService
import ZeroMQ

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a sweep on this machine, to its leaderboard.",
        discussion: """
            Starts a coordinator and its workers. Whatever ends it – Ctrl-C, a crash, a power cut – the same command goes on where it \
            stopped, and prints the leaderboard at once when nothing is left to do.
            """)

    @Argument(help: "The sweep's YAML file.")
    var spec: String

    @Option(
        help:
            "Worker processes, one training each (TOMBOLA_WORKERS; default: the cores that affinity and cgroup allow).")
    var workers: Int?

    @Flag(help: "Go on with more than a million runs.")
    var yes = false

    @OptionGroup var store: StoreOption
    @OptionGroup var data: DataOption
    @OptionGroup var stall: StallOption
    @OptionGroup var room: RoomOption
    @OptionGroup var retention: RetentionOption
    @OptionGroup var budget: BudgetOption
    @OptionGroup var output: TableOptions
    @OptionGroup var log: LogOptions

    func run() throws {
        let logLevel = try log.start(default: .notice)
        let count = try Environment.setting(workers, "WORKERS", in: 1...1_024) ?? UsableCores.count
        let request = SubmitRequest(file: spec, spec: try SpecFile.read(spec), consents: yes)
        let catalog = data.catalog(store: store.directory)
        // Before anything is made: what is refused leaves no store behind.
        let sweep = try Sweep(
            yaml: request.spec, file: spec, vocabulary: catalog.vocabulary,
            maximumRuns: yes ? Sweep.runsAtMost : Sweep.runsWithoutConsent)
        // Likewise, but for a store of an older version, which is brought up to date first.
        var isChecked = false
        do {
            try check(sweep, catalog)
            isChecked = true
        } catch StoreError.olderSchema {}
        let signals = try StopSignals()

        var configuration = CoordinatorServiceConfiguration(
            storeDirectory: store.directory, vocabulary: catalog.vocabulary, data: catalog.access,
            logger: Logger(label: "coordinator"))
        configuration.exitWhenDone = true
        configuration.interruptedStop = .isForgotten
        try stall.apply(to: &configuration.settings)
        configuration.minimumFreeBytes = try room.bytes()
        configuration.retainsTicketsOnly = try retention.keepsTicketsOnly()
        let coordinator = try CoordinatorService(configuration)
        if !isChecked { try check(sweep, catalog) }
        let submitted = try coordinator.submit(request)
        let exit = try LocalRun(coordinator: coordinator, signals: signals, sweep: submitted.sweep).carryOut(
            workers: (0..<workersNeeded(for: submitted.plan, of: count)).map { number in
                [
                    // Without a key that the environment may name for another coordinator.
                    "worker", "--connect", coordinator.endpoint, "--insecure", "--directory",
                    "\(store.directory)/workers/\(number + 1)",
                    "--name", "local-\(number + 1)", "--slots", "1", "--grace", String(LocalRun.graceSeconds),
                    "--log-level", logLevel.rawValue,
                ]
            })
        let (failedTasks, cancelledTasks): (Int, Int)
        switch exit {
        case .done(let failed, let cancelled): (failedTasks, cancelledTasks) = (failed, cancelled)
        case .stopped: throw Failure(.interrupted(by: signals.signal), "stopped; to go on, run the same command again")
        case .drained(let left):
            throw Failure(
                .infrastructure,
                "stopped by `tombola stop` with \(OrderText.tasks(left)) left; to go on, run the same command again")
        }
        let failures =
            (failedTasks > 0 ? ", \(failedTasks) failed" : "")
            + (cancelledTasks > 0 ? ", \(cancelledTasks) cancelled" : "")
        let sweeps = try StoredSweeps(directory: store.directory, catalog: catalog)
        let plans = try sweeps.records(named: submitted.sweep).map { try sweeps.plan(of: $0) }
        // Results may have asked for more than was submitted.
        let total = try plans.reduce(0) { try $0 + sweeps.isAwaited($1).count { $0 } }
        Console.shared.say(
            "\(submitted.sweep): finished; levels \(Format.count(total - failedTasks - cancelledTasks)) of \(Format.count(total)) done\(failures)"
        )
        try LeaderboardOutput.print(try plans.map(sweeps.leaderboard), output)
        if failedTasks > 0 {
            throw Failure(
                .tasksFailed,
                "\(OrderText.tasks(failedTasks)) failed; `tombola status --store \(store.directory)` says why")
        }
    }

    /// Refuses a sweep of which there is more to do than fits, before anything of it is submitted; and, before a store is
    /// made for it, one that cannot be planned, such as for want of its data.
    private func check(_ sweep: Sweep, _ catalog: DataCatalog) throws {
        let seconds = try budget.seconds()
        guard try seconds != nil || !Store.exists(in: store.directory) else { return }
        let (plan, _) = try StoredSweeps.plan(of: sweep, store: store.directory, catalog: catalog)
        guard let seconds else { return }
        let found = try BudgetOption.plan(seconds, of: plan)
        guard found.fits else {
            throw Failure(
                .usage,
                "\(sweep.name) takes \(plan.isAdaptive ? "at most about" : "about") \(Format.coreTime(seconds: found.seconds)) on this machine, "
                    + "more than --budget gives (\(Format.coreTime(seconds: seconds))); what fits: \(found.whatFits)")
        }
    }

    /// A finished sweep needs none, and an adaptive one may come to ask for more than it does now.
    private func workersNeeded(for plan: PlanSummary, of count: Int) -> Int {
        plan.adaptive == nil || plan.tasksToDo == 0 ? min(count, plan.tasksToDo) : count
    }
}
