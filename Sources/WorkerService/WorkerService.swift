import Coordination
import Foundation
import Glibc
import Logging
import Lottery
import Wire
import ZeroMQ

/// A worker process: carries out what `Coordination.Worker` decides, with one control socket, a blob thread, and a
/// child process per slot. Everything but blobs is done by one thread, the one that calls `run`.
public final class WorkerService: Sendable {
    let configuration: WorkerServiceConfiguration
    let directory: WorkerDirectory
    let endpoint: ConnectAddress
    let context: ZMQContext
    let stopBell: Doorbell

    /// The name under which the coordinator knows this worker.
    public var worker: WorkerID { directory.worker }

    /// Takes hold of the worker's folder.
    public init(_ configuration: WorkerServiceConfiguration) throws(WorkerServiceError) {
        guard (1...Limits.slotsPerWorker).contains(configuration.slots) else { throw .badSlots(configuration.slots) }
        precondition(!configuration.slotCommand.isEmpty, "a slot's command names at least a program")
        self.configuration = configuration
        do { endpoint = try ConnectAddress(configuration.endpoint) } catch { throw .badEndpoint(error) }
        directory = try WorkerDirectory(path: configuration.directory, name: configuration.name)
        do {
            context = try ZMQContext()
            stopBell = try Doorbell()
        } catch {
            throw .socket("no socket could be made: \(error)")
        }
    }

    /// Works until the coordinator has no more work, nothing was to be done for long enough, or `stop` was called.
    /// Blocks, and lets go of the folder at its end, so it is called once; the children of the slots die with the
    /// calling thread.
    ///
    /// - Parameters:
    ///   - signals: SIGINT and SIGTERM, where they are to stop the worker.
    ///   - preemption: SIGUSR1, where it is to tell the worker that its machine will be taken away
    ///     `WorkerSettings.marginMilliseconds` later.
    public func run(signals: StopSignals? = nil, preemption: NoticeSignal? = nil) throws(WorkerServiceError)
        -> WorkerExit
    {
        // Writing to a child that died is answered by an error, not by the end of this process.
        signal(SIGPIPE, SIG_IGN)
        // A slot's child takes two pipes, so the usual soft limit of 1,024 is reached before `Limits.slotsPerWorker`.
        FileLimit.raise()
        return try WorkerLoop(self, signals: signals, preemption: preemption).run()
    }

    /// Stops in good order, soon: children write their resume files, checkpoints and finished results are delivered.
    /// From any thread.
    public func stop() { stopBell.ring() }
}
