/// The largest absolute value among the results of a kernel.
public struct Magnitude: Sendable, Comparable {
    /// IEEE bits without the sign: these order like the values, infinity above every number and NaN above infinity.
    private let bits: UInt32

    init(bits: UInt32) { self.bits = bits }

    public init(_ value: Float) { bits = value.bitPattern & 0x7fff_ffff }

    public static let zero = Magnitude(0)

    /// Whether every result was a number.
    public var isFinite: Bool { bits < 0x7f80_0000 }

    public var value: Float { Float(bitPattern: bits) }

    public static func < (left: Magnitude, right: Magnitude) -> Bool { left.bits < right.bits }
}
