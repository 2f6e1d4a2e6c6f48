import CLinux
import Foundation
import Glibc

/// The worker's side of a slot: a child process and the pipes to and from it. Used by one thread, which must live as
/// long as the worker: the child dies with the thread that started it.
final class SlotProcess {
    let processID: pid_t
    /// Becomes readable when the child says something or ends.
    let output: Int32
    /// What it writes to standard error, and anything it prints.
    let errors: SlotErrors
    private let input: Int32
    private var unsent: [UInt8] = []
    private var reader = SlotFrameReader()
    private var hasEnded = false

    /// Starts `command` in a process group of its own, so that Ctrl-C at a terminal reaches the worker alone, which
    /// then stops it.
    init(command: [String]) throws(SlotProcessError) {
        var toChild: [Int32] = [-1, -1]
        var fromChild: [Int32] = [-1, -1]
        var errorsOfChild: [Int32] = [-1, -1]
        guard linux_pipe(&toChild) == 0, linux_pipe(&fromChild) == 0, linux_pipe(&errorsOfChild) == 0 else {
            let code = errno
            for end in toChild + fromChild + errorsOfChild where end >= 0 { close(end) }
            throw SlotProcessError(command, code)
        }
        let status = SlotProcess.spawn(
            command, input: toChild[0], output: fromChild[1], errors: errorsOfChild[1])
        close(toChild[0])
        close(fromChild[1])
        close(errorsOfChild[1])
        errors = SlotErrors(errorsOfChild[0])
        switch status {
        case .success(let processID):
            self.processID = processID
            input = toChild[1]
            output = fromChild[0]
            for descriptor in [input, output] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
        case .failure(let error):
            close(toChild[1])
            close(fromChild[0])
            throw SlotProcessError(command, error.code)
        }
    }

    deinit {
        close(input)
        close(output)
    }

    /// The descriptor to watch for room, while something waits to be written.
    var blockedInput: Int32? { unsent.isEmpty || hasEnded ? nil : input }

    func send(_ message: SlotProtocol.ToChild) throws {
        unsent += try SlotProtocol.encode(message)
        flush()
    }

    /// Writes what the pipe takes.
    func flush() {
        while !unsent.isEmpty {
            let count = unsent.withUnsafeBytes { write(input, $0.baseAddress!, $0.count) }
            if count > 0 {
                unsent.removeFirst(count)
            } else if count == -1 && errno == EINTR {
                continue
            } else {
                // Full (EAGAIN), or the child is gone (EPIPE), which the end of its output will tell.
                if errno != EAGAIN { unsent = [] }
                return
            }
        }
    }

    /// What the child has said since the last call, and whether nothing more will come.
    func receive() throws(SlotProtocolError) -> (messages: [SlotProtocol.FromChild], hasEnded: Bool) {
        var messages: [SlotProtocol.FromChild] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while !hasEnded {
            let count = read(output, &buffer, buffer.count)
            if count > 0 {
                reader.append(buffer[..<count])
                while let message = try reader.next(SlotProtocol.FromChild.self) { messages.append(message) }
            } else if count == -1 && errno == EINTR {
                continue
            } else if count == -1 && errno == EAGAIN {
                break
            } else {
                hasEnded = true
            }
        }
        return (messages, hasEnded)
    }

    /// Ends the child at once, and whatever it may have started.
    func kill() {
        Glibc.kill(-processID, SIGKILL)
        Glibc.kill(processID, SIGKILL)
    }

    /// How the child ended, once it has; nil before. Never waits: a process in an uninterruptible state may take its
    /// time.
    func reap() -> String? {
        var status: Int32 = 0
        while true {
            let result = waitpid(processID, &status, WNOHANG)
            if result == 0 { return nil }
            if result == -1 && errno == EINTR { continue }
            if result == -1 { return "its process vanished" }
            let signal = status & 0x7f
            if signal == 0 { return "its process ended with status \(status >> 8 & 0xff)" }
            let name = String(cString: strsignal(signal))
            return "its process was ended by signal \(signal) (\(name))"
                + (signal == SIGKILL ? "; if nobody did that, memory ran out" : "")
        }
    }

    private struct SystemError: Error { var code: Int32 }

    private static func spawn(
        _ command: [String], input: Int32, output: Int32, errors: Int32
    ) -> Result<pid_t, SystemError> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        var environment = ProcessInfo.processInfo.environment
        environment[ParentDeath.variable] = String(getpid())
        // Of what a crash prints, the end is kept: it is to be why and where, not registers and lists of libraries.
        let wishes = environment["SWIFT_BACKTRACE"] ?? ""
        environment["SWIFT_BACKTRACE"] =
            "color=no,registers=none,images=none,limit=12" + (wishes.isEmpty ? "" : ",\(wishes)")
        let variables = environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        let arguments = command.map { strdup($0) } + [nil]
        defer { (variables + arguments).forEach { free($0) } }
        var processID: pid_t = 0
        let code = posix_spawnp(&processID, command[0], &actions, &attributes, arguments, variables)
        return code == 0 ? .success(processID) : .failure(SystemError(code: code))
    }
}

/// A slot's child could not be started.
struct SlotProcessError: Error, CustomStringConvertible {
    var description: String

    init(_ command: [String], _ code: Int32) {
        description =
            "a slot's process could not be started (\(command.joined(separator: " "))): \(String(cString: strerror(code)))"
    }
}
