import ArgumentParser

/// A number of bytes as people write it: `500MB`, `2GB`, `1GiB`, `0`.
struct ByteSize: ExpressibleByArgument {
    let bytes: Int

    private static let units: [(suffix: String, factor: Double)] = [
        ("KiB", 0x1p10), ("MiB", 0x1p20), ("GiB", 0x1p30), ("TiB", 0x1p40), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9),
        ("TB", 1e12),
        ("B", 1), ("", 1),
    ]

    init?(argument: String) {
        guard let unit = ByteSize.units.first(where: { argument.lowercased().hasSuffix($0.suffix.lowercased()) }),
            let number = Double(argument.dropLast(unit.suffix.count)), (0...1e18).contains(number * unit.factor)
        else { return nil }
        bytes = Int(number * unit.factor)
    }
}

struct RoomOption: ParsableArguments {
    @Option(
        help: """
            Room on the store's disk below which nothing more is given out, such as 2GB (TOMBOLA_MIN_FREE; default: 1GiB, or a \
            twentieth of a smaller disk).
            """)
    var minFree: ByteSize?

    /// Nil for the default.
    func bytes() throws -> Int? {
        if let minFree { return minFree.bytes }
        guard let text = Environment.setting(nil, "MIN_FREE") else { return nil }
        guard let size = ByteSize(argument: text) else {
            throw Failure(.usage, "TOMBOLA_MIN_FREE must be a size such as 2GB, not “\(text)”")
        }
        return size.bytes
    }
}
