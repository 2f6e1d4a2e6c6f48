import ZeroMQ

/// Whose keys a coordinator lets in, and as what.
///
/// As a file it is one line a key, `ROLE NAME PUBLICKEY`, by single spaces or tabs; lines that are empty or begin with
/// `#` are comments. The key is last because its characters may include `#`.
public struct AllowList: Hashable, Sendable {
    public static let maximumKeys = 20_000
    /// What a new list's file begins with.
    static let heading = "# Whose keys the coordinator lets in: ROLE NAME PUBLICKEY"

    public struct Entry: Hashable, Sendable {
        public var role: Role
        public var name: KeyName
        public var publicKey: CurvePublicKey

        public init(role: Role, name: KeyName, publicKey: CurvePublicKey) {
            self.role = role
            self.name = name
            self.publicKey = publicKey
        }
    }

    /// Lines of the file, so that whoever keeps comments there finds them again.
    private enum Line: Hashable {
        case entry(Entry)
        case comment(String)
    }

    private var lines: [Line] = []
    private var byKey: [CurvePublicKey: Entry] = [:]
    private var names: Set<KeyName> = []

    public init() {}

    /// Reads the text of a list. Nothing of a text with a fault counts.
    /// - Parameter file: what errors call it.
    /// - Throws: `badLine`.
    public init(_ text: String, file: String) throws(KeyError) {
        var lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        // What follows the last line's end is no line.
        if lines.last?.isEmpty ?? false { lines.removeLast() }
        for (index, line) in lines.enumerated() {
            if line.hasPrefix("#") || line.allSatisfy(\.isWhitespace) {
                self.lines.append(.comment(String(line)))
                continue
            }
            do {
                try add(AllowList.entry(line))
            } catch {
                throw .badLine(file: file, line: index + 1, error.description)
            }
        }
    }

    /// In the order of the file.
    public var entries: [Entry] { lines.compactMap { if case .entry(let entry) = $0 { entry } else { nil } } }

    /// Who may come in with this key; nil: nobody.
    public subscript(key: CurvePublicKey) -> Entry? { byKey[key] }

    /// The entry of that name; nil where the list has none.
    public subscript(name: KeyName) -> Entry? { entries.first { $0.name == name } }

    /// - Throws: `nameTaken`, `keyTaken`, `tooManyKeys`. An entry that is there already changes nothing.
    public mutating func add(_ entry: Entry) throws(KeyError) {
        if let held = byKey[entry.publicKey] {
            if held == entry { return }
            throw .keyTaken(held.name, held.role)
        }
        guard !names.contains(entry.name) else { throw .nameTaken(entry.name) }
        guard byKey.count < AllowList.maximumKeys else { throw .tooManyKeys }
        lines.append(.entry(entry))
        byKey[entry.publicKey] = entry
        names.insert(entry.name)
    }

    /// The list without this name.
    /// - Throws: `unknownName`.
    public mutating func remove(_ name: KeyName) throws(KeyError) {
        guard let entry = self[name] else { throw .unknownName(name) }
        lines.removeAll { $0 == .entry(entry) }
        byKey[entry.publicKey] = nil
        names.remove(name)
    }

    /// As a file.
    public var text: String { lines.map { AllowList.text($0) + "\n" }.joined() }

    private static func text(_ line: Line) -> String {
        switch line {
        case .entry(let entry): "\(entry.role.rawValue) \(entry.name) \(entry.publicKey)"
        case .comment(let text): text
        }
    }

    private static func entry(_ line: Substring) throws(KeyError) -> Entry {
        let words = line.split { $0 == " " || $0 == "\t" }
        guard words.count == 3 else { throw .notAnEntry("it has \(words.count) words, not 3") }
        guard let role = Role(rawValue: String(words[0])) else {
            throw .notAnEntry("“\(printable(words[0]))” is neither worker nor client")
        }
        guard let key = CurvePublicKey(words[2]) else { throw .notAnEntry("its last word is no public key") }
        return Entry(role: role, name: try KeyName(String(words[1])), publicKey: key)
    }
}

/// At most 64 characters, without those that could steer a terminal.
func printable(_ text: some StringProtocol) -> String {
    String(
        text.prefix(64).map {
            $0.unicodeScalars.contains { $0.value < 32 || (127...159).contains($0.value) } ? "?" : $0
        })
}
