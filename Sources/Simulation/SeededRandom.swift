/// SplitMix64 (Steele, Lea and Flood 2014): the whole course of a simulation follows from its seed.
struct SeededRandom: Sendable {
    private(set) var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return SeededRandom.mixed(state)
    }

    static func mixed(_ word: UInt64) -> UInt64 {
        var word = word
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// Uniform in 0..<bound.
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    /// Uniform in 0..<bound.
    mutating func below(_ bound: Int64) -> Int64 { Int64(next() % UInt64(bound)) }
    /// Uniform in 0..<1.
    mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
    mutating func chance(_ probability: Double) -> Bool { probability > 0 && uniform() < probability }
    mutating func element<Element>(of elements: [Element]) -> Element { elements[below(elements.count)] }
}
