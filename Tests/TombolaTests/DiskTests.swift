import Foundation
import Glibc
import Testing

/// A file system of our own in memory, with as much room as the test gives it.
private struct SmallDisk {
    let path: String

    static let arePermitted: Bool = {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tombola-mount-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: folder) }  // what is left over in /tmp fails no test
        guard (try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)) != nil,
            mount("tmpfs", folder, "tmpfs", 0, "size=64k") == 0
        else { return false }
        return umount(folder) == 0
    }()

    init(_ url: URL, kilobytes: Int) throws {
        path = url.path()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(kilobytes)k") == 0 else { throw POSIXError(.EPERM) }
    }

    func resize(kilobytes: Int) throws {
        guard mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT), "size=\(kilobytes)k") == 0 else { throw POSIXError(.EIO) }
    }

    /// No byte more than what is there fits.
    func fill() throws {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw POSIXError(.EIO) }
        try resize(kilobytes: Int(status.f_blocks - status.f_bfree) * Int(status.f_frsize) / 1_024)
    }

    func setReadOnly(_ isReadOnly: Bool) throws {
        let flags = UInt(MS_REMOUNT) | (isReadOnly ? UInt(MS_RDONLY) : 0)
        guard mount("tmpfs", path, "tmpfs", flags, nil) == 0 else { throw POSIXError(.EIO) }
    }

    func remove() { _ = umount2(path, Int32(MNT_DETACH)) }
}

extension DisturbedProcesses {
    /// What becomes of a sweep whose store's disk fails.
    @Suite(.serialized, .enabled(if: SmallDisk.arePermitted, "file systems of our own need root"))
    struct DiskTests {
        @Test(
            "A disk that fills up ends the sweep with a sentence; with more room the same command goes on to the same end"
        )
        func full() async throws {
            try await withFolder { folder in
                let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
                let undisturbed = try await Program.run(["run", spec, "--json", "--store", "undisturbed"], in: folder)
                let disk = try SmallDisk(folder.appending(path: "disk"), kilobytes: 12_000)
                defer { disk.remove() }
                // The data set takes 18 MiB in the store and in the folder of each worker.
                var ends = 0
                for kilobytes in [12_000, 40_000, 55_600, 56_500, 204_800] {
                    try disk.resize(kilobytes: kilobytes)
                    // The first try may leave none.
                    let before = try? Attempts(store: folder.appending(path: "disk/store"))
                    let result = try await Program.run(
                        ["run", spec, "--json", "--store", "disk/store", "--min-free", "0"], in: folder)
                    if kilobytes < 204_800, result.status != 0 {
                        ends += 1
                        #expect(result.status == 1, "\(result.errors)")
                        #expect(result.errors.contains(#/(?i)disk is full|no space left|too full/#), "\(result.errors)")
                    } else {
                        #expect(result.status == 0, "\(result.errors)")
                        #expect(result.output == undisturbed.output)
                    }
                    guard let before else { continue }
                    let after = try Attempts(store: folder.appending(path: "disk/store"))
                    #expect(before.triedAgain(by: after).isEmpty)
                }
                #expect(ends > 0, "the disk was never full")
            }
        }

        @Test(
            "A commit for which the disk has no room is acknowledged to nobody and ends the coordinator; what was acknowledged before stays"
        )
        func fullWhileCommitting() async throws {
            try await withFolder { folder in
                let spec = try TestSweep.write(TestSweep.tiny(iterations: 600), in: folder)
                let undisturbed = try await Program.run(["run", spec, "--json", "--store", "undisturbed"], in: folder)
                let disk = try SmallDisk(folder.appending(path: "disk"), kilobytes: 204_800)
                defer { disk.remove() }
                func cluster() async throws -> Cluster {
                    try await Cluster(in: folder, store: "disk/store", workers: 0, serving: ["--min-free", "0"])
                }
                func worker(_ address: String) throws -> Program {
                    try Program(["worker", "--connect", address, "--directory", "worker", "--slots", "1"], in: folder)
                }
                let first = try await cluster()
                defer { first.kill() }
                try await first.submit(spec)
                let early = try worker(first.address)
                defer { early.send(SIGKILL) }
                try await until("a result is acknowledged") { (first.attempts?.done.count ?? 0) > 0 }
                early.send(SIGTERM)
                try await early.end()
                let before = try #require(first.attempts)

                // Orders are commits without a blob.
                try disk.fill()
                var acknowledged = 0
                while acknowledged < 400 {
                    let next = acknowledged + 1
                    let order = try await Program.run(
                        ["priority", "tiny", "\(next)", "--connect", first.address], in: folder)
                    guard order.status == 0 else { break }
                    acknowledged = next
                }
                #expect(try await first.coordinator.end() == 1)
                #expect(
                    first.coordinator.errors.contains(#/(?i)disk is full|no space left|too full/#),
                    "\(acknowledged): \(first.coordinator.errors)")

                try disk.resize(kilobytes: 204_800)
                let second = try await cluster()
                defer { second.kill() }
                let status = try await Program.run(["status", "--store", "disk/store", "--json"], in: folder)
                let object = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
                let sweep = try #require((object?["sweeps"] as? [[String: Any]])?.first)
                #expect(sweep["priority"] as? Int == acknowledged, "\(status.output)")
                let late = try worker(second.address)
                defer { late.send(SIGKILL) }
                try await until("the sweep ends", within: 120) { second.attempts?.done.count == 16 }
                #expect(before.triedAgain(by: try #require(second.attempts)).isEmpty)
                #expect(try await second.leaderboard() == undisturbed.output)
                late.send(SIGTERM)
                try await late.end()
                try await second.end()
            }
        }

        @Test("A disk that is short of room pauses the sweep with a sentence, until there is more")
        func short() async throws {
            try await withFolder { folder in
                let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
                let disk = try SmallDisk(folder.appending(path: "disk"), kilobytes: 204_800)
                defer { disk.remove() }
                let program = try Program(
                    ["run", spec, "--json", "--store", "disk/store", "--min-free", "300MB", "--workers", "2"],
                    in: folder)
                defer { if program.isRunning { program.send(SIGKILL) } }
                try await until("it says that it pauses") { program.errors.contains("nothing more is given out") }
                let store = folder.appending(path: "disk/store")
                try await until("the sweep is there, and its workers are") {
                    let attempts = try? Attempts(store: store)  // no store yet
                    return attempts?.counts.count == 16 && program.errors.contains("2 workers")
                }
                #expect(try Attempts(store: store).counts.values.allSatisfy { $0 == 0 })
                try disk.resize(kilobytes: 819_200)
                #expect(try await program.end() == 0, "\(program.errors)")
                #expect(program.errors.contains("has room again"), "\(program.errors)")
            }
        }

        @Test("A store on a disk that may only be read is refused with a sentence, and can be read")
        func readOnly() async throws {
            try await withFolder { folder in
                let spec = try TestSweep.write(TestSweep.tiny(), in: folder)
                let disk = try SmallDisk(folder.appending(path: "disk"), kilobytes: 204_800)
                defer { disk.remove() }
                let first = try await Program.run(["run", spec, "--json", "--store", "disk/store"], in: folder)
                #expect(first.status == 0, "\(first.errors)")
                try disk.setReadOnly(true)
                let again = try await Program.run(["run", spec, "--json", "--store", "disk/store"], in: folder)
                #expect(again.status == 1)
                #expect(again.errors.contains(#/(?i)read-only/#), "\(again.errors)")
                let board = try await Program.run(["leaderboard", "--json", "--store", "disk/store"], in: folder)
                #expect(board.output == first.output, "\(board.errors)")
            }
        }
    }
}
