import CZeroMQ

/// One frame, owned by one variable, so that it can be neither closed twice nor used after it was sent.
public struct Message: ~Copyable {
    var raw = zmq_msg_t()

    /// An empty frame, to receive into.
    public init() { zmq_msg_init(&raw) }

    /// A frame with a copy of `bytes`. Throws if there is no memory.
    public init(_ bytes: [UInt8]) throws(ZMQError) {
        try check(zmq_msg_init_size(&raw, bytes.count))
        guard !bytes.isEmpty else { return }
        withUnsafeMutablePointer(to: &raw) { message in
            bytes.withUnsafeBytes { zmq_msg_data(message)!.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        }
    }

    /// A copy of its bytes.
    public var bytes: [UInt8] { mutating get { withBytes { Array($0) } } }

    public var count: Int { mutating get { zmq_msg_size(&raw) } }

    /// Whether another frame of the same message follows.
    public var hasMore: Bool { mutating get { zmq_msg_more(&raw) != 0 } }

    /// What libzmq knows of the connection a received frame came by, such as its `User-Id`; nil for what it does not
    /// know.
    mutating func property(_ name: String) -> String? { zmq_msg_gets(&raw, name).map { String(cString: $0) } }

    /// Calls `body` with its bytes, which are valid until `body` returns: libzmq keeps up to 33 bytes inside the
    /// message itself, so that their address moves with the variable.
    public mutating func withBytes<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        try withUnsafeMutablePointer(to: &raw) { message in
            try body(UnsafeRawBufferPointer(start: zmq_msg_data(message), count: zmq_msg_size(message)))
        }
    }

    deinit {
        var raw = raw
        zmq_msg_close(&raw)
    }
}
