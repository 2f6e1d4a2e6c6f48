import CZeroMQ

/// A ZeroMQ socket. It has one owner, belongs to the thread that made it for life, and is closed with its owner.
///
/// It never blocks: `send` and `receive` answer at once, and waiting is the `Poller`'s.
public struct Socket: ~Copyable {
    public enum Kind: Sendable {
        /// Talks with many peers; the first frame of every message is the routing id of its peer's connection.
        case router
        /// Talks with the one peer it is connected to.
        case dealer
    }

    /// More frames than any message of ours has.
    public static let frameLimit = 8

    let handle: UnsafeMutableRawPointer
    // Sockets must close before their context.
    private let context: ZMQContext
    private var monitor: HandshakeMonitor?

    /// - Parameter tellsHandshakes: `nextHandshake` answers. For sockets that connect.
    public init(
        _ kind: Kind, options: SocketOptions = SocketOptions(), tellsHandshakes: Bool = false, context: ZMQContext
    ) throws(ZMQError) {
        let handle = try Socket.open(kind, options, context)
        do throws(ZMQError) {
            monitor = tellsHandshakes ? try HandshakeMonitor(of: handle, options: options, context: context) : nil
        } catch {
            zmq_close(handle)
            throw error
        }
        self.handle = handle
        self.context = context
    }

    deinit {
        if monitor != nil { HandshakeMonitor.end(of: handle) }
        zmq_close(handle)
    }

