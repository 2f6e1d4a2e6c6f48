import Artifacts
import Coordination
import Foundation
import Glibc
import Logging
import Lottery

/// One slot of a worker: at most one child process, which does at most one task.
struct Slot {
    enum Phase: Hashable {
        case idle
        case running(AttemptID)
        /// The child has finished; its files are being taken into the folder.
        case adopting(AttemptID)
        /// The child is being ended; then the task is said to have ended that way.
        case ending(AttemptID, Ending)
    }

    enum Ending: Hashable {
        /// It died by itself; why is known once it is reaped.
        case died
        case failed(reason: String, isFinal: Bool)
        case killed
    }

    var process: SlotProcess?
    /// The process was killed or has closed its output, and is to be reaped.
    var isDying = false
    /// The child has said at which step it began.
    var hasBegun = false
    /// Whether its task was given with what an earlier attempt had saved.
    var isResumed = false
    var phase = Phase.idle
}

extension WorkerLoop {
    func start(_ assignment: Assignment, in index: Int) {
        precondition(
            slots[index].phase == .idle, "slot \(index) is \(slots[index].phase) and was given \(assignment.id)")
        let artifacts = service.directory.artifacts
        do {
            let (outputs, resumeFile) = try service.directory.prepare(assignment.id.task)
            if slots[index].isDying {
                // Its last task is over, and it closed its output afterwards.
                graveyard.append(slots[index].process!)
                slots[index].process = nil
                slots[index].isDying = false
            }
            if slots[index].process == nil {
                slots[index].process = try SlotProcess(command: service.configuration.slotCommand)
            }
            slots[index].process!.errors.begin()
            let paths = assignment.inputs.map { ($0.name, artifacts.path(of: $0.digest)) }
            try slots[index].process!.send(
                .run(
                    SlotTask(
                        payload: Data(assignment.payload),
                        inputs: Dictionary(paths, uniquingKeysWith: { first, _ in first }),
                        outputDirectory: outputs, resumeFile: resumeFile)))
            slots[index].phase = .running(assignment.id)
            slots[index].hasBegun = false
            slots[index].isResumed =
                FileManager.default.fileExists(atPath: resumeFile)
                || assignment.inputs.contains { $0.name == WorkInput.checkpoint }
            logger.debug("slot \(index) starts task \(assignment.id.task), attempt \(assignment.id.attempt)")
        } catch let error as SlotProcessError {
            // Every task would fail here, through no fault of its own.
            end(.failure(.slotCommand(error.description)))
        } catch {
            end(.failure(.directory("the worker's folder cannot be used: \(error.localizedDescription)")))
        }
    }

    /// Ends the task in the slot at once. If its result is being taken in, that goes on, and is what the worker hears.
    func kill(_ index: Int) {
        if case .running(let attempt) = slots[index].phase { endProcess(index, attempt, .killed) }
    }

    func stop(_ index: Int) {
        guard case .running = slots[index].phase else { return }
        do { try slots[index].process!.send(.stop) } catch {
            preconditionFailure("a frame without content could not be written as JSON: \(error)")
        }
    }

    private func endProcess(_ index: Int, _ attempt: AttemptID, _ ending: Slot.Ending) {
        slots[index].phase = .ending(attempt, ending)
        slots[index].process!.kill()
        slots[index].isDying = true
    }

    /// Reads what the slot's child said and sees to its end.
    func attend(to index: Int) {
        guard let process = slots[index].process else { return }
        process.flush()
        process.errors.pass()
        if !slots[index].isDying { listen(to: process, index) }
        guard slots[index].isDying, let cause = process.reap() else { return }
        process.errors.pass()
        let log = process.errors.text
        slots[index].process = nil
        slots[index].isDying = false
        guard case .ending(let attempt, let ending) = slots[index].phase else {
            logger.debug("the child of slot \(index) is gone while it had nothing to do: \(cause)")
            return
        }
        slots[index].phase = .idle
        releaseInputs(of: attempt)
        switch ending {
        case .died:
            logger.warning("task \(attempt.task) failed in slot \(index): \(cause)")
            handle(.failed(slot: index, reason: cause, log: log, isFinal: false))
        case .failed(let reason, let isFinal):
            logger.warning("task \(attempt.task) failed in slot \(index): \(reason)")
            if isFinal { forget(attempt.task) }
            handle(.failed(slot: index, reason: reason, log: log, isFinal: isFinal))
        case .killed:
            // Its folder stays: the task may come back here, say from its own coordinator after another one sat at the
            // address for a while, and then goes on from its resume file.
            handle(.stopped(slot: index, log: log))
        }
    }

