import Foundation
import Testing

@Suite struct RunTests {
    @Test("A sweep runs to a leaderboard, and the same command prints it again without training")
    func runToLeaderboard() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let first = try await Program.run(["run", spec, "--json"], in: folder)
            #expect(first.status == 0, "\(first.errors)")
            let rows = try #require(try JSONSerialization.jsonObject(with: Data(first.output.utf8)) as? [[String: Any]])
            #expect(rows.count == 2)
            #expect(rows.map { $0["rank"] as? Int } == [1, 2])
            #expect(rows.allSatisfy { $0["replicates"] as? Int == 2 && $0["sweep"] as? String == "tiny" })
            #expect(!first.errors.contains("\u{1B}"), "a pipe gets plain lines")
            #expect(first.errors.contains("tiny: finished; levels 16 of 16 done"), "\(first.errors)")

            let before = try Attempts(store: folder.appending(path: "tombola-store"))
            let again = try await Program.run(["run", spec, "--json"], in: folder)
            #expect(again.status == 0)
            #expect(again.output == first.output)
            #expect(try Attempts(store: folder.appending(path: "tombola-store")) == before)

            let read = try await Program.run(["leaderboard", "--json"], in: folder)
            #expect(read.output == first.output)
        }
    }

    @Test("A run ends with the figures where no worker of its has the memory, and goes on where one has")
    func tooLittleMemory() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(branches: "[]"), in: folder)
            let poor = try await Program.run(["run", spec], in: folder, environment: ["TOMBOLA_MEMORY": "1MB"])
            #expect(poor.status == 1, "\(poor.errors)")
            #expect(poor.output.isEmpty)
            #expect(
                poor.errors.contains(
                    """
                    tiny: 10 tasks left, and none that can be trained here: 2 tasks wait for a worker with 128.0 MiB of memory and \
                    numerics f32-lanes16-1 (the largest here with these numerics has 976.6 KiB), and the others for those; set \
                    TOMBOLA_MEMORY higher
                    """), "\(poor.errors)")
            let left = try Attempts(store: folder.appending(path: "tombola-store"))
            #expect(left.counts.count == 10 && left.counts.values.allSatisfy { $0 == 0 })

            let rich = try await Program.run(["run", spec, "--json"], in: folder)
            #expect(rich.status == 0, "\(rich.errors)")
            #expect(rich.errors.contains("tiny: finished; levels 10 of 10 done"), "\(rich.errors)")
        }
    }

    @Test("What fits is trained before a run ends for what does not")
    func someFits() async throws {
        try await withFolder { folder in
            // 50 MB of weights and as much for each of their gradients and the optimizer's two states.
            let text = TestSweep.tiny(branches: "[]").replacing("{rewind: [0, 20]}", with: "{width: [12, 16000]}")
                .replacing("levels: 2", with: "levels: 1").replacing("replicates: 2", with: "replicates: 1")
            let spec = try TestSweep.write(text, in: folder)
            let ended = try await Program.run(["run", spec], in: folder, environment: ["TOMBOLA_MEMORY": "150MB"])
            #expect(ended.status == 1, "\(ended.errors)")
            #expect(ended.errors.contains("tiny: 2 tasks left"), "\(ended.errors)")
            #expect(ended.errors.contains("1 task waits for a worker with "), "\(ended.errors)")
            #expect(ended.errors.contains("(the largest here with these numerics has 143.1 MiB)"), "\(ended.errors)")
            let attempts = try Attempts(store: folder.appending(path: "tombola-store"))
            #expect(attempts.done.count == 2 && attempts.counts.values.sorted() == [0, 0, 1, 1])
        }
    }
}
