import Foundation
import Glibc
import Keys
import Testing
import ZeroMQ

@Suite("Keys on disk", .timeLimit(.minutes(1)))
struct KeyFolderTests {
    let folder: KeyFolder

    init() throws { folder = KeyFolder(directory: NSTemporaryDirectory() + "tombola-keys-" + UUID().uuidString) }

    private func withFolder(_ body: () throws -> Void) throws {
        defer { try? FileManager.default.removeItem(atPath: folder.directory) }  // what is left over fails no test
        try body()
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test("A generated key is authorised, names its coordinator, and is for its owner's eyes alone, whatever the umask")
    func generate() throws {
        try withFolder {
            let old = umask(0)
            defer { umask(old) }
            let path = try folder.generate(KeyName("gpu-1"), .worker)
            let file = try KeyFile(path: path)
            #expect(file.name.text == "gpu-1" && file.role == .worker)
            #expect(file.server == (try folder.serverPair().publicKey))
            #expect(try folder.allowList()[file.pair.publicKey]?.name.text == "gpu-1")
            for path in [path, folder.serverFile, folder.allowListFile] { #expect(mode(path) == 0o600, "\(path)") }
            #expect(mode(folder.directory) == 0o700)
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.directory).sorted()
            #expect(names == ["authorized", "gpu-1.key", "lock", "server.key"])
        }
    }

    @Test("The coordinator's pair is made once, and a taken name is refused")
    func again() throws {
        try withFolder {
            _ = try folder.generate(KeyName("a"), .worker)
            let pair = try folder.serverPair()
            _ = try folder.generate(KeyName("b"), .client)
            #expect(try folder.serverPair() == pair)
            let name = try KeyName("a")
            #expect(throws: KeyError.nameTaken(name, file: folder.file(of: name))) {
                _ = try folder.generate(name, .worker)
            }
            try folder.revoke(name)
            #expect(throws: KeyError.exists(folder.file(of: name))) { _ = try folder.generate(name, .worker) }
        }
    }

