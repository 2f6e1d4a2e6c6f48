import ZeroMQ

/// Why no connection to a coordinator comes about, and trying again would not help.
public enum ConnectionRefusal: Hashable, Sendable {
    case keyNotAuthorised(CurvePublicKey)
    /// The coordinator's key is not the one that the key file names. (One without keys may look the same: either end
    /// may be the first to see that the other's mechanism is another.)
    case otherCoordinator
    case keyWanted
    case noKeysThere

    /// One sentence, with the remedy.
    public func sentence(about endpoint: String) -> String {
        switch self {
        case .keyNotAuthorised(let key):
            "the key \(key) is not authorised at \(endpoint): run "
                + "`tombola keys authorize --name NAME --role ROLE -- '\(key)'` there, send the coordinator SIGHUP, "
                + "and try again"
        case .otherCoordinator:
            "the coordinator at \(endpoint) ends each connection before it has begun, as one does that this key "
                + "file was not made for or that uses no keys: check the address, or have a key file made there with "
                + "`tombola keys generate`"
        case .keyWanted:
            "the coordinator at \(endpoint) lets in nobody without a key: name a key file with --key, made there with "
                + "`tombola keys generate`"
        case .noKeysThere:
            "the coordinator at \(endpoint) uses no keys, and with a key nothing is said in the clear: have it "
                + "started with `tombola serve --curve`, or leave out --key (and TOMBOLA_KEY)"
        }
    }
}

/// Judges by the handshakes of one peer whether to try on: what may pass by itself is tried again for ever.
public struct ConnectionJudge: Sendable {
    /// A coordinator that dies may close a connection or two amid their handshakes.
    static let closedInARow = 5

    private let security: SocketSecurity
    private var closed = 0
    private var hasSucceeded = false

    public init(_ security: SocketSecurity) { self.security = security }

    /// Whether all that came of connecting so far is that connections were closed. A coordinator that wants keys may
    /// close one before its greeting is read, and so does a tunnel behind which nobody listens yet.
    public var onlyCloses: Bool { closed > 0 && !hasSucceeded }

    /// Nil: it is worth trying on.
    public mutating func judge(_ handshake: Handshake) -> ConnectionRefusal? {
        switch (handshake, security) {
        case (.succeeded, _):
            closed = 0
            hasSucceeded = true
        case (.refused(status: 400), .curveClient(let pair, _)): return .keyNotAuthorised(pair.publicKey)
        case (.mechanismMismatch, .curveClient): return .noKeysThere
        case (.mechanismMismatch, .plain): return .keyWanted
        case (.closed, .plain): closed += 1
        case (.closed, .curveClient):
            closed += 1
            // Where it once came in, what ends its connections now is not the key: a tunnel without a coordinator, say.
            if closed >= ConnectionJudge.closedInARow, !hasSucceeded { return .otherCoordinator }
        // The coordinator could not decide, or did not answer.
        case (.refused, _), (.closed, .curveServer), (.unanswered, _), (.mechanismMismatch, .curveServer), (.lost, _):
            break
        }
        return nil
    }
}
