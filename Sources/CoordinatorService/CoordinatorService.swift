import Coordination
import Foundation
import Glibc
import Logging
import Lottery
import Store
import Synchronization
import Wire
import ZeroMQ

/// A coordinator process: carries out what `Coordination.Coordinator` decides. One thread polls, decides, commits and
/// sends; blobs and planning have threads of their own.
///
/// It works from its `init` on; `run` waits for its end. May be used from any thread.
public final class CoordinatorService: Sendable {
    /// Where workers and clients connect.
    public let endpoint: String
    public let store: Store
    private let shared: SharedState
    private let end = Outcome<CoordinatorExit, CoordinatorServiceError>()

    /// Opens the store, listens, and goes on with what the store holds.
    ///
    /// - Parameters:
    ///   - signals: SIGINT and SIGTERM, where they are to stop the coordinator.
    ///   - hangup: SIGHUP, where it is to have the allow-list read again.
    public init(
        _ configuration: CoordinatorServiceConfiguration, signals: StopSignals? = nil, hangup: NoticeSignal? = nil
    ) throws(CoordinatorServiceError) {
        let control = try BindAddress(configuration.bind)
        let blob: BindAddress? = if let text = configuration.blobBind { try BindAddress(text) } else { nil }
        let gate = try Gate(
            configuration.protection, for: [control, blob].compactMap(\.self), logger: configuration.logger)
        if let blob, blob.overlaps(control) { throw .sameAddress(blob.text) }
        let store: Store
        let shared: SharedState
        let isNew: Bool
        do { isNew = try !Store.exists(in: configuration.storeDirectory) } catch { throw .store(error) }
        if isNew { try FreePorts.require(control, blob: blob) }
        do { store = try Store.open(directory: configuration.storeDirectory, mode: .coordinator) } catch {
            throw .store(error)
        }
        do { shared = try SharedState() } catch { throw .socket(error.description) }
        // Each worker has two connections and each part file needs a descriptor, so the usual soft limit of 1,024 is
        // soon reached. If it cannot be raised, fewer workers can connect, and they say so.
        FileLimit.raise()
        // Sockets and decisions belong to the thread of the loop; whether it could begin must be known here.
        let begun = Outcome<String, CoordinatorServiceError>()
        let end = end
        _ = LoopThread(name: "coordinator") {
            do throws(CoordinatorServiceError) {
                let loop = try CoordinatorLoop(
                    configuration, store: store, control: control, blob: blob, gate: gate, shared: shared,
                    signals: signals, hangup: hangup)
                begun.set(.success(loop.endpoint))
                end.set(loop.run())
            } catch {
                begun.set(.failure(error))
                end.set(.failure(error))
            }
        }
        self.store = store
        self.shared = shared
        endpoint = try begun.wait().get()
    }

    /// Waits until the coordinator has ended: it was stopped, all was done and `exitWhenDone` is set, or it cannot go
    /// on.
    public func run() throws(CoordinatorServiceError) -> CoordinatorExit { try end.wait().get() }

    /// Has it end soon; nothing that was done is lost, and workers go on until they find a coordinator again.
    public func stop() { shared.commands.post(.stop) }

    /// Has it read the allow-list again, as SIGHUP does.
    public func reloadKeys() { shared.commands.post(.reloadKeys) }

    /// What it is doing, a quarter of a second old at most.
    public var status: ServiceStatus? { shared.status.withLock { $0 } }

    /// Plans a sweep and takes it on, or goes on with it if the store has it. Blocks until that is durable.
    public func submit(_ request: SubmitRequest) throws(SubmissionError) -> SubmitReply {
        try shared.ask { .submit(request, $0) }
    }

    /// Takes on tasks that belong to no sweep, such as a benchmark's. Blocks until they are durable.
    public func add(_ works: [Work]) throws(SubmissionError) {
        try shared.ask { .add(works, $0) }
    }
}

/// What other threads and the coordinator's share.
final class SharedState: Sendable {
    enum Command: Sendable {
        case submit(SubmitRequest, Outcome<SubmitReply, SubmissionError>)
        case add([Work], Outcome<Void, SubmissionError>)
        case reloadKeys
        case stop
    }

    let commands: Mailbox<Command>
    let status = Mutex<ServiceStatus?>(nil)
    private let asking = Mutex(Asking())

    private struct Asking {
        var hasEnded = false
        var count = 0
        /// Tells those who wait that nobody will answer any more.
        var refusals: [Int: @Sendable () -> Void] = [:]
    }

    init() throws(ZMQError) { commands = try Mailbox() }

    /// Posts a command and waits for its answer, or for the coordinator's end, however it comes about.
    func ask<Value: Sendable>(
        _ command: (Outcome<Value, SubmissionError>) -> Command
    ) throws(SubmissionError) -> Value {
        let answer = Outcome<Value, SubmissionError>()
        let id: Int? = asking.withLock { asking in
            if asking.hasEnded { return nil }
            asking.count += 1
            asking.refusals[asking.count] = { answer.set(.failure(.stopped)) }
            return asking.count
        }
        guard let id else { throw .stopped }
        commands.post(command(answer))
        let result = answer.wait()
        asking.withLock { _ = $0.refusals.removeValue(forKey: id) }
        return try result.get()
    }

    /// Nobody reads commands any more.
    func close() {
        asking.withLock { asking in
            asking.hasEnded = true
            asking.refusals.values.forEach { $0() }
        }
    }
}
