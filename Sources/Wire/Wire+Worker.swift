import Coordination
import Lottery

/// What workers say.
extension Wire {
    public static func encode(_ message: WorkerMessage) -> [[UInt8]] {
        switch message {
        case .hello(let hello): encode(hello)
        case .beat(let beat): encode(beat)
        case .result(let report): encode(report)
        case .failure(let report):
            frames(
                .failure,
                json(
                    FailureHeader(
                        worker: report.worker, id: report.id, reason: cut(report.reason), log: tail(of: report.log),
                        isFinal: report.isFinal, isStalled: report.isStalled)))
        case .checkpoint(let report): frames(.checkpoint, json(report))
        case .goodbye(let worker): frames(.goodbye, json(worker))
        }
    }

    public static func decodeWorkerMessage(_ frames: [[UInt8]]) throws(WireError) -> WorkerMessage {
        try workerMessage(try open(frames))
    }

    static func workerMessage(_ envelope: Envelope) throws(WireError) -> WorkerMessage {
        switch envelope.kind {
        case .hello: return .hello(try hello(envelope))
        case .beat: return .beat(try beat(envelope.header))
        case .result: return .result(try result(envelope))
        case .failure:
            let header = try fromJSON(FailureHeader.self, envelope.header)
            try check(header.worker)
            guard header.reason.utf8.count <= Limits.reasonBytes else { throw .malformed("the reason is too long") }
            let log = header.log
            guard log.utf8.count <= Limits.logTailBytes else { throw .malformed("the end of the log is too long") }
            try check(header.id)
            return .failure(
                FailureReport(
                    worker: header.worker, id: header.id, reason: printable(header.reason), log: printable(log),
                    isFinal: header.isFinal, isStalled: header.isStalled))
        case .checkpoint: return .checkpoint(try checkpoint(envelope.header))
        case .goodbye:
            let worker = try fromJSON(WorkerID.self, envelope.header)
            try check(worker)
            return .goodbye(worker)
        case .welcome, .sayHello, .task, .beatAck, .resultAck, .checkpointAck, .refused, .drain, .shutdown, .blobHello,
            .get,
            .chunk, .missing, .clientRequest, .clientReply:
            throw .malformed("\(envelope.kind) is nothing a worker says")
        }
    }

    private struct FailureHeader: Codable {
        var worker: WorkerID
        var id: AttemptID
        var reason: String
        var log: String
        var isFinal: Bool
        var isStalled: Bool
    }

    /// HELLO's lists would not fit into a JSON header: they are its payload.
    private struct HelloHeader: Codable {
        var worker: WorkerID
        var incarnation: UInt64
        var counter: UInt64
        var slots: Int
        var host: String
        var processID: Int32
        var memoryBytes: Int?
        var numerics: [NumericsID]
    }

    private static func encode(_ hello: Hello) -> [[UInt8]] {
        let header = HelloHeader(
            worker: hello.worker, incarnation: hello.incarnation, counter: hello.counter, slots: hello.slots,
            host: hello.host,
            processID: hello.processID, memoryBytes: hello.memoryBytes, numerics: hello.numerics)
        var lists = ByteWriter()
        lists.list(hello.running, limit: Limits.attemptsPerMessage) { $0.runningAttempt($1) }
        lists.list(hello.finished, limit: Limits.attemptsPerMessage) { $0.attemptID($1) }
        lists.list(hello.datasets, limit: Limits.datasetsPerWorker) { $0.digest($1) }
        return frames(.hello, json(header), payload: lists.bytes)
    }

    private static func hello(_ envelope: Envelope) throws(WireError) -> Hello {
        let header = try fromJSON(HelloHeader.self, envelope.header)
        try check(header.worker)
        guard (0...Limits.slotsPerWorker).contains(header.slots) else { throw .malformed("\(header.slots) slots") }
        guard header.host.utf8.count <= Limits.nameBytes else { throw .malformed("the host's name is too long") }
        guard header.memoryBytes ?? 0 >= 0 else { throw .malformed("\(header.memoryBytes ?? 0) bytes of memory") }
        guard header.numerics.count <= Limits.numericsPerWorker else {
            throw .malformed("\(header.numerics.count) numerics ids")
        }
        for id in header.numerics { try check(name: id.text, "a numerics id") }
        var lists = ByteReader(envelope.payload)
        let running = try lists.list(limit: Limits.attemptsPerMessage) { reader throws(WireError) in
            try reader.runningAttempt()
        }
        let finished = try lists.list(limit: Limits.attemptsPerMessage) { reader throws(WireError) in
            try reader.attemptID()
        }
        let datasets = try lists.list(limit: Limits.datasetsPerWorker) { reader throws(WireError) in try reader.digest()
        }
        try lists.finish()
        return Hello(
            worker: header.worker, incarnation: header.incarnation, counter: header.counter, slots: header.slots,
            running: running, finished: finished, datasets: datasets, host: printable(header.host),
            processID: header.processID, memoryBytes: header.memoryBytes, numerics: header.numerics)
    }

