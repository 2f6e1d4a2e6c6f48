import Foundation
import Testing

@Suite struct StoreCommandTests {
    @Test("usage, verify, backup and compact say what a store holds, whether it is sound, and keep it so")
    func upkeep() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let first = try await Program.run(["run", spec, "--json", "--store", "store"], in: folder)
            #expect(first.status == 0, "\(first.errors)")

            let usage = try await Program.run(["store", "usage", "--store", "store", "--json"], in: folder)
            let report = try #require(try JSONSerialization.jsonObject(with: Data(usage.output.utf8)) as? [String: Any])
            let rows = try #require(report["artifacts"] as? [[String: Any]])
            let counts = Dictionary(uniqueKeysWithValues: rows.map { ($0["purpose"] as! String, $0["count"] as! Int) })
            #expect(counts == ["input": 1, "trained": 16, "checkpoint": 2, "metrics": 16])

            let sound = try await Program.run(["store", "verify", "--store", "store"], in: folder)
            #expect(
                sound.status == 0 && sound.output.contains("is sound; 35 artifacts"), "\(sound.output)\(sound.errors)")
            let backup = try await Program.run(["store", "backup", "copy", "--store", "store"], in: folder)
            #expect(backup.status == 0, "\(backup.errors)")
            let again = try await Program.run(["store", "backup", "copy", "--store", "store"], in: folder)
            #expect(again.status == 2 && again.errors.contains("there already"), "\(again.errors)")
            let compacted = try await Program.run(["store", "compact", "--store", "store", "--json"], in: folder)
            #expect(compacted.status == 0 && compacted.output.contains("\"removed\" : 0"), "\(compacted.errors)")

            let files = FileManager.default.enumerator(atPath: folder.appending(path: "store/artifacts").path())
            let names = try #require(files).compactMap { $0 as? String }.filter { $0.count > 64 }.sorted()
            try FileManager.default.removeItem(at: folder.appending(path: "store/artifacts/\(names[0])"))
            let broken = try await Program.run(["store", "verify", "--quick", "--store", "store"], in: folder)
            #expect(broken.status == 1 && broken.output.contains("is missing"), "\(broken.output)")
            let board = try await Program.run(["run", spec, "--json", "--store", "copy"], in: folder)
            #expect(board.output == first.output, "\(board.errors)")
        }
    }
}
