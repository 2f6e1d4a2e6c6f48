import Artifacts

/// What is wrong with keys, as one sentence that says where, what, and the remedy.
public enum KeyError: Error, Hashable, Sendable, CustomStringConvertible {
    case badName(String)
    /// There is no such file.
    case missing(String)
    /// Others can get at the file.
    case exposed(String, mode: UInt32)
    /// The file is another user's.
    case foreign(String)
    case damaged(String, String)
    case badLine(file: String, line: Int, String)
    case notAnEntry(String)
    /// `file`: that name's key file, where it is still in the way.
    case nameTaken(KeyName, file: String? = nil)
    case keyTaken(KeyName, Role)
    case unknownName(KeyName)
    case tooManyKeys
    /// A key file of that name is there already.
    case exists(String)
    /// libzmq was built without CURVE.
    case noCurve
    case disk(ArtifactError)

    public var description: String {
        switch self {
        case .badName(let name):
            "“\(printable(name))” cannot name a key: use 1 to \(KeyName.maximumBytes) letters, digits, '.', '_' "
                + "and '-', beginning with a letter or digit, other than “server”"
        case .missing(let path): "there is no key file \(path): make one with `tombola keys generate`, or name another"
        case .exposed(let path, let mode):
            "\(path) has mode 0\(String(mode, radix: 8)), so that others can get at it: chmod 600 \(path), "
                + "and make new keys if others could have read it"
        case .foreign(let path):
            "\(path) belongs to another user: have a copy of your own, with mode 0600, or run this as its owner"
        case .damaged(let path, let reason):
            "\(path) is no key file as `tombola keys generate` makes them (\(reason)): bring it over again or "
                + "make a new one"
        case .badLine(let file, let line, let reason):
            "\(file):\(line): \(reason); a line is ROLE NAME PUBLICKEY, as `tombola keys authorize` writes it"
        case .notAnEntry(let reason): reason
        case .nameTaken(let name, let file):
            "the name “\(name)” has a key already: choose another, or first `tombola keys revoke \(name)`"
                + (file.map { " and remove \($0)" } ?? "")
        case .keyTaken(let name, let role):
            "this key is authorised already, as \(role.rawValue) “\(name)”: `tombola keys revoke \(name)` first"
        case .unknownName(let name): "no authorised key is named “\(name)”; `tombola keys list` shows those that are"
        case .tooManyKeys:
            "the allow-list has its \(AllowList.maximumKeys) keys already: revoke some, or share keys among workers"
        case .exists(let path):
            "\(path) is there already: choose another name, or remove it if it is not needed any more"
        case .noCurve:
            "this machine's libzmq was built without CURVE (zmq_has(\"curve\") says no): install one with it, "
                + "such as Debian's libzmq5, or work on one machine over 127.0.0.1"
        case .disk(let error): error.description
        }
    }

    /// Whether the command line or a file that the user wrote is at fault, and not the machine.
    public var isUsage: Bool {
        switch self {
        case .badName, .missing, .badLine, .notAnEntry, .nameTaken, .keyTaken, .unknownName, .tooManyKeys, .exists: true
        case .exposed, .foreign, .damaged, .noCurve, .disk: false
        }
    }
}
