/// The seeds of one replicate. Initialisation, data order and augmentation have seeds of their own, so that two
/// trainings can differ in one of them only (Frankle et al. 2020, instability analysis).
public struct Seeds: Hashable, Sendable, Codable {
    public var initialisation: UInt64
    public var dataOrder: UInt64
    public var augmentation: UInt64

    public init(initialisation: UInt64, dataOrder: UInt64, augmentation: UInt64) {
        self.initialisation = initialisation
        self.dataOrder = dataOrder
        self.augmentation = augmentation
    }

    /// The seeds of replicate `replicate`, the same at every grid point: `base + replicate`, for each use.
    public init(base: UInt64, replicate: Int) {
        let seed = base &+ UInt64(replicate)
        self.init(initialisation: seed, dataOrder: seed, augmentation: seed)
    }
}

/// The engine, precision and order of sums behind a number: `f32-lanes16-1`. Equal ids give equal bits.
public struct NumericsID: Hashable, Sendable, Codable, CustomStringConvertible {
    public let text: String

    public init(_ text: String) { self.text = text }

    /// f32, sums over the batch in 16 lanes then a tree, one fma chain elsewhere (Architecture, "Numerics").
    public static let f32Lanes16 = NumericsID("f32-lanes16-1")
    /// Maps stored in bf16, products of bf16 pairs summed in f32 as AMX tiles sum them; what is computed between,
    /// updates and master weights in f32.
    public static let bf16Tiles16 = NumericsID("bf16-tiles16-2")

    public var description: String { text }
    public init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
