import Archives
import Foundation
import Testing

@Suite struct ArchiveTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tombola-archives-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path(percentEncoded: false))
    }

    private let files: [(name: String, bytes: [UInt8])] = [
        ("sweep/empty", []), ("sweep/a text.md", Array("Θ, then more\n".utf8)),
        (
            "sweep/deep/" + String(repeating: "name", count: 40),
            (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
        ),
    ]

    private func write(_ path: String) throws {
        let archive = try ArchiveWriter(path: path)
        for file in files { try archive.add(file.name, file.bytes) }
        try archive.finish()
    }

    private func read(_ path: String, maximumByteCount: Int = 1 << 20) throws -> [(name: String, bytes: [UInt8])] {
        var found: [(name: String, bytes: [UInt8])] = []
        try ArchiveReader.forEachFile(of: path, maximumByteCount: maximumByteCount) {
            found.append(($0, $1))
            return true
        }
        return found
    }

    @Test("What was written is read, under its names; tar reads it, too; equal files make equal archives")
    func roundTrip() throws {
        try withFolder { folder in
            try write("\(folder)/one.tar.gz")
            try write("\(folder)/two.tar.gz")
            #expect(
                FileManager.default.contents(atPath: "\(folder)/one.tar.gz")
                    == FileManager.default.contents(atPath: "\(folder)/two.tar.gz"))
            let found = try read("\(folder)/one.tar.gz")
            #expect(found.map(\.name) == files.map(\.name) && found.map(\.bytes) == files.map(\.bytes))
            let tar = Process()
            tar.executableURL = URL(filePath: "/usr/bin/env")
            tar.arguments = ["tar", "-xzf", "\(folder)/one.tar.gz", "-C", folder]
            try tar.run()
            tar.waitUntilExit()
            #expect(tar.terminationStatus == 0)
            for file in files {
                #expect(
                    FileManager.default.contents(atPath: "\(folder)/\(file.name)").map { [UInt8]($0) } == file.bytes)
            }
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == [
                    "one.tar.gz", "sweep", "two.tar.gz",
                ])
        }
    }

    @Test("An archive that is not finished leaves nothing")
    func abandoned() throws {
        try withFolder { folder in
            do {
                let archive = try ArchiveWriter(path: "\(folder)/one.tar.gz")
                try archive.add("a", [1, 2, 3])
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            #expect(throws: ArchiveError.self) { try ArchiveWriter(path: "\(folder)/nowhere/one.tar.gz") }
        }
    }

    @Test("Archives that are cut, changed, too large or none at all are told with their path")
    func damaged() throws {
        try withFolder { folder in
            let path = "\(folder)/one.tar.gz"
            try write(path)
            let whole = try Data(contentsOf: URL(filePath: path))
            #expect(throws: ArchiveError.self) { try read(path, maximumByteCount: 299_999) }
            for damaged in [
                whole.prefix(whole.count / 2), Data("no archive, only a line of text\n".utf8),
                whole.prefix(2_000) + Data(repeating: 7, count: whole.count - 2_000),
            ] {
                try damaged.write(to: URL(filePath: path))
                let error = #expect(throws: ArchiveError.self) { try read(path) }
                #expect(error?.description.contains(path) == true)
            }
            #expect(throws: ArchiveError.self) { try read("\(folder)/absent.tar.gz") }
        }
    }

    @Test("Of the checksum and the length every bit counts, nothing may be missing, and nothing may follow")
    func lastBytes() throws {
        try withFolder { folder in
            let path = "\(folder)/one.tar.gz"
            try write(path)
            let whole = try Data(contentsOf: URL(filePath: path))
            func refusal(of bytes: Data) throws -> String {
                try bytes.write(to: URL(filePath: path))
                return "\(try #require(throws: ArchiveError.self) { try read(path) })"
            }
            let remedy = "; take it anew from where it was made"
            for place in 1...8 {
                for bit in 0..<8 {
                    var flipped = whole
                    flipped[whole.count - place] ^= 1 << bit
                    let reason = place > 4 ? "incorrect data check" : "incorrect length check"
                    let found = try refusal(of: flipped)
                    #expect(
                        found == "cannot read \(path): it is damaged (\(reason))\(remedy)", "byte −\(place), bit \(bit)"
                    )
                }
            }
            for cut in 1...9 {
                let found = try refusal(of: whole.dropLast(cut))
                #expect(found == "cannot read \(path): it is cut short\(remedy)", "\(cut) bytes")
            }
            for appended in [Data([0]), Data("garbage".utf8), whole] {
                let found = try refusal(of: whole + appended)
                #expect(found == "cannot read \(path): more bytes follow the end of the archive\(remedy)")
            }
        }
    }

    @Test("Links and pipes are handed over as what they are, folders not at all")
    func others() throws {
        try withFolder { folder in
            let tar = Process()
            tar.executableURL = URL(filePath: "/bin/sh")
            tar.arguments = [
                "-c",
                "mkdir a && echo text > a/file && ln -s file a/link && ln a/file a/same && mkfifo a/pipe && tar cf one.tar a",
            ]
            tar.currentDirectoryURL = URL(filePath: folder)
            try tar.run()
            tar.waitUntilExit()
            var others: [String: String] = [:]
            var files: [String] = []
            try ArchiveReader.forEachFile(
                of: "\(folder)/one.tar", maximumByteCount: 1 << 20, other: { others[$0] = $1 }
            ) { name, bytes in
                files.append(name)
                return bytes == Array("text\n".utf8)
            }
            // Which of the two names is the link is up to tar.
            let linked = try #require(others.first { $0.value == "a hard link" }?.key)
            #expect(Set(files + [linked]) == ["a/file", "a/same"] && files.count == 1)
            others[linked] = nil
            #expect(others == ["a/link": "a symbolic link", "a/pipe": "a device or pipe"])
        }
    }

    @Test("A tar that is not packed is read; zeros may follow its end, and nothing else")
    func unpacked() throws {
        try withFolder { folder in
            try write("\(folder)/one.tar.gz")
            let gzip = Process()
            gzip.executableURL = URL(filePath: "/usr/bin/env")
            gzip.arguments = ["gzip", "-d", "\(folder)/one.tar.gz"]
            try gzip.run()
            gzip.waitUntilExit()
            let path = "\(folder)/one.tar"
            let whole = try Data(contentsOf: URL(filePath: path))
            #expect(try read(path).map(\.bytes) == files.map(\.bytes))
            try (whole + Data(count: 10_240)).write(to: URL(filePath: path))
            #expect(try read(path).map(\.bytes) == files.map(\.bytes))
            for appended in [Data([1]), Data(count: 3 << 20) + Data([1]), whole] {
                try (whole + appended).write(to: URL(filePath: path))
                let error = #expect(throws: ArchiveError.self) { try read(path) }
                #expect(error?.description.contains("more bytes follow the end of the archive") == true)
            }
        }
    }
}
