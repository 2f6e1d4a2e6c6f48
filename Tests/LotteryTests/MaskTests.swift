import Lottery
import Testing

@Suite("Mask")
struct MaskTests {
    @Test("A dense mask keeps every weight", arguments: [0, 1, 63, 64, 65, 1_000])
    func dense(count: Int) {
        let mask = Mask(dense: count)
        #expect(mask.survivors == count)
        #expect(mask.survivingIndices == Array(0..<count))
        #expect(mask.bytes == Array(repeating: 1, count: count))
        #expect(mask == Mask(Array(repeating: true, count: count)))
    }

    @Test("Pruning counts each weight once, and shrinks the mask")
    func prune() {
        var mask = Mask(dense: 130)
        let before = mask
        for index in [0, 63, 64, 129, 64] { mask.prune(index) }
        #expect(mask.survivors == 126)
        #expect(!mask[0] && !mask[63] && !mask[64] && !mask[129] && mask[1] && mask[65])
        #expect(mask.survivingIndices == (0..<130).filter { ![0, 63, 64, 129].contains($0) })
        #expect(mask.isSubset(of: before))
        #expect(!before.isSubset(of: mask))
        #expect(mask == Mask(mask.bytes.map { $0 == 1 }))
    }
}
