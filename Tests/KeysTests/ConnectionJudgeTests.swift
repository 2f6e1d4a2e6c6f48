import Keys
import Testing
import ZeroMQ

@Suite("When trying to connect again makes no sense")
struct ConnectionJudgeTests {
    private let pair: CurveKeyPair
    private let withKey: SocketSecurity

    init() throws {
        pair = try CurveKeyPair.generate()
        withKey = .curveClient(pair, server: try CurveKeyPair.generate().publicKey)
    }

    private func verdicts(_ security: SocketSecurity, _ handshakes: [Handshake]) -> [ConnectionRefusal?] {
        var judge = ConnectionJudge(security)
        return handshakes.map { judge.judge($0) }
    }

    @Test("A refused key and a mechanism that does not fit are final at once")
    func final() {
        #expect(verdicts(withKey, [.refused(status: 400)]) == [.keyNotAuthorised(pair.publicKey)])
        #expect(verdicts(withKey, [.mechanismMismatch]) == [.noKeysThere])
        #expect(verdicts(.plain, [.mechanismMismatch]) == [.keyWanted])
    }

    @Test("A coordinator that cannot decide, does not answer or dies now and then is tried again")
    func passing() {
        #expect(
            verdicts(withKey, [.refused(status: 500), .unanswered] + Array(repeating: .closed, count: 4))
                == Array(repeating: nil, count: 6))
        #expect(verdicts(.plain, Array(repeating: .closed, count: 100)).allSatisfy { $0 == nil })
        for (security, handshakes, expected) in [
            (SocketSecurity.plain, [Handshake.closed], true), (.plain, [], false), (.plain, [.unanswered], false),
            (.plain, [.succeeded, .closed], false), (withKey, [.closed], true),
        ] {
            var judge = ConnectionJudge(security)
            for handshake in handshakes { _ = judge.judge(handshake) }
            #expect(judge.onlyCloses == expected, "\(handshakes)")
        }
    }

    @Test("Handshakes that are closed again and again mean a key for another coordinator, unless it once came in")
    func closed() {
        let closed = [Handshake](repeating: .closed, count: 5)
        #expect(verdicts(withKey, closed).last == .otherCoordinator)
        #expect(verdicts(withKey, [.succeeded] + closed + closed).allSatisfy { $0 == nil })
    }
}
