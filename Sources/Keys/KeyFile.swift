import Glibc
import ZeroMQ

/// The one file that a worker or client needs: its own key pair, and the public key of its coordinator.
///
/// As a file it is lines of a word and its value: `name`, `role`, `server`, `public`, `secret`; lines that are empty or
/// begin with `#` are comments.
public struct KeyFile: Hashable, Sendable {
    public var name: KeyName
    public var role: Role
    public var pair: CurveKeyPair
    /// The coordinator that it is for.
    public var server: CurvePublicKey

    public init(name: KeyName, role: Role, pair: CurveKeyPair, server: CurvePublicKey) {
        self.name = name
        self.role = role
        self.pair = pair
        self.server = server
    }

    /// Reads a file that only its owner may read.
    /// - Throws: `missing`, `exposed`, `foreign`, `damaged`.
    public init(path: String) throws(KeyError) {
        let fields = try KeyFields(path: path, SecretFile.read(path))
        name = try fields.name()
        role = try fields.role()
        pair = try fields.pair()
        server = try fields.publicKey("server")
    }

    /// How a socket connects with it.
    public var security: SocketSecurity { .curveClient(pair, server: server) }

    var text: String {
        """
        # A key of Tombola. Whoever has this file can act as “\(name)”: keep it to its owner (mode 0600).
        name \(name)
        role \(role.rawValue)
        server \(server)
        public \(pair.publicKey)
        secret \(pair.secret)

        """
    }
}

/// A public key as it is handed to a coordinator: the key alone, or a file that names its owner as well.
public struct PublicKeyFile: Hashable, Sendable {
    public var publicKey: CurvePublicKey
    /// What the file says of its owner, where it does.
    public var name: KeyName?
    public var role: Role?

    public init(publicKey: CurvePublicKey, name: KeyName? = nil, role: Role? = nil) {
        self.publicKey = publicKey
        self.name = name
        self.role = role
    }

    /// Reads a key file, of which the secret is left alone, or a file that holds a public key and nothing else.
    /// - Throws: `missing`, `damaged`; `exposed` or `foreign` where the file holds a secret that others can read, since
    ///   whoever has it could come in as the one who is meant.
    public init(path: String) throws(KeyError) {
        let text = try SecretFile.readUnchecked(path)
        if let key = CurvePublicKey(text.trimmingPrefix { $0.isWhitespace }.prefix { !$0.isWhitespace }) {
            self.init(publicKey: key)
        } else {
            var fields = try KeyFields(path: path, text)
            if fields.has("secret") { fields = try KeyFields(path: path, SecretFile.read(path)) }
            self.init(
                publicKey: try fields.publicKey("public"), name: try fields.has("name") ? fields.name() : nil,
                role: try fields.has("role") ? fields.role() : nil)
        }
    }
}

/// The lines of a key file.
struct KeyFields {
    private let path: String
    private var values: [Substring: Substring] = [:]

    init(path: String, _ text: String) throws(KeyError) {
        self.path = path
        for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
            let words = line.split(separator: " ", maxSplits: 1)
            // The line is not shown: it may hold the secret.
            guard words.count == 2, values.updateValue(words[1], forKey: words[0]) == nil else {
                throw .damaged(path, "a line is not a word and its value, or says again what another says")
            }
        }
    }

    func has(_ word: String) -> Bool { values[word[...]] != nil }

    private func value(_ word: String) throws(KeyError) -> Substring {
        guard let value = values[word[...]] else { throw .damaged(path, "it does not say “\(word)”") }
        return value
    }

    func name() throws(KeyError) -> KeyName { try KeyName(String(value("name"))) }

    func role() throws(KeyError) -> Role {
        guard let role = Role(rawValue: String(try value("role"))) else {
            throw .damaged(path, "its role is neither worker nor client")
        }
        return role
    }

    func publicKey(_ word: String) throws(KeyError) -> CurvePublicKey {
        guard let key = CurvePublicKey(try value(word)) else { throw .damaged(path, "“\(word)” is no public key") }
        return key
    }

    func pair() throws(KeyError) -> CurveKeyPair {
        guard let pair = CurveKeyPair(publicKey: try publicKey("public"), secret: try value("secret")) else {
            throw .damaged(path, "its secret key is none, or not that of its public key")
        }
        return pair
    }
}
