/// A setting's value as a person wrote it, before anyone knows which setting it is for. Numbers keep their digits.
public indirect enum SettingValue: Hashable, Sendable {
    case scalar(String)
    case list([SettingValue])
    case map([Entry])

    public struct Entry: Hashable, Sendable {
        public let key: String
        public let value: SettingValue

        public init(key: String, value: SettingValue) {
            self.key = key
            self.value = value
        }
    }
}

extension SettingValue: CustomStringConvertible {
    /// The value in YAML's flow style.
    public var description: String {
        switch self {
        case .scalar(let text): text
        case .list(let items): "[" + items.map(\.description).joined(separator: ", ") + "]"
        case .map(let entries): "{" + entries.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + "}"
        }
    }
}

/// Why a value does not fit its setting, as the end of a sentence: “must be …, not …”.
public struct SettingError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// One row of the table of settings: its place in a spec, its meaning, and how it is written into and read from
/// `Settings`.
public struct Setting: Sendable {
    /// The part of an experiment that a setting decides; tasks are keyed by the parts that decide them.
    public enum Part: Sendable {
        /// Data, model and recipe: every training depends on them.
        case training
        /// What is pruned and where the survivors go back to: only sparse levels depend on it.
        case pruning
        /// How results are read: no task depends on it.
        case report
    }

    /// The place in a spec: `training.learning_rate`.
    public let path: String
    /// What serves for the path in grid, zip, exclude and refer: `lr`.
    public let shortName: String?
    /// What it is, its unit and its range, in a few words.
    public let meaning: String
    public let part: Part
    /// Writes the value, or says what it must be.
    public let write: @Sendable (inout Settings, SettingValue) throws(SettingError) -> Void
    /// The value in canonical text: equal settings read equal.
    public let read: @Sendable (Settings) -> String

    /// The name people see on axes and columns.
    public var name: String { shortName ?? path }
}

extension Setting {
    typealias Place<Value> = WritableKeyPath<Settings, Value> & Sendable

    static func integer(
        _ path: String, _ shortName: String? = nil, _ place: any Place<Int>, _ range: ClosedRange<Int>, _ part: Part,
        _ meaning: String
    ) -> Setting {
        Setting(
            path: path, shortName: shortName, meaning: meaning, part: part,
            write: { (settings, value) throws(SettingError) in settings[keyPath: place] = try value.integer(in: range)
            },
            read: { String($0[keyPath: place]) })
    }

    static func optionalInteger(
        _ path: String, _ shortName: String? = nil, _ place: any Place<Int?>, _ range: ClosedRange<Int>, _ part: Part,
        _ meaning: String
    ) -> Setting {
        Setting(
            path: path, shortName: shortName, meaning: meaning, part: part,
            write: { (settings, value) throws(SettingError) in settings[keyPath: place] = try value.integer(in: range)
            },
            read: { $0[keyPath: place].map(String.init) ?? "" })
    }

    static func real(
        _ path: String, _ shortName: String? = nil, _ place: any Place<Double>, _ range: ClosedRange<Double>,
        _ part: Part, _ meaning: String
    ) -> Setting {
        Setting(
            path: path, shortName: shortName, meaning: meaning, part: part,
            write: { (settings, value) throws(SettingError) in settings[keyPath: place] = try value.real(in: range) },
            read: { String($0[keyPath: place]) })
    }

    static func choice<Choice: RawRepresentable & CaseIterable & Sendable>(
        _ path: String, _ shortName: String? = nil, _ place: any Place<Choice>, _ part: Part, _ meaning: String
    ) -> Setting where Choice.RawValue == String {
        Setting(
            path: path, shortName: shortName, meaning: meaning, part: part,
            write: { (settings, value) throws(SettingError) in
                let text = try value.text()
                guard let choice = Choice(rawValue: text) else {
                    throw SettingError(
                        "must be \(Choice.allCases.map(\.rawValue).joined(separator: " or ")), not “\(text)”")
                }
                settings[keyPath: place] = choice
            },
            read: { $0[keyPath: place].rawValue })
    }

    static func flag(
        _ path: String, _ shortName: String? = nil, _ place: any Place<Bool>, _ part: Part, _ meaning: String
    ) -> Setting {
        Setting(
            path: path, shortName: shortName, meaning: meaning, part: part,
            write: { (settings, value) throws(SettingError) in
                guard case .scalar(let text) = value, text == "true" || text == "false" else {
                    throw SettingError("must be true or false, not \(value)")
                }
                settings[keyPath: place] = text == "true"
            },
            read: { String($0[keyPath: place]) })
    }

    /// A name that the vocabulary checks, once the whole point is known.
    static func name(
        _ path: String, _ shortName: String? = nil, _ place: any Place<String>, _ part: Part, _ meaning: String
    ) -> Setting {
        Setting(
            path: path, shortName: shortName, meaning: meaning, part: part,
            write: { (settings, value) throws(SettingError) in settings[keyPath: place] = try value.text() },
            read: { $0[keyPath: place] })
    }
}

extension SettingValue {
    func text() throws(SettingError) -> String {
        guard case .scalar(let text) = self else { throw SettingError("must be a single name, not \(self)") }
        return text
    }

    func integer(in range: ClosedRange<Int>) throws(SettingError) -> Int {
        guard case .scalar(let text) = self else { throw SettingError("must be a whole number, not \(self)") }
        let digits = text.replacing("_", with: "")
        // One of more digits than an Int holds is out of any range.
        let unsigned = digits.first == "+" || digits.first == "-" ? digits.dropFirst() : digits[...]
        let isWhole = !unsigned.isEmpty && unsigned.allSatisfy { "0"..."9" ~= $0 }
        guard isWhole else { throw SettingError("must be a whole number, not \(self)") }
        guard let value = Int(digits), range.contains(value) else {
            throw SettingError("must be in \(range.lowerBound)…\(range.upperBound), not \(digits)")
        }
        return value
    }

    func real(in range: ClosedRange<Double>) throws(SettingError) -> Double {
        guard case .scalar(let text) = self, let value = text.decimalValue else {
            throw SettingError("must be a number, not \(self)")
        }
        guard range.contains(value) else {
            throw SettingError("must be in \(range.lowerBound)…\(range.upperBound), not \(text)")
        }
        guard ExactDecimal(text) != nil else {
            throw SettingError(
                "must have at most \(ExactDecimal.maximumDigits) digits and \(ExactDecimal.maximumDecimals) decimals, not \(text)"
            )
        }
        return value
    }

    func ratio() throws(SettingError) -> Ratio {
        guard case .scalar(let text) = self, let ratio = Ratio(text), ratio < .one else {
            throw SettingError(
                "must be a decimal from 0 to below 1, with at most \(Ratio.maximumDecimals) decimals, not \(self)")
        }
        return ratio
    }
}

extension String {
    /// The number that it is in decimal, however large or long; nil for other texts, among them `nan`, `inf` and `0x10`.
    fileprivate var decimalValue: Double? {
        let letters = utf8.allSatisfy { (48...57).contains($0) || [43, 45, 46, 69, 101].contains($0) }
        return letters ? Double(self) : nil
    }
}
