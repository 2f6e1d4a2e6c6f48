/// Rows under titled columns, printed as an aligned table or as CSV.
package struct TextGrid: Sendable {
    package enum Alignment: Sendable {
        case left
        case right
    }

    package struct Column: Sendable {
        package var title: String
        package var alignment: Alignment
        /// On a narrow terminal the column with the highest rank is left out first; 0 is never left out.
        package var dropRank: Int

        package init(_ title: String, _ alignment: Alignment = .left, dropRank: Int = 0) {
            self.title = title
            self.alignment = alignment
            self.dropRank = dropRank
        }
    }

    package struct Cell: Sendable, ExpressibleByStringLiteral {
        package var text: String
        package var colour: Ink.Colour?

        package init(_ text: String, _ colour: Ink.Colour? = nil) {
            self.text = text
            self.colour = colour
        }

        package init(stringLiteral text: String) { self.init(text) }
    }

    package var columns: [Column]
    package private(set) var rows: [[Cell]] = []

    package init(_ columns: [Column]) { self.columns = columns }

    /// - Precondition: a cell for each column.
    package mutating func append(_ row: [Cell]) {
        precondition(row.count == columns.count, "\(row.count) cells for \(columns.count) columns")
        rows.append(row)
    }
}

extension TextGrid {
    private static let gap = "  "

    /// The table as lines, at most `width` cells wide (nil: as wide as it is). Columns are left out by their rank; what
    /// is then still too wide is cut in its last column.
    package func lines(width: Int?, ink: Ink) -> [String] {
        var shown = Array(columns.indices)
        func natural(_ column: Int) -> Int {
            rows.reduce(columns[column].title.displayWidth) { max($0, $1[column].text.displayWidth) }
        }
        let widths = columns.indices.map(natural)
        func total() -> Int { shown.reduce(0) { $0 + widths[$1] } + TextGrid.gap.count * max(0, shown.count - 1) }
        while let width, total() > width,
            let victim = shown.filter({ columns[$0].dropRank > 0 }).max(by: {
                columns[$0].dropRank < columns[$1].dropRank
            })
        {
            shown.removeAll { $0 == victim }
        }

        func line(_ cells: (Int) -> Cell) -> String {
            var room = width ?? Int.max
            var parts: [String] = []
            for column in shown {
                let cell = cells(column)
                let text = cell.text.padded(to: widths[column], alignment: columns[column].alignment)
                let fitting = text.displayWidth > room ? text.cut(to: room) : text
                room = max(0, room - text.displayWidth - TextGrid.gap.count)
                // Spaces at the end of a line would wrap on a narrow terminal and soil a diff.
                let trimmed = column == shown.last ? String(fitting.reversed().drop { $0 == " " }.reversed()) : fitting
                parts.append(ink(trimmed, cell.colour))
                if room == 0 { break }
            }
            return parts.joined(separator: TextGrid.gap)
        }
        return [line { Cell(columns[$0].title, .dim) }] + rows.map { row in line { row[$0] } }
    }

    /// RFC 4180: a header line and one line a row, with quotes where needed.
    package var csv: String {
        let records = [columns.map(\.title)] + rows.map { $0.map(\.text) }
        return records.map { $0.map(TextGrid.csvField).joined(separator: ",") + "\r\n" }.joined()
    }

    /// A field as RFC 4180 asks.
    static func csvField(_ text: String) -> String {
        guard text.contains(where: { ",\"\r\n".contains($0) }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}
