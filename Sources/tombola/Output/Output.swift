import Foundation

/// Results to standard output, in the form that was asked for.
enum Output {
    /// Keys in snake case, sorted, so that equal results are equal bytes.
    static func json(_ value: some Encodable) throws { Terminal.output.write(try jsonText(value)) }

    static func jsonText(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }

    static func table(_ grid: TextGrid) {
        let lines = grid.lines(width: Terminal.output.size?.columns, ink: Terminal.output.ink)
        Terminal.output.write(lines.map { $0 + "\n" }.joined())
    }

    static func csv(_ grid: TextGrid) { Terminal.output.write(grid.csv) }

    /// `name  value` lines, values aligned.
    static func facts(_ facts: [(name: String, value: String)]) {
        let ink = Terminal.output.ink
        let width = facts.reduce(0) { max($0, $1.name.displayWidth) }
        Terminal.output.write(facts.map { "\(ink($0.name.padded(to: width), .dim))  \($0.value)\n" }.joined())
    }

    static func line(_ text: String) { Terminal.output.write(text + "\n") }
}
