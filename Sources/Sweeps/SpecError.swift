/// A mistake in a spec: where, what, and the remedy.
public struct SpecError: Error, Hashable, Sendable, CustomStringConvertible {
    public let file: String
    /// Counted from 1.
    public let line: Int
    /// Counted from 1; nil if the whole line is meant.
    public let column: Int?
    public let message: String
    /// Set if the only thing wrong is the number of runs, which the user may allow.
    public let runCount: Int?

    public init(file: String, line: Int, column: Int? = nil, message: String, runCount: Int? = nil) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
        self.runCount = runCount
    }

    /// `sweeps/x.yaml:7: unknown setting "prune_rat"; did you mean "prune_rate"?`
    public var description: String { "\(file):\(line): \(message)" }

    /// The spec's line, and below it a caret at the column; nil if the column is not known.
    public func excerpt(of yaml: String) -> String? {
        let lines = yaml.split(separator: "\n", omittingEmptySubsequences: false)
        guard let column, (1...lines.count).contains(line) else { return nil }
        return "\(lines[line - 1])\n" + String(repeating: " ", count: column - 1) + "^"
    }
}
