/// How numbers read in tables and progress lines. JSON and CSV carry them in full.
package enum Format {
    /// A fraction as percent with `decimals` decimals: 0.98113 is `98.11 %`.
    package static func percent(_ fraction: Double, decimals: Int = 2) -> String {
        "\(fixed(fraction * 100, decimals)) %"
    }

    /// A density: one decimal from 1 % on, two below.
    package static func density(_ fraction: Double) -> String { percent(fraction, decimals: fraction < 0.01 ? 2 : 1) }

    /// A difference of accuracies in points, with its sign: 0.0021 is `+0.21`.
    package static func points(_ difference: Double) -> String {
        let text = fixed(abs(difference) * 100, 2)
        return text.allSatisfy({ $0 == "0" || $0 == "." }) ? "±\(text)" : (difference < 0 ? "−" : "+") + text
    }

    /// Half the width of a 95 % interval, in points.
    package static func halfWidth(low: Double, high: Double) -> String { "± \(fixed((high - low) / 2 * 100, 2))" }

    /// A count of things: `1 artifact`, `1,200 artifacts`.
    package static func count(_ count: Int, _ thing: String) -> String {
        "\(self.count(count)) \(thing)\(count == 1 ? "" : "s")"
    }

    /// A count with thin groups: 1234567 is `1,234,567`.
    package static func count(_ count: Int) -> String {
        let digits = Array(String(count.magnitude))
        var text = count < 0 ? "−" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// A duration in its two largest units: `8 s`, `2 min 10 s`, `3 h 05 min`, `2 d 4 h`.
    package static func duration(seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "unknown" }
        let total = Int(max(0, seconds).rounded(.up))
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        switch total {
        case ..<60: return "\(total) s"
        case ..<3_600: return "\(total / 60) min \(two(total % 60)) s"
        case ..<86_400: return "\(total / 3_600) h \(two(total / 60 % 60)) min"
        default: return "\(total / 86_400) d \(total / 3_600 % 24) h"
        }
    }

    /// A rate with three digits or more: `1,190`, `24.6`, `0.87`.
    package static func rate(_ value: Double) -> String {
        value >= 100 ? count(Int(value.rounded())) : fixed(value, value >= 10 ? 1 : 2)
    }

    /// Floating-point operations with three digits: `1.24 TFLOP`.
    package static func operations(_ count: Double) -> String {
        let units = ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"]
        var (value, unit) = (count, 0)
        while value >= 999.5, unit < units.count - 1 {
            value /= 1_000
            unit += 1
        }
        return "\(fixed(value, value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2)) \(units[unit])"
    }

    package static func bytes(_ count: Int) -> String {
        switch count {
        case ..<1_024: "\(count) B"
        case ..<1_048_576: "\(fixed(Double(count) / 1_024, 1)) KiB"
        case ..<1_073_741_824: "\(fixed(Double(count) / 1_048_576, 1)) MiB"
        default: "\(fixed(Double(count) / 1_073_741_824, 2)) GiB"
        }
    }

    /// `value` with exactly `decimals` decimals, halves away from zero.
    package static func fixed(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let scaled = Int((abs(value) * scale).rounded())
        let whole = "\(scaled / Int(scale))"
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard decimals > 0 else { return sign + whole }
        let fraction = String(scaled % Int(scale))
        return sign + whole + "." + String(repeating: "0", count: decimals - fraction.count) + fraction
    }
}
