/// Addresses that other machines cannot reach.
public enum Loopback {
    /// Whether a host, as an endpoint names it, is this machine's own: `localhost`, `127.…` or `[::1]`. Anything that
    /// is not surely so is not.
    public static func contains(host: some StringProtocol) -> Bool {
        if host == "localhost" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Whether an endpoint such as `tcp://127.0.0.1:5570` is.
    public static func contains(endpoint: String) -> Bool {
        guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") else { return false }
        return contains(host: endpoint[..<colon].dropFirst("tcp://".count))
    }
}
