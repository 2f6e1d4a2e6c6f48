import Lottery
import Testing

@Suite("Counter-based random numbers")
struct CounterRandomTests {
    /// Counter words 0 and 1 are the index, 2 the epoch, 3 the purpose.
    @Test("Philox-4x32-10 gives what an independent implementation gives")
    func philox() {
        for seed: UInt64 in [0, 1, 0xDEAD_BEEF_0123_4567, .max] {
            for purpose in RandomPurpose.allCases {
                for epoch in [0, 7, 0xFFFF_FFFF] {
                    for index: UInt64 in [0, 3, 0x1_0000_0001, .max] {
                        let counter = [
                            UInt32(truncatingIfNeeded: index), UInt32(index >> 32), UInt32(epoch), purpose.rawValue,
                        ]
                        let key = [UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)]
                        let words = CounterRandom(seed: seed, purpose: purpose).words(epoch: epoch, index: index)
                        #expect((0..<4).map { words[$0] } == reference(counter, key))
                    }
                }
            }
        }
    }

    /// Random123's `kat_vectors`, philox4x32 with 10 rounds; no purpose spells their fourth counter word.
    @Test("The independent implementation gives the published known answers")
    func referenceVectors() {
        #expect(reference([0, 0, 0, 0], [0, 0]) == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
        let ones = UInt32.max
        #expect(
            reference([ones, ones, ones, ones], [ones, ones]) == [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD])
        #expect(
            reference([0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0])
                == [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1])
    }

    /// Salmon et al. 2011, section 3.3, written as in the paper's Figure.
    private func reference(_ counter: [UInt32], _ key: [UInt32]) -> [UInt32] {
        var (x, k) = (counter, key)
        for round in 0..<10 {
            if round > 0 { k = [k[0] &+ 0x9E37_79B9, k[1] &+ 0xBB67_AE85] }
            let left = x[0].multipliedFullWidth(by: 0xD251_1F53)
            let right = x[2].multipliedFullWidth(by: 0xCD9E_8D57)
            x = [right.high ^ x[1] ^ k[0], UInt32(right.low), left.high ^ x[3] ^ k[1], UInt32(left.low)]
        }
        return x
    }

    @Test("Uniform draws lie in 0..<1 and spread evenly")
    func uniform() {
        let random = CounterRandom(seed: 5, purpose: .dataOrder)
        var bins = [Int](repeating: 0, count: 10)
        for index in 0..<10_000 {
            let draw = random.uniform(epoch: 0, index: UInt64(index))
            #expect((0..<1).contains(draw))
            bins[Int(draw * 10)] += 1
        }
        // 9 degrees of freedom: 27.9 is exceeded once in a thousand; the seed is fixed.
        let chiSquared = bins.reduce(0.0) { $0 + Double(($1 - 1_000) * ($1 - 1_000)) / 1_000 }
        #expect(chiSquared < 27.9)
    }

    @Test("A permutation holds every number once and differs from epoch to epoch", arguments: [0, 1, 2, 17, 1_000])
    func permutation(count: Int) {
        let random = CounterRandom(seed: 9, purpose: .dataOrder)
        let first = random.permutation(of: count, epoch: 0)
        #expect(first.sorted() == (0..<Int32(count)).map { $0 })
        #expect(first == random.permutation(of: count, epoch: 0))
        if count > 10 { #expect(first != random.permutation(of: count, epoch: 1)) }
    }

    @Test("Purposes and seeds have streams of their own")
    func streams() {
        var seen: Set<UInt64> = []
        for seed: UInt64 in 0..<4 {
            for purpose in RandomPurpose.allCases {
                seen.insert(CounterRandom(seed: seed, purpose: purpose).word(epoch: 0, index: 0))
            }
        }
        #expect(seen.count == 4 * RandomPurpose.allCases.count)
        #expect(Set(RandomPurpose.allCases.map(\.rawValue)).count == RandomPurpose.allCases.count)
    }
}
