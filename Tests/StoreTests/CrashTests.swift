import Coordination
import Foundation
import Lottery
import Store
import Testing

@Suite("What a commit acknowledged outlives a crash")
struct CrashTests {
    let folder = TemporaryFolder()

    @Test("The files as they are after each commit hold every commit so far")
    func copies() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        var expected: [Snapshot.TaskRecord] = []
        for number in 0..<8 {
            try store.commit([
                .taskAdded(Sample.work(number)), .attemptStarted(Sample.attempt(number, 1), worker: Sample.worker),
            ])
            expected = try store.snapshot().tasks
            let copy = try Store.open(directory: try folder.copyOfStore("copy-\(number)"), mode: .coordinator)
            #expect(try copy.snapshot().tasks == expected)
        }
        #expect(expected.count == 8)
    }

    @Test("A log cut anywhere leaves whole commits, in order")
    func tornLog() throws {
        let store = try Store.open(directory: folder.store, mode: .coordinator)
        for number in 0..<6 {
            try store.commit([.taskAdded(Sample.work(2 * number)), .taskAdded(Sample.work(2 * number + 1))])
        }
        let log = try Data(contentsOf: URL(fileURLWithPath: folder.store + "/" + Store.databaseName + "-wal"))
        var seen: Set<Int> = []
        for length in stride(from: 0, through: log.count, by: 1777) {
            let copy = try folder.copyOfStore("cut-\(length)")
            try log.prefix(length).write(to: URL(fileURLWithPath: copy + "/" + Store.databaseName + "-wal"))
            let tasks = try Store.open(directory: copy, mode: .coordinator).snapshot().tasks
            #expect(tasks.map(\.work) == (0..<tasks.count).map { Sample.work($0) })
            #expect(tasks.count.isMultiple(of: 2))
            seen.insert(tasks.count)
        }
        #expect(seen.count > 3, "the cuts met only \(seen.sorted()) tasks")
    }

    @Test("A process killed while it commits has every commit that it acknowledged, and none in part")
    func killed() async throws {
        let acknowledged = folder.path + "/acknowledged"
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = folder.store as String, acknowledged = acknowledged as String] in
            let store = try Store.open(directory: path, mode: .coordinator)
            let log = open(acknowledged, O_WRONLY | O_CREAT | O_APPEND, 0o644)
            // Another thread kills the process as soon as it sees the 40th acknowledgement, wherever this one is then.
            Thread.detachNewThread {
                var status = stat()
                while stat(acknowledged, &status) != 0 || status.st_size < 40 { sched_yield() }
                kill(getpid(), SIGKILL)
            }
            for turn in 0..<1_000_000 {
                try store.commit((0..<5).map { .taskAdded(Sample.work(5 * turn + $0)) })
                write(log, "x", 1)
            }
        }
        let turns = try Data(contentsOf: URL(fileURLWithPath: acknowledged)).count
        #expect(turns >= 40)
        let tasks = try Store.open(directory: folder.store, mode: .coordinator).snapshot().tasks
        #expect(tasks.count >= 5 * turns)
        #expect(tasks.count.isMultiple(of: 5))
        #expect(tasks.map(\.work) == (0..<tasks.count).map { Sample.work($0) })
    }

    @Test(
        "A disk that fills up fails the commit with a sentence, keeps what was stored, and can go on when there is room"
    )
    func diskFull() async throws {
        await #expect(processExitsWith: .success) { [path = folder.store as String] in
            let store = try Store.open(directory: path, mode: .coordinator)
            let reader = try Store.open(directory: path, mode: .reader)
            // A limit on file sizes fails writes as a full disk does, without a disk to fill.
            signal(SIGXFSZ, SIG_IGN)
            var unlimited = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &unlimited)
            var small = rlimit(rlim_cur: 400_000, rlim_max: unlimited.rlim_max)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &small)
            var stored = 0
            var failure: StoreError?
            let payload = String(repeating: "p", count: 20_000)
            while failure == nil, stored < 1000 {
                do throws(StoreError) {
                    try store.commit([
                        .taskAdded(Sample.work(2 * stored, payload: payload)), .taskAdded(Sample.work(2 * stored + 1)),
                    ])
                    stored += 1
                } catch {
                    failure = error
                }
            }
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &unlimited)
            guard case .diskFull(_, let byteCount)? = failure else {
                Issue.record("\(failure as Any) after \(stored) commits")
                return
            }
            #expect(byteCount > 20_000)
            #expect(stored > 3)
            #expect(try store.counts().pending == 2 * stored)
            #expect(try reader.counts().pending == 2 * stored)
            try store.commit([.taskAdded(Sample.work(2 * stored))])
            #expect(try reader.counts().pending == 2 * stored + 1)
            try store.close()
            #expect(try Store.open(directory: path, mode: .coordinator).counts().pending == 2 * stored + 1)
        }
    }
}
