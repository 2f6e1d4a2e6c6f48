import CZeroMQ
import Synchronization

/// How an attempt of a connecting socket to be let in ended.
public enum Handshake: Hashable, Sendable {
    case succeeded
    /// The other end's authentication handler refused the key, or could not decide.
    case refused(status: Int)
    /// One end wants keys and the other does not use any.
    case mechanismMismatch
    /// The other end closed the connection amid the handshake: so ends a key that is for another server.
    case closed
    /// There was no handshake to speak of: the other end did not answer in time, or speaks something else.
    case unanswered
    /// The connection that had come about is broken: what was sent over it and not answered will not be.
    case lost
}

/// What libzmq tells of a socket's connections, which the socket itself only tries again.
///
/// libzmq's own thread, which carries every connection of the context, writes these events and waits for whoever reads
/// them: without room, or with nobody at the other end, it waits for ever. So there is always room, and the telling is
/// ended before the reading end closes.
struct HandshakeMonitor: ~Copyable {
    /// Names of the in-process addresses over which libzmq tells.
    private static let count = Atomic<Int>(0)

    let handle: UnsafeMutableRawPointer
    // A context ends once all its sockets are closed, this one too.
    private let context: ZMQContext
    private let answerMilliseconds: Int64
    private var connectedAt: Int64 = 0
    private var isUp = false

    /// - Precondition: `socket` is open and does not connect yet. Its owner calls `end` before it closes either.
    init(of socket: UnsafeMutableRawPointer, options: SocketOptions, context: ZMQContext) throws(ZMQError) {
        let number = HandshakeMonitor.count.wrappingAdd(1, ordering: .relaxed).newValue
        let endpoint = "inproc://handshakes-\(number)"
        let events =
            ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
            | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED
        try check(zmq_socket_monitor(socket, endpoint, Int32(events)))
        do throws(ZMQError) {
            handle = try HandshakeMonitor.open(endpoint, context)
        } catch {
            HandshakeMonitor.end(of: socket)
            throw error
        }
        self.context = context
        // What ends by time ends after this; half leaves room for a busy machine on either side.
        answerMilliseconds = Int64(options.handshakeMilliseconds) / 2
    }

    deinit { zmq_close(handle) }

    /// From here on libzmq tells nothing more of `socket`.
    static func end(of socket: UnsafeMutableRawPointer) {
        // It fails where the context has ended, and then there is nothing to end any more.
        _ = zmq_socket_monitor(socket, nil, 0)
    }

    /// The next handshake that has ended, or nil if none has since the last call. Does not wait.
    mutating func next() throws(ZMQError) -> Handshake? {
        while let event = try receive() {
            if event.kind == ZMQ_EVENT_CONNECTED {
                connectedAt = MonotonicClock.milliseconds
            } else if event.kind == ZMQ_EVENT_DISCONNECTED {
                // A handshake that fails ends so as well.
                guard isUp else { continue }
                isUp = false
                return .lost
            } else if let handshake = handshake(event) {
                isUp = handshake == .succeeded
                return handshake
            }
        }
        return nil
    }

    private static func open(_ endpoint: String, _ context: ZMQContext) throws(ZMQError) -> UnsafeMutableRawPointer {
        guard let handle = zmq_socket(context.handle, ZMQ_PAIR) else { throw ZMQError.last }
        do throws(ZMQError) {
            // Nothing lingers, and any number of events may wait: they are few, some with each attempt to connect.
            for option in [ZMQ_LINGER, ZMQ_RCVHWM] {
                var none: Int32 = 0
                try check(zmq_setsockopt(handle, option, &none, MemoryLayout<Int32>.size))
            }
            try check(zmq_connect(handle, endpoint))
        } catch {
            zmq_close(handle)
            throw error
        }
        return handle
    }

    private func handshake(_ event: Event) -> Handshake? {
        switch Int(event.kind) {
        case Int(ZMQ_EVENT_HANDSHAKE_SUCCEEDED): .succeeded
        case Int(ZMQ_EVENT_HANDSHAKE_FAILED_AUTH): .refused(status: Int(event.value))
        case Int(ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL):
            event.value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH ? .mechanismMismatch : .unanswered
        case Int(ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL):
            MonotonicClock.milliseconds - connectedAt < answerMilliseconds ? .closed : .unanswered
        default: nil
        }
    }

    private struct Event {
        var kind: Int32
        var value: Int
    }

    /// An event is two frames: a number of 16 bits and a value of 32 in this machine's order, and the endpoint.
    private func receive() throws(ZMQError) -> Event? {
        var first = Message()
        guard try receiveNow(&first, from: handle) else { return nil }
        let event = first.withBytes { bytes in
            Event(
                kind: Int32(bytes.loadUnaligned(as: UInt16.self)),
                value: Int(bytes.loadUnaligned(fromByteOffset: 2, as: UInt32.self)))
        }
        var rest = Message()
        while first.hasMore, try receiveNow(&rest, from: handle), rest.hasMore {}
        return event
    }
}
