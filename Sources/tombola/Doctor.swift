import Artifacts
import Coordination
import CoordinatorService
import Foundation
import Glibc
import Kernels
import Lottery
import Store
import Training
import WorkerService
import ZeroMQ

/// What `tombola doctor` looks at, and what it finds. The JSON of `tombola doctor`.
struct Doctor: Encodable {
    enum Outcome: String, Encodable {
        case good
        /// It works, and could work better or soon will not.
        case warning
        /// It does not work.
        case bad
    }

    struct Finding: Encodable {
        var subject: String
        var outcome: Outcome
        /// What was found.
        var text: String
        /// What to do about it; nil where all is well.
        var remedy: String?
    }

    private(set) var findings: [Finding] = []

    var isWell: Bool { findings.allSatisfy { $0.outcome != .bad } }

    mutating func add(_ subject: String, _ outcome: Outcome, _ text: String, remedy: String? = nil) {
        findings.append(Finding(subject: subject, outcome: outcome, text: text, remedy: remedy))
    }

    // MARK: This machine

    private static let enoughDescriptors = 4_096

    mutating func examineMachine() {
        let set = InstructionSet.current
        add(
            "processor", set == .portable ? .warning : .good,
            "f32 by \(set.rawValue), bf16 by \(TileBackend.current.rawValue)",
            remedy: set == .portable ? "without AVX2 training is many times slower: use a newer processor" : nil)
        let cores = UsableCores.count
        add("cores", .good, "\(cores) may be used, so a worker has \(cores == 1 ? "a slot" : "\(cores) slots")")

        let memory = MemoryBudget.systemBytes ?? 0
        let little = memory / max(1, cores) < 512 << 20
        add(
            "memory", little ? .warning : .good, "\(Format.bytes(memory)) left, of the machine or its control group",
            remedy: little ? "that is little for \(cores) trainings at once: give --slots fewer" : nil)

        FileLimit.raise()
        let descriptors = FileLimit.free
        let few = descriptors < Doctor.enoughDescriptors
        add(
            "descriptors", few ? .warning : .good, "\(Format.count(descriptors)) files and connections at once",
            remedy: few ? "a coordinator needs two a worker: raise the hard limit (ulimit -Hn, LimitNOFILE=)" : nil)
        add(
            "encryption", Curve.isAvailable ? .good : .warning,
            Curve.isAvailable ? "libzmq has CURVE" : "libzmq was built without CURVE",
            remedy: Curve.isAvailable
                ? nil : "without it only loopback and tunnels are safe: install a libzmq with libsodium")
    }

    // MARK: A store and its disk

    mutating func examineStore(_ directory: String) {
        do {
            try NetworkFileSystem.refuse(directory)
        } catch {
            return add("store", .bad, "\(error)", remedy: "name a folder on a local disk with --store")
        }
        let exists: Bool
        do { exists = try Store.exists(in: directory) } catch { return add("store", .bad, "\(error)") }
        if exists {
            do {
                let store = try Store.open(directory: directory, mode: .reader)
                let counts = try store.counts()
                let sweeps = try store.sweeps().count
                add(
                    "store", .good,
                    "\(directory): \(Format.count(sweeps, "sweep")), \(Format.count(counts.done, "task")) done, "
                        + "\(Format.count(counts.pending + counts.running)) to do, \(Format.count(counts.failed)) given up"
                )
                let damage = try store.databaseDamage()
                add(
                    "database", damage.isEmpty ? .good : .bad, damage.first ?? "sound",
                    remedy: damage.isEmpty ? nil : "bring the store back from a backup")
                let absent = try store.references().keys.filter { !store.artifacts.contains($0) }
                add(
                    "artifacts", absent.isEmpty ? .good : .bad,
                    absent.isEmpty
                        ? "all there; `tombola store verify` reads them, too"
                        : "\(Format.count(absent.count)) \(absent.count == 1 ? "is" : "are") missing, such as \(absent[0].hex)",
                    remedy: absent.isEmpty ? nil : "`tombola store verify` lists them; bring them back from a backup")
                if let first = try store.contradictedTasks().first {
                    add(
                        "results", .bad, "task \(first) gave two results that differ",
                        remedy:
                            "a bug in tombola, or broken hardware: see `tombola explain \(first)`, and keep its workers apart"
                    )
                }
                if let endpoint = EndpointFile.read(from: directory) {
                    add("coordinator", .good, "said to be at \(endpoint)")
                }
            } catch {
                add("store", .bad, "\(error)")
            }
        } else {
            add("store", .good, "\(directory) is not there yet; it would be made")
        }
        examineDisk(of: directory)
    }

