import Artifacts
import Blobs
import Coordination
import Dispatch
import Foundation
import Glibc
import Lottery
import Wire
import ZeroMQ

/// The worker's blob socket and its artifact folder, on a thread of their own, so that neither hashing nor a slow disk
/// delays a beat.
///
/// The control loop posts commands and reads what happened from `events`.
final class BlobClient: Sendable {
    enum Command: Sendable {
        /// Connects to the coordinator's blob socket, anew if there is a connection.
        case connect(endpoint: String)
        case disconnect
        /// Answered by `ready` or `unavailable`. The content stays at least until `inputsInUse` leaves it out.
        case fetch(Digest)
        case dropFetch(Digest)
        /// Takes a finished task's files into the folder and its result into the outbox; answered by `adopted`. They
        /// stay until `release`.
        case adopt(slot: Int, AttemptID, SlotResult)
        case release(AttemptID)
        /// Takes what a task's resume file holds now into the folder; answered by `taken`. It stays until
        /// `dropCheckpoint`.
        case takeCheckpoint(AttemptID, step: Int, resumeFile: String)
        case dropCheckpoint(Digest)
        /// The inputs of all tasks the worker holds.
        case inputsInUse(Set<Digest>)
        case stop
    }

    enum Event: Sendable {
        case ready(Digest)
        case unavailable(Digest, reason: String)
        case adopted(slot: Int, WorkResult)
        /// Nil if the file is gone: the task has come to its end meanwhile.
        case taken(AttemptID, SavedCheckpoint?)
        /// The slot's child named files that are not there.
        case unadoptable(slot: Int, reason: String)
        /// The worker's disk is full or its folder cannot be used: it must end.
        case broken(reason: String)
    }

    let events: Mailbox<Event>
    private let commands: Mailbox<Command>
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameter finished: what the outbox holds.
    init(
        worker: WorkerID, folder: ArtifactFolder, outbox: Outbox, finished: [ResultReport], cacheByteCount: Int,
        security: SocketSecurity, context: ZMQContext
    ) throws {
        let events = try Mailbox<Event>()
        let commands = try Mailbox<Command>()
        self.events = events
        self.commands = commands
        var cache = try ArtifactCache(folder: folder, byteCount: cacheByteCount)
        for report in finished { cache.pin(outputs: report.result.outputs.map(\.digest), of: report.id) }
        let loop = Loop.Start(
            worker: worker, folder: folder, outbox: outbox, cache: cache, security: security, context: context,
            commands: commands,
            events: events)
        let ended = ended
        Thread.detachNewThread {
            Loop(loop).run()
            ended.signal()
        }
    }

    func post(_ command: Command) { commands.post(command) }

    /// Closes the socket, after what is being done with the folder.
    func stop() {
        commands.post(.stop)
        ended.wait()
    }
}

/// What the blob thread owns.
private final class Loop {
    struct Start: Sendable {
        var worker: WorkerID
        var folder: ArtifactFolder
        var outbox: Outbox
        var cache: ArtifactCache
        var security: SocketSecurity
        var context: ZMQContext
        var commands: Mailbox<BlobClient.Command>
        var events: Mailbox<BlobClient.Event>
    }

    /// The coordinator learns by it over which connection to ask for blobs, also after TCP's connection broke
    /// unnoticed.
    static let helloMilliseconds: Int64 = 10_000
    static let maximumDownloads = 8
    static let messagesPerTurn = 64

    let start: Start
    var cache: ArtifactCache
    var socket: Socket?
    var helloAt = Instant(milliseconds: 0)
    var downloads: [Digest: (download: Download, wakeUpAt: Instant?)] = [:]
    /// Asked for while `maximumDownloads` were under way, first come first served.
    var waiting: [Digest] = []
    var isStopping = false

    init(_ start: Start) {
        self.start = start
        cache = start.cache
    }

