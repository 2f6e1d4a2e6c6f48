import Foundation
import Lottery
import Testing
import WorkerService

@Suite("A slot's protocol and the cores for slots")
struct SlotProtocolTests {
    static let messages: [SlotProtocol.FromChild] = [
        .progress(step: 12), .stopped, .failed(reason: "no “memory”\n", isFinal: true),
        .finished(
            SlotResult(
                summary: Data([0, 255, 10]), outputs: [SlotResult.Output(name: .final, path: "/tmp/ü/final")],
                seconds: 1.5, origin: "0.1.0\nnode\namx")),
    ]

    @Test("Messages survive being cut anywhere", arguments: [1, 2, 3, 7, 1_000])
    func cutAnywhere(_ length: Int) throws {
        let bytes = try SlotProtocolTests.messages.flatMap { try SlotProtocol.encode($0) }
        var reader = SlotFrameReader()
        var received: [SlotProtocol.FromChild] = []
        for start in stride(from: 0, to: bytes.count, by: length) {
            reader.append(bytes[start..<min(bytes.count, start + length)])
            while let message: SlotProtocol.FromChild = try reader.next() { received.append(message) }
        }
        #expect(received == SlotProtocolTests.messages)
    }

    @Test("A task goes through unchanged")
    func task() throws {
        let message = SlotProtocol.ToChild.run(
            SlotTask(
                payload: Data((0...255).map { UInt8($0) }), inputs: ["dataset": "/a b/c"], outputDirectory: "/out",
                resumeFile: "/resume"))
        var reader = SlotFrameReader()
        reader.append(try SlotProtocol.encode(message))
        #expect(try reader.next(SlotProtocol.ToChild.self) == message)
        #expect(try reader.next(SlotProtocol.ToChild.self) == nil)
    }

    @Test("A frame that is too long, or no JSON, is said to be so")
    func unreadable() {
        var long = SlotFrameReader()
        long.append([0xff, 0xff, 0xff, 0x7f])
        #expect(throws: SlotProtocolError.tooLong(byteCount: 0x7fff_ffff)) { try long.next(SlotProtocol.ToChild.self) }
        var garbage = SlotFrameReader()
        garbage.append([2, 0, 0, 0, 0x7b, 0x7b])
        #expect(throws: SlotProtocolError.self) { try garbage.next(SlotProtocol.ToChild.self) }
    }

    @Test("The tightest cpu.max of a cgroup and those above it counts, in whole CPUs, one at least")
    func quota() throws {
        let bench = try Bench()
        func limit(_ folder: String, _ text: String) throws {
            try FileManager.default.createDirectory(atPath: bench.path(folder), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: URL(filePath: bench.path("\(folder)/cpu.max")))
        }
        try limit("job", "350000 100000\n")
        try limit("job/step", "max 100000\n")
        try limit("job/step/task", "max 100000\n")
        try limit("tiny", "50000 100000\n")
        try limit("free", "max 100000\n")
        func quota(_ membership: String) -> Int? { UsableCores.quota(membership: membership, root: bench.folder) }
        #expect(quota("1:name=systemd:/x\n0::/job/step/task\n") == 3)
        #expect(quota("0::/tiny\n") == 1)
        #expect(quota("0::/free\n") == nil)
        #expect(quota("0::/\n") == nil)
        #expect(quota("4:cpu:/job\n") == nil)
        #expect(UsableCores.count >= 1)
    }
}
