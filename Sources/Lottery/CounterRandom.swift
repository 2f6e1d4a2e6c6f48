/// What random numbers are for. Each purpose has a stream of its own, so that a change in one use moves no other.
public enum RandomPurpose: UInt32, Sendable, CaseIterable {
    case initialisation = 1
    case dataOrder = 2
    case augmentation = 3
    case randomPruning = 4
    case randomMask = 5
    case reinitialisation = 6
    case validationSplit = 7
    case glyphs = 8
    case pruningExamples = 9
    case signs = 10
    case weightPermutation = 11
    case bootstrap = 64
}

/// Random numbers by address instead of by sequence: Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy
/// as 1, 2, 3", SC 2011), keyed by seed and purpose, counted by (epoch, index).
///
/// A number depends on its address only, so a training that was interrupted, moved or rewound draws what it would have
/// drawn.
public struct CounterRandom: Sendable {
    private let key: (UInt32, UInt32)
    private let stream: UInt32

    public init(seed: UInt64, purpose: RandomPurpose) {
        key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
        stream = purpose.rawValue
    }

    /// Four independent 32-bit words at the address (epoch, index).
    /// - Precondition: `epoch` in 0..<2³², `index` in 0..<2⁶⁴.
    public func words(epoch: Int, index: UInt64) -> SIMD4<UInt32> {
        precondition(epoch >= 0 && epoch < 1 << 32, "epoch \(epoch) is not a 32-bit count")
        var counter = SIMD4(
            UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32), UInt32(epoch), stream)
        var key = key
        for _ in 0..<10 {
            let first = UInt64(0xD251_1F53) * UInt64(counter[0])
            let second = UInt64(0xCD9E_8D57) * UInt64(counter[2])
            counter = SIMD4(
                UInt32(truncatingIfNeeded: second >> 32) ^ counter[1] ^ key.0,
                UInt32(truncatingIfNeeded: second),
                UInt32(truncatingIfNeeded: first >> 32) ^ counter[3] ^ key.1,
                UInt32(truncatingIfNeeded: first))
            key.0 &+= 0x9E37_79B9
            key.1 &+= 0xBB67_AE85
        }
        return counter
    }

    /// A 64-bit word at the address.
    public func word(epoch: Int, index: UInt64) -> UInt64 {
        let words = words(epoch: epoch, index: index)
        return UInt64(words[0]) << 32 | UInt64(words[1])
    }

    /// A uniform f64 in 0..<1 with 53 random bits.
    public func uniform(epoch: Int, index: UInt64) -> Double {
        Double(word(epoch: epoch, index: index) >> 11) * 0x1p-53
    }

    /// An integer in 0..<bound. The bias of the multiply-shift is below bound · 2⁻⁶⁴.
    public func integer(below bound: Int, epoch: Int, index: UInt64) -> Int {
        precondition(bound > 0, "no integer is below \(bound)")
        return Int(word(epoch: epoch, index: index).multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// A permutation of 0..<count by Fisher–Yates, drawn at the addresses (epoch, first..<first + count).
    public func permutation(of count: Int, epoch: Int, first: UInt64 = 0) -> [Int32] {
        var order = (0..<Int32(count)).map { $0 }
        for position in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(position, integer(below: position + 1, epoch: epoch, index: first + UInt64(position)))
        }
        return order
    }
}
