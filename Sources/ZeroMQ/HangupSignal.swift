import Glibc
import Synchronization

/// SIGHUP as something a `Poller` can wait for: the wish that a running process reads its settings again. While this
/// value lives, SIGHUP does not end the process.
public final class HangupSignal: Sendable {
    public let doorbell: Doorbell

    // What the handler may touch: it cannot capture. Set before the handler is installed.
    private static let descriptor = Atomic<Int32>(-1)

    public init() throws(ZMQError) {
        doorbell = try Doorbell()
        HangupSignal.descriptor.store(doorbell.descriptor, ordering: .sequentiallyConsistent)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in
            let error = errno
            var one: UInt64 = 1
            _ = write(HangupSignal.descriptor.load(ordering: .sequentiallyConsistent), &one, 8)
            errno = error
        }
        action.sa_flags = SA_RESTART
        sigaction(SIGHUP, &action, nil)
    }

    deinit { Glibc.signal(SIGHUP, SIG_DFL) }
}