    func run() {
        do {
            while !isStopping { try turn() }
        } catch {
            start.events.post(.broken(reason: "the blob socket failed: \(error)"))
        }
    }

    private func turn() throws(ZMQError) {
        var poller = Poller()
        _ = poller.watch(readable: start.commands.doorbell.descriptor)
        if socket != nil { _ = poller.watch(socket!) }
        _ = try poller.wait(milliseconds: wakeUpAt.map { max(0, $0.since(now)) })
        for command in start.commands.takeAll() { try handle(command) }
        if socket != nil {
            for _ in 0..<Loop.messagesPerTurn {
                guard let frames = try socket!.receive() else { break }
                receive(frames)
            }
            if helloAt <= now { sayHello() }
            for (digest, entry) in downloads.sorted(by: { $0.key < $1.key })
            where entry.wakeUpAt.map({ $0 <= now }) ?? false {
                carryOut(entry.download.wake(at: now), digest)
            }
        }
    }

    private var now: Instant { Instant(milliseconds: MonotonicClock.milliseconds) }

    /// Without a connection nobody is asked and no answer is late: downloads go on when there is one again, however
    /// long the coordinator was gone.
    private var wakeUpAt: Instant? {
        socket == nil ? nil : min(helloAt, downloads.values.compactMap(\.wakeUpAt).min() ?? helloAt)
    }

    private func handle(_ command: BlobClient.Command) throws(ZMQError) {
        switch command {
        case .connect(let endpoint):
            socket = nil
            var options = SocketOptions()
            options.maximumFrameBytes = Limits.chunkBytes + Limits.headerBytes
            options.queuedMessages = Limits.chunksQueuedPerPeer
            options.unreadMessages = Limits.chunksQueuedPerPeer
            options.security = start.security
            let fresh = try Socket(.dealer, options: options, context: start.context)
            try fresh.connect(endpoint)
            socket = consume fresh
            sayHello()
            for (digest, entry) in downloads.sorted(by: { $0.key < $1.key }) {
                carryOut(entry.download.reconnected(at: now), digest)
            }
        case .disconnect:
            socket = nil
        case .fetch(let digest):
            cache.pin(input: digest)
            if start.folder.contains(digest) {
                start.events.post(.ready(digest))
            } else if downloads[digest] == nil && !waiting.contains(digest) {
                waiting.append(digest)
                beginWaiting()
            }
        case .dropFetch(let digest):
            downloads[digest] = nil
            waiting.removeAll { $0 == digest }
            beginWaiting()
        case .adopt(let slot, let attempt, let result):
            adopt(result, of: attempt, slot: slot)
        case .release(let attempt):
            cache.unpin(outputsOf: attempt)
            forget(attempt)
            evict()
        case .takeCheckpoint(let attempt, let step, let resumeFile):
            takeCheckpoint(of: attempt, step, resumeFile)
        case .dropCheckpoint(let digest):
            do { try cache.drop(checkpoint: digest) } catch { start.events.post(.broken(reason: error.description)) }
        case .inputsInUse(let digests):
            cache.keep(inputs: digests)
            evict()
        case .stop:
            isStopping = true
        }
    }

    private func beginWaiting() {
        while downloads.count < Loop.maximumDownloads, !waiting.isEmpty {
            let digest = waiting.removeFirst()
            let download = Download(digest, byteCount: nil, into: start.folder)
            downloads[digest] = (download, nil)
            carryOut(download.start(at: now), digest)
        }
    }

    private func receive(_ frames: [[UInt8]]) {
        let message: BlobMessage
        // What cannot be read is as good as lost, and what is lost is asked for again.
        do { message = try Wire.decodeBlobMessage(frames) } catch { return }
        switch message {
        case .get(let digest, let offset, let count):
            do {
                send(try start.folder.answer(digest, offset: offset, count: count))
            } catch {
                start.events.post(.broken(reason: error.description))
            }
        case .chunk(let digest, offset: _, byteCount: _, bytes: _), .missing(let digest):
            guard let entry = downloads[digest] else { return }
            carryOut(entry.download.receive(message, at: now), digest)
        case .hello: break
        }
    }

