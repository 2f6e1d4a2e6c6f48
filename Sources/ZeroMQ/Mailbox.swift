import CLinux
import Glibc
import Synchronization

/// A file descriptor that any thread can make readable, to wake a `Poller`.
public final class Doorbell: Sendable {
    public let descriptor: Int32

    /// Throws the system's error number if there is no file descriptor left.
    public init() throws(ZMQError) {
        descriptor = linux_eventfd()
        if descriptor == -1 { throw ZMQError(code: errno) }
    }

    deinit { close(descriptor) }

    /// Wakes the waiting thread. Safe in a signal handler.
    public func ring() {
        var one: UInt64 = 1
        // Only EAGAIN is possible besides EINTR: then the counter is full, and the bell is ringing anyway.
        while write(descriptor, &one, 8) == -1 && errno == EINTR {}
    }

    /// Stops the ringing; called by the thread that was woken, before it looks for the reason.
    public func silence() {
        var count: UInt64 = 0
        while read(descriptor, &count, 8) == -1 && errno == EINTR {}
    }
}

/// Values from any thread to the one that polls its doorbell, in the order in which they were posted.
public final class Mailbox<Value: Sendable>: Sendable {
    public let doorbell: Doorbell
    private let values = Mutex<[Value]>([])

    public init() throws(ZMQError) { doorbell = try Doorbell() }

    public func post(_ value: Value) {
        values.withLock { $0.append(value) }
        doorbell.ring()
    }

    /// All values posted since the last call.
    public func takeAll() -> [Value] {
        doorbell.silence()
        return values.withLock { values in
            let taken = values
            values.removeAll()
            return taken
        }
    }
}