    private func listen(to process: SlotProcess, _ index: Int) {
        do {
            let (messages, hasEnded) = try process.receive()
            for message in messages { receive(message, index) }
            guard hasEnded, !slots[index].isDying else { return }
            process.kill()
            slots[index].isDying = true
            if case .running(let attempt) = slots[index].phase { slots[index].phase = .ending(attempt, .died) }
        } catch {
            process.kill()
            slots[index].isDying = true
            if case .running(let attempt) = slots[index].phase {
                slots[index].phase = .ending(attempt, .failed(reason: error.description, isFinal: false))
            }
        }
    }

    private func receive(_ message: SlotProtocol.FromChild, _ index: Int) {
        guard case .running(let attempt) = slots[index].phase else {
            logger.warning("the child of slot \(index), which is \(slots[index].phase), said \(message)")
            return
        }
        switch message {
        case .progress(let step):
            if !slots[index].hasBegun {
                slots[index].hasBegun = true
                logger.debug("slot \(index) trains task \(attempt.task) from step \(step)")
                return handle(.began(slot: index, step: step, isResumed: slots[index].isResumed))
            }
            handle(.progress(slot: index, step: step))
        case .saved(let step): saved(step, index)
        case .finished(let result):
            guard result.summary.count <= Limits.summaryBytes, result.origin.utf8.count <= Limits.originBytes,
                result.outputs.count <= Limits.outputsPerTask
            else {
                return endProcess(
                    index, attempt, .failed(reason: "its summary or its outputs are above the limits", isFinal: true))
            }
            slots[index].phase = .adopting(attempt)
            blobs.post(.adopt(slot: index, attempt, result))
        case .failed(let reason, let isFinal):
            // A child that reported a failure may be in any state, so the next task gets a fresh one.
            endProcess(index, attempt, .failed(reason: reason, isFinal: isFinal))
        case .unable(let reason):
            // Every task would fail here, and be failed for it, through no fault of its own.
            end(.failure(.directory("the worker's folder cannot be written to: \(reason)")))
        case .stopped:
            slots[index].phase = .idle
            releaseInputs(of: attempt)
            handle(.stopped(slot: index))
        }
    }

    private func saved(_ step: Int, _ index: Int) {
        guard case .running(let attempt) = slots[index].phase else { return }
        do {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: service.directory.resumeFile(of: attempt.task))
            handle(.saved(slot: index, step: step, byteCount: attributes[.size] as? Int ?? 0))
        } catch {
            logger.warning(
                "the checkpoint that slot \(index) says it wrote cannot be looked at: \(error.localizedDescription)")
        }
    }

    func finish(_ index: Int, with result: WorkResult) {
        guard case .adopting(let attempt) = slots[index].phase else {
            preconditionFailure("slot \(index) is \(slots[index].phase) and its result was taken in")
        }
        slots[index].phase = .idle
        releaseInputs(of: attempt)
        handle(.finished(slot: index, result))
    }

    func fail(_ index: Int, reason: String) {
        guard case .adopting(let attempt) = slots[index].phase else {
            preconditionFailure("slot \(index) is \(slots[index].phase) and its result was refused")
        }
        slots[index].phase = .idle
        releaseInputs(of: attempt)
        handle(
            .failed(slot: index, reason: reason, log: slots[index].process?.errors.text ?? "", isFinal: false))
    }

    func forget(_ task: TaskKey) {
        do { try service.directory.remove(task) } catch {
            // It only takes room, and is tried again when the folder is a week old.
            logger.warning("the folder of task \(task) could not be removed: \(error.localizedDescription)")
        }
    }

    /// Ends all children and waits a moment for them, so that the folder is no longer written to.
    func bury() {
        for index in slots.indices { slots[index].process?.kill() }
        let deadline = WorkerLoop.now.advanced(byMilliseconds: WorkerLoop.buryMilliseconds)
        for process in graveyard + slots.compactMap(\.process) {
            while process.reap() == nil, WorkerLoop.now < deadline { usleep(1_000) }
        }
        graveyard = []
        for index in slots.indices { slots[index].process = nil }
    }
}
