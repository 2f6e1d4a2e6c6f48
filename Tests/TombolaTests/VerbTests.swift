import Coordination
import Foundation
import Glibc
import Lottery
import Store
import Testing

/// The commands of a sweep under way, as processes.
@Suite struct VerbTests {
    private func json(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    private func serve(in folder: URL) async throws -> (coordinator: Program, address: String) {
        let coordinator = try Program(["serve", "--store", "store", "--bind", "tcp://127.0.0.1:*"], in: folder)
        try await until("the coordinator says where it is") { coordinator.errors.contains("coordinator at tcp://") }
        let address = try #require(coordinator.errors.firstMatch(of: #/coordinator at (\S+),/#).map { String($0.1) })
        return (coordinator, address)
    }

    /// The tasks of a store, parents first.
    private func works(in folder: URL) throws -> [Work] {
        let store = try Store.open(directory: folder.appending(path: "store").path(), mode: .reader)
        defer { #expect(throws: Never.self) { try store.close() } }
        return try store.snapshot().tasks.map(\.work)
    }

    @Test("pause, explain, priority, resume and stop by address; extend, cancel and retry on a store nobody works on")
    func underWay() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 3_000), in: folder)
            let (coordinator, address) = try await serve(in: folder)
            defer { coordinator.send(SIGKILL) }
            func tell(_ words: String..., status: Int32 = 0) async throws -> String {
                let run = try await Program.run(words + ["--connect", address], in: folder)
                #expect(run.status == status, "\(words): \(run.errors)")
                return run.status == 0 ? run.output : run.errors
            }
            func change(_ words: String..., status: Int32 = 0) async throws -> String {
                let run = try await Program.run(words + ["--store", "store"], in: folder)
                #expect(run.status == status, "\(words): \(run.errors)")
                return run.status == 0 ? run.output : run.errors
            }
            _ = try await tell("submit", spec)
            #expect(try await tell("pause", "tiny") == "tiny is paused\n")
            #expect(try await tell("priority", "tiny", "-5") == "tiny has priority -5\n")
            #expect(try await tell("priority", "tiny", "-5000", status: 2).contains("-1000…1000"))
            #expect(try await tell("priority", "tiny", "3") == "tiny has priority 3\n")
            #expect(try await tell("status").contains("paused, priority 3"))
            let worker = try Program(["worker", "--connect", address, "--directory", "w", "--slots", "1"], in: folder)
            defer { worker.send(SIGKILL) }
            try await until("the worker is there") { try await tell("status", "--json").contains("\"slots\" : 1") }
            let works = try works(in: folder)
            let waiting = try await tell("explain", try #require(works.last).key.hex)
            #expect(waiting.contains("state    waiting") && waiting.contains("waits for "), "\(waiting)")
            let dense = String(try #require(works.first).key.hex.prefix(12))
            #expect(try await tell("explain", dense).contains("tiny is paused: `tombola resume tiny`"))
            #expect(try await tell("pause", "huge", status: 2).contains("no sweep “huge” in this store; it has tiny"))
            #expect(try await tell("explain", "zz", status: 2).contains("hexadecimal"))

            // A coordinator that works on a store on this machine is found by the store.
            #expect(try await change("resume", "tiny") == "tiny goes on\n")
            try await until("a first level is done", within: 90) {
                try await tell("explain", dense).contains("its result counts")
            }
            let stopped = try await tell("stop", "--workers", "--json")
            let left = try #require(try json(stopped)["left"] as? Int)
            #expect(try await coordinator.end() == 0, "\(coordinator.errors)")
            #expect(coordinator.errors.contains("left; start it again to go on"), "\(coordinator.errors)")
            #expect(try await worker.end() == 0, "\(worker.errors)")
            #expect(left > 0)

            // Nobody works on the store now.
            let idle = try await change("stop")
            #expect(idle.contains("no coordinator works on store"), "\(idle)")
            #expect(idle.contains("nothing to stop; \(left) tasks stay"), "\(idle)")
            let offline = try await change("explain", dense)
            #expect(offline.contains("its result counts"), "\(offline)")
            let cancelled = try json(try await change("cancel", "tiny", "--json"))
            #expect(try #require(cancelled["cancelled"] as? Int) > 0)
            #expect(try await change("status").contains("cancelled, priority 3"))
            #expect(try await change("retry", "tiny", "--state", "failed") == "0 tasks to be tried anew\n")
            let revived = try json(try await change("retry", "tiny", "--json"))
            #expect(revived["revived"] as? Int == cancelled["cancelled"] as? Int)
            #expect(try await change("retry", "tiny", "--state", "sleepy", status: 2).contains("quarantined"))
            let more = TestSweep.tiny(iterations: 3_000).replacingOccurrences(
                of: "rewind: [0, 20]", with: "rewind: [0, 20, 40]")
            let changed = try TestSweep.write(more, "more.yaml", in: folder)
            let extended = try json(try await change("extend", changed, "--json"))
            #expect(((extended["plan"] as? [String: Any])?["points"] as? Int) == 3)
            let refused = try await Program.run(["run", spec, "--store", "store"], in: folder)
            #expect(refused.status == 2 && refused.errors.contains("tombola extend"), "\(refused.errors)")
            let done = try await Program.run(
                ["run", changed, "--store", "store", "--workers", "2", "--json"], in: folder)
            #expect(done.status == 0, "\(done.errors)")
            let rows = try #require(try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [Any])
            #expect(rows.count == 3)
            #expect(try await change("pause", "tiny", "--connect", address, status: 2).contains("either"))
            let nowhere = try await Program.run(["pause", "tiny", "--store", "nowhere"], in: folder)
            #expect(nowhere.status == 2 && nowhere.errors.contains("not a tombola store"), "\(nowhere.errors)")
        }
    }

