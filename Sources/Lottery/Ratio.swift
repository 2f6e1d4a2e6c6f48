/// An exact decimal in 0…1 with at most 15 decimals: a prune rate or a density.
///
/// Binary floating point cannot hold 0.29, and `floor(0.29 * 100)` is 28 there. Counts of weights must be exact, so
/// rates are kept as `numerator / 10^decimals`, in lowest terms of ten.
public struct Ratio: Hashable, Sendable, Comparable {
    private let numerator: UInt64
    private let decimals: Int

    public static let maximumDecimals = 15
    public static let zero = Ratio(numerator: 0, decimals: 0)
    public static let one = Ratio(numerator: 1, decimals: 0)

    private init(numerator: UInt64, decimals: Int) {
        var numerator = numerator
        var decimals = decimals
        while decimals > 0, numerator.isMultiple(of: 10) {
            numerator /= 10
            decimals -= 1
        }
        self.numerator = numerator
        self.decimals = decimals
    }

    /// The ratio written in `text` (`0.2`, `.2`, `1`, `1e-3`), or nil if that is no decimal in 0…1 of at most 15
    /// decimals.
    public init?(_ text: some StringProtocol) {
        guard let decimal = ExactDecimal(text), !decimal.isNegative, decimal.decimals <= Ratio.maximumDecimals else {
            return nil
        }
        let scale = Ratio.powerOfTen(decimal.decimals)
        guard decimal.magnitude <= scale else { return nil }
        self.init(numerator: decimal.magnitude, decimals: decimal.decimals)
    }

    /// floor(self · count), exactly.
    /// - Precondition: `count >= 0`.
    public func floor(of count: Int) -> Int {
        precondition(count >= 0, "a count of weights is not negative: \(count)")
        let (high, low) = numerator.multipliedFullWidth(by: UInt64(count))
        return Int(Ratio.powerOfTen(decimals).dividingFullWidth((high, low)).quotient)
    }

    /// The nearest f64, for reports only.
    public var doubleValue: Double { Double(numerator) / Double(Ratio.powerOfTen(decimals)) }

    public static func < (left: Ratio, right: Ratio) -> Bool {
        left.numerator.multipliedFullWidth(by: powerOfTen(right.decimals))
            < right.numerator.multipliedFullWidth(by: powerOfTen(left.decimals))
    }

    private static func powerOfTen(_ exponent: Int) -> UInt64 {
        (0..<exponent).reduce(1) { power, _ in power * 10 }
    }
}

extension Ratio: CustomStringConvertible {
    public var description: String {
        guard decimals > 0 else { return String(numerator) }
        let digits = String(numerator)
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        return padded.dropLast(decimals) + "." + padded.suffix(decimals)
    }
}

extension Ratio: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let ratio = Ratio(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a decimal in 0…1: “\(text)”")
        }
        self = ratio
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A decimal number as written: sign, digits, and how many of them follow the point.
struct ExactDecimal {
    let isNegative: Bool
    let magnitude: UInt64
    let decimals: Int

    static let maximumDigits = 18
    /// And places before the point.
    static let maximumDecimals = 30

    /// Parses `[+-]digits[.digits][e[+-]digits]`; nil for anything else, or for more than 18 significant digits.
    init?(_ text: some StringProtocol) {
        var rest = Substring(text)
        isNegative = rest.first == "-"
        if let sign = rest.first, sign == "-" || sign == "+" { rest.removeFirst() }
        var exponent = 0
        if let mark = rest.firstIndex(where: { $0 == "e" || $0 == "E" }) {
            guard let value = Int(rest[rest.index(after: mark)...]), abs(value) <= ExactDecimal.maximumDecimals else {
                return nil
            }
            exponent = value
            rest = rest[..<mark]
        }
        let parts = rest.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let digits = parts.joined()
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        var fraction = (parts.count == 2 ? parts[1].count : 0) - exponent
        var significant = Substring(digits.drop { $0 == "0" })
        while fraction < 0, !significant.isEmpty {
            significant.append("0")
            fraction += 1
        }
        while fraction > 0, significant.last == "0" {
            significant.removeLast()
            fraction -= 1
        }
        guard significant.count <= ExactDecimal.maximumDigits, fraction <= ExactDecimal.maximumDecimals else {
            return nil
        }
        magnitude = UInt64(significant) ?? 0
        decimals = magnitude == 0 ? 0 : max(0, fraction)
    }
}
