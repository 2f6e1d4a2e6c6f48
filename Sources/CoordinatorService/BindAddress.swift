import ZeroMQ

/// An address to listen at.
struct BindAddress: Hashable, Sendable {
    /// As ZeroMQ writes it: `127.0.0.1`, `[::1]`, `*` for every address of this machine.
    var host: String
    /// Nil for any free port.
    var port: Int?

    var text: String { "tcp://\(host):\(port.map(String.init) ?? "*")" }

    init(_ text: String) throws(CoordinatorServiceError) {
        guard text.hasPrefix("tcp://") else { throw .badAddress(text, reason: "it does not begin with tcp://") }
        let rest = text.dropFirst("tcp://".count)
        guard let colon = rest.lastIndex(of: ":"), colon > rest.startIndex else {
            throw .badAddress(text, reason: "it has no port")
        }
        let portText = rest[rest.index(after: colon)...]
        if portText == "*" {
            port = nil
        } else {
            guard let number = Int(portText), (1...65_535).contains(number) else {
                throw .badAddress(text, reason: "its port is neither a number from 1 to 65535 nor *")
            }
            port = number
        }
        // ZeroMQ binds to numbers and interfaces only.
        host = rest[..<colon] == "localhost" ? "127.0.0.1" : String(rest[..<colon])
    }

    /// Whether only this machine can reach it.
    var isLoopback: Bool { Loopback.contains(host: host) }

    private static let everyHost: Set = ["*", "0.0.0.0", "[::]"]

    /// Whether one port cannot be listened at by both.
    func overlaps(_ other: BindAddress) -> Bool {
        guard let port, port == other.port else { return false }
        return host == other.host || !BindAddress.everyHost.isDisjoint(with: [host, other.host])
    }

    private init(host: String, port: Int?) {
        self.host = host
        self.port = port
    }

    /// The blob socket's address beside a control socket that came to listen at `port`.
    func blob(besideBound port: Int) -> BindAddress {
        // A port that was free to choose says nothing of the one after it.
        BindAddress(host: host, port: self.port == nil || port == 65_535 ? nil : port + 1)
    }

    /// The port at the end of an endpoint that ZeroMQ has bound.
    static func port(ofBound endpoint: String) -> Int {
        guard let colon = endpoint.lastIndex(of: ":"), let port = Int(endpoint[endpoint.index(after: colon)...]) else {
            preconditionFailure("ZeroMQ bound to “\(endpoint)”, which has no port")
        }
        return port
    }
}
