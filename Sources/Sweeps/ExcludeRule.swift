import Lottery

/// A condition over axis values: points that meet it are left out.
///
/// ```text
/// rule       = and ("||" and)*
/// and        = not ("&&" not)*
/// not        = "!" not | "(" rule ")" | comparison
/// comparison = operand ("==" | "!=" | "<" | "<=" | ">" | ">=") operand
/// operand    = number | "text" | 'text' | axis
/// ```
struct ExcludeRule: Sendable {
    /// An axis as rules see it: by any of its names, and whether all its values are numbers.
    struct Column {
        var names: [String]
        var isNumeric: Bool
    }

    /// What is wrong, and at which letter of the text (from 0).
    struct Mistake: Error {
        var message: String
        var position: Int
    }

    /// An axis value to compare.
    enum Value: Equatable, Sendable {
        case number(Double)
        case text(String)

        /// An axis's values: numbers if all of them are, else texts, so that each compares as the rule was checked.
        static func all(of values: [SettingValue]) -> [Value] {
            let numbers = values.compactMap { value in
                if case .scalar(let text) = value { text.filter { $0 != "_" }.numericValue } else { nil }
            }
            return numbers.count == values.count ? numbers.map(Value.number) : values.map { .text($0.description) }
        }
    }

    private indirect enum Expression: Sendable {
        case or(Expression, Expression)
        case and(Expression, Expression)
        case not(Expression)
        case comparison(Operand, Relation, Operand)
    }

    private enum Operand {
        case axis(Int)
        case literal(Value)
    }

    private enum Relation: String {
        case equal = "=="
        case unequal = "!="
        case less = "<"
        case atMost = "<="
        case greater = ">"
        case atLeast = ">="
    }

    private let expression: Expression

    init(_ text: String, columns: [Column]) throws(Mistake) {
        var parser = Parser(tokens: try Token.all(in: text), columns: columns, end: text.count)
        expression = try parser.rule(depth: 0)
        if let extra = parser.next {
            throw Mistake(message: "does not expect \(extra.quoted) here", position: extra.position)
        }
    }

    /// Whether a point with these axis values is left out.
    func holds(for values: [Value]) -> Bool { ExcludeRule.evaluate(expression, values) }

    private static func evaluate(_ expression: Expression, _ values: [Value]) -> Bool {
        switch expression {
        case .or(let left, let right): return evaluate(left, values) || evaluate(right, values)
        case .and(let left, let right): return evaluate(left, values) && evaluate(right, values)
        case .not(let inner): return !evaluate(inner, values)
        case .comparison(let left, let relation, let right):
            func value(_ operand: Operand) -> Value {
                switch operand {
                case .axis(let index): values[index]
                case .literal(let value): value
                }
            }
            switch (value(left), value(right)) {
            case (.number(let left), .number(let right)): return holds(left, relation, right)
            case (.text(let left), .text(let right)): return holds(left, relation, right)
            case (.number, .text), (.text, .number): return relation == .unequal
            }
        }
    }

    private static func holds<Value: Comparable>(_ left: Value, _ relation: Relation, _ right: Value) -> Bool {
        switch relation {
        case .equal: left == right
        case .unequal: left != right
        case .less: left < right
        case .atMost: left <= right
        case .greater: left > right
        case .atLeast: left >= right
        }
    }

    // MARK: Tokens

    private struct Token {
        enum Kind: Equatable {
            case symbol(String)
            case number(Double)
            case text(String)
            case name(String)
        }

        var kind: Kind
        var position: Int

        var quoted: String {
            switch kind {
            case .symbol(let symbol): "\"\(symbol)\""
            case .number(let number): "\(number)"
            case .text(let text), .name(let text): "\"\(text)\""
            }
        }

        static func all(in text: String) throws(Mistake) -> [Token] {
            let letters = Array(text)
            var tokens: [Token] = []
            var position = 0
            while position < letters.count {
                let letter = letters[position]
                let start = position
                if letter.isWhitespace {
                    position += 1
                } else if letter == "\"" || letter == "'" {
                    position += 1
                    while position < letters.count, letters[position] != letter { position += 1 }
                    guard position < letters.count else {
                        throw Mistake(message: "has a text without closing \(letter)", position: start)
                    }
                    tokens.append(Token(kind: .text(String(letters[start + 1..<position])), position: start))
                    position += 1
                } else if letter.isNameLetter || letter == "-" || letter == "+" || letter == "." {
                    while position < letters.count {
                        let signOfExponent =
                            (letters[position] == "-" || letters[position] == "+")
                            && (position == start
                                || ["e", "E"].contains(letters[position - 1]) && letters[start].isNumberStart)
                        guard letters[position].isNameLetter || letters[position] == "." || signOfExponent else {
                            break
                        }
                        position += 1
                    }
                    let word = String(letters[start..<position])
                    if let number = word.numericValue {
                        tokens.append(Token(kind: .number(number), position: start))
                    } else if letter.isLetter || letter == "_" {
                        tokens.append(Token(kind: .name(word), position: start))
                    } else {
                        throw Mistake(message: "has \"\(word)\", which is no number", position: start)
                    }
                } else {
                    let two = String(letters[position..<min(position + 2, letters.count)])
                    let symbols = ["==", "!=", "<=", ">=", "&&", "||"]
                    let symbol = symbols.contains(two) ? two : String(letter)
                    guard symbols.contains(symbol) || ["<", ">", "!", "(", ")"].contains(symbol) else {
                        let remedy =
                            ["=": "; write \"==\"", "&": "; write \"&&\"", "|": "; write \"||\""][symbol] ?? ""
                        throw Mistake(message: "does not understand \"\(symbol)\"\(remedy)", position: start)
                    }
                    tokens.append(Token(kind: .symbol(symbol), position: start))
                    position += symbol.count
                }
            }
            return tokens
        }
    }

