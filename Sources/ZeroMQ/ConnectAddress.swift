/// Where something listens, as a user names it to connect: `tcp://host:port`.
public struct ConnectAddress: Hashable, Sendable {
    public let text: String
    /// As ZeroMQ writes it: `127.0.0.1`, `[::1]`, `node7`.
    public let host: String
    public let port: Int

    /// Looks at the form alone; that there is such a host shows with the first connection.
    public init(_ text: String) throws(BadAddress) {
        guard text.hasPrefix("tcp://") else { throw BadAddress(text, "it does not begin with tcp://") }
        let rest = text.dropFirst("tcp://".count)
        guard let colon = rest.lastIndex(of: ":"), rest[colon...].last != "]" else {
            throw BadAddress(text, "it has no port")
        }
        guard colon > rest.startIndex else { throw BadAddress(text, "it has no host") }
        guard let port = Int(rest[rest.index(after: colon)...]), (1...65_535).contains(port) else {
            throw BadAddress(text, "its port is not a number from 1 to 65535")
        }
        self.text = text
        host = String(rest[..<colon])
        self.port = port
    }

    /// Another port of the same host.
    public func with(port: Int) -> String { "tcp://\(host):\(port)" }
}

/// What is no address to connect to, as one sentence with the form that one has.
public struct BadAddress: Error, Hashable, Sendable, CustomStringConvertible {
    public let text: String
    public let reason: String

    public init(_ text: String, _ reason: String) {
        self.text = text
        self.reason = reason
    }

    public var description: String {
        "“\(text)” is no coordinator's address (\(reason)); write it as tcp://127.0.0.1:5570, as `tombola serve` prints it"
    }
}
