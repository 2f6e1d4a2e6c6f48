import Foundation
import Testing

/// Siblings trained and compared by real processes.
@Suite(.serialized) struct InstabilityRunTests {
    /// A dense network whose end the order of its batches decides, unless they are the same for the first 120 steps.
    private static let spec = """
        name: instability
        dataset: glyphs
        data: {train: 1500, validation: 300}
        model: {family: mlp, hidden: [30, 20]}
        training: {iterations: 150, batch: 50, optimizer: {name: sgd, momentum: 0.9}, learning_rate: 0.1, evaluate_every: 75}
        pruning: {rate: 0.5, levels: 1}
        instability: {levels: all, points: 5}
        grid: {rewind: [0, 120]}
        """
    /// Under load on few cores.
    private static let seconds = 300.0

    @Test("Barriers fall with the step that siblings have in common, and stand beside accuracy wherever people look")
    func barriers() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(Self.spec, in: folder)
            let plan = try await Program.run(["plan", spec], in: folder)
            #expect(
                plan.output.contains(
                    "instability   levels all: 4 siblings, each compared at 5 points; batch-norm interpolated"),
                "\(plan.output)")
            // Checkpoints go as soon as nobody will read them, siblings included.
            let ran = try await Program.run(
                ["run", spec, "--json", "--workers", "2", "--retain", "tickets", "--store", "store"], in: folder,
                within: Self.seconds)
            #expect(ran.status == 0, "\(ran.errors)")
            func tombola(_ arguments: String...) async throws -> String {
                let result = try await Program.run(arguments + ["--store", "store"], in: folder)
                #expect(result.status == 0, "\(arguments): \(result.errors)")
                return result.output
            }
            let rows = try #require(try JSONSerialization.jsonObject(with: Data(ran.output.utf8)) as? [[String: Any]])
            func dense(rewind: Int) throws -> Double {
                let row = try #require(rows.first { ($0["point"] as? [String: Any])?["rewind"] as? Int == rewind })
                let barrier = try #require(row["dense_barrier"] as? [String: Any])
                #expect(row["ticket_barrier"] is [String: Any])
                // One seed says neither that it is stable nor that it is not.
                #expect(barrier["stable"] is NSNull)
                return try #require(barrier["mean"] as? Double)
            }
            let (start, later) = (try dense(rewind: 0), try dense(rewind: 120))
            #expect(start > 0.02 && later < start, "\(start), \(later)")

            let curves = try await tombola("leaderboard", "--by-density", "--csv")
            #expect(
                curves.contains("early_stop_ratio_high,verdict")
                    && curves.contains("barrier,barrier_low,barrier_high,stable"))
            #expect(try await tombola("leaderboard", "--by-density").contains("barrier"))
            #expect(
                try await tombola("leaderboard", "--csv").contains(
                    "dense_barrier,dense_barrier_low,dense_barrier_high,dense_stable"))
            let lines = try await tombola("export", "--table", "connectivity")
            // 2 points, each with a dense network and a level that have siblings, compared at 5 values of α.
            let count = lines.components(separatedBy: "\r\n").filter { !$0.isEmpty }.count
            #expect(count == 1 + 2 * 2 * 5)
            #expect(try await tombola("export", "--table", "connectivity", "--columns").contains("alpha"))

            let level = try #require(
                try await tombola("export", "--table", "levels", "--json").jsonRows.first {
                    $0["branch"] as? String == "ticket"
                })
            let shown = try await tombola("ticket", "show", String(try #require(level["task"] as? String).prefix(12)))
            #expect(shown.contains("points over 5 values of α") && shown.contains("to its sibling"), "\(shown)")

            let compacted = try await tombola("store", "compact", "--intermediates")
            #expect(compacted.contains("0 checkpoints"), "\(compacted)")
            let usage = try await tombola("store", "verify")
            #expect(usage.contains("are what their names say"), "\(usage)")
            let again = try await Program.run(["run", spec, "--json", "--store", "store"], in: folder)
            #expect(again.output == ran.output)
            let bundle = try await tombola("bundle", "--out", "bundle.tar.gz")
            #expect(bundle.contains("bundle.tar.gz"))
            let verified = try await Program.run(["verify", "bundle.tar.gz"], in: folder)
            #expect(verified.status == 0 && verified.output.contains("connectivity.csv"), "\(verified.output)")
        }
    }
}

extension String {
    fileprivate var jsonRows: [[String: Any]] {
        get throws { try #require(try JSONSerialization.jsonObject(with: Data(utf8)) as? [[String: Any]]) }
    }
}
