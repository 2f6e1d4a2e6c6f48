import ArgumentParser
import Client
import CoordinatorService
import Glibc
import Keys
import Store
import Sweeps
import Training
import WorkerService
import ZeroMQ

/// What the process says with its exit status.
package struct ExitStatus: Equatable, Sendable {
    package var code: Int32

    package static let ok = ExitStatus(code: 0)
    /// Disk, network, another process: try again, or mend the machine.
    package static let infrastructure = ExitStatus(code: 1)
    /// The command line or the spec: mend it.
    package static let usage = ExitStatus(code: 2)
    /// The sweep ended, and some of its tasks failed.
    package static let tasksFailed = ExitStatus(code: 3)
    /// Ended by Ctrl-C or SIGTERM before it was done: 128 + the signal, as shells have it.
    static func interrupted(by signal: Int32?) -> ExitStatus { ExitStatus(code: 128 + (signal ?? SIGINT)) }
}

/// Why a command ended early: the one sentence for people, and the exit status.
package struct Failure: Error {
    package var status: ExitStatus
    package var message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// The only place where errors get their exit status.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as SpecError: self.init(.usage, error.description)
        case let error as PlanLimitError: self.init(.usage, error.description)
        case let error as AtlasError: self.init(.usage, error.description)
        case let error as SubmissionError: self.init(ExitStatus(code: Int32(error.exitStatus)), error.description)
        case let error as StoreError: self.init(Failure.status(of: error), error.description)
        case let error as DataError: self.init(error.kind == .unknown ? .usage : .infrastructure, error.description)
        case let error as CoordinatorServiceError:
            switch error {
            case .badAddress, .sameAddress, .unprotected: self.init(.usage, error.description)
            case .keys(let error): self.init(error)
            case .store(let error): self.init(Failure.status(of: error), error.description)
            case .portInUse, .socket, .blobs, .growth: self.init(.infrastructure, error.description)
            }
        case let error as WorkerServiceError:
            switch error {
            case .badEndpoint, .badSlots, .badName: self.init(.usage, error.description)
            case .directory, .slotCommand, .refused, .notLetIn, .unanswered, .socket:
                self.init(.infrastructure, error.description)
            }
        case let error as ClientError:
            if case .badEndpoint = error {
                self.init(.usage, error.description)
            } else {
                self.init(.infrastructure, error.description)
            }
        case let error as KeyError: self.init(error.isUsage ? .usage : .infrastructure, error.description)
        case let error as TrainingError: self.init(.infrastructure, error.description)
        case let error as BadAddress: self.init(.usage, error.description)
        case let error as ZMQError: self.init(.infrastructure, error.description)
        default:
            // What is left comes from the argument parser (help and version, usage errors) or from the system.
            let message = Tombola.fullMessage(for: error)
            switch Tombola.exitCode(for: error) {
            case .success: self.init(.ok, message)
            case .validationFailure: self.init(.usage, message)
            default: self.init(.infrastructure, message)
            }
        }
    }

    /// A folder that is no store was named by mistake; everything else is the machine's state.
    private static func status(of error: StoreError) -> ExitStatus {
        if case .notAStore = error { .usage } else { .infrastructure }
    }
}
