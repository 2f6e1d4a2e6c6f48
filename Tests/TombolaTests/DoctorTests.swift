import Foundation
import Testing

@Suite struct DoctorTests {
    @Test("doctor looks at machine, store and data; what does not work is said with its remedy, and is exit status 1")
    func examination() async throws {
        try await withFolder { folder in
            let fresh = try await Program.run(["doctor", "--store", "none", "--json"], in: folder)
            #expect(fresh.status == 0, "\(fresh.output)\(fresh.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "none").path()))
            let found = try #require(try JSONSerialization.jsonObject(with: Data(fresh.output.utf8)) as? [String: Any])
            let subjects = try #require(found["findings"] as? [[String: Any]]).compactMap { $0["subject"] as? String }
            #expect(
                Set(subjects).isSuperset(of: ["processor", "cores", "memory", "store", "disk", "writing", "glyphs"]))

            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
            let run = try await Program.run(["run", spec, "--json", "--store", "store"], in: folder)
            #expect(run.status == 0, "\(run.errors)")
            let sound = try await Program.run(["doctor", "--store", "store"], in: folder)
            #expect(
                sound.status == 0 && sound.output.contains("1 sweep, 16 tasks done"), "\(sound.output)\(sound.errors)")

            let files = FileManager.default.enumerator(atPath: folder.appending(path: "store/artifacts").path())
            let names = try #require(files).compactMap { $0 as? String }.filter { $0.count > 64 }.sorted()
            try FileManager.default.removeItem(at: folder.appending(path: "store/artifacts/\(names[0])"))
            let sick = try await Program.run(
                ["doctor", "--store", "store", "--connect", "tcp://127.0.0.1:1"], in: folder)
            #expect(sick.status == 1)
            #expect(sick.output.contains("1 are missing") || sick.output.contains("1 is missing"), "\(sick.output)")
            #expect(sick.output.contains("store verify"), "\(sick.output)")
            #expect(sick.output.contains("coordinator"), "\(sick.output)")
        }
    }

    @Test("doctor says of a file, and of a folder of other things, that it is no store; a bad address is usage")
    func noStore() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(
                at: folder.appending(path: "letters"), withIntermediateDirectories: false)
            try Data().write(to: folder.appending(path: "letters/to-mother"))
            for (store, words) in [
                ("letters/to-mother", "is not a tombola store (it is not a folder)"),
                ("letters", "is not a tombola store (it has no tombola.sqlite, but holds “to-mother”)"),
            ] {
                let found = try await Program.run(["doctor", "--store", store], in: folder)
                #expect(found.status == 1 && found.output.contains(words), "\(found.output)\(found.errors)")
                let served = try await Program.run(["serve", "--store", store], in: folder)
                #expect(served.status == 2 && served.errors.contains(words), "\(served.errors)")
            }
            let address = try await Program.run(["doctor", "--store", "none", "--connect", "foo"], in: folder)
            #expect(address.status == 2 && address.output.isEmpty, "\(address.output)")
            #expect(address.errors.contains("“foo” is no coordinator's address"), "\(address.errors)")
        }
    }
}