    private func carryOut(_ step: Download.Step, _ digest: Digest) {
        step.requests.forEach(send)
        guard let ending = step.ending else {
            downloads[digest]?.wakeUpAt = step.wakeUpAt
            return
        }
        downloads[digest] = nil
        switch ending {
        case .stored:
            cache.noteUse(of: digest)
            start.events.post(.ready(digest))
        case .unavailable(let reason): start.events.post(.unavailable(digest, reason: reason))
        case .broken(let error): start.events.post(.broken(reason: error.description))
        }
        beginWaiting()
    }

    private func sayHello() {
        helloAt = now.advanced(byMilliseconds: Loop.helloMilliseconds)
        send(.hello(start.worker))
    }

    /// Sends if there is a connection with room; whoever waits for the message asks again.
    private func send(_ message: BlobMessage) {
        guard socket != nil else { return }
        do { _ = try socket!.send(Wire.encode(message)) } catch {
            start.events.post(.broken(reason: "the blob socket failed: \(error)"))
        }
    }

    private func adopt(_ result: SlotResult, of attempt: AttemptID, slot: Int) {
        var outputs: [TaskOutput] = []
        do {
            for output in result.outputs {
                guard access(output.path, R_OK) == 0 else {
                    let reason = "it said it left \(output.path), which cannot be read"
                    return start.events.post(.unadoptable(slot: slot, reason: reason))
                }
                let (digest, byteCount) = try start.folder.add(movingFile: output.path)
                outputs.append(TaskOutput(name: output.name, digest: digest, byteCount: byteCount))
            }
        } catch {
            switch error {
            // The child's own doing: it counts as its failure. All else is the folder's, where every task would fail.
            case .changing, .tooLarge: start.events.post(.unadoptable(slot: slot, reason: error.description))
            default: start.events.post(.broken(reason: error.description))
            }
            return
        }
        cache.pin(outputs: outputs.map(\.digest), of: attempt)
        outputs.sort { $0.name < $1.name }
        let taken = WorkResult(
            outputs: outputs, summary: Array(result.summary), seconds: result.seconds, origin: result.origin)
        // What can never be sent is no result; the control loop says so.
        if Worker.objection(to: taken) == nil {
            do {
                try start.outbox.keep(ResultReport(worker: start.worker, id: attempt, result: taken))
            } catch {
                return start.events.post(.broken(reason: error.description))
            }
        }
        start.events.post(.adopted(slot: slot, taken))
    }

    /// A second name first: the child may put another file in its place at any time, or remove it.
    private func takeCheckpoint(of attempt: AttemptID, _ step: Int, _ resumeFile: String) {
        let path = resumeFile + ".taken"
        do {
            try Folder.removeFile(path)
            guard link(resumeFile, path) == 0 || copy(resumeFile, to: path) else {
                return start.events.post(.taken(attempt, nil))
            }
            let (digest, byteCount) = try start.folder.add(movingFile: path)
            cache.pin(checkpoint: digest)
            start.events.post(.taken(attempt, SavedCheckpoint(step: step, digest: digest, byteCount: byteCount)))
        } catch {
            switch error {
            case .tooLarge: start.events.post(.taken(attempt, nil))
            default: start.events.post(.broken(reason: error.description))
            }
        }
    }

    /// For disks on which a file has one name.
    private func copy(_ source: String, to path: String) -> Bool {
        do { try FileManager.default.copyItem(atPath: source, toPath: path) } catch { return false }
        return true
    }

    private func forget(_ attempt: AttemptID) {
        do { try start.outbox.remove(attempt) } catch {
            start.events.post(.broken(reason: error.description))
        }
    }

    private func evict() {
        do { try cache.evict() } catch {
            start.events.post(.broken(reason: error.description))
        }
    }
}
