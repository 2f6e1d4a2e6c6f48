import Artifacts
import Coordination
import Foundation
import Lottery
import Store
import Testing

@Suite("Opening a store")
struct OpeningTests {
    let folder = TemporaryFolder()

    private func failure(_ mode: Store.Mode, _ directory: String? = nil, probe: FileSystemProbe = .system)
        -> StoreError?
    {
        do throws(StoreError) {
            _ = try Store.open(directory: directory ?? folder.store, mode: mode, probe: probe)
            return nil
        } catch {
            return error
        }
    }

    @Test("Commits are synchronised in a write-ahead log, and foreign keys hold")
    func durability() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        let durability = try store.durability()
        #expect(durability.journal == "wal")
        #expect(durability.synchronous == 2)
        #expect(durability.foreignKeys)
    }

    @Test("A store keeps the identity that was drawn when it was made; another store has another")
    func identity() throws {
        let first = try Store.open(directory: folder.store, mode: .coordinator)
        let id = first.id
        try first.close()
        #expect(try Store.open(directory: folder.store, mode: .coordinator).id == id)
        #expect(try Store.open(directory: folder.path + "/other", mode: .coordinator).id != id)
        #expect(id.text.count == 36)
    }

    @Test("A second coordinator is refused with the first one's process; it may come once the first has closed")
    func secondCoordinator() throws {
        let first = try Store.open(directory: folder.store, mode: .coordinator)
        let refusal = failure(.coordinator)
        #expect(refusal == .inUse(directory: folder.store, processID: getpid()))
        #expect(refusal?.description.contains("process \(getpid())") == true)
        try first.commit([.taskAdded(Sample.work(0))])
        try first.close()
        #expect(failure(.coordinator) == nil)
    }

    @Test("A coordinator in another process keeps this one out until it dies, however it dies")
    func otherProcess() async throws {
        let folder = folder
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = folder.store as String] in
            let store = try Store.open(directory: path, mode: .coordinator)
            try store.commit([.taskAdded(Sample.work(0))])
            kill(getpid(), SIGKILL)
            withExtendedLifetime(store) {}
        }
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        #expect(try store.snapshot().tasks.map(\.work) == [Sample.work(0)])
    }

    @Test("A reader beside a coordinator sees whole commits, and keeps neither waiting")
    func readerBesideWriter() throws {
        let writer = try Store.open(directory: folder.store, mode: .coordinator)
        let reader = try Store.open(directory: folder.store, mode: .reader)
        for number in 0..<20 {
            try writer.commit([.taskAdded(Sample.work(2 * number)), .taskAdded(Sample.work(2 * number + 1))])
            #expect(try reader.snapshot().tasks.count == 2 * number + 2)
        }
        #expect(reader.id == writer.id)
        try writer.close()
        #expect(try reader.counts().pending == 40)
    }

    @Test("Readers in another process read beside a coordinator, and do not unlock or change its store")
    func readerInOtherProcess() async throws {
        let writer = try Store.open(directory: folder.store, mode: .coordinator)
        try writer.commit([.taskAdded(Sample.work(0))])
        await #expect(processExitsWith: .success) { [path = folder.store as String] in
            let reader = try Store.open(directory: path, mode: .reader)
            #expect(try reader.counts().pending == 1)
            try reader.close()
            #expect(throws: StoreError.self) { try Store.open(directory: path, mode: .coordinator) }
        }
        try writer.commit([.taskAdded(Sample.work(1))])
        #expect(try writer.counts().pending == 2)
    }

    @Test("A store whose coordinator has ended can be read, also by a user who may not write there")
    func readerAlone() async throws {
        umask(0o022)
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit([.taskAdded(Sample.work(0))])
        let artifact = try store.artifacts.write([1, 2, 3])
        try store.close()
        #expect(try Store.open(directory: folder.store, mode: .reader).counts().pending == 1)
        for name in ["-wal", "-shm"] { unlink("\(folder.store)/\(Store.databaseName)\(name)") }
        for path in [folder.path, folder.store] { chmod(path, 0o555) }
        await #expect(processExitsWith: .success) {
            [path = folder.store as String, artifact = artifact.hex as String] in
            // Root may write anywhere, so it becomes nobody.
            if geteuid() == 0 { #expect(setuid(65534) == 0) }
            let reader = try Store.open(directory: path, mode: .reader)
            #expect(try reader.counts().pending == 1)
            #expect(try reader.artifacts.read(Digest(hex: artifact)!, offset: 0, count: 9) == [1, 2, 3])
            let refusal = #expect(throws: StoreError.self) { try Store.open(directory: path, mode: .coordinator) }
            if case .notWritable? = refusal {} else { Issue.record("\(refusal as Any)") }
        }
        for path in [folder.path, folder.store] { chmod(path, 0o755) }
    }

    @Test(
        "A store of a newer version is refused to both, and not one byte of it changes",
        arguments: [Store.Mode.coordinator, .reader])
    func newerSchema(mode: Store.Mode) throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit([.taskAdded(Sample.work(0))])
        try store.close()
        let file = folder.store + "/" + Store.databaseName
        // `user_version` is the big-endian word at 60 of a SQLite file.
        var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        bytes.replaceSubrange(60..<64, with: [0, 0, 0, 99])
        try bytes.write(to: URL(fileURLWithPath: file))
        let refusal = failure(mode)
        #expect(refusal == .newerSchema(directory: folder.store, found: 99, known: 10))
        #expect(refusal?.description.contains("update tombola") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == bytes)
    }

    @Test("A folder with other things in it, or no folder, is not a store")
    func notAStore() throws {
        #expect(failure(.reader) == .notAStore(directory: folder.store, reason: "there is no tombola.sqlite in it"))
        #expect(!FileManager.default.fileExists(atPath: folder.store))
        try FileManager.default.createDirectory(atPath: folder.store, withIntermediateDirectories: true)
        try Data("thesis".utf8).write(to: URL(fileURLWithPath: folder.store + "/thesis.tex"))
        guard case .notAStore(_, let reason)? = failure(.coordinator) else {
            Issue.record("a folder with a thesis in it became a store")
            return
        }
        #expect(reason.contains("thesis.tex"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.store) == ["thesis.tex"])
    }

    @Test(
        "A file that is no database, or another program's, is left alone", arguments: [Store.Mode.coordinator, .reader])
    func otherDatabase(mode: Store.Mode) throws {
        try FileManager.default.createDirectory(atPath: folder.store, withIntermediateDirectories: true)
        let file = URL(fileURLWithPath: folder.store + "/" + Store.databaseName)
        let text = Data(String(repeating: "no database at all. ", count: 300).utf8)
        try text.write(to: file)
        if case .notAStore? = failure(mode) {} else { Issue.record("text passed for a store") }
        #expect(try Data(contentsOf: file) == text)

        try FileManager.default.removeItem(at: file)
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.close()
        var bytes = try Data(contentsOf: file)
        bytes.replaceSubrange(68..<72, with: [1, 2, 3, 4])
        try bytes.write(to: file)
        if case .notAStore? = failure(mode) {} else { Issue.record("another program's database passed for a store") }
        #expect(try Data(contentsOf: file) == bytes)
    }

    @Test("An empty database file, as a crash at the very start leaves it, becomes a store")
    func emptyFile() throws {
        try FileManager.default.createDirectory(atPath: folder.store, withIntermediateDirectories: true)
        try Data().write(to: URL(fileURLWithPath: folder.store + "/" + Store.databaseName))
        if case .olderSchema? = failure(.reader) {} else { Issue.record("an empty database was read") }
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit([.taskAdded(Sample.work(0))])
        #expect(try store.counts().pending == 1)
    }

    @Test(
        "A network file system is refused to both before anything is made there",
        arguments: [Store.Mode.coordinator, .reader])
    func networkFileSystem(mode: Store.Mode) throws {
        let probe = FileSystemProbe(magic: { _ in 0x6969 }, mountInfo: { "" })
        let refusal = failure(mode, probe: probe)
        #expect(refusal == .networkFileSystem(directory: folder.store, kind: "NFS"))
        #expect(!FileManager.default.fileExists(atPath: folder.store))
    }

    @Test("What a killed coordinator left can be read at once, also by a user who may not write there")
    func readerAfterCrash() async throws {
        umask(0o022)
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = folder.store as String] in
            let store = try Store.open(directory: path, mode: .coordinator)
            try store.commit([.taskAdded(Sample.work(0))])
            kill(getpid(), SIGKILL)
            withExtendedLifetime(store) {}
        }
        #expect(FileManager.default.fileExists(atPath: "\(folder.store)/\(Store.databaseName)-wal"))
        for path in [folder.path, folder.store] { chmod(path, 0o555) }
        await #expect(processExitsWith: .success) { [path = folder.store as String] in
            if geteuid() == 0 { #expect(setuid(65534) == 0) }
            let reader = try Store.open(directory: path, mode: .reader)
            #expect(try reader.counts().pending == 1)
        }
        for path in [folder.path, folder.store] { chmod(path, 0o755) }
        #expect(try Store.open(directory: folder.store, mode: .reader).counts().pending == 1)
    }

    @Test("A database with damaged pages is said to be damaged, with the remedy")
    func damaged() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        try store.commit((0..<200).map { .taskAdded(Sample.work($0)) })
        try store.close()
        let file = URL(fileURLWithPath: folder.store + "/" + Store.databaseName)
        var bytes = try Data(contentsOf: file)
        bytes.replaceSubrange(8192..<bytes.count, with: Data(repeating: 0x5A, count: bytes.count - 8192))
        try bytes.write(to: file)
        let refusal = #expect(throws: StoreError.self) {
            _ = try Store.open(directory: folder.store, mode: .reader).snapshot()
        }
        if case .damaged? = refusal {} else { Issue.record("\(refusal as Any)") }
        #expect(refusal?.description.contains("backup") == true)
    }

    @Test("A path that cannot be made says why")
    func unmakeable() throws {
        try Data().write(to: URL(fileURLWithPath: folder.path + "/file"))
        let refusal = failure(.coordinator, folder.path + "/file/store")
        #expect(refusal?.description.contains("not a directory") == true, "\(refusal as Any)")
    }
}
