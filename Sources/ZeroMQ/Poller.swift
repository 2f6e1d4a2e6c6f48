import CZeroMQ

/// Waits until one of several sockets and file descriptors is ready. Build it anew for each wait: watching costs an
/// array element.
public struct Poller {
    /// Names a watched socket or file descriptor in this poller.
    public struct Item: Hashable, Sendable {
        fileprivate var index: Int
    }

    private var items: [zmq_pollitem_t] = []

    public init() {}

    /// Watches for messages to receive.
    /// - Precondition: `socket` outlives the next `wait`.
    public mutating func watch(_ socket: borrowing Socket) -> Item {
        items.append(zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0))
        return Item(index: items.count - 1)
    }

    /// Watches for handshakes that have ended.
    /// - Precondition: `socket` was made to tell them, and outlives the next `wait`.
    public mutating func watch(handshakesOf socket: borrowing Socket) -> Item {
        items.append(zmq_pollitem_t(socket: socket.monitorHandle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0))
        return Item(index: items.count - 1)
    }

    /// Watches a pipe, eventfd or the like for bytes or the end of them.
    public mutating func watch(readable descriptor: Int32) -> Item {
        items.append(zmq_pollitem_t(socket: nil, fd: descriptor, events: Int16(ZMQ_POLLIN | ZMQ_POLLERR), revents: 0))
        return Item(index: items.count - 1)
    }

    /// Watches a pipe for room to write.
    public mutating func watch(writable descriptor: Int32) -> Item {
        items.append(zmq_pollitem_t(socket: nil, fd: descriptor, events: Int16(ZMQ_POLLOUT | ZMQ_POLLERR), revents: 0))
        return Item(index: items.count - 1)
    }

    /// Waits for at most `milliseconds` (nil: for ever) and returns how many items are ready: 0 after the time, or a
    /// signal.
    public mutating func wait(milliseconds: Int64?) throws(ZMQError) -> Int {
        // libzmq computes deadlines in Int; a day is as good as for ever to a caller who looks at its clock again.
        let timeout = milliseconds.map { Int(min(max(0, $0), 86_400_000)) } ?? -1
        let count = items.withUnsafeMutableBufferPointer { zmq_poll($0.baseAddress, Int32($0.count), timeout) }
        if count == -1 {
            let error = ZMQError.last
            if error.code == EINTR {
                // The events of an interrupted wait are undefined.
                for index in items.indices { items[index].revents = 0 }
                return 0
            }
            throw error
        }
        return Int(count)
    }

    /// Whether `item` was ready at the end of the last `wait`.
    public func isReady(_ item: Item) -> Bool { items[item.index].revents != 0 }
}
