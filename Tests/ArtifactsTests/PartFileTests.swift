import Artifacts
import Foundation
import Lottery
import Testing

@Suite("Parts of artifacts being fetched")
struct PartFileTests {
    let temporary = TemporaryFolder()
    let bytes = content(2_300_000)
    var digest: Digest { Digest.of(bytes) }

    @Test("A part goes on where an earlier process stopped, and finishes as the artifact")
    func resumed() throws {
        let chunk = 1 << 20
        do {
            let part = try ArtifactFolder(directory: temporary.artifacts).beginPart(digest, byteCount: bytes.count)
            #expect(part.received == 0)
            try part.append(Array(bytes[..<chunk]))
        }
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let part = try folder.beginPart(digest, byteCount: bytes.count)
        #expect(part.received == chunk)
        #expect(!folder.contains(digest))
        while !part.isComplete {
            try part.append(Array(bytes[part.received..<min(part.received + chunk, bytes.count)]))
        }
        try part.finish()
        #expect(try folder.read(digest, offset: 0, count: bytes.count) == bytes)
        #expect(temporary.files.count == 1)
    }

    @Test("A part whose content is damaged is found out at the end and begun anew")
    func damaged() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        do {
            let part = try folder.beginPart(digest, byteCount: bytes.count)
            try part.append(Array(bytes[..<1000]))
            var found = try temporary.bytes(of: part.path)
            found[10] ^= 255
            try Data(found).write(to: URL(fileURLWithPath: part.path))
        }
        do {
            let part = try folder.beginPart(digest, byteCount: bytes.count)
            try part.append(Array(bytes[part.received...]))
            #expect(throws: ArtifactError.self) { try part.finish() }
        }
        #expect(!folder.contains(digest))
        let part = try folder.beginPart(digest, byteCount: bytes.count)
        #expect(part.received == 0)
        try part.append(bytes)
        try part.finish()
        try folder.verify(digest)
    }

    @Test("A part that is longer than the artifact is begun anew")
    func tooLong() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        _ = try temporary.file("artifacts/parts/\(digest.hex).part", bytes + [0])
        #expect(try folder.beginPart(digest, byteCount: bytes.count).received == 0)
    }

    @Test("More bytes than announced are refused, and the part can go on")
    func overflow() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let part = try folder.beginPart(digest, byteCount: bytes.count)
        try part.append(Array(bytes[..<1000]))
        #expect(throws: ArtifactError.self) { try part.append(bytes) }
        #expect(throws: ArtifactError.self) { try part.finish() }
        try part.append(Array(bytes[1000...]))
        try part.finish()
        #expect(folder.contains(digest))
    }

    @Test("An empty artifact needs no bytes")
    func empty() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        try folder.beginPart(Digest.of([]), byteCount: 0).finish()
        #expect(try folder.read(Digest.of([]), offset: 0, count: 1) == [])
    }

    @Test("A part has one user at a time, and none when it is discarded")
    func oneUser() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts)
        let part = try folder.beginPart(digest, byteCount: bytes.count)
        #expect(throws: ArtifactError.locked(path: part.path, processID: nil)) {
            try folder.beginPart(digest, byteCount: bytes.count)
        }
        try part.discard()
        #expect(temporary.files.isEmpty)
    }

    @Test("An artifact that the disk cannot hold is refused before a byte is fetched")
    func noRoom() throws {
        let folder = try ArtifactFolder(directory: temporary.artifacts, maximumByteCount: .max)
        let refusal = #expect(throws: ArtifactError.self) { try folder.beginPart(digest, byteCount: 1 << 62) }
        if case .diskFull(_, 1 << 62)? = refusal {} else { Issue.record("\(refusal as Any)") }
    }
}