    private static func checkpoint(_ header: [UInt8]) throws(WireError) -> CheckpointReport {
        let report = try fromJSON(CheckpointReport.self, header)
        try check(report.worker)
        try check(report.id)
        if let checkpoint = report.checkpoint {
            guard (0...Limits.step).contains(checkpoint.step), (0...Limits.blobBytes).contains(checkpoint.byteCount)
            else { throw .malformed("a checkpoint of step \(checkpoint.step) with \(checkpoint.byteCount) bytes") }
        }
        return report
    }

    /// worker, incarnation u64, last sequence u64, slots u16, attempts with steps (52 bytes each).
    private static func encode(_ beat: Beat) -> [[UInt8]] {
        var header = ByteWriter()
        header.text(beat.worker.text, limit: Limits.nameBytes)
        header.integer(beat.incarnation)
        header.integer(beat.lastSequence)
        header.integer(UInt16(beat.slots))
        header.list(beat.holding, limit: Limits.attemptsPerMessage) { $0.runningAttempt($1) }
        return frames(.beat, header.bytes)
    }

    private static func beat(_ header: [UInt8]) throws(WireError) -> Beat {
        var reader = ByteReader(header)
        let worker = try reader.workerID()
        let incarnation = try reader.integer(UInt64.self)
        let lastSequence = try reader.integer(UInt64.self)
        let slots = Int(try reader.integer(UInt16.self))
        guard slots <= Limits.slotsPerWorker else { throw .malformed("\(slots) slots") }
        let holding = try reader.list(limit: Limits.attemptsPerMessage) { reader throws(WireError) in
            try reader.runningAttempt()
        }
        try reader.finish()
        return Beat(
            worker: worker, incarnation: incarnation, holding: holding, lastSequence: lastSequence, slots: slots)
    }

    /// worker, attempt, seconds f64, origin, outputs (name, digest, u64 byte count); the summary is the payload.
    private static func encode(_ report: ResultReport) -> [[UInt8]] {
        var header = ByteWriter()
        header.text(report.worker.text, limit: Limits.nameBytes)
        header.attemptID(report.id)
        header.integer(report.result.seconds.bitPattern)
        header.text(report.result.origin, limit: Limits.originBytes)
        header.list(report.result.outputs, limit: Limits.outputsPerTask) { writer, output in
            writer.text(output.name.text, limit: Limits.nameBytes)
            writer.digest(output.digest)
            writer.integer(UInt64(output.byteCount))
        }
        return frames(.result, header.bytes, payload: report.result.summary)
    }

    private static func result(_ envelope: Envelope) throws(WireError) -> ResultReport {
        var reader = ByteReader(envelope.header)
        let worker = try reader.workerID()
        let id = try reader.attemptID()
        let seconds = Double(bitPattern: try reader.integer(UInt64.self))
        guard seconds.isFinite, seconds >= 0 else { throw .malformed("\(seconds) seconds") }
        let origin = printable(try reader.text(limit: Limits.originBytes))
        let outputs = try reader.list(limit: Limits.outputsPerTask) { reader throws(WireError) in
            TaskOutput(
                name: OutputName(try reader.name("an output's name")), digest: try reader.digest(),
                byteCount: try reader.count(in: 0...Limits.blobBytes, "a blob's size"))
        }
        try reader.finish()
        guard Set(outputs.map(\.name)).count == outputs.count else { throw .malformed("two outputs of one name") }
        return ResultReport(
            worker: worker, id: id,
            result: WorkResult(outputs: outputs, summary: envelope.payload, seconds: seconds, origin: origin))
    }
}

extension ByteWriter {
    /// key 32 bytes, number u32, generation u64.
    mutating func attemptID(_ id: AttemptID) {
        digest(id.task.digest)
        integer(UInt32(id.attempt.number))
        integer(id.generation.nonce)
    }

    /// attempt 44 bytes, step u64.
    mutating func runningAttempt(_ attempt: RunningAttempt) {
        attemptID(attempt.id)
        integer(UInt64(attempt.step))
    }
}

extension ByteReader {
    mutating func attemptID() throws(WireError) -> AttemptID {
        let task = TaskKey(try digest())
        let number = Int(try integer(UInt32.self))
        let generation = Generation(nonce: try integer(UInt64.self))
        let id = AttemptID(task: task, attempt: Attempt(number), generation: generation)
        try Wire.check(id)
        return id
    }

    mutating func runningAttempt() throws(WireError) -> RunningAttempt {
        RunningAttempt(id: try attemptID(), step: try count(in: 0...Limits.step, "a step"))
    }

    mutating func workerID() throws(WireError) -> WorkerID { WorkerID(try name("a worker's name")) }

    mutating func name(_ what: StaticString) throws(WireError) -> String {
        let name = try text(limit: Limits.nameBytes)
        try Wire.check(name: name, what)
        return name
    }
}
