import ArgumentParser
import Foundation
import Glibc
import Kernels
import Lottery
import Training
import WorkerService

/// The child process of one slot of a worker: takes training requests from standard input and trains them on its main
/// thread.
struct SlotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "slot", shouldDisplay: false)

    /// Seconds between checkpoints: what a killed worker loses at most.
    @Option var saveEvery = 120.0

    func run() throws {
        // A signal to the whole process group or Slurm step is the worker's to act on: it asks for a checkpoint through
        // the pipe.
        signal(SIGINT, SIG_IGN)
        signal(SIGTERM, SIG_IGN)
        signal(SIGUSR1, SIG_IGN)
        signal(SIGHUP, SIG_IGN)
        let child = SlotChild()
        FloatingPointMode.flushDenormals()
        let trainer = LevelTrainer(registry: .standard)
        child.serve { task, report in
            let request: TrainingRequest
            do {
                request = try JSONDecoder().decode(TrainingRequest.self, from: task.payload)
            } catch {
                return .failed(reason: "this build cannot read the task: \(error)", isFinal: true)
            }
            return train(request, task, with: trainer, report: report, saved: child.saved)
        }
    }

    /// Where a result of this process is from.
    static func origin(of task: TrainingTask) -> ResultOrigin {
        let engine = Engine()
        let processor = task.training.precision == .bf16 ? engine.tiles.rawValue : engine.instructionSet.rawValue
        return ResultOrigin(
            program: Version.text, machine: hostName, processor: processor, processorModel: ProcessorModel.current)
    }

    /// The first part of the host's name.
    static var hostName: String { String(ProcessInfo.processInfo.hostName.prefix { $0 != "." }.prefix(200)) }

    private func train(
        _ request: TrainingRequest, _ task: SlotTask, with trainer: LevelTrainer, report: (Int) -> Bool,
        saved: (Int) -> Void
    ) -> SlotChild.Answer {
        do {
            let result = try trainer.run(
                request, inputs: task.inputs, outputDirectory: task.outputDirectory, resumeFile: task.resumeFile,
                checkpointSeconds: saveEvery, saved: saved
            ) { progress in
                report(progress.step) ? .goOn : .stop
            }
            guard let result else { return .stopped }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return .finished(
                SlotResult(
                    summary: try encoder.encode(result.summary),
                    outputs: result.outputs.map { SlotResult.Output(name: $0.name, path: $0.path) },
                    seconds: result.seconds, origin: SlotCommand.origin(of: request.task).text))
        } catch TrainingError.unwritable(let reason) {
            return .unable(reason: reason)
        } catch let error as TrainingError {
            return .failed(reason: error.description, isFinal: error.isFinal)
        } catch {
            return .failed(reason: "\(error)", isFinal: false)
        }
    }
}
