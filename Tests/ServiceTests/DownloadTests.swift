import Artifacts
import Blobs
import Coordination
import Foundation
import Lottery
import Testing

@Suite("A blob on its way into a folder")
struct DownloadTests {
    let bench: Bench
    let source: ArtifactFolder
    let target: ArtifactFolder
    let now = Instant(milliseconds: 0)

    init() throws {
        bench = try Bench()
        source = try ArtifactFolder(directory: bench.path("source"))
        target = try ArtifactFolder(directory: bench.path("target"))
    }

    /// Answers every request from the source folder, until the download is over; returns the offsets that were asked
    /// for.
    private func run(_ download: Download) throws -> (offsets: [Int], ending: Download.Ending?) {
        var offsets: [Int] = []
        var step = download.start(at: now)
        var requests = step.requests
        while step.ending == nil, !requests.isEmpty {
            guard case .get(let digest, let offset, let count) = requests.removeFirst() else { continue }
            offsets.append(offset)
            step = download.receive(try source.answer(digest, offset: offset, count: count), at: now)
            requests += step.requests
        }
        return (offsets, step.ending)
    }

    @Test(
        "It arrives whole, whether its size was told before or not", arguments: [0, 1, 1 << 20, 5 << 20 | 3],
        [true, false])
    func whole(byteCount: Int, sizeIsKnown: Bool) throws {
        let digest = try source.write([UInt8](repeating: 5, count: byteCount))
        let (offsets, ending) = try run(Download(digest, byteCount: sizeIsKnown ? byteCount : nil, into: target))
        guard case .stored = ending else {
            Issue.record("it ended with \(String(describing: ending)) after \(offsets)")
            return
        }
        try target.verify(digest)
        #expect(offsets.count == Set(offsets).count, "asked twice: \(offsets)")
    }

    @Test("It goes on where an earlier try ended", arguments: [true, false])
    func resumed(sizeIsKnown: Bool) throws {
        let bytes = (0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let digest = try source.write(bytes)
        do { try target.beginPart(digest, byteCount: bytes.count).append(Array(bytes[..<(2 << 20)])) }
        let (offsets, _) = try run(Download(digest, byteCount: sizeIsKnown ? bytes.count : nil, into: target))
        try target.verify(digest)
        if sizeIsKnown { #expect(offsets == [2 << 20]) } else { #expect(offsets.last == 2 << 20) }
    }

    @Test("A peer that lacks it is told from a disk that cannot take it")
    func missing() throws {
        let (_, ending) = try run(Download(Digest.of([1]), byteCount: nil, into: target))
        guard case .unavailable = ending else {
            Issue.record("it ended with \(String(describing: ending))")
            return
        }
    }

    @Test("A blob that is there already is not asked for")
    func present() throws {
        let digest = try target.write([1, 2, 3])
        let (offsets, ending) = try run(Download(digest, byteCount: nil, into: target))
        #expect(offsets.isEmpty)
        guard case .stored = ending else {
            Issue.record("it ended with \(String(describing: ending))")
            return
        }
    }

    @Test("What is asked for beyond a blob's end is answered as missing")
    func beyondTheEnd() throws {
        let digest = try source.write([1, 2, 3])
        #expect(try source.answer(digest, offset: 4, count: 1) == .missing(digest))
        #expect(try source.answer(digest, offset: -1, count: 1) == .missing(digest))
        #expect(
            try source.answer(digest, offset: 1, count: 99)
                == .chunk(digest: digest, offset: 1, byteCount: 3, bytes: [2, 3]))
    }
}
