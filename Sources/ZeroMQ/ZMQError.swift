import CZeroMQ
import Glibc

/// What libzmq said, by its error number.
public struct ZMQError: Error, Hashable, Sendable, CustomStringConvertible {
    public let code: Int32

    public init(code: Int32) { self.code = code }

    /// The error of the libzmq call that this thread made last.
    static var last: ZMQError { ZMQError(code: zmq_errno()) }

    /// No route to the peer: a ROUTER with `routerMandatory` was asked to send to a connection that is gone.
    public static let hostUnreachable = ZMQError(code: EHOSTUNREACH)
    /// The port is taken by another socket.
    public static let addressInUse = ZMQError(code: EADDRINUSE)
    /// The address belongs to no interface of this machine.
    public static let addressNotAvailable = ZMQError(code: EADDRNOTAVAIL)
    /// The endpoint could not be read.
    public static let invalid = ZMQError(code: EINVAL)
    /// No more file descriptors, or more sockets than the context allows.
    public static let tooManyOpen = ZMQError(code: EMFILE)
    /// This libzmq was built without what is asked for.
    public static let notSupported = ZMQError(code: ENOTSUP)
    /// The context is being closed.
    public static let terminated = ZMQError(code: ETERM)

    public var description: String { String(cString: zmq_strerror(code)) }
}

/// Returns `status`, or throws the thread's last error if it is −1.
@discardableResult
func check(_ status: Int32) throws(ZMQError) -> Int32 {
    if status == -1 { throw ZMQError.last }
    return status
}
