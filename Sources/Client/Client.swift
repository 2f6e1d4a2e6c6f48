import Coordination
import Keys
import Lottery
import Wire
import ZeroMQ

/// Asks a coordinator and waits for its answers. It belongs to the thread that made it.
public final class Client {
    /// Larger specs are refused by the coordinator's socket.
    public static let maximumBodyBytes = 4 * 1024 * 1024 - Limits.headerBytes

    public let endpoint: String
    private let options: SocketOptions
    private let interrupt: Doorbell?
    private var socket: Socket
    private var judge: ConnectionJudge
    private var lastID: UInt64 = 0
    /// The connection broke after the last request was sent.
    private var isLost = false

    /// Begins to connect; whether somebody is there shows with the first request.
    /// - Parameters:
    ///   - endpoint: `tcp://host:port`, as `tombola serve` prints it.
    ///   - security: a coordinator that listens to other machines wants a key (`Keys.KeyFile.security`).
    ///   - interrupt: ends the waiting of every request once it rings, as for Ctrl-C.
    public init(
        endpoint: String, security: SocketSecurity = .plain, interrupt: Doorbell? = nil
    ) throws(ClientError) {
        do { _ = try ConnectAddress(endpoint) } catch { throw .badEndpoint(error) }
        self.endpoint = endpoint
        self.interrupt = interrupt
        var options = SocketOptions()
        options.maximumFrameBytes = Limits.clientBodyBytes + Limits.headerBytes
        options.security = security
        self.options = options
        judge = ConnectionJudge(security)
        do {
            socket = try Socket(.dealer, options: options, tellsHandshakes: true, context: try ZMQContext())
        } catch { throw .socket(error.description) }
        try connect()
    }

    /// Forgets requests that nobody has answered, and begins to connect anew. The old socket would hand all of them to
    /// a coordinator that comes back after a long time. What is known of the key stays.
    public func reconnect() throws(ClientError) {
        do {
            socket = try Socket(.dealer, options: options, tellsHandshakes: true, context: try ZMQContext())
        } catch { throw .socket(error.description) }
        try connect()
    }

    private func connect() throws(ClientError) {
        do { try socket.connect(endpoint) } catch {
            throw .badEndpoint(BadAddress(endpoint, error.description))
        }
    }

    /// Asks and returns the body of the answer. Blocks for at most `milliseconds`.
    ///
    /// - Throws: `noAnswer` or `closed` after that time; `lost` as soon as the connection breaks over which it asked;
    ///   `interrupted`; `notLetIn` where the key is at fault; `refused` for an answer whose status is not 0, with its body.
    public func request(
        _ verb: String, body: [UInt8] = [], timeoutMilliseconds milliseconds: Int64 = 5_000
    ) throws(ClientError) -> [UInt8] {
        guard body.count <= Client.maximumBodyBytes else { throw .tooLarge(byteCount: body.count) }
        lastID += 1
        let deadline = MonotonicClock.milliseconds + milliseconds
        let seconds = Double(milliseconds) / 1_000
        // One that has broken before does not have this request.
        try judgeHandshakes()
        isLost = false
        guard try send(ClientRequest(id: lastID, verb: verb, body: body)) else {
            throw .noAnswer(endpoint, seconds: seconds)
        }
        while let frames = try receive(until: deadline) {
            guard let reply = try read(frames) else { continue }
            guard reply.status == 0 else { throw .refused(status: reply.status, body: reply.body) }
            return reply.body
        }
        if isLost { throw .lost(endpoint) }
        throw judge.onlyCloses ? .closed(endpoint, seconds: seconds) : .noAnswer(endpoint, seconds: seconds)
    }

    private func send(_ request: ClientRequest) throws(ClientError) -> Bool {
        do { return try socket.send(Wire.encode(request)) } catch { throw .socket(error.description) }
    }

