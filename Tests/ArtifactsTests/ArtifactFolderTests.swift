import Artifacts
import Foundation
import Lottery
import Testing

/// A folder that goes with the test.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        path = FileManager.default.temporaryDirectory.path + "/tombola-artifacts-" + UUID().uuidString
        // Tests cannot go on without it, and then fail at their first use of it.
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // What is left behind is only a nuisance.
        try? FileManager.default.removeItem(atPath: path)
    }

    var artifacts: String { path + "/artifacts" }

    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }

    func bytes(of path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

    /// Files below `artifacts`, by path from there.
    var files: [String] {
        FileManager.default.subpaths(atPath: artifacts)?.filter { name in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: "\(artifacts)/\(name)", isDirectory: &isFolder)
                && !isFolder.boolValue
        }.sorted() ?? []
    }
}

/// `count` bytes that repeat nowhere soon.
func content(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
    }
}

@Suite("Artifacts")
struct ArtifactFolderTests {
    let temporary = TemporaryFolder()

    @Test(
        "Content is found under its digest, in the folder of its first two digits",
        arguments: [0, 1, 1 << 20, (1 << 20) + 1])
    func write(count: Int) throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let bytes = content(count)
        let digest = try folder.write(bytes)
        #expect(digest == Digest.of(bytes))
        #expect(temporary.files == ["\(digest.hex.prefix(2))/\(digest.hex)"])
        #expect(try folder.byteCount(of: digest) == count)
        #expect(try folder.read(digest, offset: 0, count: count + 5) == bytes)
        #expect(try folder.digests() == [digest])
        try folder.verify(digest)
    }

    @Test("A range is read from inside, cut at the end, and refused outside")
    func ranges() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let digest = try folder.write(Array(0..<100))
        #expect(try folder.read(digest, offset: 10, count: 3) == [10, 11, 12])
        #expect(try folder.read(digest, offset: 98, count: 10) == [98, 99])
        #expect(try folder.read(digest, offset: 100, count: 10) == [])
        for (offset, count) in [(101, 1), (-1, 1), (0, -1)] {
            #expect(throws: ArtifactError.badRange(digest, offset: offset, count: count)) {
                try folder.read(digest, offset: offset, count: count)
            }
        }
    }

    @Test("A file that is moved in is gone from where it was; moving the same content again does no harm")
    func moving() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let bytes = content(3_000_000)
        for _ in 0..<2 {
            let source = try temporary.file("final", bytes)
            let added = try folder.add(movingFile: source)
            #expect(added == (Digest.of(bytes), bytes.count))
            #expect(!FileManager.default.fileExists(atPath: source))
        }
        #expect(try folder.read(Digest.of(bytes), offset: 0, count: bytes.count) == bytes)
        #expect(temporary.files.count == 1)
    }

    @Test("A file that is linked in stays where it was and takes no second space")
    func linking() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let source = try temporary.file("glyphs", content(1000))
        for _ in 0..<2 {
            let added = try folder.add(linkingFile: source)
            #expect(added == (Digest.of(content(1000)), 1000))
        }
        #expect(try temporary.bytes(of: source) == content(1000))
        #expect(temporary.files.count == 1)
        #expect(try FileManager.default.attributesOfItem(atPath: source)[.referenceCount] as? Int == 2)
        // Both names are one file now, and giving up the first must not give up the artifact.
        _ = try folder.add(movingFile: source)
        #expect(!FileManager.default.fileExists(atPath: source))
        try folder.verify(Digest.of(content(1000)))
    }

    @Test("Moving or linking an artifact's own file leaves it alone")
    func ownFile() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let digest = try folder.write([1, 2, 3])
        _ = try folder.add(movingFile: folder.path(of: digest))
        _ = try folder.add(linkingFile: folder.path(of: digest))
        try folder.verify(digest)
        #expect(temporary.files.count == 1)
    }

    @Test("A file on another disk is copied in and then removed there")
    func otherDisk() throws {
        // /dev/shm is a file system of its own on every Linux that has it.
        let source = "/dev/shm/tombola-\(UUID().uuidString)"
        try Data(content(2_500_000)).write(to: URL(fileURLWithPath: source))
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        _ = try folder.add(linkingFile: source)
        #expect(FileManager.default.fileExists(atPath: source))
        let digest = try folder.add(movingFile: source).digest
        #expect(!FileManager.default.fileExists(atPath: source))
        try folder.verify(digest)
        #expect(temporary.files.count == 1)
    }

    @Test("A writer hashes what comes piece by piece; one that is dropped leaves nothing")
    func writer() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        do {
            var dropped = try folder.makeWriter()
            try dropped.append(content(10_000))
        }
        #expect(temporary.files.isEmpty)
        var writer = try folder.makeWriter()
        let bytes = content(10_000)
        for start in stride(from: 0, to: bytes.count, by: 999) {
            try writer.append(Array(bytes[start..<min(start + 999, bytes.count)]))
        }
        #expect(try writer.finish() == (Digest.of(bytes), bytes.count))
        #expect(temporary.files.count == 1)
    }

    @Test("What is missing or damaged is named with the remedy")
    func missingAndDamaged() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let digest = try folder.write(content(100))
        let path = folder.path(of: digest)
        #expect(chmod(path, 0o644) == 0)
        var bytes = content(100)
        bytes[50] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let damage = #expect(throws: ArtifactError.self) { try folder.verify(digest) }
        #expect(damage?.description.contains(path) == true)
        #expect(damage?.description.contains("backup") == true)
        // Content that comes again heals it.
        _ = try folder.write(content(100))
        try folder.verify(digest)

        try folder.remove(digest)
        try folder.remove(digest)
        #expect(!folder.contains(digest))
        for access in [{ _ = try folder.read(digest, offset: 0, count: 1) }, { _ = try folder.byteCount(of: digest) }] {
            #expect(throws: ArtifactError.missing(digest, folder: temporary.artifacts)) { try access() }
        }
    }

    @Test("Content above the limit is refused and leaves nothing")
    func limit() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts, maximumByteCount: 1000)
        _ = try folder.write(content(1000))
        let source = try temporary.file("large", content(1001))
        #expect(throws: ArtifactError.self) { try folder.write(content(1001)) }
        #expect(throws: ArtifactError.tooLarge(path: source, byteCount: 1001, limit: 1000)) {
            try folder.add(movingFile: source)
        }
        #expect(throws: ArtifactError.self) { try folder.beginPart(Digest.of([1]), byteCount: 1001) }
        #expect(FileManager.default.fileExists(atPath: source))
        #expect(temporary.files.count == 1)
    }

    @Test("An owner that opens the folder removes what a crash left; a reader changes nothing")
    func leftovers() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let digest = try folder.write(content(10))
        let old = Digest.of([9])
        _ = try temporary.file("artifacts/incoming/123-abc", content(5))
        _ = try temporary.file("artifacts/parts/nonsense", content(5))
        _ = try temporary.file("artifacts/parts/\(digest.hex).part", content(5))
        let kept = try temporary.file("artifacts/parts/\(Digest.of([7]).hex).part", content(5))
        let outdated = try temporary.file("artifacts/parts/\(old.hex).part", content(5))
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -8 * 24 * 3600)], ofItemAtPath: outdated)
        let before = temporary.files
        let reader = try ArtifactFolder(directory: temporary.artifacts, access: .reader)
        #expect(temporary.files == before)
        #expect(throws: ArtifactError.self) { try reader.write([1]) }
        #expect(try reader.read(digest, offset: 0, count: 10) == content(10))
        _ = try ArtifactFolder(directory: temporary.artifacts)
        #expect(Set(temporary.files.map { temporary.artifacts + "/" + $0 }) == [kept, folder.path(of: digest)])
    }

    @Test("A full disk is said with path and bytes, and leaves nothing behind")
    func diskFull() async throws {
        await #expect(processExitsWith: .success) { [temporary = temporary.path as String] in
            let folder = try ArtifactFolder(directory: temporary + "/artifacts")
            let digest = Digest.of(content(5_000_000))
            let part = try folder.beginPart(digest, byteCount: 5_000_000)
            // A limit on file sizes fails writes as a full disk does, without a disk to fill.
            signal(SIGXFSZ, SIG_IGN)
            var unlimited = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &unlimited)
            var small = rlimit(rlim_cur: 1_500_000, rlim_max: unlimited.rlim_max)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &small)
            let writing = #expect(throws: ArtifactError.self) { try folder.write(content(2_000_000)) }
            try part.append(Array(content(5_000_000)[..<1_000_000]))
            let appending = #expect(throws: ArtifactError.self) {
                try part.append(Array(content(5_000_000)[1_000_000..<2_000_000]))
            }
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &unlimited)
            if case .diskFull? = writing {} else { Issue.record("\(writing as Any)") }
            #expect(appending == .diskFull(path: part.path, byteCount: 4_000_000))
            #expect(try FileManager.default.contentsOfDirectory(atPath: temporary + "/artifacts/incoming").isEmpty)
            #expect(part.received == 1_000_000)
            try part.append(Array(content(5_000_000)[1_000_000...]))
            try part.finish()
            try folder.verify(digest)
        }
    }

    @Test("A device without room gives the same sentence")
    func fullDevice() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let digest = Digest.of(content(10))
        let path = "\(temporary.artifacts)/parts/\(digest.hex).part"
        #expect(symlink("/dev/full", path) == 0)
        let refusal = #expect(throws: ArtifactError.self) {
            try folder.beginPart(digest, byteCount: 10).append(content(10))
        }
        #expect(refusal?.description.contains("space") == true, "\(refusal as Any)")
    }
}
