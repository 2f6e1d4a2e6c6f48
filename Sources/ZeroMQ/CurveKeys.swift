import CZeroMQ

/// CURVE: every frame is encrypted, and both ends prove that they have the secret key of the public one they show.
public enum Curve {
    /// Whether this machine's libzmq was built with it.
    public static var isAvailable: Bool { zmq_has("curve") != 0 }
}

/// A CURVE public key: 32 bytes, written as 40 characters of Z85 (ZeroMQ RFC 32). May be shown to anyone.
public struct CurvePublicKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    public static let byteCount = 32
    public static let textLength = 40

    /// In Z85. Of its characters many mean something to a shell, and `#` is one of them; it has no space and no quote.
    public let text: String

    /// Nil for what is no key in Z85.
    public init?(_ text: some StringProtocol) {
        guard let text = Z85.key(text) else { return nil }
        self.text = text
    }

    /// - Precondition: 32 bytes.
    public init(bytes: [UInt8]) {
        precondition(bytes.count == CurvePublicKey.byteCount, "a key has 32 bytes, not \(bytes.count)")
        text = Z85.text(bytes)
    }

    public static func < (left: CurvePublicKey, right: CurvePublicKey) -> Bool { left.text < right.text }
    public var description: String { text }
}

/// A CURVE key pair. What prints or logs it shows the public key only.
public struct CurveKeyPair: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    public let publicKey: CurvePublicKey
    /// In Z85. For the owner's file and libzmq, nothing else.
    public let secret: String

    /// The pair of a secret key; nil if that is none, or if `publicKey` is another's.
    public init?(publicKey: CurvePublicKey, secret: some StringProtocol) {
        guard let secret = Z85.key(secret) else { return nil }
        var derived = [CChar](repeating: 0, count: CurvePublicKey.textLength + 1)
        guard zmq_curve_public(&derived, secret) == 0, CurvePublicKey(Z85.string(derived)) == publicKey else {
            return nil
        }
        self.publicKey = publicKey
        self.secret = secret
    }

    private init(publicKey: CurvePublicKey, knownSecret secret: String) {
        self.publicKey = publicKey
        self.secret = secret
    }

    /// A new pair, drawn by libzmq from the system's randomness.
    /// - Throws: `notSupported` where libzmq lacks CURVE.
    public static func generate() throws(ZMQError) -> CurveKeyPair {
        var publicText = [CChar](repeating: 0, count: CurvePublicKey.textLength + 1)
        var secretText = publicText
        try check(zmq_curve_keypair(&publicText, &secretText))
        guard let publicKey = CurvePublicKey(Z85.string(publicText)) else {
            preconditionFailure("libzmq drew a public key that is none")
        }
        return CurveKeyPair(publicKey: publicKey, knownSecret: Z85.string(secretText))
    }

    public var description: String { "key pair \(publicKey)" }
    /// So that `dump` and the debugger's printing of an enclosing value show no secret either.
    public var customMirror: Mirror { Mirror(self, children: ["publicKey": publicKey.text]) }
}

/// How a socket's connections are protected.
public enum SocketSecurity: Hashable, Sendable {
    /// Not at all: for addresses that other machines cannot reach.
    case plain
    /// Peers need the public key of `pair`, and an `AuthenticationHandler` of the same context decides about theirs.
    /// Without a handler nobody comes in.
    case curveServer(CurveKeyPair)
    /// Connects only to the server that has the secret of `server`, and shows `pair`.
    case curveClient(CurveKeyPair, server: CurvePublicKey)

    /// Named in every question that a socket has asked an authentication handler.
    static let domain = "tombola"

    func apply(to handle: UnsafeMutableRawPointer) throws(ZMQError) {
        switch self {
        case .plain: return
        case .curveServer(let pair):
            try setOption(ZMQ_CURVE_SERVER, 1, of: handle)
            try setOption(ZMQ_CURVE_SECRETKEY, pair.secret, of: handle)
            try setOption(ZMQ_ZAP_DOMAIN, SocketSecurity.domain, of: handle)
            // Without this libzmq lets everyone in where no handler answers.
            try setOption(ZMQ_ZAP_ENFORCE_DOMAIN, 1, of: handle)
        case .curveClient(let pair, let server):
            try setOption(ZMQ_CURVE_SERVERKEY, server.text, of: handle)
            try setOption(ZMQ_CURVE_PUBLICKEY, pair.publicKey.text, of: handle)
            try setOption(ZMQ_CURVE_SECRETKEY, pair.secret, of: handle)
        }
    }
}

private func setOption(_ option: Int32, _ value: Int32, of handle: UnsafeMutableRawPointer) throws(ZMQError) {
    var value = value
    try check(zmq_setsockopt(handle, option, &value, MemoryLayout<Int32>.size))
}

private func setOption(_ option: Int32, _ text: String, of handle: UnsafeMutableRawPointer) throws(ZMQError) {
    try check(zmq_setsockopt(handle, option, text, text.utf8.count))
}

private enum Z85 {
    private static let alphabet = Set(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#".utf8)

    /// `text` if it is a key.
    static func key(_ text: some StringProtocol) -> String? {
        guard text.utf8.count == CurvePublicKey.textLength, text.utf8.allSatisfy(alphabet.contains) else { return nil }
        var bytes = [UInt8](repeating: 0, count: CurvePublicKey.byteCount)
        // Five characters can stand for more than 32 bits.
        return zmq_z85_decode(&bytes, String(text)) == nil ? nil : String(text)
    }

    static func text(_ bytes: [UInt8]) -> String {
        var text = [CChar](repeating: 0, count: CurvePublicKey.textLength + 1)
        guard zmq_z85_encode(&text, bytes, bytes.count) != nil else {
            preconditionFailure("\(bytes.count) bytes have no text in Z85")
        }
        return string(text)
    }

    static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
