import Dispatch
import Foundation
import Synchronization

/// Someone who wants to connect to a CURVE server socket, and has proved to hold the secret of `publicKey`.
public struct AuthenticationRequest: Hashable, Sendable {
    public var publicKey: CurvePublicKey
    /// Where the connection comes from, such as `10.0.0.7`.
    public var address: String
}

/// Decides which keys may connect to the CURVE server sockets of a context (ZeroMQ Authentication Protocol 1.0, RFC
/// 27), on a thread of its own. Make it before those sockets bind.
///
/// It fails closed: a question that cannot be read, an `isAllowed` that throws and a handler that has stopped let
/// nobody in. A connection that came in carries its public key with each message (`Socket.receiveWithSender`).
public final class AuthenticationHandler: Sendable {
    /// Where libzmq asks; the protocol names it.
    static let endpoint = "inproc://zeromq.zap.01"

    private let commands: Mailbox<Void>
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameter isAllowed: called by the handler's thread for each connection that begins; until it returns,
    ///   others wait.
    /// - Throws: `addressInUse` if the context has a handler already.
    public init(
        context: ZMQContext, isAllowed: @escaping @Sendable (AuthenticationRequest) throws -> Bool
    ) throws(ZMQError) {
        let commands = try Mailbox<Void>()
        self.commands = commands
        let begun = Begun()
        let ended = ended
        Thread.detachNewThread {
            defer { ended.signal() }
            do throws(ZMQError) {
                let socket = try Socket(.router, context: context)
                _ = try socket.bind(AuthenticationHandler.endpoint)
                begun.report(nil)
                // If the socket itself fails, it closes, and libzmq finds no handler: nobody comes in.
                try AuthenticationHandler.serve(socket, until: commands.doorbell, isAllowed)
            } catch {
                begun.report(error)
            }
        }
        if let error = begun.wait() { throw error }
    }

    deinit { stop() }

    /// Closes the handler's socket and waits for its thread; from then on nobody new comes in.
    public func stop() {
        commands.post(())
        ended.wait()
        ended.signal()
    }

    private static func serve(
        _ socket: borrowing Socket, until stop: Doorbell, _ isAllowed: (AuthenticationRequest) throws -> Bool
    ) throws(ZMQError) {
        while true {
            var poller = Poller()
            let bell = poller.watch(readable: stop.descriptor)
            _ = poller.watch(socket)
            _ = try poller.wait(milliseconds: nil)
            if poller.isReady(bell) { return }
            while let frames = try socket.receive(limit: ZAP.frameLimit) {
                guard let answer = ZAP.answer(to: Array(frames.dropFirst()), isAllowed) else { continue }
                // The connection may have gone while it was decided about.
                do { _ = try socket.send([frames[0]] + answer) } catch .hostUnreachable {}
            }
        }
    }

    /// Hands over whether the thread could begin.
    private final class Begun: Sendable {
        private let error = Mutex<ZMQError?>(nil)
        private let isKnown = DispatchSemaphore(value: 0)

        func report(_ error: ZMQError?) {
            self.error.withLock { $0 = error }
            isKnown.signal()
        }

        func wait() -> ZMQError? {
            isKnown.wait()
            return error.withLock { $0 }
        }
    }
}

/// The frames of the ZeroMQ Authentication Protocol, as a function from question to answer.
package enum ZAP {
    static let version = Array("1.0".utf8)
    /// Delimiter, version, request id, domain, address, routing id, mechanism and credentials; CURVE has one of these.
    static let frameCount = 8
    /// Of a question that is read, with its route.
    static let frameLimit = 16

    package enum Status: String {
        case allowed = "200"
        case refused = "400"
        case failed = "500"
    }

    /// The answer to a question, both with the empty delimiter in front. Nil where not even the question's id can be
    /// read: unanswered, the connection ends with the time for its handshake.
    package static func answer(
        to frames: [[UInt8]], _ isAllowed: (AuthenticationRequest) throws -> Bool
    ) -> [[UInt8]]? {
        guard frames.count > 2, frames[0].isEmpty else { return nil }
        let id = frames[2]
        guard frames[1] == version else { return reply(id, .failed, "the version of the question is unknown") }
        guard let request = request(frames) else { return reply(id, .refused, "only keys of CURVE are accepted") }
        do {
            guard try isAllowed(request) else { return reply(id, .refused, "the key is not authorised") }
            return reply(id, .allowed, "OK", user: request.publicKey.text)
        } catch {
            return reply(id, .failed, "the key could not be looked up")
        }
    }

    private static func request(_ frames: [[UInt8]]) -> AuthenticationRequest? {
        guard frames.count == frameCount, frames[3] == Array(SocketSecurity.domain.utf8),
            frames[6] == Array("CURVE".utf8), frames[7].count == CurvePublicKey.byteCount
        else { return nil }
        return AuthenticationRequest(
            publicKey: CurvePublicKey(bytes: frames[7]), address: String(decoding: frames[4], as: UTF8.self))
    }

    private static func reply(_ id: [UInt8], _ status: Status, _ text: String, user: String = "") -> [[UInt8]] {
        [[], version, id, Array(status.rawValue.utf8), Array(text.utf8), Array(user.utf8), []]
    }
}
