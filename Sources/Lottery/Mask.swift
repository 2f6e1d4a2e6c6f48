/// Which weights of one tensor survive, in flat row-major order of its PyTorch layout.
public struct Mask: Hashable, Sendable {
    public let count: Int
    /// Bit i of word i / 64 is weight i; unused high bits of the last word are zero.
    private var words: [UInt64]
    public private(set) var survivors: Int

    /// A mask under which all `count` weights survive.
    public init(dense count: Int) {
        precondition(count >= 0, "a tensor has no \(count) weights")
        self.count = count
        words = Array(repeating: .max, count: (count + 63) / 64)
        if !count.isMultiple(of: 64) { words[words.count - 1] = (1 << UInt64(count % 64)) - 1 }
        survivors = count
    }

    /// A mask in which weight i survives if `survives[i]`.
    public init(_ survives: some Collection<Bool>) {
        count = survives.count
        words = Array(repeating: 0, count: (survives.count + 63) / 64)
        survivors = 0
        for (index, survivor) in survives.enumerated() where survivor {
            words[index / 64] |= 1 << UInt64(index % 64)
            survivors += 1
        }
    }

    public subscript(index: Int) -> Bool {
        precondition((0..<count).contains(index), "weight \(index) of \(count)")
        return words[index / 64] >> UInt64(index % 64) & 1 == 1
    }

    /// Prunes weight `index`. Masks are monotone: there is no way back.
    public mutating func prune(_ index: Int) {
        guard self[index] else { return }
        words[index / 64] &= ~(1 << UInt64(index % 64))
        survivors -= 1
    }

    /// Flat indices of the surviving weights, ascending.
    public var survivingIndices: [Int] {
        var indices: [Int] = []
        indices.reserveCapacity(survivors)
        for (position, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                indices.append(position * 64 + rest.trailingZeroBitCount)
                rest &= rest &- 1
            }
        }
        return indices
    }

    /// Of each weight, whether it survives.
    public var survives: [Bool] {
        var survives = [Bool](repeating: false, count: count)
        for index in survivingIndices { survives[index] = true }
        return survives
    }

    /// Whether every survivor of `self` also survives in `parent`.
    public func isSubset(of parent: Mask) -> Bool {
        precondition(count == parent.count, "masks of \(count) and \(parent.count) weights")
        return zip(words, parent.words).allSatisfy { $0 & ~$1 == 0 }
    }

    /// How many weights survive in one of the two only (Hamming).
    public func distance(to other: Mask) -> Int {
        precondition(count == other.count, "masks of \(count) and \(other.count) weights")
        return zip(words, other.words).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
    }

    /// One byte a weight, 1 for a survivor: the `mask.NAME` tensor of a ticket.
    public var bytes: [UInt8] { (0..<count).map { self[$0] ? 1 : 0 } }
}