    @Test(
        "Authorising twice changes nothing; a revoked key can be authorised again; an unknown name is said to be"
    )
    func authorizeAndRevoke() throws {
        try withFolder {
            let name = try KeyName("laptop")
            let key = try CurveKeyPair.generate().publicKey
            let entry = AllowList.Entry(role: .client, name: name, publicKey: key)
            for _ in 0..<2 { try folder.authorize(entry) }
            #expect(try folder.allowList().entries == [entry])
            #expect(throws: KeyError.keyTaken(name, .client)) {
                try folder.authorize(AllowList.Entry(role: .worker, name: KeyName("other"), publicKey: key))
            }
            #expect(throws: KeyError.nameTaken(name)) {
                try folder.authorize(
                    AllowList.Entry(role: .client, name: name, publicKey: CurveKeyPair.generate().publicKey))
            }
            try folder.revoke(name)
            #expect(try folder.allowList()[key] == nil)
            #expect(throws: KeyError.unknownName(name)) { try folder.revoke(name) }
            try folder.authorize(entry)
            #expect(try folder.allowList()[key] == entry)
        }
    }

    @Test(
        "A secret that group or others can get at is refused, with the remedy", arguments: [0o640, 0o604, 0o620, 0o644])
    func exposed(mode: Int) throws {
        try withFolder {
            let path = try folder.generate(KeyName("a"), .worker)
            for (file, read) in [
                (path, { _ = try KeyFile(path: path) }), (folder.serverFile, { _ = try folder.serverPair() }),
            ] as [(String, () throws -> Void)] {
                chmod(file, mode_t(mode))
                #expect(throws: KeyError.exposed(file, mode: UInt32(mode))) { try read() }
                #expect(KeyError.exposed(file, mode: UInt32(mode)).description.contains("chmod 600 \(file)"))
            }
        }
    }

    @Test("An allow-list that others could write to is refused, one that they can read is not")
    func exposedList() throws {
        try withFolder {
            _ = try folder.generate(KeyName("a"), .worker)
            chmod(folder.allowListFile, 0o644)
            #expect(try folder.allowList().entries.count == 1)
            chmod(folder.allowListFile, 0o666)
            #expect(throws: KeyError.exposed(folder.allowListFile, mode: 0o666)) { _ = try folder.allowList() }
        }
    }

    @Test("A file of another user is refused")
    func foreign() throws {
        // Root's, unless this is root, which cannot tell.
        guard geteuid() != 0 else { return try foreignToRoot() }
        #expect(throws: KeyError.foreign("/etc/passwd")) { _ = try KeyFile(path: "/etc/passwd") }
    }

    private func foreignToRoot() throws {
        try withFolder {
            let path = try folder.generate(KeyName("a"), .worker)
            try #require(chown(path, 65_534, 65_534) == 0)
            #expect(throws: KeyError.foreign(path)) { _ = try KeyFile(path: path) }
        }
    }

    @Test("Key files that are none are refused without a trap, and no error shows a secret")
    func damagedFiles() throws {
        try withFolder {
            let path = try folder.generate(KeyName("a"), .worker)
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let pair = try KeyFile(path: path).pair
            var texts = [
                "", "nonsense", "secret", "name a\nname b", String(repeating: "x", count: 100_000), "\u{0}\u{1}",
            ]
            let lines = text.split(separator: "\n")
            for index in lines.indices where !lines[index].hasPrefix("#") {
                var fewer = lines
                fewer.remove(at: index)
                texts.append(fewer.joined(separator: "\n"))
            }
            texts.append(text.replacing(pair.publicKey.text, with: try CurveKeyPair.generate().publicKey.text))
            texts.append(text.replacing("secret \(pair.secret)", with: "secret\(pair.secret)"))
            texts.append(text.replacing("worker", with: "king"))
            for text in texts {
                try Data(text.utf8).write(to: URL(filePath: path))
                chmod(path, 0o600)
                do {
                    _ = try KeyFile(path: path)
                    Issue.record("accepted: \(text.prefix(200))")
                } catch { #expect(!String(describing: error).contains(pair.secret), "\(error)") }
            }
            try Data([0xFF, 0xFE, 0xC0]).write(to: URL(filePath: path))
            #expect(throws: KeyError.self) { _ = try KeyFile(path: path) }
            #expect(throws: KeyError.missing("/nonexistent/key")) { _ = try KeyFile(path: "/nonexistent/key") }
            #expect(throws: KeyError.self) { _ = try KeyFile(path: "/dev/null") }
            #expect(throws: KeyError.self) { _ = try KeyFile(path: folder.directory) }
        }
    }

    @Test("A public key is read from a file of its own and from a key file, and the latter says whose it is")
    func publicKeys() throws {
        try withFolder {
            let path = try folder.generate(KeyName("a"), .client)
            let key = try KeyFile(path: path).pair.publicKey
            #expect(try PublicKeyFile(path: path) == PublicKeyFile(publicKey: key, name: KeyName("a"), role: .client))
            let bare = folder.directory + "/bare"
            try Data("\(key)\n".utf8).write(to: URL(filePath: bare))
            #expect(try PublicKeyFile(path: bare) == PublicKeyFile(publicKey: key))
        }
    }

    @Test(
        "Names that could be paths, options or more than a word are refused",
        arguments: [
            "", ".", "..", "../x", "/etc/passwd", "a/b", "-v", ".hidden", "a b", "a\u{0}b", "a\nb", "ü", "server",
            String(repeating: "a", count: 65), "\u{1B}[2J",
        ])
    func badNames(_ text: String) {
        #expect(throws: KeyError.badName(text)) { _ = try KeyName(text) }
        #expect(!KeyError.badName(text).description.contains("\u{1B}"))
    }
}
