import Foundation
import Glibc
import Synchronization
import Testing

/// A real `tombola` process with its output in files.
final class Program: Sendable {
    /// The executable that was built together with the tests.
    static let path: String = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(
        path: "tombola"
    ).path()

    let arguments: [String]
    private let folder: URL
    private let process: Mutex<Process>
    /// What waiting for the process gave, where that was not left to `Process`.
    private let waited = Mutex<Int32?>(nil)
    private let name = "program-\(Program.count.wrappingAdd(1, ordering: .relaxed).newValue)"

    private static let count = Atomic<Int>(0)

    /// Starts the program in `folder`. The environment holds no TOMBOLA_ variables but those given.
    /// - Parameter launcher: a command that executes the one that follows it, such as `ip netns exec NAME`.
    init(
        _ arguments: [String], in folder: URL, environment: [String: String] = [:], launcher: [String] = []
    ) throws {
        let command = launcher + [Program.path] + arguments
        self.arguments = arguments
        self.folder = folder
        let child = Process()
        child.executableURL = URL(filePath: command[0])
        child.arguments = Array(command.dropFirst())
        child.currentDirectoryURL = folder
        child.environment = ProcessInfo.processInfo.environment.filter {
            !$0.key.hasPrefix("TOMBOLA_") && $0.key != "NO_COLOR"
        }
        .merging(environment) { _, new in new }
        child.standardInput = FileHandle.nullDevice
        let base = folder.appending(path: name).path()
        // `Process` keeps them for ever, and with a thousand and more open `run` ends the test program now and then.
        var files: [FileHandle] = []
        defer { for file in files { #expect(throws: Never.self) { try file.close() } } }
        for (suffix, set) in [(".out", \Process.standardOutput), (".err", \Process.standardError)]
            as [(String, ReferenceWritableKeyPath<Process, Any?>)]
        {
            #expect(FileManager.default.createFile(atPath: base + suffix, contents: nil))
            let file: FileHandle = try #require(FileHandle(forWritingAtPath: base + suffix))
            files.append(file)
            child[keyPath: set] = file
        }
        try child.run()
        process = Mutex(child)
    }

    var identifier: Int32 { process.withLock { $0.processIdentifier } }
    /// `Process` learns of an end from a socket that a child started at the same moment may hold open, so a process
    /// that has ended and was not waited for is waited for here.
    var isRunning: Bool {
        guard process.withLock({ $0.isRunning }), waited.withLock({ $0 == nil }) else { return false }
        var status: Int32 = 0
        guard waitpid(identifier, &status, WNOHANG) == identifier else { return true }
        waited.withLock { $0 = status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F) }
        return false
    }

    var output: String { text(".out") }
    var errors: String { text(".err") }

    func send(_ signal: Int32) { kill(identifier, signal) }

    /// The exit status, or −signal. Fails the test, and ends the process, if it takes longer than `seconds`.
    @discardableResult
    func end(within seconds: Double = 60, _ location: SourceLocation = #_sourceLocation) async throws -> Int32 {
        do {
            try await until("\(arguments.joined(separator: " ")) ends", within: seconds, location) { !self.isRunning }
        } catch {
            send(SIGKILL)
            Issue.record("standard error of the process that did not end:\n\(errors)", sourceLocation: location)
            throw error
        }
        if let status = waited.withLock({ $0 }) { return status }
        return process.withLock {
            $0.terminationReason == .uncaughtSignal ? -$0.terminationStatus : $0.terminationStatus
        }
    }

    private func text(_ suffix: String) -> String {
        FileManager.default.contents(atPath: folder.appending(path: name + suffix).path()).map {
            String(decoding: $0, as: UTF8.self)
        } ?? ""
    }

    /// Runs to the end: exit status, standard output, standard error.
    static func run(
        _ arguments: [String], in folder: URL, environment: [String: String] = [:], launcher: [String] = [],
        within seconds: Double = 60, _ location: SourceLocation = #_sourceLocation
    ) async throws -> (status: Int32, output: String, errors: String) {
        let program = try Program(arguments, in: folder, environment: environment, launcher: launcher)
        let status = try await program.end(within: seconds, location)
        return (status, program.output, program.errors)
    }
}

struct Late: Error, CustomStringConvertible {
    let description: String
}

/// Waits until `condition` holds; throws once `seconds` have passed.
func until(
    _ claim: String, within seconds: Double = 30, _ location: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(seconds)
    while try await !condition() {
        guard clock.now < deadline else {
            Issue.record("not within \(seconds) s: \(claim)", sourceLocation: location)
            throw Late(description: claim)
        }
        try await clock.sleep(for: .milliseconds(10))
    }
}

/// Process ids whose command line holds all of `words`.
func processes(mentioning words: String...) -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []  // no /proc, no processes to find
    return names.compactMap(Int32.init).filter { identifier in
        // A process may end between the listing and this.
        guard let data = FileManager.default.contents(atPath: "/proc/\(identifier)/cmdline") else { return false }
        let line = String(decoding: data, as: UTF8.self).split(separator: "\0").joined(separator: " ")
        return words.allSatisfy { line.contains($0) }
    }
}

/// A folder of its own for each test, removed afterwards.
func withFolder(_ body: (URL) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "tombola-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }  // what is left over in /tmp fails no test
    try await body(folder)
}
