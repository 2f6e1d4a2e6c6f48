/// Colours for a stream that wants them, and plain text for one that does not.
package struct Ink: Sendable {
    package var isEnabled: Bool

    package static let none = Ink(isEnabled: false)

    package init(isEnabled: Bool) { self.isEnabled = isEnabled }

    package enum Colour: String, Sendable {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    package func callAsFunction(_ text: some StringProtocol, _ colour: Colour?) -> String {
        guard isEnabled, let colour, !text.isEmpty else { return String(text) }
        return "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m"
    }
}
