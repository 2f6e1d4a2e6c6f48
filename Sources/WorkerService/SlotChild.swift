import Dispatch
import Foundation
import Glibc
import Lottery
import Synchronization
import ZeroMQ

/// The child's side of a slot: takes tasks from standard input, one at a time, and hands them to a closure on the main
/// thread.
///
/// Frames are read on a thread of their own, so that a wish to stop, and the worker's death, are seen while a task
/// trains.
public final class SlotChild: Sendable {
    /// How a task ended.
    public enum Answer: Sendable {
        case finished(SlotResult)
        case failed(reason: String, isFinal: Bool)
        /// No task can be done here: the disk is full, say. The worker ends with this sentence, and no task is blamed.
        case unable(reason: String)
        /// It was asked to stop and has written its resume file, as far as there was anything to save.
        case stopped
    }

    /// Between two `progress` frames: the worker beats every few seconds, so more would only cost time.
    static let progressMilliseconds: Int64 = 100

    private let input: Int32
    private let output: Int32
    private let tasks = Mutex<[SlotTask]>([])
    private let taskCount = DispatchSemaphore(value: 0)
    private let stopRequested = Atomic(false)
    private let progressSentAt = Atomic(Int64.min)

    /// Takes over standard input and output, on which the worker listens; what is printed goes to standard error from
    /// now on. The process ends with its worker.
    public init() {
        ParentDeath.follow()
        signal(SIGPIPE, SIG_IGN)
        input = dup(STDIN_FILENO)
        output = dup(STDOUT_FILENO)
        precondition(input >= 0 && output >= 0, "a slot's child was started without its pipes: errno \(errno)")
        let null = open("/dev/null", O_RDONLY)
        dup2(null, STDIN_FILENO)
        close(null)
        dup2(STDERR_FILENO, STDOUT_FILENO)
    }

    /// Does tasks until the worker closes the pipe, which ends the process.
    ///
    /// - Parameter run: does one task. It calls `report` with the step reached, at least every quarter of a second, and
    ///   stops soon after `report` has said `false`.
    public func serve(_ run: (_ task: SlotTask, _ report: (_ step: Int) -> Bool) -> Answer) -> Never {
        Thread.detachNewThread { self.readFrames() }
        while true {
            taskCount.wait()
            let task = tasks.withLock { $0.removeFirst() }
            let answer = run(task) { step in
                self.report(step)
                return !self.stopRequested.load(ordering: .relaxed)
            }
            switch answer {
            case .finished(let result): send(.finished(result))
            case .failed(let reason, let isFinal): send(.failed(reason: reason, isFinal: isFinal))
            case .unable(let reason): send(.unable(reason: reason))
            case .stopped: send(.stopped)
            }
        }
    }

    private func report(_ step: Int) {
        let now = MonotonicClock.milliseconds
        let last = progressSentAt.load(ordering: .relaxed)
        guard last == .min || now - last >= SlotChild.progressMilliseconds else { return }
        progressSentAt.store(now, ordering: .relaxed)
        send(.progress(step: step))
    }

    /// Says that the task's resume file has been written; by the closure of `serve` only.
    public func saved(step: Int) { send(.saved(step: step)) }

    private func readFrames() {
        var reader = SlotFrameReader()
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = read(input, &buffer, buffer.count)
            if count == -1 && errno == EINTR { continue }
            // The worker is gone or has no use for this child. What the task did since its last checkpoint is done
            // again.
            if count <= 0 { _exit(0) }
            reader.append(buffer[..<count])
            do {
                while let message = try reader.next(SlotProtocol.ToChild.self) { receive(message) }
            } catch {
                leave(because: "the worker's frame could not be read: \(error)")
            }
        }
    }

    private func receive(_ message: SlotProtocol.ToChild) {
        switch message {
        case .run(let task):
            stopRequested.store(false, ordering: .relaxed)
            progressSentAt.store(.min, ordering: .relaxed)
            tasks.withLock { $0.append(task) }
            taskCount.signal()
        case .stop:
            stopRequested.store(true, ordering: .relaxed)
        }
    }

    private func send(_ message: SlotProtocol.FromChild) {
        do {
            let frame = try SlotProtocol.encode(message)
            var sent = 0
            while sent < frame.count {
                let count = frame.withUnsafeBytes { write(output, $0.baseAddress! + sent, frame.count - sent) }
                if count == -1 && errno == EINTR { continue }
                if count <= 0 { _exit(0) }
                sent += count
            }
        } catch {
            leave(because: "an answer could not be written as JSON: \(error)")
        }
    }

    private func leave(because reason: String) -> Never {
        FileHandle.standardError.write(Data("slot: \(reason)\n".utf8))
        _exit(1)
    }
}
