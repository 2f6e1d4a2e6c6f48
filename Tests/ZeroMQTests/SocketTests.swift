import Foundation
import Glibc
import Synchronization
import Testing
import ZeroMQ

@Suite("ZeroMQ sockets", .timeLimit(.minutes(1)))
struct SocketTests {
    @Test("A message of several frames goes to the router and its answer comes back to the sender")
    func roundTrip() throws {
        let context = try ZMQContext()
        let router = try Socket(.router, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let first = try Socket(.dealer, context: context)
        let second = try Socket(.dealer, context: context)
        try first.connect(endpoint)
        try second.connect(endpoint)
        #expect(try first.send([Array("one".utf8), [], [UInt8](repeating: 7, count: 100_000)]))
        #expect(try second.send([Array("two".utf8)]))
        for _ in 0..<2 {
            let frames = try receive(from: router)
            // The routing id, then what was sent.
            #expect(frames.count == (frames[1] == Array("one".utf8) ? 4 : 2))
            #expect(try router.send([frames[0], frames[1] + Array("!".utf8)]))
        }
        #expect(try receive(from: first) == [Array("one!".utf8)])
        #expect(try receive(from: second) == [Array("two!".utf8)])
    }

    @Test("Receiving from a silent socket answers nil at once")
    func nothingThere() throws {
        let context = try ZMQContext()
        let router = try Socket(.router, context: context)
        _ = try router.bind("tcp://127.0.0.1:*")
        #expect(try router.receive() == nil)
    }

    @Test("A port in use is said to be in use")
    func addressInUse() throws {
        let context = try ZMQContext()
        let router = try Socket(.router, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let other = try Socket(.router, context: context)
        #expect(throws: ZMQError.addressInUse) { _ = try other.bind(endpoint) }
    }

    @Test("An endpoint that cannot be read is refused", arguments: ["tcp://", "nonsense", "tcp://127.0.0.1:x"])
    func badEndpoint(_ endpoint: String) throws {
        let context = try ZMQContext()
        let dealer = try Socket(.dealer, context: context)
        #expect(throws: ZMQError.self) { try dealer.connect(endpoint) }
    }

    @Test("Sockets that close amid their handshakes leave the rest of their context as it was")
    func closeAmidHandshakes() throws {
        let context = try ZMQContext()
        let router = try Socket(.router, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        for round in 0..<300 {
            let dealer = try Socket(.dealer, tellsHandshakes: true, context: context)
            try dealer.connect(endpoint)
            // At another moment of the handshake in each round.
            for _ in 0..<(round % 30) { sched_yield() }
            _ = consume dealer
        }
        var dealer = try Socket(.dealer, tellsHandshakes: true, context: context)
        try dealer.connect(endpoint)
        var handshake: Handshake?
        let deadline = ContinuousClock.now + .seconds(20)
        while handshake == nil, ContinuousClock.now < deadline {
            handshake = try dealer.nextHandshake()
            var poller = Poller()
            _ = poller.watch(handshakesOf: dealer)
            _ = try poller.wait(milliseconds: 100)
        }
        #expect(handshake == .succeeded)
    }

    @Test("A thousand broken handshakes of which nobody asks do not keep a socket from trying on")
    func unreadHandshakes() throws {
        let listener = try Listener()
        let context = try ZMQContext()
        var options = SocketOptions()
        options.reconnectMilliseconds = 1...1
        let dealer = try Socket(.dealer, options: options, tellsHandshakes: true, context: context)
        try dealer.connect("tcp://127.0.0.1:\(listener.port)")
        let deadline = ContinuousClock.now + .seconds(40)
        var count = 0
        while count < 1_000, ContinuousClock.now < deadline { count += listener.closeNext(milliseconds: 100) ? 1 : 0 }
        #expect(count == 1_000)
    }

    @Test("Sending to a route that does not exist throws hostUnreachable, and so does one whose peer has closed")
    func unreachable() throws {
        let context = try ZMQContext()
        let router = try Socket(.router, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        #expect(throws: ZMQError.hostUnreachable) { _ = try router.send([[1, 2, 3, 4], [5]]) }
        let route = try routeOfClosedPeer(router, endpoint, context)
        let deadline = ContinuousClock.now + .seconds(60)
        var unreachable = false
        while !unreachable && ContinuousClock.now < deadline {
            do throws(ZMQError) { _ = try router.send([route, [5]]) } catch { unreachable = error == .hostUnreachable }
            // The context's own thread must find the time to notice.
            poll(nil, 0, 1)
        }
        #expect(unreachable)
    }

    private func routeOfClosedPeer(
        _ router: borrowing Socket, _ endpoint: String, _ context: ZMQContext
    ) throws -> [UInt8] {
        let dealer = try Socket(.dealer, context: context)
        try dealer.connect(endpoint)
        _ = try dealer.send([[1]])
        return try receive(from: router)[0]
    }

    @Test("A full queue refuses whole messages, and what was accepted arrives whole and in order")
    func fullQueue() throws {
        let context = try ZMQContext()
        var options = SocketOptions()
        options.queuedMessages = 10
        options.unreadMessages = 10
        let router = try Socket(.router, options: options, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let dealer = try Socket(.dealer, options: options, context: context)
        try dealer.connect(endpoint)
        var sent = 0
        // Frames large enough that the kernel's buffers cannot hide the queue's limit.
        let body = [UInt8](repeating: 0, count: 1 << 20)
        while try dealer.send([[UInt8(sent)], body]) {
            sent += 1
            try #require(sent < 200)
        }
        for expected in 0..<sent {
            let frames = try receive(from: router)
            #expect(frames.count == 3 && frames[1] == [UInt8(expected)] && frames[2].count == body.count)
        }
    }

    @Test("A context closes once what its sockets still had to send has left")
    func lastMessages() throws {
        var options = SocketOptions()
        options.unreadMessages = 4
        let router = try Socket(.router, options: options, context: try ZMQContext())
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let count = 100
        let closed = Flag()
        Thread.detachNewThread {
            do {
                let context = try ZMQContext()
                let dealer = try Socket(.dealer, context: context)
                try dealer.connect(endpoint)
                // Frames large enough that the kernel's buffers hold a few only.
                let body = [UInt8](repeating: 0, count: 1 << 20)
                for _ in 0..<count { #expect(try dealer.send([body])) }
                dealer.close(lingerMilliseconds: 60_000)
                context.close()
            } catch {
                Issue.record("\(error)")
            }
            closed.raise()
        }
        for _ in 0..<count / 2 { _ = try receive(from: router) }
        #expect(!closed.isRaised)
        for _ in count / 2..<count { _ = try receive(from: router) }
        let deadline = ContinuousClock.now + .seconds(30)
        while !closed.isRaised && ContinuousClock.now < deadline { poll(nil, 0, 1) }
        #expect(closed.isRaised)
    }

    private final class Flag: Sendable {
        private let raised = Atomic(false)
        var isRaised: Bool { raised.load(ordering: .acquiring) }
        func raise() { raised.store(true, ordering: .releasing) }
    }

    @Test("A frame above the limit costs its sender the connection and nobody else")
    func oversized() throws {
        let context = try ZMQContext()
        var options = SocketOptions()
        options.maximumFrameBytes = 1_000
        let router = try Socket(.router, options: options, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let rude = try Socket(.dealer, context: context)
        let polite = try Socket(.dealer, context: context)
        try rude.connect(endpoint)
        try polite.connect(endpoint)
        _ = try rude.send([[UInt8](repeating: 1, count: 1_001)])
        _ = try polite.send([[2]])
        #expect(try receive(from: router).last == [2])
    }

    @Test("A message of too many frames shows that it is too long and leaves the next one whole")
    func manyFrames() throws {
        let context = try ZMQContext()
        let router = try Socket(.router, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let dealer = try Socket(.dealer, context: context)
        try dealer.connect(endpoint)
        _ = try dealer.send([[UInt8]](repeating: [1], count: 100))
        _ = try dealer.send([[2]])
        #expect(try receive(from: router, limit: 4).count == 5)
        #expect(try receive(from: router, limit: 4).last == [2])
    }
}

/// The next message, waited for at most ten seconds.
func receive(from socket: borrowing Socket, limit: Int = 8) throws -> [[UInt8]] {
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
        var poller = Poller()
        _ = poller.watch(socket)
        _ = try poller.wait(milliseconds: 100)
        if let frames = try socket.receive(limit: limit) { return frames }
    }
    throw NothingReceived()
}

struct NothingReceived: Error {}

/// A TCP server that speaks no ZeroMQ.
private struct Listener: ~Copyable {
    private let descriptor: Int32
    let port: UInt16

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && listen(descriptor, 100) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
        try #require(isListening)
        self.descriptor = descriptor
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }

    /// Closes the next connection at once. False if none came in time.
    func closeNext(milliseconds: Int32) -> Bool {
        var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&item, 1, milliseconds) == 1 else { return false }
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else { return false }
        close(connection)
        return true
    }
}
