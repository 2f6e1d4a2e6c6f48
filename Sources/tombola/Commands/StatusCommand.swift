import ArgumentParser
import Coordination
import CoordinatorService
import Lottery

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Say how far a coordinator's sweeps are, and who works on them.",
        discussion: "With --store it reads what is on disk, also without a coordinator.")

    @OptionGroup var store: StoreOption
    @OptionGroup var connect: ConnectOption
    @OptionGroup var peer: PeerOptions
    @OptionGroup var data: DataOption
    @OptionGroup var output: OutputOptions

    func run() throws {
        if let endpoint = try connect.endpoint(besides: store) {
            let status = try RemoteCoordinator(endpoint, peer).status()
            return output.json ? try Output.json(status) : StatusText.print(status)
        }
        let sweeps = try StoredSweeps(directory: store.directory, catalog: data.catalog(store: store.directory))
        let status = try StoreStatus(sweeps)
        if output.json { try Output.json(status) } else { StatusText.print(status) }
    }
}

/// A coordinator's status as tables.
enum StatusText {
    static func print(_ status: ServiceStatus) {
        var lines = [
            (
                "tasks",
                text(status.tasks)
            )
        ]
        lines.append(("steps", "\(Format.count(status.stepsDone)) of \(Format.count(status.stepsTotal))"))
        if let rate = status.stepsPerSecond { lines.append(("rate", "\(Format.count(Int(rate.rounded()))) steps/s")) }
        if status.isDraining { lines.append(("stops", "nothing more is given out; it ends once nothing runs")) }
        if status.isShortOfRoom {
            lines.append(("pauses", "the store's disk is short of room; nothing more is given out until it has some"))
        }
        if let broken = broken(status.contradictedTasks) { lines.append(("broken", broken)) }
        for unmet in status.unmet { lines.append(("unmet", UnmetText.sentence(unmet))) }
        if let left = status.secondsRemaining { lines.append(("left", Format.duration(seconds: left))) }
        Output.facts(lines)

        var sweeps = sweepGrid()
        for sweep in status.sweeps {
            sweeps.append(
                row(
                    sweep.name,
                    state(
                        sweep.levels, mayGrow: sweep.mayGrow, isPaused: sweep.isPaused, isCancelled: sweep.isCancelled,
                        sweep.priority),
                    runs: sweep.runs, levels: sweep.levels, diverged: sweep.diverged,
                    best: sweep.best.flatMap(LeaderboardText.best)))
        }
        Output.line("")
        Output.table(sweeps)
        for sweep in status.sweeps {
            for failure in sweep.failures {
                Output.line("\(sweep.name): task \(failure.task) is \(failure.name): \(failure.reason)")
            }
            if let reason = sweep.growthFailure {
                Output.line(
                    "\(sweep.name): what its results ask for could not be planned, and is tried again: \(reason)")
            }
        }
        for sweep in status.unplanned {
            Output.line(
                "\(sweep.sweep): cannot be planned, and is tried again; its tasks go on, and none are added: \(sweep.reason)"
            )
        }

        var workers = TextGrid([
            .init("worker"), .init("host"), .init("process", .right, dropRank: 1), .init("slots", .right),
            .init("state"),
            .init("trains"),
        ])
        for worker in status.workers {
            let silence = Double(worker.silentMilliseconds) / 1_000
            let (state, colour): (String, Ink.Colour) =
                if !worker.isReachable {
                    ("silent for \(Format.duration(seconds: silence))", .yellow)
                } else if let rest = worker.quarantinedMilliseconds {
                    ("quarantined for \(Format.duration(seconds: Double(rest) / 1_000))", .red)
                } else {
                    ("here", .green)
                }
            let trains = worker.running.map { task in
                "\(task.role.map { "\($0), " } ?? "")\(task.task), at step \(Format.count(task.step)) of \(Format.count(task.firstStep + task.cost))"
            }
            workers.append([
                .init(worker.id.text), .init(worker.host), .init("\(worker.processID)"), .init("\(worker.slots)"),
                .init(state, colour),
                .init(trains.isEmpty ? "nothing" : trains.joined(separator: "; ")),
            ])
        }
        Output.line("")
        if status.workers.isEmpty { Output.line("no workers") } else { Output.table(workers) }
    }

    /// Nil where no results contradict each other.
    static func broken(_ tasks: [TaskKey]) -> String? {
        guard let first = tasks.first else { return nil }
        let count =
            tasks.count == 1 ? "task \(first) gave" : "\(Format.count(tasks.count)) tasks, such as \(first), gave"
        return "\(count) two results that differ: a bug in tombola, or broken hardware; see `tombola explain \(first)`"
    }

    static func print(_ status: StoreStatus) {
        if let broken = broken(status.contradictedTasks) { Output.facts([("broken", broken)]) }
        var sweeps = sweepGrid()
        for sweep in status.sweeps {
            sweeps.append(
                row(
                    sweep.name,
                    state(
                        sweep.levels, mayGrow: false, isPaused: sweep.isPaused, isCancelled: sweep.isCancelled,
                        sweep.priority),
                    runs: sweep.runs, levels: sweep.levels, diverged: sweep.diverged,
                    best: sweep.best.flatMap(LeaderboardText.best)))
        }
        Output.table(sweeps)
        for sweep in status.sweeps {
            for failure in sweep.failures {
                Output.line("\(sweep.name): task \(failure.task) is \(failure.name): \(failure.reason)")
            }
        }
    }

    private static func sweepGrid() -> TextGrid {
        TextGrid([.init("sweep"), .init("state", dropRank: 1), .init("runs"), .init("levels"), .init("best so far")])
    }

    private static func row(
        _ name: String, _ state: String, runs: ServiceStatus.Tally, levels: ServiceStatus.Tally, diverged: Int,
        best: String?
    ) -> [TextGrid.Cell] {
        [
            .init(name, .bold), .init(state, state.hasPrefix("paused") || state.hasPrefix("cancelled") ? .yellow : nil),
            .init(text(runs), runs.failed > 0 ? .red : nil),
            .init(
                text(levels) + (diverged > 0 ? ", \(diverged) of them diverged" : ""), levels.failed > 0 ? .red : nil),
            .init(best ?? "–"),
        ]
    }

    private static func state(
        _ levels: ServiceStatus.Tally, mayGrow: Bool, isPaused: Bool, isCancelled: Bool, _ priority: Int
    ) -> String {
        let isFinished = !mayGrow && levels.done + levels.failed + levels.cancelled == levels.total
        let state = isCancelled ? "cancelled" : isFinished ? "finished" : isPaused ? "paused" : "goes on"
        return priority == 0 ? state : "\(state), priority \(priority)"
    }

    private static func text(_ tally: ServiceStatus.Tally) -> String {
        var text = "\(Format.count(tally.done)) of \(Format.count(tally.total)) done"
        if tally.running > 0 { text += ", \(Format.count(tally.running)) running" }
        if tally.failed > 0 { text += ", \(Format.count(tally.failed)) failed" }
        if tally.cancelled > 0 { text += ", \(Format.count(tally.cancelled)) cancelled" }
        return text
    }

    private static func text(_ counts: CoordinatorStatus.Counts) -> String {
        var text = "\(counts.done) done, \(counts.running) running, \(counts.failed) failed"
        for (count, name) in [
            (counts.quarantined, FailureName.quarantined), (counts.lost, .lost), (counts.cancelled, .cancelled),
        ] where count > 0 {
            text += ", \(count) \(name)"
        }
        return "\(text) of \(counts.total)"
    }
}
