import Artifacts
import Blobs
import Coordination
import Foundation
import Keys
import Lottery
import Wire
import ZeroMQ

/// The coordinator's blob socket, on a thread of its own, so that neither hashing nor a slow disk delays a beat. It
/// serves what the store has and pulls what workers have made.
final class BlobServer: Sendable {
    enum Command: Sendable {
        /// Answered by `stored` or `unavailable`, unless dropped.
        case pull(BlobPull)
        case drop(BlobPull)
        case removeCheckpoint(Digest)
        case stop
    }

    enum Event: Sendable {
        /// It is durable in the store.
        case stored(Digest, BlobPull.Kind)
        /// `isGone`: the worker said that it does not have it.
        case unavailable(BlobPull, reason: String, isGone: Bool)
        /// The store's disk is full or cannot be used: the coordinator must end.
        case broken(reason: String)
    }

    let events: Mailbox<Event>
    /// Where it listens.
    let endpoint: String
    private let commands: Mailbox<Command>
    private let thread: LoopThread

    /// - Throws: `ZMQError` if `endpoint` cannot be listened at.
    init(
        endpoint: String, artifacts: ArtifactFolder, checkpoints: ArtifactFolder, gate: Gate, context: ZMQContext
    ) throws(ZMQError) {
        let events = try Mailbox<Event>()
        let commands = try Mailbox<Command>()
        self.events = events
        self.commands = commands
        // The socket must be made by the thread that uses it, and whether it can be made must be known here.
        let bound = Outcome<String, ZMQError>()
        thread = LoopThread(name: "blobs") {
            do throws(ZMQError) {
                var options = SocketOptions()
                options.maximumFrameBytes = Limits.chunkBytes + Limits.headerBytes
                // A peer that asks and does not read holds no more of the coordinator's memory than this.
                options.queuedMessages = Limits.chunksQueuedPerPeer
                options.unreadMessages = Limits.chunksQueuedPerPeer
                options.security = gate.security
                let socket = try Socket(.router, options: options, context: context)
                let endpoint = try socket.bind(endpoint)
                bound.set(.success(endpoint))
                Loop(
                    socket: socket, endpoint: endpoint, artifacts: artifacts, checkpoints: checkpoints, gate: gate,
                    commands: commands, events: events
                ).run()
            } catch {
                bound.set(.failure(error))
            }
        }
        self.endpoint = try bound.wait().get()
    }

    func post(_ command: Command) { commands.post(command) }

    /// Closes the socket. What was being pulled stays as parts.
    func stop() {
        commands.post(.stop)
        thread.join()
    }
}

/// What the blob thread owns.
private final class Loop {
    static let messagesPerTurn = 256
    /// Several of a worker's hellos.
    static let silenceMilliseconds: Int64 = 60_000

    private struct Active {
        var download: Download
        var pull: BlobPull
        var wakeUpAt: Instant?
        var isGone = false
    }

    private let socket: Socket
    private var door: Door
    private let artifacts: ArtifactFolder
    private let checkpoints: ArtifactFolder
    private let gate: Gate
    private let commands: Mailbox<BlobServer.Command>
    private let events: Mailbox<BlobServer.Event>
    /// The connection of each worker; a worker says hello on each, and again every few seconds.
    private var routes: [WorkerID: [UInt8]] = [:]
    private var heardAt: [WorkerID: Instant] = [:]
    private var active: [Digest: Active] = [:]
    /// Waits for its turn: as many as may be are under way, or one of the same blob from another worker.
    private var waiting: [BlobPull] = []
    private var isStopping = false

    init(
        socket: consuming Socket, endpoint: String, artifacts: ArtifactFolder, checkpoints: ArtifactFolder, gate: Gate,
        commands: Mailbox<BlobServer.Command>, events: Mailbox<BlobServer.Event>
    ) {
        self.socket = socket
        door = Door(endpoint, at: Instant(milliseconds: MonotonicClock.milliseconds))
        self.artifacts = artifacts
        self.checkpoints = checkpoints
        self.gate = gate
        self.commands = commands
        self.events = events
    }

    func run() {
        do {
            while !isStopping { try turn() }
        } catch {
            events.post(.broken(reason: "the blob socket failed: \(error)"))
        }
    }

    private var now: Instant { Instant(milliseconds: MonotonicClock.milliseconds) }

    private func turn() throws(ZMQError) {
        var poller = Poller()
        _ = poller.watch(readable: commands.doorbell.descriptor)
        _ = poller.watch(socket)
        let wakeUpAt = active.values.compactMap(\.wakeUpAt).reduce(door.nextLook, min)
        _ = try poller.wait(milliseconds: max(0, wakeUpAt.since(now)))
        // The control socket is short of them at the same time, and says so.
        _ = door.tend(socket, at: now)
        for command in commands.takeAll() { handle(command) }
        for _ in 0..<Loop.messagesPerTurn {
            guard let (frames, sender) = try socket.receiveWithSender() else { break }
            // Who has no business here was told so on the control socket.
            guard gate.refusal(of: sender, actingAs: .worker) == nil else { continue }
            receive(Array(frames.dropFirst()), from: frames[0])
        }
        for (digest, entry) in active.sorted(by: { $0.key < $1.key }) where entry.wakeUpAt.map({ $0 <= now }) ?? false {
            carryOut(entry.download.wake(at: now), digest)
        }
    }

