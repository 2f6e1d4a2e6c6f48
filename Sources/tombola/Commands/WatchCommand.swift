import ArgumentParser
import Client
import Coordination
import CoordinatorService
import ZeroMQ

struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Follow a coordinator's sweeps until they are done.",
        discussion: """
            Ctrl-C ends the watching only. A coordinator that goes away is waited for until it is back, or until Ctrl-C; that of a \
            `tombola run`, which ends with its sweep, for a few seconds. With --json, each look is one JSON object.
            """)

    @Option(help: "The coordinator's address (TOMBOLA_CONNECT; default: \(ServeCommand.defaultAddress)).")
    var connect: String?

    @OptionGroup var peer: PeerOptions
    @OptionGroup var output: OutputOptions

    private static let lookMilliseconds: Int64 = 500

    func run() throws {
        let endpoint = Environment.setting(connect, "CONNECT") ?? ServeCommand.defaultAddress
        let signals = try StopSignals()
        let coordinator = WatchedCoordinator(
            try RemoteCoordinator(endpoint, peer, interrupt: signals.doorbell), at: endpoint, signals)
        var reporter = ProgressReporter()
        defer { reporter.end() }
        while let status = try coordinator.status(whenGone: { reporter.end() }) {
            if output.json {
                try Output.json(status)
            } else {
                reporter.show(Progress(status), at: monotonicSeconds(), isFinal: status.isSettled)
            }
            if status.isSettled {
                reporter.end()
                guard status.tasks.faulty == 0 else {
                    throw Failure(
                        .tasksFailed, "\(OrderText.tasks(status.tasks.faulty)) failed; `tombola status` says why")
                }
                return
            }
            try signals.wait(milliseconds: WatchCommand.lookMilliseconds)
        }
    }
}

/// A coordinator that may go away between two looks, and come back: only one that never answered is an error.
private final class WatchedCoordinator {
    /// Between two tries; the first, which doubles up to the last.
    private static let retryMilliseconds: ClosedRange<Int64> = 500...8_000

    private let coordinator: RemoteCoordinator
    private let endpoint: String
    private let signals: StopSignals
    /// Whose sweeps are watched: that of the first answer.
    private var store: StoreID?
    private var endsWhenDone = false

    init(_ coordinator: RemoteCoordinator, at endpoint: String, _ signals: StopSignals) {
        self.coordinator = coordinator
        self.endpoint = endpoint
        self.signals = signals
    }

    /// Its next answer, however long that takes once it has answered; nil after Ctrl-C.
    /// - Parameter whenGone: called before it is said that nobody answers.
    func status(whenGone: () -> Void) throws -> ServiceStatus? {
        let asked = monotonicSeconds()
        var retry = WatchedCoordinator.retryMilliseconds.lowerBound
        var isGone = false
        while signals.signal == nil {
            do {
                let status = try coordinator.status()
                if isGone {
                    let seconds = Format.duration(seconds: monotonicSeconds() - asked)
                    Console.shared.say("the coordinator at \(endpoint) is back after \(seconds)")
                }
                guard store == nil || store == status.store else {
                    whenGone()
                    throw Failure(
                        .infrastructure,
                        "another store's coordinator answers at \(endpoint) now; what was watched goes on once its own is back"
                    )
                }
                store = status.store
                endsWhenDone = status.endsWhenDone
                return status
            } catch ClientError.interrupted {
                return nil
            } catch let error as ClientError where store != nil && error.mayPass {
                guard !endsWhenDone else {
                    whenGone()
                    throw Failure(
                        .infrastructure,
                        "the `tombola run` at \(endpoint) has ended, or was ended, between two looks; what came of it is in its store, "
                            + "and the same `tombola run` goes on with it")
                }
                if !isGone {
                    whenGone()
                    Console.shared.say(
                        "no coordinator answers at \(endpoint) any more; this waits until it is back, and Ctrl-C ends the waiting"
                    )
                }
                isGone = true
                try signals.wait(milliseconds: retry)
                retry = min(2 * retry, WatchedCoordinator.retryMilliseconds.upperBound)
                try coordinator.reconnect()
            }
        }
        return nil
    }
}

extension ClientError {
    /// Whether a coordinator that is started again, or a network that is mended, would answer.
    fileprivate var mayPass: Bool {
        switch self {
        case .noAnswer, .closed, .lost: true
        case .badEndpoint, .interrupted, .notLetIn, .notServed, .refused, .tooLarge, .socket: false
        }
    }
}

extension StopSignals {
    /// Returns after that time, or at once after Ctrl-C or SIGTERM.
    fileprivate func wait(milliseconds: Int64) throws {
        let deadline = MonotonicClock.milliseconds + milliseconds
        while signal == nil, case let left = deadline - MonotonicClock.milliseconds, left > 0 {
            var poller = Poller()
            _ = poller.watch(readable: doorbell.descriptor)
            _ = try poller.wait(milliseconds: left)
        }
    }
}
