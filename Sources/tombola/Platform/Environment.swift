import Glibc
import Kernels

/// Environment variables, and settings that come from a flag or else from one.
package enum Environment {
    package static func text(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        return String(cString: value)
    }

    /// The flag, or else TOMBOLA_`variable`; an empty variable is no setting.
    static func setting(_ flag: String?, _ variable: String) -> String? {
        if let flag { return flag }
        guard let value = text("TOMBOLA_\(variable)"), !value.isEmpty else { return nil }
        return value
    }

    /// As above, checked against `range`. The flag's name is the variable's: `--idle-exit` and TOMBOLA_IDLE_EXIT.
    static func setting(_ flag: Int?, _ variable: String, in range: ClosedRange<Int>) throws(Failure) -> Int? {
        let limits = "\(range.lowerBound)…\(range.upperBound)"
        if let flag {
            let name = "--" + variable.lowercased().replacing("_", with: "-")
            guard range.contains(flag) else { throw Failure(.usage, "\(name) must be in \(limits), not \(flag)") }
            return flag
        }
        guard let text = setting(nil, variable) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw Failure(.usage, "TOMBOLA_\(variable) must be a whole number in \(limits), not “\(text)”")
        }
        return value
    }

    /// As above, for a number of seconds.
    static func setting(_ flag: Double?, _ variable: String, in range: ClosedRange<Double>) throws(Failure) -> Double? {
        let limits = "\(range.lowerBound)…\(range.upperBound) seconds"
        if let flag {
            let name = "--" + variable.lowercased().replacing("_", with: "-")
            guard range.contains(flag) else { throw Failure(.usage, "\(name) must be in \(limits), not \(flag)") }
            return flag
        }
        guard let text = setting(nil, variable) else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw Failure(.usage, "TOMBOLA_\(variable) must be in \(limits), not “\(text)”")
        }
        return value
    }

    /// Refuses a TOMBOLA_ISA that this machine cannot obey, rather than measure or train with another in silence.
    static func checkInstructionSet() throws(Failure) {
        // Backends of tiles are the instruction sets, and AMX beside the fastest of them.
        guard let wanted = setting(nil, "ISA") else { return }
        let supported = TileBackend.supported.map(\.rawValue)
        guard !supported.contains(wanted) else { return }
        throw Failure(
            .usage, "TOMBOLA_ISA is “\(wanted)”, and this machine runs only \(supported.joined(separator: ", "))")
    }
}
