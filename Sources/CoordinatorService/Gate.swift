import Coordination
import Keys
import Logging
import Synchronization
import Wire
import ZeroMQ

/// Who may come in and say what. Shared by the authentication handler, which asks it about connections, and by the
/// threads of the control and the blob socket, which ask it about every message: a connection outlives its key's place
/// on the list.
final class Gate: Sendable {
    /// What a sender may not do, in a sentence for it.
    struct Refusal {
        var reason: String
    }

    /// How the server sockets are made.
    let security: SocketSecurity
    private let folder: KeyFolder?
    private let list: Mutex<AllowList>
    private let logger: Logger
    private let refusals = Mutex(RateLimit())

    /// - Throws: `unprotected` for addresses that others can reach without protection; `keys`.
    init(_ protection: Protection, for addresses: [BindAddress], logger: Logger) throws(CoordinatorServiceError) {
        self.logger = logger
        switch protection {
        case .loopback, .none:
            if case .loopback = protection, let open = addresses.first(where: { !$0.isLoopback }) {
                throw .unprotected(open.text)
            }
            security = .plain
            folder = nil
            list = Mutex(AllowList())
        case .keys(let keys):
            guard Curve.isAvailable else { throw .keys(.noCurve) }
            do throws(KeyError) {
                security = .curveServer(try keys.serverPair())
                list = Mutex(try keys.allowList())
            } catch { throw .keys(error) }
            folder = keys
        }
    }

    /// Nil where there are no keys to ask for.
    func makeHandler(_ context: ZMQContext) throws(ZMQError) -> AuthenticationHandler? {
        guard folder != nil else { return nil }
        return try AuthenticationHandler(context: context) { [self] request in admits(request) }
    }

    /// Reads the allow-list again. If it cannot be read, the one in use stays.
    func reload() {
        guard let folder else {
            return logger.warning("SIGHUP: this coordinator uses no keys, so there is no allow-list to read again")
        }
        do {
            let fresh = try folder.allowList()
            list.withLock { $0 = fresh }
            logger.notice("the allow-list was read again: keys that may come in: \(fresh.entries.count)")
        } catch {
            logger.error("the allow-list stays as it was, because the new one cannot be read: \(error)")
        }
    }

    /// How many keys may come in; nil without keys.
    var keyCount: Int? { folder == nil ? nil : list.withLock { $0.entries.count } }

    /// Why a sender may not say what only `role` may; nil if it may.
    /// - Parameter sender: nil where the connection was not asked for a key.
    func refusal(of sender: CurvePublicKey?, actingAs role: Role) -> Refusal? {
        guard folder != nil else { return nil }
        guard let sender, let entry = list.withLock({ $0[sender] }) else { return Gate.unknown(sender) }
        guard entry.role != role else { return nil }
        return Refusal(
            reason: "the key “\(entry.name)” has the role \(entry.role.rawValue), and this takes a \(role.rawValue)'s: "
                + "make one at the coordinator with `tombola keys generate NAME --role \(role.rawValue)`")
    }

    private static func unknown(_ sender: CurvePublicKey?) -> Refusal {
        Refusal(
            reason:
                "the key \(sender.map { "\($0) " } ?? "")is not authorised any more; `tombola keys authorize` at the "
                + "coordinator lets it in")
    }

    private func admits(_ request: AuthenticationRequest) -> Bool {
        if list.withLock({ $0[request.publicKey] }) != nil { return true }
        let count = refusals.withLock { $0.admit(at: Instant(milliseconds: MonotonicClock.milliseconds)) }
        if let count {
            logger.warning(
                """
                refused an unknown key from \(request.address) (\(count) so far); to let it in: tombola keys \
                authorize --name NAME --role ROLE -- '\(request.publicKey)', then SIGHUP
                """)
        }
        return false
    }
}
