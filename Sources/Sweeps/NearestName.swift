/// The name among `names` that `word` was probably meant to be: at most a third of its letters away, the first of
/// equals; else one that begins with the word, or ends with it after a point.
func nearestName(to word: String, among names: some Sequence<String>) -> String? {
    guard !word.isEmpty else { return nil }
    let letters = Array(word.lowercased().utf8.prefix(100))
    let limit = max(1, (letters.count + 1) / 3)
    var best: (name: String, distance: Int)?
    for name in names {
        let distance = editDistance(letters, Array(name.lowercased().utf8))
        if distance <= limit, distance < best?.distance ?? .max { best = (name, distance) }
    }
    if let best { return best.name }
    return names.first { $0.hasSuffix(".\(word)") } ?? (letters.count < 3 ? nil : names.first { $0.hasPrefix(word) })
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `one` into `other` (optimal string alignment).
func editDistance(_ one: [UInt8], _ other: [UInt8]) -> Int {
    var beforePrevious: [Int] = []
    var previous = Array(0...other.count)
    for (row, letter) in one.enumerated() {
        var current = [row + 1]
        for (column, otherLetter) in other.enumerated() {
            var distance = min(
                previous[column + 1] + 1, current[column] + 1, previous[column] + (letter == otherLetter ? 0 : 1))
            if row > 0, column > 0, letter == other[column - 1], one[row - 1] == otherLetter {
                distance = min(distance, beforePrevious[column - 1] + 1)
            }
            current.append(distance)
        }
        beforePrevious = previous
        previous = current
    }
    return previous[other.count]
}

/// The end of an “unknown …” sentence: the nearest name if there is one, else all of them.
func suggestion(for word: String, among names: [String]) -> String {
    if let nearest = nearestName(to: word, among: names) { return "; did you mean \"\(nearest)\"?" }
    return names.isEmpty ? "" : "; known are \(names.joined(separator: ", "))"
}
