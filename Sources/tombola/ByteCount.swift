/// Sizes as people write them: `10GB`, `512MiB`, `4096`.
package enum ByteCount {
    private static let units: [(name: String, bytes: Int)] = [
        ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("tb", 1_000_000_000_000),
        ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("tib", 1 << 40),
        ("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000), ("t", 1_000_000_000_000), ("b", 1), ("", 1),
    ]

    /// Nil if it is no size.
    package static func parse(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(digits.count).trimmingPrefix(" ").lowercased()
        guard let number = Double(digits), number.isFinite, let bytes = units.first(where: { $0.name == unit })?.bytes
        else { return nil }
        let count = number * Double(bytes)
        return count < 1e18 ? Int(count) : nil
    }

    /// The flag, or else TOMBOLA_`variable`. The flag's name is the variable's: `--cache-limit` and
    /// TOMBOLA_CACHE_LIMIT.
    /// - Parameter least: what less than is refused.
    static func setting(_ flag: String?, _ variable: String, least: Int = 0) throws(Failure) -> Int? {
        guard let text = Environment.setting(flag, variable) else { return nil }
        let name = flag == nil ? "TOMBOLA_\(variable)" : "--" + variable.lowercased().replacing("_", with: "-")
        guard let count = parse(text) else {
            throw Failure(.usage, "\(name) is “\(text)”, which is no size: write 10GB, 512MiB or a number of bytes")
        }
        guard count >= least else {
            throw Failure(.usage, "\(name) is “\(text)”, which is too little for anything: write a size such as 10GB")
        }
        return count
    }
}
