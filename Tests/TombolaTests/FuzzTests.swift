import Coordination
import Foundation
import Glibc
import Lottery
import Testing
import Wire
import ZeroMQ

extension DisturbedProcesses {
    /// What anyone can send to a coordinator's ports while it works.
    @Suite(.serialized) struct FuzzTests {
        private static let frames = isSoak ? 1_000_000 : 10_000
        private static let handshakes = isSoak ? 100_000 : 1_000

        private static let key = TaskKey(Digest.of("fuzz".utf8))
        private static let id = AttemptID(task: key, attempt: Attempt(1), generation: Generation(nonce: 7))
        private static let worker = WorkerID("fuzzer")

        private static let hello = Hello(
            worker: worker, incarnation: 1, counter: 1, slots: 0, running: [], finished: [], datasets: [], host: "h",
            processID: 1)

        /// Messages that give no right to tasks: those are not the fuzzer's to lose.
        private static let control: [[[UInt8]]] = [
            Wire.encode(
                WorkerMessage.beat(
                    Beat(
                        worker: worker, incarnation: 1, holding: [RunningAttempt(id: id, step: 1)], lastSequence: 0,
                        slots: 0))),
            Wire.encode(
                WorkerMessage.result(
                    ResultReport(
                        worker: worker, id: id,
                        result: WorkResult(
                            outputs: [TaskOutput(name: .final, digest: key.digest, byteCount: 9)], summary: [1],
                            seconds: 1)
                    ))),
            Wire.encode(
                WorkerMessage.failure(
                    FailureReport(worker: worker, id: id, reason: "r", log: "l", isFinal: false, isStalled: false))),
            Wire.encode(
                WorkerMessage.checkpoint(
                    CheckpointReport(
                        worker: worker, id: id,
                        checkpoint: SavedCheckpoint(step: 3, digest: key.digest, byteCount: 9), endsAttempt: false))),
            Wire.encode(WorkerMessage.goodbye(worker)),
            Wire.encode(ClientRequest(id: 1, verb: "status", body: [])),
            Wire.encode(ClientRequest(id: 2, verb: "leaderboard", body: Array("{}".utf8))),
            Wire.encode(
                ClientRequest(id: 3, verb: "submit", body: Array("{\"file\": \"x\", \"spec\": \"name: x\"}".utf8))),
            // Of sweeps that are not there: what a client may order is done.
            order(4, #"{"order": "priority", "target": "x", "priority": 5}"#),
            order(5, #"{"order": "retry", "target": "0000000000", "states": ["failed", "lost"]}"#),
            Wire.encode(ClientRequest(id: 6, verb: "explain", body: Array(#"{"task": "0000000000"}"#.utf8))),
            Wire.encode(ClientRequest(id: 7, verb: "ticket", body: Array(#"{"ticket": "0000000000"}"#.utf8))),
            Wire.encode(
                ClientRequest(
                    id: 8, verb: "blob",
                    body: Array(#"{"digest": "\#(key.digest.hex)", "offset": 0, "count": 9}"#.utf8))),
        ]
        private static func order(_ id: UInt64, _ body: String) -> [[UInt8]] {
            Wire.encode(ClientRequest(id: id, verb: "order", body: Array(body.utf8)))
        }

        private static let blobs: [[[UInt8]]] = [
            Wire.encode(BlobMessage.hello(worker)),
            Wire.encode(BlobMessage.get(digest: key.digest, offset: 0, count: 1_024)),
            Wire.encode(BlobMessage.chunk(digest: key.digest, offset: 0, byteCount: 3, bytes: [1, 2, 3])),
            Wire.encode(BlobMessage.missing(key.digest)),
        ]

        @Test(
            "Mutated frames at both sockets, and broken handshakes: a worker beside them is unharmed, and nothing is leaked"
        )
        func fuzz() async throws {
            var draws = SeededDraws(seed: testSeed)
            let start = ContinuousClock.now
            try await withFolder { folder in
                let spec = try TestSweep.write(TestSweep.tiny(iterations: 300), in: folder)
                let undisturbed = try await Program.run(["run", spec, "--json", "--store", "undisturbed"], in: folder)
                let cluster = try await Cluster(in: folder, store: "store", workers: 1)
                defer { cluster.kill() }
                let blobAddress = try await blobAddress(of: cluster)
                let identifier = cluster.coordinator.identifier
                try send(1_000, FuzzTests.control, to: cluster.address, &draws)
                try await until("connections of the first frames are closed") { descriptors(of: identifier) < 60 }
                let quiet = descriptors(of: identifier)
                func disturb() throws {
                    try send(FuzzTests.frames / 2, FuzzTests.control, to: cluster.address, &draws)
                    try send(FuzzTests.frames / 2, FuzzTests.blobs, to: blobAddress, &draws)
                    try shake(FuzzTests.handshakes / 4, at: [cluster.address, blobAddress], "NULL", &draws)
                }
                /// Without tasks to lose, whoever says HELLO may have a session.
                func greet() async throws -> Int {
                    try send(
                        FuzzTests.frames / 10, [Wire.encode(WorkerMessage.hello(FuzzTests.hello))],
                        to: cluster.address, &draws)
                    try await until("seed \(testSeed): its connections are closed", within: 60) {
                        descriptors(of: identifier) <= quiet + 4
                    }
                    return peakBytes(of: identifier)
                }

                try await cluster.submit(spec)
                try disturb()
                try await until("seed \(testSeed): the sweep ends", within: 120) { cluster.attempts?.done.count == 16 }
                #expect(try await cluster.leaderboard() == undisturbed.output)
                let before = try await greet()
                // What is kept for the next time, up to as much as was ever needed, is no leak: so all of it once more.
                try disturb()
                let after = try await greet()
                #expect(after - before < 32 << 20, "seed \(testSeed): grown from \(before) to \(after) bytes")
                #expect(cluster.coordinator.isRunning, "\(cluster.coordinator.errors.suffix(2_000))")
                let second = try TestSweep.write(TestSweep.tiny(name: "second"), "second.yaml", in: folder)
                try await cluster.submit(second)
                try await until("seed \(testSeed): a second sweep ends", within: 60) {
                    (cluster.attempts?.done.count ?? 0) > 16
                        && cluster.attempts?.done.count == cluster.attempts?.counts.count
                }
                try await cluster.end()
                report(
                    "fuzz", since: start,
                    """
                    seed \(testSeed), twice \(FuzzTests.frames * 11 / 10) mutated messages and \(FuzzTests.handshakes / 4) broken handshakes; \
                    coordinator at most \(before >> 20) MiB after the first time and \(after >> 20) MiB after the second
                    """)
            }
        }

        @Test(
            "Broken handshakes, plain frames and unknown keys where keys are asked for: a worker with a key is unharmed, and nothing is leaked"
        )
        func keyed() async throws {
            var draws = SeededDraws(seed: testSeed)
            let start = ContinuousClock.now
            try await withFolder { folder in
                func tombola(_ words: String...) async throws -> (status: Int32, output: String, errors: String) {
                    try await Program.run(words, in: folder)
                }
                let spec = try TestSweep.write(TestSweep.tiny(iterations: 300), in: folder)
                let undisturbed = try await tombola("run", spec, "--json", "--store", "undisturbed")
                for (name, role) in [("node", "worker"), ("person", "client"), ("stranger", "client")] {
                    let made = try await tombola("keys", "generate", name, "--role", role, "--store", "store")
                    #expect(made.status == 0, "\(made.errors)")
                }
                #expect(try await tombola("keys", "revoke", "stranger", "--store", "store").status == 0)
                let cluster = try await Cluster(
                    in: folder, store: "store", workers: 1,
                    serving: ["--curve"], working: ["--key", "store/keys/node.key"])
                defer { cluster.kill() }
                let blobAddress = try await blobAddress(of: cluster)
                let (both, identifier) = ([cluster.address, blobAddress], cluster.coordinator.identifier)
                let person = ["--connect", cluster.address, "--key", "store/keys/person.key"]
                try shake(200, at: both, "CURVE", &draws)
                let asked = try await Program.run(["status"] + person, in: folder)
                #expect(asked.status == 0, "\(asked.errors)")
                try await until("connections of the first handshakes are closed") { descriptors(of: identifier) < 60 }
                let before = (bytes: residentBytes(of: identifier), descriptors: descriptors(of: identifier))

                let submitted = try await Program.run(["submit", spec] + person, in: folder)
                #expect(submitted.status == 0, "\(submitted.errors)")
                let strangers = 4
                for _ in 0..<strangers {
                    try shake(FuzzTests.handshakes / 2 / strangers, at: both, "CURVE", &draws)
                    let stranger = try await Program.run(
                        ["status", "--connect", cluster.address, "--key", "store/keys/stranger.key"], in: folder)
                    #expect(stranger.status != 0 && stranger.output.isEmpty, "\(stranger.errors)")
                }
                try await until("seed \(testSeed): the sweep ends", within: 120) { cluster.attempts?.done.count == 16 }
                #expect(try await cluster.leaderboard() == undisturbed.output)
                try await until("seed \(testSeed): its connections are closed", within: 60) {
                    descriptors(of: identifier) <= before.descriptors + 4
                }
                let after = (bytes: residentBytes(of: identifier), descriptors: descriptors(of: identifier))
                #expect(after.bytes - before.bytes < 48 << 20, "seed \(testSeed): \(before) and \(after)")
                #expect(cluster.coordinator.isRunning, "\(cluster.coordinator.errors.suffix(2_000))")
                let again = try await Program.run(["status"] + person, in: folder)
                #expect(again.status == 0 && again.output.contains("16 done"), "\(again.errors)")
                try await cluster.end()
                report(
                    "fuzz with keys", since: start,
                    """
                    seed \(testSeed), \(FuzzTests.handshakes / 2) broken handshakes, \(strangers) unknown keys; coordinator before and \
                    after: \(before.bytes >> 20) and \(after.bytes >> 20) MiB, \(before.descriptors) and \(after.descriptors) descriptors
                    """)
            }
        }

        private func blobAddress(of cluster: Cluster) async throws -> String {
            try await until("the coordinator says where blobs go") {
                cluster.coordinator.errors.contains("for blobs at ")
            }
            return try #require(
                cluster.coordinator.errors.firstMatch(of: #/for blobs at (\S+)/#).map { String($0.1) })
        }

        /// Sends `count` messages, each a mutation of one of `seeds`, over connections of a thousand.
        private func send(_ count: Int, _ seeds: [[[UInt8]]], to address: String, _ draws: inout SeededDraws) throws {
            let context = try ZMQContext()
            var left = count
            while left > 0 {
                let socket = try Socket(.dealer, context: context)
                try socket.connect(address)
                var here = min(left, 1_000)
                left -= here
                let deadline = ContinuousClock.now + .seconds(60)
                while here > 0 {
                    let message = mutated(seeds.randomElement(using: &draws)!, &draws)
                    while try !socket.send(message) {
                        // Its queue is full until the coordinator has read; answers would fill ours.
                        try drain(socket)
                        guard ContinuousClock.now < deadline else {
                            throw Late(description: "\(address) reads nothing")
                        }
                        usleep(200)
                    }
                    if here % 50 == 0 { try drain(socket) }
                    here -= 1
                }
                socket.close(lingerMilliseconds: 2_000)
            }
        }

        private func drain(_ socket: borrowing Socket) throws { while try socket.receive() != nil {} }

        private func mutated(_ seed: [[UInt8]], _ draws: inout SeededDraws) -> [[UInt8]] {
            var frames = seed
            for _ in 0..<Int.random(in: 1...4, using: &draws) {
                let frame = Int.random(in: frames.indices, using: &draws)
                switch Int.random(in: 0..<8, using: &draws) {
                case 0:
                    frames[frame] = Array(frames[frame].prefix(Int.random(in: 0...frames[frame].count, using: &draws)))
                case 1:
                    frames[frame] += (0..<Int.random(in: 1...40, using: &draws)).map { _ in
                        .random(in: 0...255, using: &draws)
                    }
                case 2: frames.insert(frames[frame], at: frame)
                case 3 where frames.count > 1: frames.remove(at: frame)
                default:
                    guard !frames[frame].isEmpty else { continue }
                    let place = Int.random(in: frames[frame].indices, using: &draws)
                    frames[frame][place] = .random(in: 0...255, using: &draws)
                }
            }
            return frames
        }

        /// Opens connections from several addresses, says something that is no handshake, or half of one, and hangs up.
        private func shake(
            _ count: Int, at addresses: [String], _ mechanism: String, _ draws: inout SeededDraws
        ) throws {
            // ZMTP 3.1, section 3.4: signature, version, mechanism, role, filler.
            let greeting: [UInt8] =
                [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1] + Array(mechanism.utf8)
                + Array(repeating: 0, count: 52 - mechanism.utf8.count)
            for number in 0..<count {
                // Paced: five thousand a second, so that it is the handshakes that are tried and not the kernel's queue.
                if number % 100 == 99 { usleep(20_000) }
                let (host, port) = try endpoint(addresses[number % addresses.count])
                let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                guard descriptor >= 0 else { throw POSIXError(.EMFILE) }
                defer { close(descriptor) }
                // No port waits after the end, or they would run out.
                var hangUp = linger(l_onoff: 1, l_linger: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &hangUp, socklen_t(MemoryLayout<linger>.size))
                var from = ipv4([127, 0, 0, UInt8(2 + number % 20)], port: 0)
                var to = ipv4(host, port: port)
                let length = socklen_t(MemoryLayout<sockaddr_in>.size)
                let connected =
                    withUnsafeMutablePointer(to: &from) { from in
                        from.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) } == 0
                    }
                    && withUnsafeMutablePointer(to: &to) { to in
                        to.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) } == 0
                    }
                guard connected else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
                var bytes = greeting
                if mechanism == "CURVE" {
                    // RFC 26, section 3.2: a command of 200 bytes with version, padding, key, nonce and a box, which no
                    // key of ours opens.
                    bytes += [4, 200, 5] + Array("HELLO".utf8) + [1, 0] + Array(repeating: 0, count: 72)
                    bytes += (0..<120).map { _ in UInt8.random(in: 0...255, using: &draws) }
                }
                switch Int.random(in: 0..<5, using: &draws) {
                case 4: break
                case 0: bytes = []
                case 1: bytes = Array(bytes.prefix(Int.random(in: 1...bytes.count, using: &draws)))
                case 2:
                    for place in bytes.indices where Bool.random(using: &draws) {
                        bytes[place] = .random(in: 0...255, using: &draws)
                    }
                default:
                    bytes += (0..<Int.random(in: 1...200, using: &draws)).map { _ in .random(in: 0...255, using: &draws)
                    }
                }
                _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            }
        }

        /// - Parameter address: such as `tcp://127.0.0.1:5570`.
        private func endpoint(_ address: String) throws -> (host: [UInt8], port: UInt16) {
            let parts = address.dropFirst("tcp://".count).split(separator: ":")
            try #require(parts.count == 2, "\(address)")
            return (parts[0].split(separator: ".").compactMap { UInt8($0) }, try #require(UInt16(parts[1])))
        }

        private func ipv4(_ bytes: [UInt8], port: UInt16) -> sockaddr_in {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
            return address
        }

        private func descriptors(of identifier: Int32) -> Int {
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(identifier)/fd").count) ?? 0  // it has ended
        }

        private func residentBytes(of identifier: Int32) -> Int { bytes("VmRSS", of: identifier) }

        /// The most that it ever had: what it has now depends on what the allocator has just given back.
        private func peakBytes(of identifier: Int32) -> Int { bytes("VmHWM", of: identifier) }

        private func bytes(_ name: String, of identifier: Int32) -> Int {
            // It has ended.
            let text = (try? String(contentsOfFile: "/proc/\(identifier)/status", encoding: .utf8)) ?? ""
            let line = text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
            return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first).flatMap { Int($0) }.map { $0 << 10 }
                ?? 0
        }
    }
}