    @Test("tombola run is paused and stopped by its store, and goes on where it ended")
    func run() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 6_000), in: folder)
            let run = try Program(["run", spec, "--store", "store", "--workers", "1"], in: folder)
            defer { run.send(SIGKILL) }
            func change(_ words: String...) async throws -> String {
                let run = try await Program.run(words + ["--store", "store"], in: folder)
                #expect(run.status == 0, "\(words): \(run.errors)")
                return run.output
            }
            try await until("something is done", within: 90) {
                // Until there is a store, there is nothing to read.
                (try? Attempts(store: folder.appending(path: "store")))?.done.isEmpty == false
            }
            #expect(try await change("pause", "tiny").hasPrefix("tiny is paused"))
            #expect(try await change("stop", "--now").contains("stay for the next start"))
            #expect(try await run.end() == 1)
            #expect(run.errors.contains("stopped by `tombola stop`"), "\(run.errors)")
            #expect(try await change("resume", "tiny") == "tiny goes on\n")
            let again = try await Program.run(["run", spec, "--store", "store", "--workers", "1"], in: folder)
            #expect(again.status == 0, "\(again.errors)")
        }
    }

    @Test("A ticket comes over the wire as it lies in the store, byte for byte")
    func remoteTicket() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let done = try await Program.run(["run", spec, "--store", "store", "--workers", "2", "--json"], in: folder)
            #expect(done.status == 0, "\(done.errors)")
            // A dense network, a level that begins at step 0, and one that was rewound.
            let works = try works(in: folder)
            let tickets = [1, 2, 3].compactMap { count in works.last { $0.inputs.count == count }?.key.hex }
            let (coordinator, address) = try await serve(in: folder)
            defer { coordinator.send(SIGKILL) }
            for (number, ticket) in tickets.enumerated() {
                for (place, file) in [
                    (["--store", "store"], "local-\(number)"), (["--connect", address], "remote-\(number)"),
                ] {
                    let export = try await Program.run(
                        ["ticket", "export", ticket, "--out", "\(file).safetensors"] + place, in: folder)
                    #expect(export.status == 0, "\(export.errors)")
                }
                let files = ["local", "remote"].map {
                    FileManager.default.contents(atPath: folder.appending(path: "\($0)-\(number).safetensors").path())
                }
                #expect(files[0] != nil && files[0] == files[1])
                let local = try await Program.run(["ticket", "show", ticket, "--store", "store"], in: folder)
                let remote = try await Program.run(["ticket", "show", ticket, "--connect", address], in: folder)
                #expect(local.status == 0 && local.output == remote.output, "\(remote.errors)")
            }
            #expect(tickets.count == 3)
            let none = try await Program.run(["ticket", "show", "00000000", "--connect", address], in: folder)
            #expect(none.status == 2 && none.errors.contains("begins with"), "\(none.errors)")
        }
    }
}

