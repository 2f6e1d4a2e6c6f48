import Glibc
import Synchronization

/// SIGINT and SIGTERM, and SIGHUP of a closed terminal, as something a `Poller` can wait for: the first rings the doorbell, a
/// second ends the process at once unless it is SIGHUP.
///
/// Nobody presses SIGHUP twice, but a closed terminal sends it twice (the shell to its jobs, then the kernel to the foreground
/// group as the shell ends), and a login manager sends it after SIGTERM.
///
/// A handler rather than a signalfd, because that needs the signals blocked in every thread, those of libraries
/// included; and because a second Ctrl-C must work even if the loop hangs.
public final class StopSignals: Sendable {
    public let doorbell: Doorbell

    // What the handler may touch: it cannot capture. Both are plain words, set before the handler is installed.
    private static let descriptor = Atomic<Int32>(-1)
    private static let received = Atomic<Int32>(0)

    private let numbers: [Int32]

    /// Installs the handlers, until this value goes.
    /// - Parameter hangup: whether SIGHUP is one of them; ignored it stays (`nohup`).
    public init(hangup: Bool = true) throws(ZMQError) {
        doorbell = try Doorbell()
        StopSignals.received.store(0, ordering: .relaxed)
        StopSignals.descriptor.store(doorbell.descriptor, ordering: .sequentiallyConsistent)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            let isFirst = StopSignals.received.compareExchange(
                expected: 0, desired: number, ordering: .sequentiallyConsistent
            ).exchanged
            guard isFirst else {
                if number != SIGHUP { _exit(128 + number) }
                return
            }
            let error = errno
            var one: UInt64 = 1
            _ = write(StopSignals.descriptor.load(ordering: .sequentiallyConsistent), &one, 8)
            errno = error
        }
        action.sa_flags = SA_RESTART
        var old = sigaction()
        sigaction(SIGHUP, nil, &old)
        let isIgnored = unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self) == 1
        numbers = [SIGINT, SIGTERM] + (hangup && !isIgnored ? [SIGHUP] : [])
        for number in numbers { sigaction(number, &action, nil) }
    }

    deinit {
        for number in numbers { Glibc.signal(number, SIG_DFL) }
    }

    /// The signal that arrived, if one did.
    public var signal: Int32? {
        let number = StopSignals.received.load(ordering: .sequentiallyConsistent)
        return number == 0 ? nil : number
    }
}
