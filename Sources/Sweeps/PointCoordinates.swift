import Lottery

/// A point as `{axis: value}` in JSON, and in the axes' order in memory.
public struct PointCoordinates: Hashable, Sendable, Codable {
    public struct Coordinate: Hashable, Sendable {
        public let axis: String
        public let value: AxisValue
    }

    public private(set) var coordinates: [Coordinate]

    init(_ coordinates: [Coordinate]) { self.coordinates = coordinates }

    init(sweep: Sweep, point: GridPoint) {
        coordinates = zip(sweep.axes, point.values).map { Coordinate(axis: $0.name, value: AxisValue($1)) }
    }

    public subscript(axis: String) -> AxisValue? { coordinates.first { $0.axis == axis }?.value }

    /// The same point seen along some of its axes, in their order.
    func restricted(to axes: [String]) -> PointCoordinates {
        var point = self
        point.order(by: axes)
        return point
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        coordinates = try container.allKeys.sorted { $0.stringValue < $1.stringValue }
            .map { Coordinate(axis: $0.stringValue, value: try container.decode(AxisValue.self, forKey: $0)) }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for coordinate in coordinates {
            try container.encode(coordinate.value, forKey: Key(stringValue: coordinate.axis))
        }
    }

    mutating func order(by axes: [String]) {
        coordinates = axes.compactMap { axis in coordinates.first { $0.axis == axis } }
    }
}
