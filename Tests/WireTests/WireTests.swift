import Coordination
import Lottery
import Testing
import Wire

private let key = TaskKey(Digest.of("task".utf8))
private let generation = Generation(nonce: .max)
private let id = AttemptID(task: key, attempt: Attempt(3), generation: generation)
private let other = AttemptID(task: key, attempt: Attempt(4), generation: generation)
private let worker = WorkerID("bär-1")
private let store = StoreID("7c0f6d1e-0000-4000-8000-000000000000")

private let workerMessages: [WorkerMessage] = [
    .hello(
        Hello(
            worker: worker, incarnation: .max, counter: 2, slots: 4, running: [RunningAttempt(id: id, step: 7)],
            finished: [id],
            datasets: [key.digest], host: "host", processID: 12, memoryBytes: 1 << 36,
            numerics: [.f32Lanes16, .bf16Tiles16])),
    .beat(Beat(worker: worker, incarnation: 1, holding: [RunningAttempt(id: id, step: 9)], lastSequence: 5, slots: 2)),
    .result(
        ResultReport(
            worker: worker, id: id,
            result: WorkResult(
                outputs: [TaskOutput(name: .final, digest: key.digest, byteCount: 1 << 33)], summary: [1, 2, 3],
                seconds: 0.5, origin: "0.1.0\nnode-ü\namx"))),
    .failure(
        FailureReport(
            worker: worker, id: id, reason: "killed by signal 9", log: "loss 2.3\nout of memory", isFinal: false)),
    .failure(
        FailureReport(worker: worker, id: id, reason: "stood still", log: "step 7", isFinal: false, isStalled: true)),
    .checkpoint(
        CheckpointReport(
            worker: worker, id: id, checkpoint: SavedCheckpoint(step: 12, digest: key.digest, byteCount: 1 << 30),
            endsAttempt: false)),
    .checkpoint(CheckpointReport(worker: worker, id: id, checkpoint: nil, endsAttempt: true)),
    .goodbye(worker),
]

private let coordinatorMessages: [CoordinatorMessage] = [
    .welcome(
        Welcome(
            store: store, generation: generation, blobEndpointPort: 7001, beatMilliseconds: 5, sessionMilliseconds: 30)),
    .sayHello,
    .task(
        Assignment(id: id, sequence: 8, inputs: [ResolvedInput(name: "parent", digest: key.digest)], payload: [9, 9])),
    .beatAck(BeatAck(store: store, generation: generation, revoked: [id])),
    .beatAck(BeatAck(store: store, generation: generation, revoked: [id, other], stalled: [other])),
    .resultAck(ResultAck(store: store, id: id, verdict: .discarded)),
    .checkpointAck(CheckpointAck(store: store, id: id, digest: key.digest, endsAttempt: true)),
    .checkpointAck(CheckpointAck(store: store, id: id, digest: nil, endsAttempt: false)),
    .refused(reason: "too many workers"),
    .drain, .shutdown,
]

private let blobMessages: [BlobMessage] = [
    .hello(worker), .get(digest: key.digest, offset: 1 << 20, count: 1 << 20),
    .chunk(digest: key.digest, offset: 3, byteCount: 6, bytes: [1, 2, 3]), .missing(key.digest),
]

