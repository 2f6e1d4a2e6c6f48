import Artifacts
import Glibc
import ZeroMQ

/// A coordinator's folder of keys: `server.key`, its own pair; `authorized`, the allow-list; and `NAME.key`, the key
/// files that were made here, to be handed to workers and clients.
public struct KeyFolder: Sendable {
    public let directory: String

    /// Does not look at the disk yet.
    public init(directory: String) { self.directory = directory }

    public var serverFile: String { directory + "/server.key" }
    public var allowListFile: String { directory + "/authorized" }
    public func file(of name: KeyName) -> String { "\(directory)/\(name).key" }

    /// Whether a coordinator can use CURVE with it.
    public var hasServerKey: Bool { Folder.exists(serverFile) }

    /// The coordinator's own pair.
    /// - Throws: `missing`, `exposed`, `foreign`, `damaged`.
    public func serverPair() throws(KeyError) -> CurveKeyPair {
        try KeyFields(path: serverFile, SecretFile.read(serverFile)).pair()
    }

    /// Whom the coordinator lets in. Without the file, nobody.
    /// - Throws: `badLine`; `exposed` if others could write to it.
    public func allowList() throws(KeyError) -> AllowList {
        guard Folder.exists(allowListFile) else { return try AllowList(AllowList.heading, file: allowListFile) }
        return try AllowList(SecretFile.readTrusted(allowListFile), file: allowListFile)
    }

    /// Makes a key, authorises it, and leaves its key file here. Where there is no pair of the coordinator's own yet,
    /// it is made as well.
    /// - Returns: the path of the key file.
    /// - Throws: `nameTaken`, `exists`, `noCurve`.
    public func generate(_ name: KeyName, _ role: Role) throws(KeyError) -> String {
        let server = try makeServerPair()
        let list = try allowList()
        guard list[name] == nil else {
            throw .nameTaken(name, file: Folder.exists(file(of: name)) ? file(of: name) : nil)
        }
        let path = try KeyFolder.generate(name, role, for: server.publicKey, in: directory)
        try authorize(AllowList.Entry(role: role, name: name, publicKey: KeyFile(path: path).pair.publicKey))
        return path
    }

    /// Makes a key for a coordinator elsewhere, which has to authorise it.
    /// - Returns: the path of the key file.
    /// - Throws: `exists`, `noCurve`.
    public static func generate(
        _ name: KeyName, _ role: Role, for server: CurvePublicKey, in directory: String
    ) throws(KeyError) -> String {
        let path = KeyFolder(directory: directory).file(of: name)
        guard !Folder.exists(path) else { throw .exists(path) }
        let file = KeyFile(name: name, role: role, pair: try newPair(), server: server)
        try makeFolder(directory)
        try SecretFile.write(file.text, to: path)
        return path
    }

    /// Puts a key on the allow-list. One that is there already under this name and role stays.
    /// - Throws: `nameTaken`, `keyTaken`.
    public func authorize(_ entry: AllowList.Entry) throws(KeyError) {
        _ = try makeServerPair()
        try change { (list) throws(KeyError) in try list.add(entry) }
    }

    /// Takes a key off the allow-list. Its key file stays where it is.
    /// - Throws: `unknownName`.
    public func revoke(_ name: KeyName) throws(KeyError) {
        // Before the lock is made, and the folder for it.
        guard try allowList()[name] != nil else { throw .unknownName(name) }
        try change { (list) throws(KeyError) in try list.remove(name) }
    }

    /// Two commands at once must not undo each other's work.
    private func change(_ edit: (inout AllowList) throws(KeyError) -> Void) throws(KeyError) {
        try KeyFolder.makeFolder(directory)
        let lock: FolderLock
        do { lock = try FolderLock(path: directory + "/lock") } catch { throw .disk(error) }
        defer { lock.release() }
        var list = try allowList()
        let before = list
        try edit(&list)
        if list != before { try SecretFile.write(list.text, to: allowListFile) }
    }

    private func makeServerPair() throws(KeyError) -> CurveKeyPair {
        if hasServerKey { return try serverPair() }
        let pair = try KeyFolder.newPair()
        try KeyFolder.makeFolder(directory)
        let text = """
            # The key of Tombola's coordinator. Whoever has this file can pass for it: keep it to its owner (mode 0600).
            public \(pair.publicKey)
            secret \(pair.secret)

            """
        try SecretFile.write(text, to: serverFile)
        return pair
    }

    private static func newPair() throws(KeyError) -> CurveKeyPair {
        guard Curve.isAvailable else { throw .noCurve }
        do { return try CurveKeyPair.generate() } catch { throw .noCurve }
    }

    /// Makes the folder, for its owner alone, where it lacks.
    private static func makeFolder(_ path: String) throws(KeyError) {
        guard !Folder.exists(path) else { return }
        do throws(ArtifactError) {
            try Folder.make(path)
            guard chmod(path, 0o700) == 0 else { throw ArtifactError(errno: errno, operation: "protect", path: path) }
        } catch { throw .disk(error) }
    }
}