    private func receive(until deadline: Int64) throws(ClientError) -> [[UInt8]]? {
        while true {
            do throws(ZMQError) {
                if let frames = try socket.receive() { return frames }
            } catch { throw .socket(error.description) }
            try judgeHandshakes()
            if isLost {
                // It may have come just before.
                do { return try socket.receive() } catch { throw .socket(error.description) }
            }
            let left = deadline - MonotonicClock.milliseconds
            guard left > 0 else { return nil }
            var isInterrupted = false
            do throws(ZMQError) {
                var poller = Poller()
                _ = poller.watch(socket)
                _ = poller.watch(handshakesOf: socket)
                let bell = interrupt.map { poller.watch(readable: $0.descriptor) }
                _ = try poller.wait(milliseconds: left)
                isInterrupted = bell.map { poller.isReady($0) } ?? false
            } catch { throw .socket(error.description) }
            if isInterrupted { throw .interrupted }
        }
    }

    private func judgeHandshakes() throws(ClientError) {
        while true {
            let handshake: Handshake?
            do { handshake = try socket.nextHandshake() } catch { throw .socket(error.description) }
            guard let handshake else { return }
            if handshake == .lost { isLost = true }
            if let refusal = judge.judge(handshake) { throw .notLetIn(refusal, endpoint) }
        }
    }

    /// The answer to the last request; nil for one to an earlier, which nobody waits for any more.
    private func read(_ frames: [[UInt8]]) throws(ClientError) -> ClientReply? {
        do {
            let reply = try Wire.decodeClientReply(frames)
            return reply.id == lastID ? reply : nil
        } catch {
            switch error {
            case .refused(let reason): throw .notServed(endpoint, reason: reason)
            case .version(let theirs):
                throw .notServed(
                    endpoint,
                    reason:
                        "it speaks version \(theirs) of the protocol, this program \(Wire.major): install the same tombola on both"
                )
            case .foreign, .malformed:
                throw .notServed(endpoint, reason: "what answers there is no coordinator of this version")
            }
        }
    }
}

/// Why there is no answer: one sentence, with the remedy.
public enum ClientError: Error, Hashable, Sendable, CustomStringConvertible {
    case badEndpoint(BadAddress)
    case noAnswer(String, seconds: Double)
    /// Likewise, and each connection was closed before it had begun.
    case closed(String, seconds: Double)
    /// The connection broke before the answer came.
    case lost(String)
    /// The doorbell that was handed in rang first.
    case interrupted
    /// The coordinator does not let this client's key in.
    case notLetIn(ConnectionRefusal, String)
    /// The coordinator refused to talk.
    case notServed(String, reason: String)
    /// The coordinator answered with an exit status other than 0; the body says why.
    case refused(status: Int, body: [UInt8])
    case tooLarge(byteCount: Int)
    case socket(String)

    public var description: String {
        switch self {
        case .badEndpoint(let error): error.description
        case .noAnswer(let endpoint, let seconds):
            "no coordinator answers at \(endpoint) within \(Client.text(ofSeconds: seconds)) s: is `tombola serve` running there?"
        case .closed(let endpoint, let seconds):
            "what listens at \(endpoint) closed each connection within \(Client.text(ofSeconds: seconds)) s before it had begun: if the "
                + "coordinator there lets in nobody without a key, name a key file with --key; if it is a tunnel, is `tombola serve` "
                + "running behind it?"
        case .lost(let endpoint):
            "the coordinator at \(endpoint) was gone before it answered, and may or may not have done what was asked: see `tombola "
                + "status` once it is back, and ask again"
        case .interrupted: "interrupted before the coordinator answered: try again"
        case .notLetIn(let refusal, let endpoint): refusal.sentence(about: endpoint)
        case .notServed(let endpoint, let reason): "the coordinator at \(endpoint) cannot be used: \(reason)"
        case .refused(_, let body): String(decoding: body, as: UTF8.self)
        case .tooLarge(let byteCount):
            "a request of \(byteCount) bytes is above the limit of \(Client.maximumBodyBytes): split the sweep"
        case .socket(let reason): "the socket to the coordinator failed: \(reason)"
        }
    }
}

extension Client {
    static func text(ofSeconds seconds: Double) -> String {
        seconds == seconds.rounded() ? String(Int(seconds)) : String(seconds)
    }
}
