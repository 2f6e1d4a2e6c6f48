import Artifacts
import Foundation
import Testing

@Suite("Locks on folders")
struct FolderLockTests {
    let temporary = TemporaryFolder()
    var path: String { temporary.path + "/lock" }

    @Test("A lock has one holder, who is named to the second comer")
    func oneHolder() throws {
        let lock = try FolderLock(path: path)
        let refusal = #expect(throws: ArtifactError.self) { try FolderLock(path: path) }
        #expect(refusal == .locked(path: path, processID: getpid()))
        lock.release()
        lock.release()
        _ = try FolderLock(path: path)
    }

    @Test("A child process does not keep its parent's lock")
    func notInherited() throws {
        let lock = try FolderLock(path: path)
        var child = pid_t()
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]
        defer { for argument in arguments { free(argument) } }
        #expect(posix_spawn(&child, "/bin/sleep", nil, nil, &arguments, nil) == 0)
        defer {
            kill(child, SIGKILL)
            waitpid(child, nil, 0)
        }
        lock.release()
        _ = try FolderLock(path: path)
    }

    @Test("A released lock is free although another still shares the descriptor, as a child does between fork and exec")
    func sharedDescriptor() throws {
        let lock = try FolderLock(path: path)
        let inode = try #require(FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? UInt64)
        let held = try #require(
            (0..<Int32(1_024)).first { descriptor in
                var status = stat()
                return fstat(descriptor, &status) == 0 && UInt64(status.st_ino) == inode
            })
        let shared = dup(held)
        defer { close(shared) }
        lock.release()
        _ = try FolderLock(path: path)
    }

    @Test("A lock file that cannot be made says so")
    func unmakeable() {
        let path = temporary.path + "/no such folder/lock"
        let refusal = #expect(throws: ArtifactError.self) { try FolderLock(path: path) }
        #expect(refusal?.description.contains(path) == true)
    }
}
