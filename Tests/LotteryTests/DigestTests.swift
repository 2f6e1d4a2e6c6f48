import Foundation
import Lottery
import Testing

@Suite("Digest")
struct DigestTests {
    @Test("The digest is SHA-256 (FIPS 180-4 examples)")
    func knownAnswers() {
        #expect(Digest.of([]).hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(Digest.of("abc".utf8).hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test("Hashing piece by piece equals hashing at once")
    func pieces() {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var hasher = ContentHasher()
        for start in stride(from: 0, to: bytes.count, by: 777) {
            hasher.update(Array(bytes[start..<min(start + 777, bytes.count)]))
        }
        #expect(hasher.finalize() == Digest.of(bytes))
        var raw = ContentHasher()
        bytes.withUnsafeBytes { raw.update(bufferPointer: $0) }
        #expect(raw.finalize() == Digest.of(bytes))
    }

    @Test("Hexadecimal text goes back and forth, and nothing else is taken for a digest")
    func text() throws {
        let digest = Digest.of("tombola".utf8)
        #expect(Digest(hex: digest.hex) == digest)
        #expect(Digest(bytes: digest.bytes) == digest)
        #expect(digest.short == String(digest.hex.prefix(12)))
        for bad in [
            "", String(digest.hex.dropLast()), digest.hex + "0", digest.hex.uppercased(),
            String(repeating: "g", count: 64),
        ] {
            #expect(Digest(hex: bad) == nil, "\(bad)")
        }
        let coded = try JSONDecoder().decode([Digest].self, from: JSONEncoder().encode([digest]))
        #expect(coded == [digest])
    }

    @Test("Digests order as their text")
    func order() {
        let digests = (0..<50).map { Digest.of("\($0)".utf8) }
        #expect(digests.sorted().map(\.hex) == digests.map(\.hex).sorted())
    }
}
