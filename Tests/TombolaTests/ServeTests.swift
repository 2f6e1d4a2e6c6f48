import Foundation
import Glibc
import Lottery
import Testing

/// A coordinator and workers as on many machines: processes of their own that know each other by an address only.
@Suite struct ServeTests {
    @Test(
        "What no worker can take is said once by serve, and by status, explain and watch, until a worker comes that can"
    )
    func unmet() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(branches: "[]"), in: folder)
            let cluster = try await Cluster(in: folder, store: "store", workers: 1, working: ["--memory", "1MB"])
            defer { cluster.kill() }
            try await cluster.submit(spec)
            let worker =
                "a worker with 128.0 MiB of memory and numerics f32-lanes16-1 (the largest here with these numerics has 976.6 KiB)"
            func tell(_ words: String...) async throws -> String {
                let run = try await Program.run(words + ["--connect", cluster.address], in: folder)
                #expect(run.status == 0, "\(run.errors)")
                return run.output
            }
            try await until("the worker is known to be too small") {
                try await tell("status").contains("unmet  2 tasks wait for \(worker)\n")
            }
            var explained = 0
            for key in cluster.attempts?.counts.keys.sorted() ?? [] {
                if try await tell("explain", key.hex).contains("why      it waits for \(worker)\n") { explained += 1 }
            }
            #expect(explained == 2)
            let watch = try Program(["watch", "--connect", cluster.address], in: folder)
            defer { watch.send(SIGKILL) }
            try await until("watch says it") { watch.errors.contains("; 2 tasks wait for \(worker)") }
            try await until("serve says it") { cluster.coordinator.errors.contains("2 tasks wait for \(worker)") }
            #expect(watch.isRunning && cluster.coordinator.isRunning)

            let large = try Program(
                ["worker", "--connect", cluster.address, "--directory", "large", "--slots", "2"], in: folder)
            defer { large.send(SIGKILL) }
            #expect(try await watch.end() == 0, "\(watch.errors)")
            #expect(!(try await tell("status").contains("unmet")))
            #expect(
                cluster.coordinator.errors.ranges(of: "until one comes").count == 1, "\(cluster.coordinator.errors)")
            large.send(SIGTERM)
            #expect(try await large.end() == 0, "\(large.errors)")
            try await cluster.end()
        }
    }

    @Test("serve, two workers, submit, watch, status and leaderboard over the wire; SIGTERM ends all of them in order")
    func manyMachines() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let coordinator = try Program(["serve", "--store", "store", "--bind", "tcp://127.0.0.1:*"], in: folder)
            defer { coordinator.send(SIGKILL) }
            try await until("the coordinator says where it is") { coordinator.errors.contains("coordinator at tcp://") }
            let address = try #require(
                coordinator.errors.firstMatch(of: #/coordinator at (\S+),/#).map { String($0.1) })

            // Two workers in one folder must not get in each other's way unnoticed.
            let workers = try (1...2).map {
                try Program(["worker", "--connect", address, "--directory", "w\($0)", "--slots", "1"], in: folder)
            }
            defer { for worker in workers { worker.send(SIGKILL) } }
            try await until("the first worker is there") {
                FileManager.default.fileExists(atPath: folder.appending(path: "w1/id").path())
            }
            let third = try await Program.run(["worker", "--connect", address, "--directory", "w1"], in: folder)
            #expect(third.status == 1)
            #expect(third.errors.contains("another worker"), "\(third.errors)")
            #expect(third.errors.contains("--directory"), "\(third.errors)")
            #expect(workers[0].errors.contains("starts with 1 slot for"), "\(workers[0].errors)")

            let submitted = try await Program.run(["submit", spec, "--connect", address, "--json"], in: folder)
            #expect(submitted.status == 0, "\(submitted.errors)")
            let reply = try #require(
                try JSONSerialization.jsonObject(with: Data(submitted.output.utf8)) as? [String: Any])
            #expect(reply["is_continued"] as? Bool == false)
            #expect((reply["plan"] as? [String: Any])?["tasks"] as? Int == 16)

            let watched = try await Program.run(["watch", "--connect", address], in: folder)
            #expect(watched.status == 0, "\(watched.errors)")
            #expect(watched.output.isEmpty)
            #expect(!watched.errors.contains("\u{1B}"))

            let status = try await Program.run(["status", "--connect", address], in: folder)
            #expect(status.output.contains("16 done, 0 running, 0 failed of 16"), "\(status.output)")
            let stored = try await Program.run(["status", "--store", "store"], in: folder)
            for said in [status.output, stored.output] {
                #expect(said.contains(/tiny +finished +4 of 4 done/), "\(said)")
            }
            let remote = try await Program.run(["leaderboard", "--connect", address, "--json"], in: folder)
            let local = try await Program.run(["leaderboard", "--store", "store", "--json"], in: folder)
            #expect(remote.status == 0, "\(remote.errors)")
            #expect(remote.output == local.output)
            #expect(remote.output.contains("\"verdict\""))

            let changed = try TestSweep.write(TestSweep.tiny(iterations: 61), "changed.yaml", in: folder)
            let refused = try await Program.run(["submit", changed, "--connect", address], in: folder)
            #expect(refused.status == 2)
            #expect(refused.errors.contains("another spec"), "\(refused.errors)")

            for worker in workers {
                worker.send(SIGTERM)
                #expect(try await worker.end() == 0, "\(worker.errors)")
            }
            coordinator.send(SIGTERM)
            #expect(try await coordinator.end() == 0, "\(coordinator.errors)")
        }
    }

    /// A `watch` of the `run` that works on the folder's store, once that says where it is.
    private func watch(storeIn folder: URL) async throws -> (Program, address: String) {
        let file = folder.appending(path: "store/endpoint")
        try await until("it says where it is") { FileManager.default.fileExists(atPath: file.path()) }
        let address = try String(contentsOf: file, encoding: .utf8).trimmingCharacters(in: .newlines)
        return (try Program(["watch", "--connect", address], in: folder), address)
    }

    @Test("watch of a run sees it end, and ends with it")
    func watchRun() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 6_000), in: folder)
            let run = try Program(["run", spec, "--store", "store"], in: folder)
            defer { run.send(SIGKILL) }
            let (watch, _) = try await watch(storeIn: folder)
            defer { watch.send(SIGKILL) }
            #expect(try await run.end(within: 120) == 0, "\(run.errors)")
            #expect(try await watch.end(within: 30) == 0, "\(watch.errors)")
            #expect(watch.errors.contains("tiny: 100 %"), "\(watch.errors)")
        }
    }

    @Test("watch of a run that is killed ends with it, since nobody starts that again")
    func watchKilledRun() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 10_000_000), in: folder)
            let run = try Program(["run", spec, "--store", "store"], in: folder)
            defer { run.send(SIGKILL) }
            let (watch, address) = try await watch(storeIn: folder)
            defer { watch.send(SIGKILL) }
            try await until("it has looked once") { watch.errors.contains("tiny: ") }
            run.send(SIGKILL)
            #expect(try await watch.end(within: 30) == 1)
            #expect(watch.errors.contains("the `tombola run` at \(address) has ended"), "\(watch.errors)")
        }
    }

    @Test("watch goes on after its coordinator was killed, says once that it is gone and once that it is back")
    func watchAcrossRestart() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 3_000), in: folder)
            let cluster = try await Cluster(in: folder, store: "store", workers: 1)
            defer { cluster.kill() }
            try await cluster.submit(spec)
            let watches = try (0..<2).map { _ in try Program(["watch", "--connect", cluster.address], in: folder) }
            defer { for watch in watches { watch.send(SIGKILL) } }
            for watch in watches { try await until("it has looked once") { watch.errors.contains("tiny: ") } }
            try await cluster.replaceCoordinator(by: SIGKILL) {
                for watch in watches {
                    try await until("it says that nobody answers") { watch.errors.contains("no coordinator answers") }
                }
                watches[1].send(SIGINT)
                // Sooner than a question that nobody answers has waited.
                #expect(try await watches[1].end(within: 4) == 0, "\(watches[1].errors)")
            }
            #expect(try await watches[0].end(within: 120) == 0, "\(watches[0].errors)")
            for (program, gone) in [(watches[0], " any more"), (cluster.workers[0], "; what runs goes on")] {
                for sentence in ["no coordinator answers at \(cluster.address)\(gone)", "is back after "] {
                    #expect(program.errors.ranges(of: sentence).count == 1, "\(program.errors)")
                }
            }
            try await cluster.end()
        }
    }

    @Test("watch ends where the coordinator of another store answers in the place of the one it watched")
    func watchAnotherStore() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let cluster = try await Cluster(in: folder, store: "store", workers: 0)
            defer { cluster.kill() }
            try await cluster.submit(spec)
            let watch = try Program(["watch", "--connect", cluster.address], in: folder)
            defer { watch.send(SIGKILL) }
            try await until("it has looked once") { watch.errors.contains("tiny: ") }
            try await cluster.replaceCoordinator(by: SIGKILL) {
                let other = try Program(["serve", "--store", "other", "--bind", cluster.address], in: folder)
                defer { other.send(SIGKILL) }
                #expect(try await watch.end(within: 60) == 1)
                #expect(watch.errors.contains("another store's coordinator"), "\(watch.errors)")
                other.send(SIGTERM)
                #expect(try await other.end() == 0, "\(other.errors)")
            }
            try await cluster.end()
        }
    }
}
