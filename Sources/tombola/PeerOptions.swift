import ArgumentParser
import Foundation
import Keys
import ZeroMQ

/// How a worker or client protects what it says to a coordinator.
struct PeerOptions: ParsableArguments {
    @Option(help: "The key file that was made for this machine at the coordinator (TOMBOLA_KEY).")
    var key: String?

    @Flag(help: "Talk without a key, in the clear, also to another machine, and ignore TOMBOLA_KEY.")
    var insecure = false

    func validate() throws {
        if key != nil, insecure { throw ValidationError("give either --key or --insecure, not both") }
    }

    /// What to connect to `endpoint` with. Other machines are not talked to in the clear unless that is asked for.
    /// - Parameter role: what the key must be for.
    func security(for endpoint: String, as role: Role) throws -> SocketSecurity {
        // What is no address is no other machine's either.
        _ = try ConnectAddress(endpoint)
        if insecure {
            if !Loopback.contains(endpoint: endpoint) {
                Insecure.warn("whoever is on the way to \(endpoint) can read and change it")
            }
            return .plain
        }
        if let path = Environment.setting(key, "KEY") {
            guard Curve.isAvailable else { throw KeyError.noCurve }
            let file = try KeyFile(path: path)
            guard file.role == role else {
                throw Failure(
                    .usage,
                    "\(path) is a \(file.role.rawValue)'s key, and this takes a \(role.rawValue)'s: have one made "
                        + "at the coordinator with `tombola keys generate NAME --role \(role.rawValue)`")
            }
            return file.security
        }
        guard Loopback.contains(endpoint: endpoint) else {
            throw Failure(
                .usage,
                "\(endpoint) is another machine, and there is no key to talk to it with: have one made there with "
                    + "`tombola keys generate NAME --role \(role.rawValue)` and name it with --key, or say --insecure "
                    + "where every machine on the way is trusted")
        }
        return .plain
    }
}

/// Said where protection was turned off.
enum Insecure {
    static func warn(_ consequence: String) {
        Console.shared.say(Console.shared.ink("INSECURE: no keys, no encryption; \(consequence)", .red))
    }
}
