import Coordination
import CoordinatorService
import Foundation
import Glibc
import Synchronization
import ZeroMQ

/// One `tombola run`: a coordinator on threads of its own, worker processes, and the progress of both, until all is
/// done or a signal came.
struct LocalRun {
    /// How long workers may take to write checkpoints and say goodbye.
    private static let goodbyeSeconds = 15.0
    /// How long the workers themselves take at most.
    static let graceSeconds = 10
    private static let pollMilliseconds: Int64 = 100

    private let coordinator: CoordinatorService
    private let end: CoordinatorEnd
    private let signals: StopSignals
    private let sweep: String

    private enum Phase {
        case working
        case stopping(since: Double)
        case ending(since: Double, CoordinatorExit)
    }

    init(coordinator: CoordinatorService, signals: StopSignals, sweep: String) throws {
        self.coordinator = coordinator
        self.signals = signals
        self.sweep = sweep
        end = try CoordinatorEnd(of: coordinator)
    }

    /// Starts the workers and returns once they and the coordinator have ended. Call it from the main thread, which
    /// workers must not outlive.
    func carryOut(workers arguments: [[String]]) throws -> CoordinatorExit {
        var workers = try LocalWorkers(arguments)
        var reporter = ProgressReporter()
        defer {
            workers.kill()
            reporter.end()
        }
        var phase = Phase.working
        var aloneSince: Double?
        var hopeless: Failure?
        while true {
            try wait(for: workers)
            let now = monotonicSeconds()
            do { try workers.tend(at: now) { Console.shared.say($0) } } catch {
                coordinator.stop()
                throw error
            }
            show(at: now, in: &reporter)
            switch phase {
            case .working:
                if let exit = try end.result() {
                    phase = .ending(since: now, exit)
                } else if signals.signal != nil {
                    Console.shared.say("stopping: workers write checkpoints; a second Ctrl-C ends this at once")
                    workers.stop()
                    phase = .stopping(since: now)
                } else if let status = coordinator.status, workers.haveJoined(status), let failure = stuck(status) {
                    // Nobody else is to come, so that it would wait for ever.
                    hopeless = failure
                    workers.stop()
                    phase = .stopping(since: now)
                } else if !workers.areGone {
                    aloneSince = nil
                } else if now - (aloneSince ?? now) > LocalRun.goodbyeSeconds {
                    // Someone sent them SIGTERM, which they obey in good order: nobody would ever do the rest.
                    coordinator.stop()
                    throw Failure(
                        .infrastructure,
                        "the workers were stopped by someone else; to go on, run the same command again")
                } else {
                    aloneSince = aloneSince ?? now
                }
            case .stopping(let since):
                // The coordinator stays until they have delivered what they finished.
                if workers.areGone || now - since > LocalRun.goodbyeSeconds { coordinator.stop() }
                if let exit = try end.result() { phase = .ending(since: since, exit) }
            case .ending(let since, let exit):
                guard workers.areGone || now - since > LocalRun.goodbyeSeconds else { break }
                if let hopeless, exit == .stopped { throw hopeless }
                return exit
            }
        }
    }

    /// What is left of the sweep that none of the workers can take; nil if it may go on.
    private func stuck(_ status: ServiceStatus) -> Failure? {
        guard status.isStuck, let own = status.sweeps.first(where: { $0.name == sweep }), !own.isPaused else {
            return nil
        }
        let left = own.levels.total - own.levels.done - own.levels.failed - own.levels.cancelled
        guard left > 0 else { return nil }
        let isMore = left > status.unmet.reduce(0) { $0 + $1.tasks }
        return Failure(
            .infrastructure,
            "\(sweep): \(OrderText.tasks(left)) left, and none that can be trained here: "
                + status.unmet.map(UnmetText.sentence).joined(separator: ", ")
                + (isMore ? ", and the others for those" : "")
                + "; \(UnmetText.remedy(status.unmet)); what is done is kept, and the same command goes on from there")
    }

    private func show(at seconds: Double, in reporter: inout ProgressReporter) {
        guard let status = coordinator.status, status.sweeps.contains(where: { $0.name == sweep }) else { return }
        reporter.show(Progress(status, sweep: sweep), at: seconds)
    }

    private func wait(for workers: LocalWorkers) throws {
        var poller = Poller()
        for descriptor in workers.descriptors { _ = poller.watch(readable: descriptor) }
        if signals.signal == nil { _ = poller.watch(readable: signals.doorbell.descriptor) }
        _ = poller.watch(readable: end.doorbell.descriptor)
        _ = try poller.wait(milliseconds: LocalRun.pollMilliseconds)
        end.doorbell.silence()
    }
}

/// Waits for a coordinator's end on a thread of its own.
private final class CoordinatorEnd: Sendable {
    /// Rings at the end.
    let doorbell: Doorbell
    private let outcome = Mutex<Result<CoordinatorExit, CoordinatorServiceError>?>(nil)

    init(of coordinator: CoordinatorService) throws {
        doorbell = try Doorbell()
        Thread.detachNewThread {
            let result = Result { () throws(CoordinatorServiceError) in try coordinator.run() }
            self.outcome.withLock { $0 = result }
            self.doorbell.ring()
        }
    }

    /// Nil until the end.
    func result() throws(CoordinatorServiceError) -> CoordinatorExit? { try outcome.withLock { $0 }?.get() }
}
