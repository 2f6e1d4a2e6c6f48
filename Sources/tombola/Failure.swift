import ArgumentParser

/// What the process says with its exit status.
enum ExitStatus: Int32 {
    case ok = 0
    /// Disk, network, another process: try again, or mend the machine.
    case infrastructure = 1
    /// The command line or the spec: mend it.
    case usage = 2
    /// The sweep ended, and some of its tasks failed.
    case tasksFailed = 3
}

/// Why a command ended early: the one sentence for people, and the exit status.
struct Failure: Error {
    var status: ExitStatus
    var message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// The only place where errors get their exit status.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        default:
            // What is left comes from the argument parser: help and version (status 0), and usage errors.
            let code = Tombola.exitCode(for: error)
            let message = Tombola.fullMessage(for: error)
            switch code {
            case .success: self.init(.ok, message)
            case .validationFailure: self.init(.usage, message)
            default: self.init(.infrastructure, message)
            }
        }
    }
}
