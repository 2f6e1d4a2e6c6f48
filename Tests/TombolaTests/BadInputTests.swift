import Foundation
import Glibc
import Testing

/// Bad input ends in one sentence with the remedy and the right exit status.
@Suite struct BadInputTests {
    /// Runs a command that must fail, and checks the one sentence it leaves.
    private func fails(
        _ arguments: [String], in folder: URL, status: Int32, saying words: String...,
        environment: [String: String] = [:],
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await Program.run(arguments, in: folder, environment: environment, location)
        #expect(result.status == status, "\(result.errors)", sourceLocation: location)
        #expect(result.output.isEmpty, sourceLocation: location)
        let lines = result.errors.split(separator: "\n")
        #expect(lines.count == 1, "\(result.errors)", sourceLocation: location)
        for word in words { #expect(result.errors.contains(word), "\(result.errors)", sourceLocation: location) }
    }

    @Test("An unknown key is reported with file, line and the nearest known name")
    func unknownKey() async throws {
        try await withFolder { folder in
            let text = TestSweep.tiny().replacing("rewind: [0, 20]", with: "rewnd: [0, 20]")
            let spec = try TestSweep.write(text, in: folder)
            try await fails(["plan", spec], in: folder, status: 2, saying: "sweep.yaml:9:", "rewnd", "rewind")
            try await fails(["run", spec], in: folder, status: 2, saying: "sweep.yaml:9:", "rewnd", "rewind")
        }
    }

    @Test("run with a bad spec leaves nothing behind; where a store is, it stays as it was")
    func nothingIsMade() async throws {
        try await withFolder { folder in
            /// But for what the processes printed.
            func files(_ place: String) throws -> Set<String> {
                let all = try FileManager.default.subpathsOfDirectory(atPath: folder.appending(path: place).path())
                return Set(all.filter { !$0.hasPrefix("program-") })
            }
            let wrong = TestSweep.tiny(branches: "[]").replacing("rewind: [0, 20]", with: "rewnd: [0, 20]")
            let spec = try TestSweep.write(wrong, in: folder)
            for arguments in [["run", spec], ["run", spec, "--store", "store"], ["run", spec, "--yes"]] {
                try await fails(arguments, in: folder, status: 2, saying: "sweep.yaml:9:", "rewnd")
                #expect(try files("") == ["sweep.yaml"])
            }
            try await fails(["run", "absent.yaml"], in: folder, status: 2, saying: "absent.yaml")
            #expect(try files("") == ["sweep.yaml"])
            // What only its tasks tell.
            let idle = TestSweep.tiny(branches: "[]").replacing("rewind: [0, 20]", with: "examples: [5, 10]")
            _ = try TestSweep.write(idle, in: folder)
            try await fails(["run", spec], in: folder, status: 2, saying: "sweep.yaml:9:", "makes no difference")
            #expect(try files("") == ["sweep.yaml"])
            _ = try TestSweep.write(wrong, in: folder)

            let right = try TestSweep.write(TestSweep.tiny(branches: "[]"), "right.yaml", in: folder)
            let ran = try await Program.run(["run", right, "--store", "store"], in: folder)
            #expect(ran.status == 0, "\(ran.errors)")
            let before = try files("store")
            try await fails(["run", spec, "--store", "store"], in: folder, status: 2, saying: "rewnd")
            #expect(try files("store") == before)
        }
    }

    @Test("A grid of more than a million runs needs --yes")
    func hugeGrid() async throws {
        try await withFolder { folder in
            let many = (0..<1_001).map(String.init).joined(separator: ", ")
            let text = TestSweep.tiny().replacing(
                "rewind: [0, 20]",
                with:
                    "rewind: [0, 20], warmup: [\(many)], depth: [\((1..<1_000).map(String.init).joined(separator: ","))]"
            )
            let spec = try TestSweep.write(text, in: folder)
            try await fails(["plan", spec], in: folder, status: 2, saying: "--yes")
            try await fails(["run", spec, "--store", "store"], in: folder, status: 2, saying: "--yes")
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "store").path()))
        }
    }

    @Test("A changed spec under an old name is refused, and the old one goes on")
    func changedSpec() async throws {
        try await withFolder { folder in
            let spec = try TestSweep.write(TestSweep.tiny(branches: "[]"), in: folder)
            let first = try await Program.run(["run", spec, "--json"], in: folder)
            #expect(first.status == 0, "\(first.errors)")
            let changed = try TestSweep.write(
                TestSweep.tiny(iterations: 80, branches: "[]"), "changed.yaml", in: folder)
            try await fails(["run", changed], in: folder, status: 2, saying: "tiny", "another spec")
            let again = try await Program.run(["run", spec, "--json"], in: folder)
            #expect(again.output == first.output)
        }
    }

    @Test("Missing and truncated data are named with the file and the remedy")
    func data() async throws {
        try await withFolder { folder in
            let text = TestSweep.tiny().replacing("dataset: glyphs", with: "dataset: mnist")
            let spec = try TestSweep.write(text, in: folder)
            try await fails(["run", spec], in: folder, status: 1, saying: "mnist", "tombola data fetch mnist")
            let store = folder.appending(path: "tombola-store").path()
            #expect(!FileManager.default.fileExists(atPath: store), "a refused start leaves no store")
            let data = folder.appending(path: "data/mnist")
            try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
            for name in [
                "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte",
            ] {
                try Data([0, 0, 8, name.contains("images") ? 3 : 1, 0, 0]).write(to: data.appending(path: name))
            }
            try await fails(["run", spec, "--data", "data"], in: folder, status: 1, saying: "train-images-idx3-ubyte")
            #expect(!FileManager.default.fileExists(atPath: store), "a refused start leaves no store")
            try await fails(
                ["data", "verify", "mnist"], in: folder, status: 1, saying: "train-images-idx3-ubyte",
                environment: ["TOMBOLA_DATA": "data"])
            try await fails(["data", "verify", "minst"], in: folder, status: 2, saying: "minst", "mnist")
        }
    }

    @Test("A store in use, a port in use, an address that others could reach, a folder that is no store, a newer store")
    func inUse() async throws {
        try await withFolder { folder in
            let coordinator = try Program(["serve", "--store", "store", "--bind", "tcp://127.0.0.1:*"], in: folder)
            defer { coordinator.send(SIGKILL) }
            try await until("the coordinator says where it is") { coordinator.errors.contains("coordinator at tcp://") }
            let port = try #require(
                coordinator.errors.firstMatch(of: #/coordinator at \S+:(\d+),/#).map { String($0.1) })
            let spec = try TestSweep.write(TestSweep.tiny(), in: folder)

            try await fails(
                ["run", spec, "--store", "store"], in: folder, status: 1, saying: "in use", "\(coordinator.identifier)")
            try await fails(
                ["serve", "--store", "other", "--bind", "tcp://127.0.0.1:\(port)"], in: folder, status: 1,
                saying: "in use", port)
            try await fails(
                ["serve", "--store", "other", "--bind", "tcp://127.0.0.1:*", "--blob-bind", "tcp://127.0.0.1:\(port)"],
                in: folder, status: 1, saying: "in use", port)
            for host in ["127.0.0.1", "localhost"] {
                try await fails(
                    ["serve", "--store", "other", "--bind", "tcp://127.0.0.1:1", "--blob-bind", "tcp://\(host):1"],
                    in: folder, status: 2, saying: "--blob-bind", "port of their own")
            }
            try await fails(
                ["serve", "--store", "other", "--bind", "tcp://0.0.0.0:5570"], in: folder, status: 2,
                saying: "127.0.0.1")
            // A start that fails by its address makes no store.
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "other").path()))
            try await fails(["leaderboard", "--store", "nowhere"], in: folder, status: 2, saying: "nowhere", "--store")
            try await fails(["leaderboard", "nothing", "--store", "store"], in: folder, status: 2, saying: "nothing")
            try await fails(["ticket", "show", "xyz", "--store", "store"], in: folder, status: 2, saying: "xyz")
            try await fails(["ticket", "show", "abcdef", "--store", "store"], in: folder, status: 2, saying: "abcdef")

            coordinator.send(SIGTERM)
            #expect(try await coordinator.end() == 0, "\(coordinator.errors)")
            // SQLite's user_version, in which the store keeps its schema's version.
            let database = try FileHandle(forUpdating: folder.appending(path: "store/tombola.sqlite"))
            try database.seek(toOffset: 60)
            try database.write(contentsOf: Data([0, 0, 0xFF, 0xFF]))
            try database.close()
            try await fails(["run", spec, "--store", "store"], in: folder, status: 1, saying: "newer version")
            try await fails(["leaderboard", "--store", "store"], in: folder, status: 1, saying: "newer version")
        }
    }

    @Test("What cannot be a worker's folder or memory, or a spec, is said with the remedy")
    func ofWorkers() async throws {
        try await withFolder { folder in
            let worker = ["worker", "--connect", "tcp://127.0.0.1:1"]
            try Data().write(to: folder.appending(path: "letter"))
            for (path, reason) in [("/proc/x/y", "/proc/x: no such file"), ("letter", "a file of that name")] {
                try await fails(
                    worker + ["--directory", path], in: folder, status: 1, saying: "folder \(path) cannot be made",
                    reason, "--directory")
            }
            try await fails(worker + ["--memory", "0"], in: folder, status: 2, saying: "--memory is “0”", "10GB")
            try await fails(
                worker, in: folder, status: 2, saying: "TOMBOLA_MEMORY is “0B”", environment: ["TOMBOLA_MEMORY": "0B"])
            try await fails(["submit", "/tmp"], in: folder, status: 2, saying: "/tmp: it is a folder", "YAML")
        }
    }

    @Test("Nobody at the address")
    func noCoordinator() async throws {
        try await withFolder { folder in
            try await fails(
                ["status", "--connect", "tcp://127.0.0.1:1"], in: folder, status: 1, saying: "tcp://127.0.0.1:1",
                "tombola serve")
            try await fails(["status", "--connect", "nonsense"], in: folder, status: 2, saying: "nonsense")
            for address in ["nonsense", "tcp://127.0.0.1", "tcp://:5570", "tcp://192.0.2.1", "tcp://127.0.0.1:70000"] {
                for command in ["status", "doctor", "worker", "watch"] {
                    try await fails(
                        [command, "--connect", address], in: folder, status: 2, saying: "“\(address)”",
                        "write it as tcp://127.0.0.1:5570")
                }
            }
            let worker = try await Program.run(
                ["worker", "--connect", "tcp://127.0.0.1:1", "--idle-exit", "1"], in: folder)
            #expect(worker.status == 1, "\(worker.errors)")
            #expect(worker.errors.contains("no coordinator answered at tcp://127.0.0.1:1"), "\(worker.errors)")
        }
    }
}