/// What a sweep comes to when one of its trainings cannot be done.
@Suite struct FailingTaskTests {
    /// Processes that `parent` has started and that have not ended.
    private func children(of parent: Int32) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []  // no /proc, no children
        return names.compactMap(Int32.init).filter { identifier in
            // A process may end between the listing and this. The fourth field, after the name in brackets.
            guard let data = FileManager.default.contents(atPath: "/proc/\(identifier)/stat") else { return false }
            let fields = String(decoding: data, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
            return fields.count > 1 && fields[0] != "Z" && Int32(fields[1]) == parent
        }
    }

    @Test(
        "A training whose process dies three times fails alone; the rest is done, exit status 3, and explain says why")
    func failsAlone() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 15_000, branches: "[]"), in: folder)
            let coordinator = try Program(["serve", "--store", "store", "--bind", "tcp://127.0.0.1:*"], in: folder)
            defer { coordinator.send(SIGKILL) }
            try await until("the coordinator says where it is") { coordinator.errors.contains("coordinator at tcp://") }
            let address = try #require(
                coordinator.errors.firstMatch(of: #/coordinator at (\S+),/#).map { String($0.1) })
            func tell(_ words: String...) async throws -> (status: Int32, output: String, errors: String) {
                try await Program.run(words + ["--connect", address], in: folder)
            }
            #expect(try await tell("submit", spec).status == 0)
            let worker = try Program(
                ["worker", "--connect", address, "--directory", "w", "--slots", "1", "--log-level", "debug"], in: folder
            )
            defer { worker.send(SIGKILL) }
            // There is no other worker, so the task that goes first comes back each time, to a child of its own.
            var killed: Set<Int32> = []
            try await until("three children are killed that train", within: 60) {
                let starts = worker.errors.split(separator: " starts task ").count - 1
                for child in children(of: worker.identifier)
                where killed.count < min(starts, 3) && killed.insert(child).inserted {
                    kill(child, SIGKILL)
                }
                return killed.count == 3
            }
            let watched = try await Program.run(["watch", "--connect", address], in: folder, within: 120)
            #expect(watched.status == 3, "\(watched.errors)")
            let status = try await tell("status").output
            let task = try #require(
                status.firstMatch(of: #/tiny: task ([0-9a-f]+) is failed: failed 3 times.*signal 9/#).map {
                    String($0.1)
                },
                "\(status)")
            #expect(
                status.contains(#/4 done, 0 running, 5 failed of 10|5 done, 0 running, 5 failed of 10/#), "\(status)")
            let explained = try await tell("explain", task).output
            #expect(explained.contains("state    failed"), "\(explained)")
            #expect(explained.matches(of: #/failed +its process was ended by signal 9/#).count == 3, "\(explained)")
            #expect(try await tell("retry", "tiny", "--state", "failed").output == "5 tasks to be tried anew\n")
            let again = try await Program.run(["watch", "--connect", address], in: folder, within: 120)
            #expect(again.status == 0, "\(again.errors)")
        }
    }
}
