import Glibc
import Synchronization
import Testing
import ZeroMQ

@Suite("CURVE keys and who is let in", .timeLimit(.minutes(2)), .serialized)
struct CurveTests {
    let context: ZMQContext
    let server: CurveKeyPair

    init() throws {
        context = try ZMQContext()
        server = try CurveKeyPair.generate()
    }

    @Test("A pair is 40 characters of Z85 each, comes back from its texts, and prints no secret")
    func keyPair() throws {
        #expect(server.publicKey.text.utf8.count == 40 && server.secret.utf8.count == 40)
        #expect(try CurveKeyPair.generate() != server)
        #expect(CurveKeyPair(publicKey: server.publicKey, secret: server.secret) == server)
        let other = try CurveKeyPair.generate()
        #expect(CurveKeyPair(publicKey: other.publicKey, secret: server.secret) == nil)
        var dumped = ""
        dump(SocketSecurity.curveServer(server), to: &dumped)
        for text in ["\(server)", String(reflecting: server), dumped, "\(SocketSecurity.curveServer(server))"] {
            #expect(!text.contains(server.secret) && text.contains(server.publicKey.text), "\(text)")
        }
    }

    @Test(
        "What is no key is refused",
        arguments: [
            "", "short", String(repeating: "~", count: 40), String(repeating: "#", count: 40),
            String(repeating: "0", count: 41), String(repeating: "ü", count: 20),
            "0123456789 123456789012345678901234567890",
        ])
    func noKey(_ text: String) { #expect(CurvePublicKey(text) == nil) }

    @Test("A key that is allowed comes in, and each of its messages says whose it is")
    func allowed() throws {
        let pair = try CurveKeyPair.generate()
        let handler = try AuthenticationHandler(context: context) { $0.publicKey == pair.publicKey }
        defer { handler.stop() }
        let router = try listen()
        var client = try connect(to: router.endpoint, pair)
        #expect(try client.send([[1], [2, 3]]))
        let (frames, sender) = try receiveWithSender(from: router.socket)
        #expect(Array(frames.dropFirst()) == [[1], [2, 3]])
        #expect(sender == pair.publicKey)
        #expect(try router.socket.send([frames[0], [4]]))
        #expect(try receive(from: client) == [[4]])
        #expect(try nextHandshake(of: &client) == .succeeded)
    }

    @Test("A key that is not allowed hears of it, and nothing it says arrives")
    func refused() throws {
        let asked = Mutex<[AuthenticationRequest]>([])
        let handler = try AuthenticationHandler(context: context) { request in
            asked.withLock { $0.append(request) }
            return false
        }
        defer { handler.stop() }
        let pair = try CurveKeyPair.generate()
        let router = try listen()
        var client = try connect(to: router.endpoint, pair)
        _ = try client.send([[1]])
        #expect(try nextHandshake(of: &client) == .refused(status: 400))
        let request = try #require(asked.withLock { $0.first })
        #expect(request.publicKey == pair.publicKey && request.address == "127.0.0.1")
        #expect(try router.socket.receive() == nil)
    }

    @Test("A handler that fails lets nobody in")
    func failing() throws {
        struct Broken: Error {}
        let handler = try AuthenticationHandler(context: context) { _ in throw Broken() }
        defer { handler.stop() }
        let router = try listen()
        var client = try connect(to: router.endpoint, try CurveKeyPair.generate())
        _ = try client.send([[1]])
        #expect(try nextHandshake(of: &client) == .refused(status: 500))
        #expect(try router.socket.receive() == nil)
    }

    @Test("Without a handler, or after it has stopped, nobody comes in", arguments: [false, true])
    func noHandler(wasThere: Bool) throws {
        if wasThere { try AuthenticationHandler(context: context) { _ in true }.stop() }
        let router = try listen()
        var client = try connect(to: router.endpoint, try CurveKeyPair.generate())
        _ = try client.send([[1]])
        // A socket that is about to close may still be asked, and then does not answer.
        #expect([.closed, .unanswered].contains(try nextHandshake(of: &client)))
        #expect(try router.socket.receive() == nil)
    }

    @Test("A context has one handler")
    func oneHandler() throws {
        let handler = try AuthenticationHandler(context: context) { _ in true }
        defer { handler.stop() }
        #expect(throws: ZMQError.addressInUse) { _ = try AuthenticationHandler(context: context) { _ in true } }
    }

    @Test("A key for another server is known by the closed handshake")
    func otherServer() throws {
        let handler = try AuthenticationHandler(context: context) { _ in true }
        defer { handler.stop() }
        let router = try listen()
        var client = try connect(
            to: router.endpoint, try CurveKeyPair.generate(), server: try CurveKeyPair.generate().publicKey)
        _ = try client.send([[1]])
        #expect(try nextHandshake(of: &client) == .closed)
        #expect(try router.socket.receive() == nil)
    }

    @Test("One end with keys and the other without do not talk, and the connecting one knows why")
    func mismatch() throws {
        let handler = try AuthenticationHandler(context: context) { _ in true }
        defer { handler.stop() }
        let router = try listen()
        var plain = try Socket(.dealer, tellsHandshakes: true, context: context)
        try plain.connect(router.endpoint)
        _ = try plain.send([[1]])
        #expect(try nextHandshake(of: &plain) == .mechanismMismatch)
        #expect(try router.socket.receive() == nil)

        let open = try Socket(.router, context: context)
        var client = try connect(to: try open.bind("tcp://127.0.0.1:*"), try CurveKeyPair.generate())
        _ = try client.send([[1]])
        #expect(try nextHandshake(of: &client) == .mechanismMismatch)
        #expect(try open.receive() == nil)
    }

    @Test("Questions that are malformed are answered with a refusal, or not at all; never with 200")
    func malformedQuestions() throws {
        let key = [UInt8](repeating: 7, count: 32)
        let good: [[UInt8]] = [
            [], Array("1.0".utf8), Array("id".utf8), Array("tombola".utf8), Array("10.0.0.1".utf8), [],
            Array("CURVE".utf8), key,
        ]
        func status(_ frames: [[UInt8]]) -> String? {
            ZAP.answer(to: frames) { _ in true }.map { answer in
                #expect(answer.count == 7 && answer[0] == [] && answer[1] == Array("1.0".utf8))
                return String(decoding: answer[3], as: UTF8.self)
            }
        }
        #expect(status(good) == "200")
        #expect(ZAP.answer(to: good) { _ in true }?[2] == Array("id".utf8))
        #expect(ZAP.answer(to: good) { _ in true }?[5] == Array(CurvePublicKey(bytes: key).text.utf8))
        var bad: [[[UInt8]]] = (0..<good.count).map { Array(good.prefix($0)) } + [good + [[1]]]
        for index in [0, 1, 3, 6, 7] {
            for replacement: [UInt8] in [[1], Array("NULL".utf8), [UInt8](repeating: 1, count: 33)] {
                var frames = good
                frames[index] = replacement
                bad.append(frames)
            }
        }
        for frames in bad { #expect(["400", "500", nil].contains(status(frames)), "\(frames)") }
    }

    private func listen() throws -> Listening {
        var options = SocketOptions()
        options.security = .curveServer(server)
        let socket = try Socket(.router, options: options, context: context)
        let endpoint = try socket.bind("tcp://127.0.0.1:*")
        return Listening(socket: socket, endpoint: endpoint)
    }

    private func connect(
        to endpoint: String, _ pair: CurveKeyPair, server key: CurvePublicKey? = nil
    ) throws -> Socket {
        var options = SocketOptions()
        options.security = .curveClient(pair, server: key ?? server.publicKey)
        let socket = try Socket(.dealer, options: options, tellsHandshakes: true, context: context)
        try socket.connect(endpoint)
        return socket
    }

    private func nextHandshake(of socket: inout Socket) throws -> Handshake {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if let handshake = try socket.nextHandshake() { return handshake }
            var poller = Poller()
            _ = poller.watch(handshakesOf: socket)
            _ = try poller.wait(milliseconds: 100)
        }
        throw NothingReceived()
    }

    private func receiveWithSender(
        from socket: borrowing Socket
    ) throws -> (frames: [[UInt8]], sender: CurvePublicKey?) {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if let received = try socket.receiveWithSender() { return received }
            var poller = Poller()
            _ = poller.watch(socket)
            _ = try poller.wait(milliseconds: 100)
        }
        throw NothingReceived()
    }
}

private struct Listening: ~Copyable {
    let socket: Socket
    let endpoint: String
}
