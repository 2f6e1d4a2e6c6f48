extension Unicode.Scalar {
    /// Cells that a terminal gives the scalar: 0 for what combines with the one before, 2 for East Asian wide
    /// characters and emoji, else 1 (Unicode TR 11, without the ambiguous class, which terminals draw narrow).
    var displayWidth: Int {
        switch value {
        case 0..<0x20, 0x7F..<0xA0: return 0
        case 0x20..<0x300: return 1
        default: break
        }
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        switch value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
            0xA960...0xA97F,
            0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F,
            0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x1FA70...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default:
            return properties.isEmojiPresentation ? 2 : 1
        }
    }
}

extension Character {
    /// The widest scalar counts: a family of emoji joined by zero-width joiners is drawn as one.
    var displayWidth: Int { unicodeScalars.lazy.map(\.displayWidth).max() ?? 0 }
}

extension StringProtocol {
    /// Cells that the text fills on a terminal. It must hold no escape sequences.
    package var displayWidth: Int { reduce(0) { $0 + $1.displayWidth } }

    /// The text, cut to `width` cells with `…` as the last one if it is longer.
    package func cut(to width: Int) -> String {
        guard displayWidth > width else { return String(self) }
        guard width > 0 else { return "" }
        var result = ""
        var used = 0
        for character in self {
            let next = used + character.displayWidth
            if next > width - 1 { break }
            result.append(character)
            used = next
        }
        return result + "…"
    }

    /// The text with spaces up to `width` cells; longer text stays as it is.
    package func padded(to width: Int, alignment: TextGrid.Alignment = .left) -> String {
        let spaces = String(repeating: " ", count: Swift.max(0, width - displayWidth))
        return alignment == .left ? self + spaces : spaces + self
    }
}