@Suite("Wire")
struct WireTests {
    @Test("Every message comes back as it went")
    func roundTrips() throws {
        for message in workerMessages {
            #expect(try Wire.decodeWorkerMessage(Wire.encode(message)) == message)
            #expect(try Wire.decodeRequest(Wire.encode(message)) == .worker(message))
        }
        for message in coordinatorMessages {
            #expect(try Wire.decodeCoordinatorMessage(Wire.encode(message)) == message)
        }
        for message in blobMessages { #expect(try Wire.decodeBlobMessage(Wire.encode(message)) == message) }
        let request = ClientRequest(id: 4, verb: "status", body: [1])
        #expect(try Wire.decodeRequest(Wire.encode(request)) == .client(request))
        let reply = ClientReply(id: 4, status: 3, body: [2])
        #expect(try Wire.decodeClientReply(Wire.encode(reply)) == reply)
    }

    @Test("The fullest messages fit their frames")
    func fullest() throws {
        let name = String(repeating: "n", count: Limits.nameBytes)
        let ids = (1...Limits.attemptsPerMessage).map {
            AttemptID(task: key, attempt: Attempt($0), generation: generation)
        }
        let running = ids.map { RunningAttempt(id: $0, step: Limits.step) }
        let full: [WorkerMessage] = [
            .beat(Beat(worker: WorkerID(name), incarnation: .max, holding: running, lastSequence: .max, slots: 1024)),
            .hello(
                Hello(
                    worker: WorkerID(name), incarnation: .max, counter: .max, slots: 1024, running: running,
                    finished: ids,
                    datasets: Array(repeating: key.digest, count: Limits.datasetsPerWorker), host: name, processID: .max
                )),
            .result(
                ResultReport(
                    worker: WorkerID(name), id: id,
                    result: WorkResult(
                        outputs: (0..<Limits.outputsPerTask).map { number in
                            let prefix = "\(number)-"
                            let text = prefix + String(repeating: "o", count: Limits.nameBytes - prefix.utf8.count)
                            return TaskOutput(name: OutputName(text), digest: key.digest, byteCount: Limits.blobBytes)
                        }, summary: Array(repeating: 7, count: Limits.summaryBytes), seconds: 1,
                        origin: String(repeating: "o", count: Limits.originBytes)))),
        ]
        for message in full { #expect(try Wire.decodeWorkerMessage(Wire.encode(message)) == message) }
        let ack = CoordinatorMessage.beatAck(
            BeatAck(store: StoreID(name), generation: generation, revoked: ids, stalled: ids))
        #expect(try Wire.decodeCoordinatorMessage(Wire.encode(ack)) == ack)
    }

    @Test("A long reason is cut at a character, and of a long log the end is kept; both fit")
    func longReasons() throws {
        let long = String(repeating: "ü\u{1}", count: Limits.reasonBytes)
        let log = long + "out of memory"
        let frames = Wire.encode(
            .failure(FailureReport(worker: worker, id: id, reason: long, log: log, isFinal: true)))
        guard case .failure(let report) = try Wire.decodeWorkerMessage(frames) else { return #expect(Bool(false)) }
        #expect(report.reason.utf8.count <= Limits.reasonBytes && report.reason.hasSuffix("…"))
        #expect(report.log.utf8.count <= Limits.logTailBytes)
        #expect(report.log.hasPrefix("…") && report.log.hasSuffix("out of memory"))
    }

    @Test("Of one major every frame is the same, byte for byte: a change of any raises the number")
    func golden() {
        var hasher = ContentHasher()
        let all =
            workerMessages.map(Wire.encode) + coordinatorMessages.map(Wire.encode) + blobMessages.map(Wire.encode) + [
                Wire.encode(ClientRequest(id: 4, verb: "status", body: [1])),
                Wire.encode(ClientReply(id: 4, status: 3, body: [2])),
            ]
        for frame in all.joined() {
            hasher.update(withUnsafeBytes(of: UInt32(frame.count).littleEndian) { Array($0) })
            hasher.update(frame)
        }
        #expect(Wire.major == 4)
        #expect(hasher.finalize().hex == "e2dd4c022922f11bb22a52584f818eaefffbcae11fa1c28dbdf78e6fe031c162")
    }

    @Test(
        "The HELLO of an earlier major is refused with a sentence that it can read, whatever it left out",
        arguments: [UInt8(1), 2, 3])
    func olderHello(_ major: UInt8) throws {
        var frames = Wire.encode(workerMessages[0])
        frames[0][1] = major
        // As workers said before they announced their memory and arithmetic.
        frames[1] = Array(#"{"counter":1,"host":"h","incarnation":1,"processID":1,"slots":1,"worker":"old"}"#.utf8)
        #expect(throws: WireError.version(theirs: Int(major))) { try Wire.decodeRequest(frames) }
        // The same under our number is broken, not misread.
        frames[0][1] = Wire.major
        #expect(throws: WireError.self) { try Wire.decodeRequest(frames) }
        // What that worker's own version makes of the answer: its first frame is of another major and of type 21.
        let refusal = Wire.encodeRefusal(reason: "install the same tombola on both")
        #expect(refusal[0].starts(with: [Wire.magic, Wire.major, 21]))
        #expect(try Wire.decodeCoordinatorMessage(refusal) == .refused(reason: "install the same tombola on both"))
    }

    @Test("A peer of another major is recognised, and understands why it is refused")
    func otherMajors() throws {
        var frames = Wire.encode(workerMessages[0])
        frames[0][1] = 9
        #expect(throws: WireError.version(theirs: 9)) { try Wire.decodeRequest(frames) }
        // A later version may add to the first frame.
        frames[0].append(77)
        #expect(throws: WireError.version(theirs: 9)) { try Wire.decodeRequest(frames) }
        var refusal = Wire.encodeRefusal(reason: "install version 9")
        #expect(refusal == [[0xF6, Wire.major, 21], Array("install version 9".utf8)])
        refusal[0][1] = 9
        #expect(try Wire.decodeCoordinatorMessage(refusal) == .refused(reason: "install version 9"))
        #expect(throws: WireError.refused(reason: "install version 9")) { try Wire.decodeClientReply(refusal) }
        #expect(throws: WireError.refused(reason: "install version 9")) { try Wire.decodeBlobMessage(refusal) }
        #expect(throws: WireError.foreign) { try Wire.decodeRequest([Array("GET / HTTP/1.1".utf8)]) }
        #expect(throws: WireError.foreign) { try Wire.decodeRequest([]) }
    }

    @Test(
        "A name that could be a path or steer a terminal is refused, wherever it stands",
        arguments: [
            "../x", "/etc/passwd", "a/b", ".", "..", "", "a\u{0}b", "a\nb", "\u{1B}[2J", "\u{9B}2J", "\u{7F}",
        ])
    func hostileNames(_ name: String) throws {
        // The name stands where a harmless one of its length was encoded.
        let count = name.utf8.count
        let harmless = String(repeating: "N", count: count)
        func expectRefused(_ frames: [[UInt8]], _ decode: ([[UInt8]]) throws -> Void) throws {
            var frames = frames
            if count > 0 {
                let range = try #require(frames[1].firstRange(of: Array(harmless.utf8)))
                frames[1].replaceSubrange(range, with: Array(name.utf8))
            }
            #expect(throws: WireError.self) { try decode(frames) }
        }
        let named = WorkerID(harmless)
        let output = TaskOutput(name: OutputName(harmless), digest: key.digest, byteCount: 1)
        try expectRefused(
            Wire.encode(.beat(Beat(worker: named, incarnation: 1, holding: [], lastSequence: 0, slots: 1)))
        ) { _ = try Wire.decodeWorkerMessage($0) }
        try expectRefused(
            Wire.encode(
                .result(
                    ResultReport(
                        worker: worker, id: id, result: WorkResult(outputs: [output], summary: [], seconds: 1))))
        ) { _ = try Wire.decodeWorkerMessage($0) }
        try expectRefused(Wire.encode(BlobMessage.hello(named))) { _ = try Wire.decodeBlobMessage($0) }
        try expectRefused(
            Wire.encode(
                .task(
                    Assignment(
                        id: id, sequence: 1, inputs: [ResolvedInput(name: harmless, digest: key.digest)], payload: [])))
        ) { _ = try Wire.decodeCoordinatorMessage($0) }
        try expectRefused(Wire.encode(ClientRequest(id: 1, verb: harmless, body: []))) {
            _ = try Wire.decodeRequest($0)
        }
        // In JSON, where the name is written with its escapes.
        #expect(throws: WireError.self) { try Wire.decodeWorkerMessage(Wire.encode(.goodbye(WorkerID(name)))) }
    }

    @Test("A name above the limit is refused")
    func longNames() {
        let long = WorkerID(String(repeating: "n", count: Limits.nameBytes + 1))
        #expect(throws: WireError.self) { try Wire.decodeWorkerMessage(Wire.encode(.goodbye(long))) }
    }

    @Test("Reasons and hosts keep their words and lose what steers a terminal")
    func steering() throws {
        let said = "line 1\nline 2\t\u{1B}[31mred\u{9B}0m"
        let report = FailureReport(worker: worker, id: id, reason: said, isFinal: false)
        guard case .failure(let failure) = try Wire.decodeWorkerMessage(Wire.encode(.failure(report))) else {
            return #expect(Bool(false))
        }
        #expect(failure.reason == "line 1\nline 2\t?[31mred?0m")
        #expect(
            try Wire.decodeCoordinatorMessage(Wire.encodeRefusal(reason: said))
                == .refused(reason: "line 1\nline 2\t?[31mred?0m"))
    }

    @Test("Frames above their limits are refused: header, payload, chunk, count of frames")
    func frameLimits() {
        let long = [UInt8](repeating: 7, count: Limits.headerBytes + 1)
        var beat = Wire.encode(
            .beat(Beat(worker: worker, incarnation: 1, holding: [], lastSequence: 0, slots: 1)) as WorkerMessage)
        beat[1] = long
        var result = Wire.encode(workerMessages[2])
        result[2] = [UInt8](repeating: 7, count: Limits.summaryBytes + 1)
        var chunk = Wire.encode(blobMessages[2])
        chunk[2] = [UInt8](repeating: 7, count: Limits.chunkBytes + 1)
        let many = Wire.encode(workerMessages[4]) + [[1]]
        for frames in [beat, result, many] { #expect(throws: WireError.self) { try Wire.decodeRequest(frames) } }
        #expect(throws: WireError.self) { try Wire.decodeBlobMessage(chunk) }
    }

    @Test("Flipped bits and cut frames never trap, and what decodes can be encoded again")
    func mutations() throws {
        var all = workerMessages.map { Wire.encode($0) } + coordinatorMessages.map { Wire.encode($0) }
        all += blobMessages.map { Wire.encode($0) }
        all.append(Wire.encode(ClientRequest(id: 4, verb: "status", body: [1])))
        all.append(Wire.encode(ClientReply(id: 4, status: 3, body: [2])))
        for frames in all {
            for frame in frames.indices {
                for position in frames[frame].indices {
                    for bit in 0..<8 {
                        var mutant = frames
                        mutant[frame][position] ^= 1 << bit
                        decodeEverything(mutant)
                    }
                    var mutant = frames
                    mutant[frame].removeSubrange(position...)
                    decodeEverything(mutant)
                }
                var mutant = frames
                mutant[frame] += [0, 255, 255]
                decodeEverything(mutant)
                mutant = frames
                mutant.remove(at: frame)
                decodeEverything(mutant)
                mutant = frames
                mutant[frame] = Array(repeating: 255, count: 300)
                decodeEverything(mutant)
            }
        }
    }

    /// Decodes by every decoder; whatever comes out must survive a round trip.
    private func decodeEverything(_ frames: [[UInt8]]) {
        if case .success(let request) = Result(catching: { try Wire.decodeRequest(frames) }) {
            switch request {
            case .worker(let message):
                #expect((Result { try Wire.decodeWorkerMessage(Wire.encode(message)) }).value == message)
            case .client(let message):
                #expect((Result { try Wire.decodeRequest(Wire.encode(message)) }).value == .client(message))
            }
        }
        if let message = (Result { try Wire.decodeCoordinatorMessage(frames) }).value {
            #expect((Result { try Wire.decodeCoordinatorMessage(Wire.encode(message)) }).value == message)
        }
        if let message = (Result { try Wire.decodeBlobMessage(frames) }).value {
            #expect((Result { try Wire.decodeBlobMessage(Wire.encode(message)) }).value == message)
        }
        if let message = (Result { try Wire.decodeClientReply(frames) }).value {
            #expect((Result { try Wire.decodeClientReply(Wire.encode(message)) }).value == message)
        }
    }
}

extension Result {
    fileprivate var value: Success? { if case .success(let value) = self { value } else { nil } }
}
