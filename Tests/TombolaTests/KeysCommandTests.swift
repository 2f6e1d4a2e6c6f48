import Coordination
import Foundation
import Glibc
import Lottery
import Store
import Testing

/// Keys as on many machines: real processes on the loopback address, with CURVE forced there.
@Suite struct KeysCommandTests {
    private func run(_ arguments: String..., in folder: URL) async throws -> (
        status: Int32, output: String, errors: String
    ) {
        try await Program.run(arguments, in: folder)
    }

    private func serve(_ arguments: String..., in folder: URL) async throws -> (process: Program, address: String) {
        let coordinator = try Program(
            ["serve", "--store", "store", "--bind", "tcp://127.0.0.1:*"] + arguments, in: folder)
        try await until("the coordinator says where it is") {
            coordinator.errors.contains("coordinator at tcp://") || !coordinator.isRunning
        }
        let address = coordinator.errors.firstMatch(of: #/coordinator at (\S+),/#).map { String($0.1) }
        return (coordinator, try #require(address, "\(coordinator.errors)"))
    }

    @Test("Keys are generated, listed, revoked and authorised again, by their file or their text")
    func commands() async throws {
        try await withFolder { folder in
            let made = try await run(
                "keys", "generate", "gpu-1", "--role", "worker", "--store", "s", "--json", in: folder)
            #expect(made.status == 0, "\(made.errors)")
            let fields = try #require(
                try JSONSerialization.jsonObject(with: Data(made.output.utf8)) as? [String: String])
            #expect(fields["name"] == "gpu-1" && fields["role"] == "worker" && fields["file"] == "s/keys/gpu-1.key")
            let key = try #require(fields["public_key"])
            let secret = try String(contentsOf: folder.appending(path: "s/keys/gpu-1.key"), encoding: .utf8)
                .firstMatch(of: #/secret (\S+)/#).map { String($0.1) }

            let taken = try await run("keys", "generate", "gpu-1", "--role", "worker", "--store", "s", in: folder)
            #expect(taken.status == 2, "\(taken.errors)")
            #expect(taken.errors.contains("revoke gpu-1` and remove s/keys/gpu-1.key"), "\(taken.errors)")

            func listed() async throws -> String {
                let list = try await run("keys", "list", "--store", "s", "--json", in: folder)
                #expect(list.status == 0, "\(list.errors)")
                #expect(!list.output.contains(try #require(secret)))
                return list.output
            }
            #expect(try await listed().contains(#""name" : "gpu-1""#))
            let revoked = try await run("keys", "revoke", "gpu-1", "--store", "s", in: folder)
            #expect(revoked.status == 0 && revoked.errors.contains("gpu-1 is revoked"), "\(revoked.errors)")
            #expect(!(try await listed()).contains("gpu-1"))
            let again = try await run("keys", "revoke", "gpu-1", "--store", "s", in: folder)
            #expect(again.status == 2 && again.errors.contains("tombola keys list"), "\(again.errors)")
            for _ in 0..<2 {
                let file = try await run("keys", "authorize", "s/keys/gpu-1.key", "--store", "s", in: folder)
                #expect(file.status == 0, "\(file.errors)")
            }
            // As for --key, a secret that others may have read is nobody's any more.
            chmod(folder.appending(path: "s/keys/gpu-1.key").path(), 0o644)
            let exposed = try await run("keys", "authorize", "s/keys/gpu-1.key", "--store", "other", in: folder)
            #expect(exposed.status == 1 && exposed.errors.contains("chmod 600 s/keys/gpu-1.key"), "\(exposed.errors)")
            let nobody = try await run("keys", "revoke", "nobody", "--store", "other", in: folder)
            #expect(nobody.status == 2 && nobody.errors.contains("“nobody”"), "\(nobody.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "other").path()))

            _ = try await run("keys", "revoke", "gpu-1", "--store", "s", in: folder)
            let text = try await run(
                "keys", "authorize", "--name", "other", "--role", "client", "--store", "s", "--", key, in: folder)
            #expect(text.status == 0, "\(text.errors)")
            #expect(try await listed().contains(#""role" : "client""#))
        }
    }

    @Test("What cannot be a name, a role or a key ends with status 2 and a sentence")
    func usage() async throws {
        try await withFolder { folder in
            for (arguments, word) in [
                (["keys", "generate", "../x", "--role", "worker"], "../x"),
                (["keys", "generate", "/etc/passwd", "--role", "worker"], "/etc/passwd"),
                (["keys", "generate", "x", "--role", "king"], "king"), (["keys", "generate", "x"], "--role"),
                (["keys", "authorize", "nofile", "--name", "x", "--role", "worker"], "nofile"),
                (["serve", "--curve", "--insecure"], "--insecure"),
                (["worker", "--connect", "tcp://127.0.0.1:1", "--key", "nofile"], "nofile"),
                (["serve", "--bind", "tcp://0.0.0.0:*"], "tombola keys"),
                (["serve", "--bind", "tcp://127.0.0.1:*", "--blob-bind", "tcp://0.0.0.0:*"], "tombola keys"),
                (["worker", "--connect", "tcp://192.0.2.1:5570"], "tombola keys"),
                (["submit", "sweep.yaml", "--connect", "tcp://192.0.2.1:5570"], "tombola keys"),
                (["status", "--connect", "tcp://192.0.2.1:5570"], "tombola keys"),
                (["watch", "--connect", "tcp://192.0.2.1:5570"], "tombola keys"),
                (["leaderboard", "--connect", "tcp://192.0.2.1:5570"], "tombola keys"),
            ] {
                _ = try TestSweep.write(TestSweep.tiny(), in: folder)
                let result = try await Program.run(arguments, in: folder)
                #expect(result.status == 2 && result.output.isEmpty, "\(arguments): \(result.errors)")
                #expect(result.errors.contains(word), "\(arguments): \(result.errors)")
            }
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "tombola-store").path()))
        }
    }

    @Test("--insecure opens an address of the network, and says so loudly")
    func insecure() async throws {
        try await withFolder { folder in
            let coordinator = try Program(["serve", "--bind", "tcp://0.0.0.0:*", "--insecure"], in: folder)
            defer { coordinator.send(SIGKILL) }
            try await until("it serves") { coordinator.errors.contains("coordinator at tcp://") }
            #expect(coordinator.errors.contains("INSECURE"), "\(coordinator.errors)")
            coordinator.send(SIGTERM)
            #expect(try await coordinator.end() == 0)
        }
    }

    @Test("With keys an address of the network is served; a key file that others can read is refused with chmod")
    func permissions() async throws {
        try await withFolder { folder in
            for (name, role) in [("gpu", "worker"), ("laptop", "client")] {
                let made = try await run("keys", "generate", name, "--role", role, "--store", "store", in: folder)
                #expect(made.status == 0, "\(made.errors)")
            }
            let coordinator = try Program(["serve", "--store", "store", "--bind", "tcp://0.0.0.0:*"], in: folder)
            defer { coordinator.send(SIGKILL) }
            try await until("it serves") { coordinator.errors.contains("coordinator at tcp://") }
            #expect(!coordinator.errors.contains("INSECURE"))
            let port = try #require(
                coordinator.errors.firstMatch(of: #/coordinator at tcp:\/\/0.0.0.0:(\d+),/#).map { $0.1 })
            let address = "tcp://127.0.0.1:\(port)"
            let status = try await run("status", "--connect", address, "--key", "store/keys/laptop.key", in: folder)
            #expect(status.status == 0, "\(status.errors)")
            let plain = try await run("status", "--connect", address, in: folder)
            #expect(plain.status == 1 && plain.errors.contains("--key"), "\(plain.errors)")
            let wrong = try await run("status", "--connect", address, "--key", "store/keys/gpu.key", in: folder)
            #expect(wrong.status == 2 && wrong.errors.contains("--role client"), "\(wrong.errors)")

            let file = folder.appending(path: "store/keys/laptop.key").path()
            chmod(file, 0o640)
            let exposed = try await run("status", "--connect", address, "--key", file, in: folder)
            #expect(exposed.status == 1 && exposed.errors.contains("chmod 600"), "\(exposed.errors)")
            chmod(folder.appending(path: "store/keys/server.key").path(), 0o644)
            coordinator.send(SIGTERM)
            #expect(try await coordinator.end() == 0)
            let server = try await run(
                "serve", "--store", "store", "--bind", "tcp://127.0.0.1:*", "--curve", in: folder)
            #expect(server.status == 1 && server.errors.contains("chmod 600"), "\(server.errors)")
        }
    }

    @Test(
        "A sweep is done with keys; a revoked key is out at SIGHUP, and SIGHUP of a bad list keeps the old one"
    )
    func sweep() async throws {
        try await withFolder { folder in
            for (name, role) in [("gpu", "worker"), ("rogue", "worker"), ("laptop", "client")] {
                let made = try await run("keys", "generate", name, "--role", role, "--store", "store", in: folder)
                #expect(made.status == 0, "\(made.errors)")
            }
            let (coordinator, address) = try await serve("--curve", in: folder)
            defer { coordinator.send(SIGKILL) }
            let client = ["--connect", address, "--key", "store/keys/laptop.key"]
            func worker(_ key: String) throws -> Program {
                try Program(
                    [
                        "worker", "--connect", address, "--key", "store/keys/\(key).key", "--directory", key, "--slots",
                        "1",
                    ],
                    in: folder)
            }
            let rogue = try worker("rogue")
            defer { rogue.send(SIGKILL) }
            try await until("the rogue is in") {
                coordinator.errors.contains("worker rogue") || rogue.errors.contains("works for store")
            }

            let revoked = try await run("keys", "revoke", "rogue", "--store", "store", in: folder)
            #expect(revoked.status == 0 && revoked.errors.contains("kill -HUP $(cat store/lock)"), "\(revoked.errors)")
            coordinator.send(SIGHUP)
            #expect(try await rogue.end() == 1)
            #expect(
                rogue.errors.contains("not authorised") && rogue.errors.contains("tombola keys authorize"),
                "\(rogue.errors)")
            // And it does not come back.
            let again = try worker("rogue")
            #expect(try await again.end() == 1)
            #expect(again.errors.contains("not authorised at \(address)"), "\(again.errors)")

            let list = folder.appending(path: "store/keys/authorized")
            let good = try String(contentsOf: list, encoding: .utf8)
            try Data("nonsense\n".utf8).write(to: list)
            coordinator.send(SIGHUP)
            try await until("it says that the list stays") {
                coordinator.errors.contains("the allow-list stays as it was")
            }
            #expect(coordinator.errors.contains("store/keys/authorized:1:"), "\(coordinator.errors)")
            try Data(good.utf8).write(to: list)

            let spec = try TestSweep.write(TestSweep.tiny(iterations: 40, branches: "[]"), in: folder)
            let submitted = try await Program.run(["submit", spec] + client, in: folder)
            #expect(submitted.status == 0, "\(submitted.errors)")
            let good1 = try worker("gpu")
            defer { good1.send(SIGKILL) }
            let watched = try await Program.run(["watch"] + client, in: folder)
            #expect(watched.status == 0, "\(watched.errors)")
            let board = try await Program.run(["leaderboard", "--json"] + client, in: folder)
            #expect(board.status == 0 && board.output.contains("\"verdict\""), "\(board.errors)")
            let store = try Store.open(directory: folder.appending(path: "store").path(), mode: .reader)
            let level = try #require(try store.snapshot().tasks.last?.work.key.hex)
            try store.close()
            for words in [
                ["status"], ["explain", level], ["ticket", "show", level], ["ticket", "export", level, "--out", "t"],
                ["pause", "tiny"], ["priority", "tiny", "2"], ["resume", "tiny"],
            ] {
                let asked = try await Program.run(words + client, in: folder)
                #expect(asked.status == 0, "\(words): \(asked.errors)")
                let refused = try await Program.run(
                    words + ["--connect", address, "--key", "store/keys/gpu.key"], in: folder)
                #expect(refused.status == 2 && refused.errors.contains("--role client"), "\(words): \(refused.errors)")
            }
            #expect(FileManager.default.fileExists(atPath: folder.appending(path: "t").path()))
        }
    }

    @Test(
        "Those who only knock cannot take the coordinator's file descriptors, and once they are gone it listens again")
    func descriptors() async throws {
        try await withFolder { folder in
            let shell = Process()
            shell.executableURL = URL(filePath: "/bin/sh")
            shell.arguments = [
                "-c",
                "ulimit -n 256; exec '\(Program.path)' serve --store store --bind 'tcp://127.0.0.1:*' 2>serve.err",
            ]
            shell.currentDirectoryURL = folder
            try shell.run()
            defer { kill(shell.processIdentifier, SIGKILL) }
            func errors() -> String {
                FileManager.default.contents(atPath: folder.appending(path: "serve.err").path())
                    .map { String(decoding: $0, as: UTF8.self) } ?? ""
            }
            try await until("it serves") { errors().contains("coordinator at tcp://") }
            let port = try #require(
                errors().firstMatch(of: #/coordinator at tcp:\/\/127.0.0.1:(\d+),/#).flatMap { UInt16($0.1) })
            var knocks: [Int32] = []
            defer { for knock in knocks { close(knock) } }
            // New ones all the time, since those that do not greet are dropped after seconds.
            try await until("it listens to nobody new") {
                for _ in 0..<20 where knocks.count < 800 {
                    if let knock = self.knock(at: port) { knocks.append(knock) }
                }
                return errors().contains("listens to nobody new")
            }
            for knock in knocks { close(knock) }
            knocks = []
            try await until("it listens again") { errors().contains("listens again") }
            let status = try await run("status", "--connect", "tcp://127.0.0.1:\(port)", in: folder)
            #expect(status.status == 0, "\(status.errors)")
            #expect(shell.isRunning)
        }
    }

    /// A TCP connection that says nothing.
    private func knock(at port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        if status == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    @Test("tombola run goes on without keys where the environment names one for another coordinator")
    func runBesideKeys() async throws {
        try await withFolder { folder in
            _ = try await run("keys", "generate", "gpu", "--role", "worker", "--store", "elsewhere", in: folder)
            let spec = try TestSweep.write(TestSweep.tiny(iterations: 40, branches: "[]"), in: folder)
            let result = try await Program.run(
                ["run", spec, "--json"], in: folder,
                environment: ["TOMBOLA_KEY": folder.appending(path: "elsewhere/keys/gpu.key").path()])
            #expect(result.status == 0, "\(result.errors)")
        }
    }
}
