import Foundation
import Glibc
import Testing

/// A coordinator that is told to stop and killed before it has, as processes.
@Suite struct InterruptedStopTests {
    private static let timings = ["--beat", "0.2", "--session", "5", "--adoption", "30"]

    private func serve(_ address: String, _ more: [String] = [], in folder: URL) async throws -> (Program, String) {
        let coordinator = try Program(
            ["serve", "--store", "store", "--bind", address] + InterruptedStopTests.timings + more, in: folder)
        try await until("the coordinator says where it is") {
            guard coordinator.isRunning else { throw Late(description: "it ended:\n\(coordinator.errors)") }
            return coordinator.errors.contains("coordinator at tcp://")
        }
        return (
            coordinator,
            try #require(coordinator.errors.firstMatch(of: #/coordinator at (\S+),/#).map { String($0.1) })
        )
    }

    @Test(
        "A stop outlives kill -9: the next serve gives out nothing, ends once nothing runs, and the one after that goes on"
    )
    func outlives() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 6_000), in: folder)
            let (first, address) = try await serve(ownAddress(), in: folder)
            defer { first.send(SIGKILL) }
            func tell(_ words: String...) async throws -> String {
                let run = try await Program.run(words + ["--connect", address], in: folder)
                #expect(run.status == 0, "\(words): \(run.errors)")
                return run.output
            }
            _ = try await tell("submit", spec)
            let worker = try Program(["worker", "--connect", address, "--directory", "w", "--slots", "1"], in: folder)
            defer { worker.send(SIGKILL) }
            let store = folder.appending(path: "store")
            try await until("a level is being trained") {
                try await tell("status", "--json").contains("\"running\" : 1")
            }
            let done = try Attempts(store: store).done.count
            #expect(try await tell("stop").contains("stay for the next start"))
            first.send(SIGKILL)
            try await first.end()

            // An order by the store is no start of it: the wish stays.
            let priority = try await Program.run(["priority", "tiny", "2", "--store", "store"], in: folder)
            #expect(priority.status == 0, "\(priority.errors)")
            let (second, _) = try await serve(address, in: folder)
            defer { second.send(SIGKILL) }
            #expect(try await second.end(within: 90) == 0, "\(second.errors)")
            #expect(second.errors.contains("had been told to stop") && second.errors.contains("left; start it again"))
            #expect(
                try Attempts(store: store).done.count == done + 1, "what ran was awaited, and nothing else given out")
            #expect(try Attempts(store: store).counts.values.reduce(0, +) == done + 1)

            let (third, _) = try await serve(address, in: folder)
            defer { third.send(SIGKILL) }
            try await until("more is done", within: 90) { try Attempts(store: store).done.count > done + 1 }
            _ = try await tell("stop", "--now")
            third.send(SIGKILL)
            try await third.end()
            // A person who says so, and the command that goes on with a sweep, go on.
            let (fourth, _) = try await serve(address, ["--go-on"], in: folder)
            defer { fourth.send(SIGKILL) }
            #expect(try await !tell("status", "--json").contains("\"is_draining\" : true"))
            _ = try await tell("stop")
            fourth.send(SIGKILL)
            try await fourth.end()
            worker.send(SIGKILL)
            try await worker.end()
            let run = try Program(["run", spec, "--store", "store", "--workers", "1"], in: folder)
            defer { run.send(SIGKILL) }
            let before = try Attempts(store: store).done.count
            try await until("run goes on", within: 90) { try Attempts(store: store).done.count > before }
            run.send(SIGTERM)
            #expect(try await run.end() == 143, "\(run.errors)")
        }
    }
}