    private func handle(_ command: BlobServer.Command) {
        switch command {
        case .pull(let pull):
            if folder(of: pull.kind).contains(pull.digest) { return events.post(.stored(pull.digest, pull.kind)) }
            waiting.append(pull)
        case .drop(let pull):
            waiting.removeAll { $0 == pull }
            if active[pull.digest]?.pull == pull { active[pull.digest] = nil }
        case .removeCheckpoint(let digest):
            do { try checkpoints.remove(digest) } catch { events.post(.broken(reason: error.description)) }
        case .stop:
            isStopping = true
        }
        beginWaiting()
    }

    private func folder(of kind: BlobPull.Kind) -> ArtifactFolder {
        switch kind {
        case .artifact: artifacts
        case .checkpoint: checkpoints
        }
    }

    private func beginWaiting() {
        var index = 0
        while active.count < Limits.pulls, index < waiting.count {
            let pull = waiting[index]
            // The same blob from another worker: if that pull succeeds, this one is answered at once. And a slow worker
            // with much to deliver must not keep the others waiting.
            if active[pull.digest] != nil
                || active.values.count(where: { $0.pull.worker == pull.worker }) >= Limits.pullsPerWorker
            {
                index += 1
                continue
            }
            waiting.remove(at: index)
            let download = Download(pull.digest, byteCount: pull.byteCount, into: folder(of: pull.kind))
            active[pull.digest] = Active(download: download, pull: pull, wakeUpAt: nil)
            carryOut(download.start(at: now), pull.digest)
            // What was begun may be over already, and the list another.
            index = 0
        }
    }

    private func receive(_ frames: [[UInt8]], from route: [UInt8]) {
        let message: BlobMessage
        do { message = try Wire.decodeBlobMessage(frames) } catch {
            // A peer of another version cannot have been welcomed on the control socket, so it has no business here;
            // and what was garbled on its way is asked for again.
            return
        }
        switch message {
        case .hello(let worker):
            heardAt[worker] = now
            guard routes[worker] != route else { return }
            routes[worker] = route
            forgetSilent()
            for (digest, entry) in active.sorted(by: { $0.key < $1.key }) where entry.pull.worker == worker {
                carryOut(entry.download.reconnected(at: now), digest)
            }
        case .get(let digest, let offset, let count):
            do {
                let folder = artifacts.contains(digest) ? artifacts : checkpoints
                send(try folder.answer(digest, offset: offset, count: count), to: route)
            } catch {
                events.post(.broken(reason: error.description))
            }
        case .chunk(let digest, offset: _, byteCount: _, bytes: _), .missing(let digest):
            // Only the worker that was asked may answer: another's “missing” says nothing of this one.
            guard let entry = active[digest], routes[entry.pull.worker] == route else { return }
            if case .missing = message { active[digest]!.isGone = true }
            carryOut(entry.download.receive(message, at: now), digest)
        }
    }

    /// Of the workers that come and go over the weeks only those that still say hello are kept, so that the list is no
    /// longer than about `Limits.workers`.
    private func forgetSilent() {
        guard routes.count > Limits.workers else { return }
        let now = now
        for (worker, at) in heardAt where now.since(at) > Loop.silenceMilliseconds {
            heardAt[worker] = nil
            routes[worker] = nil
        }
    }

    private func carryOut(_ step: Download.Step, _ digest: Digest) {
        guard let entry = active[digest] else { return }
        let worker = entry.pull.worker
        // Without a connection nothing is sent; the worker's next hello has it asked for again.
        if let route = routes[worker] { step.requests.forEach { send($0, to: route, of: worker) } }
        guard let ending = step.ending else {
            active[digest]!.wakeUpAt = step.wakeUpAt
            return
        }
        active[digest] = nil
        switch ending {
        case .stored:
            waiting.removeAll { $0.digest == digest && $0.kind == entry.pull.kind }
            events.post(.stored(digest, entry.pull.kind))
        case .unavailable(let reason):
            events.post(.unavailable(entry.pull, reason: reason, isGone: entry.isGone))
        case .broken(let error): events.post(.broken(reason: error.description))
        }
        beginWaiting()
    }

    /// Sends if the connection is there and has room; whoever waits for the message asks again.
    private func send(_ message: BlobMessage, to route: [UInt8], of worker: WorkerID? = nil) {
        do {
            _ = try socket.send([route] + Wire.encode(message))
        } catch .hostUnreachable {
            if let worker, routes[worker] == route { routes[worker] = nil }
        } catch {
            events.post(.broken(reason: "the blob socket failed: \(error)"))
        }
    }
}
