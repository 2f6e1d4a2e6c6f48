import CZeroMQ

/// The I/O threads that carry a process's sockets; one per process suffices. It closes once its last socket has.
public final class ZMQContext: Sendable {
    // libzmq documents contexts as thread-safe, and the pointer never changes.
    nonisolated(unsafe) let handle: UnsafeMutableRawPointer

    /// - Parameters:
    ///   - ioThreads: threads that read and write the network; one carries about a gigabyte a second.
    ///   - maximumSockets: limit on sockets open at once.
    public init(ioThreads: Int = 1, maximumSockets: Int = 1023) throws(ZMQError) {
        guard let handle = zmq_ctx_new() else { throw ZMQError.last }
        self.handle = handle
        try check(zmq_ctx_set(handle, ZMQ_IO_THREADS, Int32(ioThreads)))
        try check(zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, Int32(maximumSockets)))
    }

    deinit {
        // Sockets hold the context, so none is open here and this cannot block; a signal may interrupt it.
        while zmq_ctx_term(handle) == -1 && zmq_errno() == EINTR {}
    }
}
