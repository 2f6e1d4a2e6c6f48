import Dispatch
import Foundation
import Glibc
import Testing
import ZeroMQ

@Suite("Poller, mailbox and signals", .timeLimit(.minutes(1)), .serialized)
struct PollerTests {
    @Test("A wait with nothing ready ends after its time")
    func timeout() throws {
        let bell = try Doorbell()
        var poller = Poller()
        let item = poller.watch(readable: bell.descriptor)
        let start = ContinuousClock.now
        #expect(try poller.wait(milliseconds: 30) == 0)
        #expect(ContinuousClock.now - start >= .milliseconds(29))
        #expect(!poller.isReady(item))
    }

    @Test("A mailbox wakes the poller from another thread and hands over every value in order")
    func mailbox() throws {
        let mailbox = try Mailbox<Int>()
        let hasPosted = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            for value in 0..<1_000 { mailbox.post(value) }
            hasPosted.signal()
        }
        var taken: [Int] = []
        while taken.count < 1_000 {
            var poller = Poller()
            let item = poller.watch(readable: mailbox.doorbell.descriptor)
            try #require(try poller.wait(milliseconds: 10_000) == 1)
            #expect(poller.isReady(item))
            taken += mailbox.takeAll()
        }
        #expect(taken == Array(0..<1_000))
        // The last value may be taken before its bell has rung.
        hasPosted.wait()
        #expect(mailbox.takeAll().isEmpty)
        var poller = Poller()
        _ = poller.watch(readable: mailbox.doorbell.descriptor)
        #expect(try poller.wait(milliseconds: 0) == 0)
    }

    @Test("The end of a pipe is seen as readiness")
    func endOfPipe() throws {
        let pipe = Pipe()
        var poller = Poller()
        let reading = poller.watch(readable: pipe.fileHandleForReading.fileDescriptor)
        #expect(try poller.wait(milliseconds: 0) == 0)
        try pipe.fileHandleForWriting.close()
        #expect(try poller.wait(milliseconds: 10_000) == 1)
        #expect(poller.isReady(reading))
    }

    @Test("Only the ready one of several sockets and descriptors is named")
    func several() throws {
        let context = try ZMQContext()
        let router = try Socket(.router, context: context)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let dealer = try Socket(.dealer, context: context)
        try dealer.connect(endpoint)
        let bell = try Doorbell()
        _ = try dealer.send([[1]])
        var poller = Poller()
        let items = [poller.watch(dealer), poller.watch(router), poller.watch(readable: bell.descriptor)]
        #expect(try poller.wait(milliseconds: 10_000) == 1)
        #expect(items.map { poller.isReady($0) } == [false, true, false])
    }

    @Test("SIGTERM and SIGHUP ring the doorbell and are named", arguments: [SIGTERM, SIGHUP])
    func signals(number: Int32) throws {
        // A test under `nohup` has SIGHUP ignored, which is left so.
        signal(SIGHUP, SIG_DFL)
        let signals = try StopSignals()
        #expect(signals.signal == nil)
        kill(getpid(), number)
        var poller = Poller()
        _ = poller.watch(readable: signals.doorbell.descriptor)
        let deadline = ContinuousClock.now + .seconds(10)
        while try poller.wait(milliseconds: 100) == 0 && ContinuousClock.now < deadline {}
        #expect(signals.signal == number)
        // A closed terminal sends it twice, a login manager after SIGTERM: it ends nothing at once.
        raise(SIGHUP)
        #expect(signals.signal == number)
    }
}