    private static let slowMilliseconds = 20.0

    private mutating func examineDisk(of directory: String) {
        var folder = URL(filePath: directory)
        while !FileManager.default.fileExists(atPath: folder.path()), folder.path() != "/" {
            folder.deleteLastPathComponent()
        }
        var status = statvfs()
        guard statvfs(folder.path(), &status) == 0 else {
            return add(
                "disk", .bad, "\(folder.path()) cannot be looked at", remedy: "check the disk and the permissions there"
            )
        }
        let free = Int(clamping: status.f_bavail) * Int(clamping: status.f_frsize)
        let size = Int(clamping: status.f_blocks) * Int(clamping: status.f_frsize)
        let isShort = free < min(Room.mostKeptFree, size / 20)
        add(
            "disk", isShort ? .warning : .good, "\(Format.bytes(free)) of \(Format.bytes(size)) free",
            remedy: isShort ? "a coordinator would give out nothing: free some, or set --min-free lower" : nil)
        guard let seconds = DiskSync.median(in: folder.path()) else {
            return add(
                "writing", .bad, "nothing can be written to \(folder.path())",
                remedy: "give this user write permission there or name another folder with --store")
        }
        let milliseconds = seconds * 1_000
        add(
            "writing", milliseconds > Doctor.slowMilliseconds ? .warning : .good,
            "fdatasync takes \(Format.fixed(milliseconds, 2)) ms",
            remedy: milliseconds > Doctor.slowMilliseconds
                ? "each turn of the coordinator waits for one: put the store on a faster disk" : nil)
    }

    // MARK: Data

    mutating func examineData(_ catalog: DataCatalog) {
        for status in catalog.list() where status.state != .missing {
            let isThere = status.state != .incomplete
            add(
                status.shape.name, isThere ? .good : .bad,
                isThere ? "there" : "incomplete: \(status.fault ?? "files are missing")",
                remedy: isThere ? nil : "`tombola data fetch \(status.shape.name)`")
        }
    }

    // MARK: A coordinator

    /// - Throws: what is wrong with the command line, which is no finding about this machine.
    mutating func examineCoordinator(_ endpoint: String, _ peer: PeerOptions) throws {
        do {
            let status = try RemoteCoordinator(endpoint, peer).status()
            add(
                "coordinator", .good,
                "\(endpoint) answers: \(Format.count(status.workers.count, "worker")), \(Format.count(status.tasks.done, "task")) done"
            )
        } catch {
            let failure = Failure(error)
            guard failure.status != .usage else { throw failure }
            add("coordinator", .bad, failure.message)
        }
    }
}

/// How long this disk takes to make a small write durable.
enum DiskSync {
    private static let writes = 33

    /// The median of some writes of 4 KiB, each followed by fdatasync, in seconds; nil if nothing can be written.
    static func median(in folder: String) -> Double? {
        let path = "\(folder)/.tombola-doctor-\(getpid())"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        guard descriptor >= 0 else { return nil }
        defer {
            close(descriptor)
            unlink(path)
        }
        let page = [UInt8](repeating: 7, count: 4_096)
        var times: [Double] = []
        for _ in 0..<writes {
            let begin = monotonicSeconds()
            guard write(descriptor, page, page.count) == page.count, fdatasync(descriptor) == 0 else { return nil }
            times.append(monotonicSeconds() - begin)
        }
        return times.sorted()[writes / 2]
    }
}
