import ZeroMQ

/// Looks at a new coordinator's addresses before anything is made for it: a start that fails by its address is to leave
/// no store behind.
enum FreePorts {
    /// Listens at both addresses for a moment. Another program may still take one in between; then there is a store
    /// without tasks, and the next start uses it.
    /// - Parameter blob: nil if it follows from `control`.
    /// - Throws: as the coordinator would that listens there.
    static func require(_ control: BindAddress, blob: BindAddress?) throws(CoordinatorServiceError) {
        // A context of its own waits at its end until the ports are free again.
        let context: ZMQContext
        do { context = try ZMQContext() } catch { throw .socket(error.description) }
        let first = try listen(at: control, isDerived: false, context)
        let follower = control.blob(besideBound: BindAddress.port(ofBound: first.endpoint))
        let second = try listen(at: blob ?? follower, isDerived: blob == nil, context)
        withExtendedLifetime((first, second)) {}
    }

    /// Listens as long as it lives.
    private final class Listener {
        let socket: Socket
        let endpoint: String

        init(_ address: BindAddress, _ context: ZMQContext) throws(ZMQError) {
            socket = try Socket(.router, context: context)
            endpoint = try socket.bind(address.text)
        }
    }

    private static func listen(
        at address: BindAddress, isDerived: Bool, _ context: ZMQContext
    ) throws(CoordinatorServiceError) -> Listener {
        do { return try Listener(address, context) } catch {
            throw CoordinatorServiceError(error, listeningAt: address, isDerived: isDerived)
        }
    }
}