    /// Listens at `endpoint` and returns it as it came to be: `tcp://127.0.0.1:*` gets a free port.
    ///
    /// Throws `addressInUse` and its like.
    public borrowing func bind(_ endpoint: String) throws(ZMQError) -> String {
        try allowIPv6(for: endpoint)
        try check(zmq_bind(handle, endpoint))
        var text = [CChar](repeating: 0, count: 1024)
        var count = text.count
        try check(zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &count))
        return String(decoding: text.prefix(while: { $0 != 0 }).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Stops listening at what `bind` returned. Connections that are there stay.
    public borrowing func unbind(_ endpoint: String) throws(ZMQError) { try check(zmq_unbind(handle, endpoint)) }

    /// Begins to connect, in the background and again after each loss. Throws only if `endpoint` cannot be read.
    public borrowing func connect(_ endpoint: String) throws(ZMQError) {
        try allowIPv6(for: endpoint)
        try check(zmq_connect(handle, endpoint))
    }

    /// Only for an address in brackets: a socket that allows IPv6 reports an IPv4 address it is bound to as a mapped
    /// one.
    private borrowing func allowIPv6(for endpoint: String) throws(ZMQError) {
        var value: Int32 = endpoint.contains("[") ? 1 : 0
        try check(zmq_setsockopt(handle, ZMQ_IPV6, &value, MemoryLayout<Int32>.size))
    }

    /// Closes after what was accepted for sending has left, or after `milliseconds`: an orderly goodbye. Returns at
    /// once; `ZMQContext.close` waits for it.
    public consuming func close(lingerMilliseconds milliseconds: Int) {
        var value = Int32(milliseconds)
        // The option exists and the value is in its range, so it cannot fail; if it did, the goodbye would be lost,
        // which leases repair.
        _ = zmq_setsockopt(handle, ZMQ_LINGER, &value, MemoryLayout<Int32>.size)
    }

    /// How the next attempt to be let in ended, or that the connection has broken since; nil if there is nothing new.
    /// - Precondition: the socket was made to tell handshakes.
    public mutating func nextHandshake() throws(ZMQError) -> Handshake? {
        try monitor!.next()
    }

    /// What `nextHandshake` reads.
    var monitorHandle: UnsafeMutableRawPointer {
        switch monitor {
        case .some(let monitor): monitor.handle
        case nil: preconditionFailure("this socket does not tell handshakes")
        }
    }

    /// Sends the frames as one message. False if the peer's queue is full: then nothing was sent.
    ///
    /// Throws `hostUnreachable` from a router whose peer is gone.
    /// - Precondition: at least one frame, none above the peer's `maximumFrameBytes` (it would drop the connection).
    public borrowing func send(_ frames: [[UInt8]]) throws(ZMQError) -> Bool {
        precondition(!frames.isEmpty, "a message has at least one frame")
        for (index, frame) in frames.enumerated() {
            var message = try Message(frame)
            // A full queue later than at the first frame takes the frames before it back, so false always means:
            // nothing sent.
            guard try send(&message, more: index < frames.count - 1) else { return false }
        }
        return true
    }

    /// The frames of the next message, or nil if none is here yet.
    ///
    /// At most `limit` + 1 frames are returned; the rest of a longer message is dropped, and its count shows that it
    /// was too long.
    public borrowing func receive(limit: Int = Socket.frameLimit) throws(ZMQError) -> [[UInt8]]? {
        var message = Message()
        return try receive(into: &message, limit)
    }

    /// As `receive`, and the key that the sender's connection was let in with; nil where the socket is no CURVE server.
    public borrowing func receiveWithSender(
        limit: Int = Socket.frameLimit
    ) throws(ZMQError) -> (frames: [[UInt8]], sender: CurvePublicKey?)? {
        var message = Message()
        guard let frames = try receive(into: &message, limit) else { return nil }
        // Every frame carries what the authentication handler said of its connection.
        return (frames, message.property("User-Id").flatMap { CurvePublicKey($0) })
    }

    /// The frames of the next message, whose last one is left in `message`.
    private borrowing func receive(into message: inout Message, _ limit: Int) throws(ZMQError) -> [[UInt8]]? {
        guard try receiveNow(&message, from: handle) else { return nil }
        var frames = [message.bytes]
        while message.hasMore {
            // The frames of a message arrive together.
            guard try receiveNow(&message, from: handle) else { break }
            if frames.count <= limit { frames.append(message.bytes) }
        }
        return frames
    }

    private borrowing func send(_ message: inout Message, more: Bool) throws(ZMQError) -> Bool {
        while zmq_msg_send(&message.raw, handle, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) == -1 {
            let error = ZMQError.last
            switch error.code {
            case EINTR: continue
            case EAGAIN: return false
            default: throw error
            }
        }
        return true
    }

    private static func open(
        _ kind: Kind, _ options: SocketOptions, _ context: ZMQContext
    ) throws(ZMQError) -> UnsafeMutableRawPointer {
        let type =
            switch kind {
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            }
        guard let handle = zmq_socket(context.handle, type) else { throw ZMQError.last }
        var settings = [
            (ZMQ_LINGER, 0),
            (ZMQ_SNDHWM, options.queuedMessages),
            (ZMQ_RCVHWM, options.unreadMessages),
            (ZMQ_HANDSHAKE_IVL, options.handshakeMilliseconds),
            (ZMQ_TCP_KEEPALIVE, 1),
            (ZMQ_TCP_KEEPALIVE_IDLE, options.keepAliveSeconds),
            (ZMQ_TCP_KEEPALIVE_INTVL, options.keepAliveSeconds),
            (ZMQ_RECONNECT_IVL, options.reconnectMilliseconds.lowerBound),
            (ZMQ_RECONNECT_IVL_MAX, options.reconnectMilliseconds.upperBound),
        ]
        if kind == .router { settings.append((ZMQ_ROUTER_MANDATORY, 1)) }
        do throws(ZMQError) {
            for (option, value) in settings {
                var value = Int32(value)
                try check(zmq_setsockopt(handle, option, &value, MemoryLayout<Int32>.size))
            }
            var maximum = Int64(options.maximumFrameBytes)
            try check(zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &maximum, MemoryLayout<Int64>.size))
            try options.security.apply(to: handle)
        } catch {
            zmq_close(handle)
            throw error
        }
        return handle
    }
}

/// What differs between sockets. Always so: routing ids are drawn by the router, sends to a lost peer fail
/// (ROUTER_MANDATORY), closing drops what was not sent (LINGER 0: leases and resends repair that).
public struct SocketOptions: Sendable {
    /// Messages that may wait to be sent, per peer.
    public var queuedMessages = 1_000
    /// Messages that may have come and wait to be received, per peer.
    public var unreadMessages = 1_000
    /// A peer that sends a larger frame is disconnected.
    public var maximumFrameBytes = 2 * 1024 * 1024
    /// A peer that has not finished ZeroMQ's greeting by then is disconnected.
    public var handshakeMilliseconds = 10_000
    /// Silence after which TCP asks whether the peer's machine is still there, and how often it asks again.
    public var keepAliveSeconds = 30
    /// Waits between attempts to connect: the first, doubled up to the last.
    public var reconnectMilliseconds = 100...2_000
    public var security = SocketSecurity.plain

    public init() {}
}

/// Receives one frame into `message`. False if none is here.
func receiveNow(_ message: inout Message, from handle: UnsafeMutableRawPointer) throws(ZMQError) -> Bool {
    while zmq_msg_recv(&message.raw, handle, ZMQ_DONTWAIT) == -1 {
        let error = ZMQError.last
        switch error.code {
        case EINTR: continue
        case EAGAIN: return false
        default: throw error
        }
    }
    return true
}
