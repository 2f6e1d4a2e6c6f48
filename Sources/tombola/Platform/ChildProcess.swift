import CLinux
import Foundation
import Glibc
import WorkerService

/// A process that this one started: this same executable with other arguments, its standard error read through a pipe.
struct ChildProcess {
    let identifier: pid_t
    /// Readable until the child and all that hold its standard error have ended; -1 once closed.
    private(set) var errorPipe: Int32
    private var unfinishedLine: [UInt8] = []
    /// What the last `poll` found: the exit status, or 128 + the signal.
    private(set) var exitStatus: Int32?

    /// A line longer than this is broken, so that a child cannot fill our memory.
    private static let lineBytes = 64 * 1024

    /// Starts `tombola arguments…` in a process group of its own: Ctrl-C reaches this process only, which ends its
    /// children in order. Call it from the main thread: `ParentDeath` ends the child when the thread that started it
    /// ends.
    init(_ arguments: [String]) throws(Failure) {
        var ends: [Int32] = [-1, -1]
        guard linux_pipe(&ends) == 0 else {
            throw Failure(.infrastructure, "no pipe for a worker: \(String(cString: strerror(errno)))")
        }
        defer { close(ends[1]) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for signal in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&defaults, signal) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var blocked = sigset_t()
        sigemptyset(&blocked)
        posix_spawnattr_setsigmask(&attributes, &blocked)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var words: [UnsafeMutablePointer<CChar>?] = (["tombola"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var environment = ProcessInfo.processInfo.environment
        environment[ParentDeath.variable] = String(getpid())
        // It would have a worker leave a sweep that has no task ready for a while.
        environment["TOMBOLA_IDLE_EXIT"] = nil
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for variable in variables { free(variable) } }
        var child = pid_t()
        let code = posix_spawn(&child, ChildProcess.executable, &actions, &attributes, &words, &variables)
        guard code == 0 else {
            close(ends[0])
            throw Failure(
                .infrastructure, "cannot start a worker, \(ChildProcess.executable): \(String(cString: strerror(code)))"
            )
        }
        identifier = child
        errorPipe = ends[0]
        _ = fcntl(errorPipe, F_SETFL, O_NONBLOCK)
    }

    /// The file of this program; if that was replaced meanwhile, its image in memory.
    static let executable: String = {
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink("/proc/self/exe", &path, Int(PATH_MAX))
        let text = count > 0 ? String(decoding: path.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self) : ""
        return access(text, X_OK) == 0 ? text : "/proc/self/exe"
    }()

    func send(_ signal: Int32) {
        // Once waited for, the number may be another process's.
        if exitStatus == nil { kill(identifier, signal) }
    }

    /// Reads what the child wrote and sees whether it has ended; returns whole lines.
    mutating func poll() -> [String] {
        var lines = readLines()
        if exitStatus == nil {
            var status: Int32 = 0
            if waitpid(identifier, &status, WNOHANG) == identifier {
                exitStatus = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
                lines += readLines()
            }
        }
        return lines
    }

    mutating func closePipe() {
        if errorPipe >= 0 { close(errorPipe) }
        errorPipe = -1
    }

    private mutating func readLines() -> [String] {
        guard errorPipe >= 0 else { return [] }
        var bytes = unfinishedLine
        var buffer = [UInt8](repeating: 0, count: 4096)
        var isOpen = true
        while true {
            let count = read(errorPipe, &buffer, buffer.count)
            if count > 0 {
                bytes += buffer[..<count]
            } else if count == 0 {
                isOpen = false
                break
            } else if errno != EINTR {
                break
            }
        }
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let rest = lines.removeLast()
        unfinishedLine = Array(rest)
        if !rest.isEmpty, !isOpen || rest.count > ChildProcess.lineBytes {
            lines.append(rest)
            unfinishedLine = []
        }
        if !isOpen { closePipe() }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}
