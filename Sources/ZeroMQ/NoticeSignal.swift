import Glibc
import Synchronization

/// A signal that asks a running process for something, as a bell that a `Poller` can wait for. While this value lives,
/// the signal does not end the process.
public final class NoticeSignal: Sendable {
    public enum Kind: Sendable {
        /// SIGHUP: read the settings again.
        case hangup
        /// SIGUSR1: the machine will soon be taken away, as batch systems say it (`sbatch --signal`).
        case preemption

        var number: Int32 {
            switch self {
            case .hangup: SIGHUP
            case .preemption: SIGUSR1
            }
        }
    }

    public let doorbell: Doorbell
    private let kind: Kind

    // What the handler may touch: it cannot capture. Set before the handler is installed.
    private static let hangup = Atomic<Int32>(-1)
    private static let preemption = Atomic<Int32>(-1)

    /// At most one of each kind lives at a time.
    public init(_ kind: Kind) throws(ZMQError) {
        doorbell = try Doorbell()
        self.kind = kind
        switch kind {
        case .hangup: NoticeSignal.hangup.store(doorbell.descriptor, ordering: .sequentiallyConsistent)
        case .preemption: NoticeSignal.preemption.store(doorbell.descriptor, ordering: .sequentiallyConsistent)
        }
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            let error = errno
            var one: UInt64 = 1
            let descriptor =
                number == SIGHUP
                ? NoticeSignal.hangup.load(ordering: .sequentiallyConsistent)
                : NoticeSignal.preemption.load(ordering: .sequentiallyConsistent)
            _ = write(descriptor, &one, 8)
            errno = error
        }
        action.sa_flags = SA_RESTART
        sigaction(kind.number, &action, nil)
        // Whoever started this process may have had it blocked, which is inherited.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, kind.number)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    deinit { Glibc.signal(kind.number, SIG_DFL) }
}
