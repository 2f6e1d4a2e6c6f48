import CZeroMQ
import Synchronization

/// The I/O threads that carry a process's sockets; one per process suffices. It closes once its last socket has.
public final class ZMQContext: Sendable {
    // libzmq documents contexts as thread-safe, and the pointer never changes.
    nonisolated(unsafe) let handle: UnsafeMutableRawPointer
    private let isClosed = Atomic(false)

    /// - Parameters:
    ///   - ioThreads: threads that read and write the network; one carries about a gigabyte a second.
    ///   - maximumSockets: limit on sockets open at once.
    public init(ioThreads: Int = 1, maximumSockets: Int = 1023) throws(ZMQError) {
        guard let handle = zmq_ctx_new() else { throw ZMQError.last }
        self.handle = handle
        try check(zmq_ctx_set(handle, ZMQ_IO_THREADS, Int32(ioThreads)))
        try check(zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, Int32(maximumSockets)))
    }

    /// Blocks until what its sockets had accepted for sending when they closed has left, or the time they were given
    /// for it is over (`Socket.close`). A process that ends without it takes the last messages with it.
    ///
    /// - Precondition: all its sockets are closed, or it waits for them for ever; none is made later.
    public func close() {
        guard isClosed.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else { return }
        // A signal may interrupt it.
        while zmq_ctx_term(handle) == -1 && zmq_errno() == EINTR {}
    }

    // Sockets hold the context, so none is open here.
    deinit { close() }
}
