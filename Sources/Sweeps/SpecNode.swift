import Lottery
import Yams

/// A YAML node with the place it was written at. Anchors are resolved; tags are ignored.
struct SpecNode {
    indirect enum Content {
        case scalar(String)
        /// Nothing, `~` or `null`: a key without a value.
        case empty
        case list([SpecNode])
        case map([Entry])
    }

    struct Entry {
        var key: String
        var line: Int
        var value: SpecNode
    }

    var content: Content
    var line: Int
    var column: Int

    /// The value as `Settings.table` takes it.
    var settingValue: SettingValue {
        switch content {
        case .scalar(let text): .scalar(text)
        case .empty: .scalar("")
        case .list(let items): .list(items.map(\.settingValue))
        case .map(let entries): .map(entries.map { SettingValue.Entry(key: $0.key, value: $0.value.settingValue) })
        }
    }

    var isEmpty: Bool { if case .empty = content { true } else { false } }
    var isMap: Bool { if case .map = content { true } else { false } }
}

/// Limits on a spec, far above any that a person writes. They keep a hostile one from using up stack or memory.
enum SpecLimits {
    static let bytes = 1 << 20
    static let nodes = 100_000
    static let depth = 64
}

/// Reads YAML into nodes with places.
enum SpecDocument {
    static func root(of yaml: String, file: String) throws(SpecError) -> SpecNode {
        guard yaml.utf8.count <= SpecLimits.bytes else {
            throw SpecError(file: file, line: 1, message: "a spec has at most 1 MiB, not \(yaml.utf8.count) bytes")
        }
        try checkNesting(yaml, file: file)
        let node: Node?
        do {
            // Yams hands libyaml a pointer into the string's storage, which for up to 15 bytes is on the stack and gone
            // before it is read; trailing newlines make the storage lasting and change no meaning.
            node = try compose(yaml: yaml + String(repeating: "\n", count: 16))
        } catch let error as YamlError {
            throw specError(error, yaml: yaml, file: file)
        } catch {
            throw SpecError(file: file, line: 1, message: "not YAML: \(error)")
        }
        guard let node else {
            throw SpecError(
                file: file, line: 1, message: "the spec is empty; see sweeps/quickstart.yaml for an example")
        }
        var count = 0
        return try convert(node, depth: 0, count: &count, fallbackLine: 1, file: file)
    }

    private static func convert(
        _ node: Node, depth: Int, count: inout Int, fallbackLine: Int, file: String
    ) throws(SpecError) -> SpecNode {
        let line = node.mark?.line ?? fallbackLine
        let column = node.mark?.column ?? 1
        count += 1
        guard depth <= SpecLimits.depth, count <= SpecLimits.nodes else {
            throw SpecError(file: file, line: line, message: "nested too deep or too large for a spec")
        }
        let content: SpecNode.Content
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            content =
                isPlain && ["", "~", "null", "Null", "NULL"].contains(scalar.string) ? .empty : .scalar(scalar.string)
        case .sequence(let sequence):
            var items: [SpecNode] = []
            for item in sequence {
                items.append(try convert(item, depth: depth + 1, count: &count, fallbackLine: line, file: file))
            }
            content = .list(items)
        case .mapping(let mapping):
            var entries: [SpecNode.Entry] = []
            var seen: [String: Int] = [:]
            for (key, value) in mapping {
                let keyLine = key.mark?.line ?? line
                guard case .scalar(let scalar) = key else {
                    throw SpecError(file: file, line: keyLine, message: "a key must be a single name")
                }
                if let first = seen.updateValue(keyLine, forKey: scalar.string) {
                    throw SpecError(
                        file: file, line: keyLine,
                        message: "\"\(scalar.string)\" is given twice, first on line \(first); keep one")
                }
                let converted = try convert(value, depth: depth + 1, count: &count, fallbackLine: keyLine, file: file)
                entries.append(SpecNode.Entry(key: scalar.string, line: keyLine, value: converted))
            }
            content = .map(entries)
        case .alias:
            throw SpecError(file: file, line: line, message: "an alias must follow its anchor")
        }
        return SpecNode(content: content, line: line, column: column)
    }

    /// libyaml and Yams descend into flow collections by recursion.
    private static func checkNesting(_ yaml: String, file: String) throws(SpecError) {
        var depth = 0
        var line = 1
        for byte in yaml.utf8 {
            switch byte {
            case UInt8(ascii: "\n"): line += 1
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(0, depth - 1)
            default: break
            }
            guard depth <= 2 * SpecLimits.depth else {
                throw SpecError(file: file, line: line, message: "brackets are nested too deep; is one not closed?")
            }
        }
    }

    private static func specError(_ error: YamlError, yaml: String, file: String) -> SpecError {
        let lines = yaml.split(omittingEmptySubsequences: false) { $0.isNewline }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            // What is missing at the end of the spec is missed on one of the newlines added to it.
            let lastLine = lines.lastIndex { !$0.isEmpty }.map { $0 + 1 } ?? 1
            let line = min(mark.line, lastLine)
            let isTab =
                problem.contains("cannot start any token") && lines.indices.contains(line - 1)
                && lines[line - 1].prefix { $0.isWhitespace }.contains("\t")
            return SpecError(
                file: file, line: line, column: mark.column,
                message: isTab
                    ? "not YAML: a line is indented by spaces, and here is a tab; write spaces in its place"
                    : "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let name = duplicates.first ?? "a key"
            let first = max(1, context.mark.line)
            // Yams tells the first place only. In block style the other is the next line with the key at the same
            // column.
            let second = lines.indices.dropFirst(first).first { line in
                lines[line].prefix(while: { $0 == " " }).count + 1 == context.mark.column
                    && lines[line].drop(while: { $0 == " " }).hasPrefix(name)
                    && lines[line].drop(while: { $0 == " " }).dropFirst(name.count).drop(while: { $0 == " " }).first
                        == ":"
            }
            if let second {
                return SpecError(
                    file: file, line: second + 1,
                    message: "\"\(name)\" is given twice, first on line \(first); keep one")
            }
            return SpecError(file: file, line: first, message: "\"\(name)\" is given twice in one map; keep one")
        case .reader(let problem, let offset, _, let yaml):
            let line = yaml.prefix(offset ?? 0).reduce(1) { $1.isNewline ? $0 + 1 : $0 }
            return SpecError(file: file, line: line, message: "not YAML: \(problem)")
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            return SpecError(file: file, line: 1, message: "not YAML: \(error)")
        }
    }
}
