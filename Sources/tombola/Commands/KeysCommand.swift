import ArgumentParser
import Foundation
import Keys
import ZeroMQ

struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Keys that workers and clients on other machines come in with.",
        discussion: """
            On the coordinator's machine: `tombola keys generate gpu-1 --role worker` makes one file, which goes to \
            that machine and is named there with --key. Whoever has it can act as that worker, so bring it over by \
            a safe way such as scp. A running coordinator takes up changes on SIGHUP.
            """,
        subcommands: [Generate.self, Authorize.self, Revoke.self, List.self])

    struct Generate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key file for a worker or client, and authorise it here.",
            discussion: """
                With --server it is made for a coordinator elsewhere, so that its secret never travels: it stays in \
                --keys (the current folder by default), and what is printed is the public key, to be authorised there.
                """)

        @Argument(help: "Whose key it is, such as the machine's name.")
        var name: String

        @Option(help: "What its holder may do: worker or client.")
        var role: Role

        @Option(help: "A coordinator's public key, or a file that holds it, as its `tombola keys list` shows it.")
        var server: String?

        @OptionGroup var folder: KeyFolderOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            let name = try KeyName(name)
            let path: String
            if let server {
                path = try KeyFolder.generate(
                    name, role, for: KeysCommand.publicKey(server).publicKey, in: folder.keys ?? ".")
            } else {
                path = try folder.folder.generate(name, role)
            }
            let key = try KeyFile(path: path).pair.publicKey
            if output.json {
                return try Output.json(Made(name: name.text, role: role, publicKey: key.text, file: path))
            }
            guard server == nil else {
                Console.shared.say(
                    "\(path) is the key file; have the coordinator authorise its public key, which follows")
                return Output.line(key.text)
            }
            Output.facts([("key file", path), ("role", role.rawValue), ("public key", key.text)])
            Console.shared.say("authorised; bring the file to \(name) by a safe way and name it there with --key")
            KeysCommand.remindOfSIGHUP(folder)
        }

        private struct Made: Encodable {
            var name: String
            var role: Role
            var publicKey: String
            var file: String
        }
    }

    struct Authorize: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a key in that was made elsewhere, or was revoked.",
            discussion:
                "A public key has characters that mean something to a shell: put it in single quotes, behind `--`.")

        @Argument(help: "The public key, or a file that holds it: a key file will do.")
        var key: String

        @Option(help: "Whose key it is (default: what the key file says).")
        var name: String?

        @Option(help: "What its holder may do: worker or client (default: what the key file says).")
        var role: Role?

        @OptionGroup var folder: KeyFolderOption

        func run() throws {
            let file = try KeysCommand.publicKey(key)
            guard let name = try name.map({ name throws(KeyError) in try KeyName(name) }) ?? file.name else {
                throw Failure(.usage, "say whose key it is: --name NAME")
            }
            guard let role = role ?? file.role else {
                throw Failure(.usage, "say what it is for: --role worker or --role client")
            }
            try folder.folder.authorize(AllowList.Entry(role: role, name: name, publicKey: file.publicKey))
            Console.shared.say("\(name) is authorised as \(role.rawValue)")
            KeysCommand.remindOfSIGHUP(folder)
        }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a key in no more.",
            discussion: "On the coordinator's next SIGHUP its connections lose their rights, too.")

        @Argument(help: "The key's name.")
        var name: String

        @OptionGroup var folder: KeyFolderOption

        func run() throws {
            let name = try KeyName(name)
            try folder.folder.revoke(name)
            Console.shared.say("\(name) is revoked")
            KeysCommand.remindOfSIGHUP(folder)
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the coordinator's public key, and those that it lets in.")

        @OptionGroup var folder: KeyFolderOption
        @OptionGroup var output: OutputOptions

        func run() throws {
            let list = try folder.folder.allowList()
            let server = folder.folder.hasServerKey ? try folder.folder.serverPair().publicKey.text : nil
            let keys = list.entries.map { Listed(name: $0.name.text, role: $0.role, publicKey: $0.publicKey.text) }
            if output.json { return try Output.json(Listing(server: server, keys: keys)) }
            guard let server else {
                return Console.shared.say(
                    "no keys in \(folder.folder.directory) yet: make some with `tombola keys generate`")
            }
            Output.facts([("coordinator", server)])
            var grid = TextGrid([.init("name"), .init("role"), .init("public key")])
            for key in keys { grid.append([.init(key.name), .init(key.role.rawValue), .init(key.publicKey)]) }
            Output.table(grid)
        }

        private struct Listing: Encodable {
            /// Null until the coordinator has a key.
            var server: String?
            var keys: [Listed]
        }

        private struct Listed: Encodable {
            var name: String
            var role: Role
            var publicKey: String
        }
    }

    /// A key as it was given: itself, or the file that holds it.
    private static func publicKey(_ argument: String) throws(KeyError) -> PublicKeyFile {
        if let key = CurvePublicKey(argument) { return PublicKeyFile(publicKey: key) }
        return try PublicKeyFile(path: argument)
    }

    private static func remindOfSIGHUP(_ folder: KeyFolderOption) {
        let store = folder.store.directory
        guard FileManager.default.fileExists(atPath: "\(store)/lock") else { return }
        Console.shared.say("a coordinator that is running takes this up on SIGHUP: kill -HUP $(cat \(store)/lock)")
    }
}

extension Role: ExpressibleByArgument {}

/// Where a coordinator's keys are.
struct KeyFolderOption: ParsableArguments {
    @Option(help: "Folder of keys (TOMBOLA_KEYS; default: keys/ in the store).")
    var keys: String?

    @OptionGroup var store: StoreOption

    var folder: KeyFolder { KeyFolder(directory: Environment.setting(keys, "KEYS") ?? "\(store.directory)/keys") }
}
