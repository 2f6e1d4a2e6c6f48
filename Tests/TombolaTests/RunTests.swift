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
}