    // MARK: Grammar

    private struct Parser {
        static let depthLimit = 100

        var tokens: [Token]
        let columns: [Column]
        let end: Int
        var position = 0

        init(tokens: [Token], columns: [Column], end: Int) {
            self.tokens = tokens
            self.columns = columns
            self.end = end
        }

        var next: Token? { position < tokens.count ? tokens[position] : nil }

        mutating func take(_ symbol: String) -> Bool {
            guard next?.kind == .symbol(symbol) else { return false }
            position += 1
            return true
        }

        func expected(_ what: String) -> Mistake {
            Mistake(
                message: "expects \(what) \(next.map { "instead of \($0.quoted)" } ?? "at its end")",
                position: next?.position ?? end)
        }

        mutating func rule(depth: Int) throws(Mistake) -> Expression {
            guard depth < Parser.depthLimit else {
                throw Mistake(message: "is nested too deep", position: next?.position ?? end)
            }
            var left = try conjunction(depth: depth)
            while take("||") { left = .or(left, try conjunction(depth: depth)) }
            return left
        }

        mutating func conjunction(depth: Int) throws(Mistake) -> Expression {
            var left = try negation(depth: depth)
            while take("&&") { left = .and(left, try negation(depth: depth)) }
            return left
        }

        mutating func negation(depth: Int) throws(Mistake) -> Expression {
            guard depth < Parser.depthLimit else {
                throw Mistake(message: "is nested too deep", position: next?.position ?? end)
            }
            if take("!") { return .not(try negation(depth: depth + 1)) }
            if take("(") {
                let inner = try rule(depth: depth + 1)
                guard take(")") else { throw expected("\")\"") }
                return inner
            }
            return try comparison()
        }

        mutating func comparison() throws(Mistake) -> Expression {
            let start = next?.position ?? end
            let left = try operand()
            guard let token = next, case .symbol(let symbol) = token.kind, let relation = Relation(rawValue: symbol)
            else {
                throw expected("a comparison (==, !=, <, <=, >, >=)")
            }
            position += 1
            let right = try operand()
            if let token = next, case .symbol(let symbol) = token.kind, Relation(rawValue: symbol) != nil {
                throw Mistake(
                    message: "compares two things at a time; join comparisons with &&", position: token.position)
            }
            guard left.isNumeric == right.isNumeric else {
                throw Mistake(message: "compares a number with a text", position: start)
            }
            guard left.isNumeric || relation == .equal || relation == .unequal else {
                throw Mistake(message: "can ask of texts only whether they are == or !=", position: token.position)
            }
            return .comparison(left.operand, relation, right.operand)
        }

        mutating func operand() throws(Mistake) -> (operand: Operand, isNumeric: Bool) {
            guard let token = next else { throw expected("an axis, a number or a text") }
            switch token.kind {
            case .symbol: throw expected("an axis, a number or a text")
            case .number(let number):
                position += 1
                return (.literal(.number(number)), true)
            case .text(let text):
                position += 1
                return (.literal(.text(text)), false)
            case .name(let name):
                position += 1
                if let index = columns.firstIndex(where: { $0.names.contains(name) }) {
                    return (.axis(index), columns[index].isNumeric)
                }
                if SettingNames.rowOfAxisName[name] != nil {
                    throw Mistake(
                        message: "speaks of \"\(name)\", which is no axis of this sweep; axes are \(axisNames)",
                        position: token.position)
                }
                let nearest = nearestName(to: name, among: columns.flatMap(\.names))
                throw Mistake(
                    message: "speaks of an unknown axis \"\(name)\"; "
                        + (nearest.map { "did you mean \"\($0)\"?" }
                            ?? "axes are \(axisNames), and texts stand in quotes"),
                    position: token.position)
            }
        }

        private var axisNames: String { columns.map { $0.names[0] }.joined(separator: ", ") }
    }
}

extension Character {
    fileprivate var isNameLetter: Bool { isASCII && (isLetter || isNumber) || self == "_" }
    fileprivate var isNumberStart: Bool { ("0"..."9").contains(self) || self == "." || self == "-" || self == "+" }
}

extension String {
    /// The number that a person wrote in decimal; nil for other texts, among them `nan`, `inf` and `0x10`.
    var numericValue: Double? {
        guard utf8.allSatisfy({ (48...57).contains($0) || [43, 45, 46, 69, 101].contains($0) }),
            let value = Double(self), value.isFinite
        else { return nil }
        return value
    }
}
