import Artifacts
import Testing

@Suite("Network file systems")
struct NetworkFileSystemTests {
    private func kind(_ magic: UInt32, _ mounts: String = "", path: String = "/") throws -> String? {
        try NetworkFileSystem.kind(of: path, probe: FileSystemProbe(magic: { _ in magic }, mountInfo: { mounts }))
    }

    @Test(
        "Network and cluster file systems are known by their numbers",
        arguments: [
            (0x6969, "NFS"), (0x517B, "SMB"), (0xFF53_4D42, "CIFS"), (0xFE53_4D42, "SMB2"), (0x0BD0_0BD0, "Lustre"),
            (0x4750_4653, "GPFS"), (0x00C3_6400, "CephFS"), (0x0102_1997, "9p"), (0x5346_414F, "AFS"),
            (0x7461_636F, "OCFS2"),
            (0x0116_1970, "GFS2"), (0x1983_0326, "BeeGFS"),
        ] as [(UInt32, String)])
    func known(magic: UInt32, name: String) throws {
        #expect(try kind(magic) == name)
    }

    @Test(
        "Local file systems pass: ext4, XFS, btrfs, ZFS, tmpfs, overlayfs",
        arguments: [0xEF53, 0x5846_5342, 0x9123_683E, 0x2FC1_2FC1, 0x0102_1994, 0x794C_7630] as [UInt32])
    func local(magic: UInt32) throws {
        #expect(try kind(magic) == nil)
    }

    @Test(
        "FUSE passes only for kinds known to be local",
        arguments: [
            ("fuse.sshfs", "FUSE (fuse.sshfs)"), ("fuse.rclone", "FUSE (fuse.rclone)"), ("virtiofs", "FUSE (virtiofs)"),
            ("fuseblk", nil), ("fuse.fuse-overlayfs", nil),
        ])
    func fuse(type: String, expected: String?) throws {
        #expect(try kind(0x6573_5546, "22 1 0:5 / / rw - \(type) source rw") == expected)
    }

    @Test("FUSE that no mount explains is refused")
    func unknownFUSE() throws {
        #expect(try kind(0x6573_5546) == "FUSE (of unknown kind)")
    }

    @Test("The longest mount point above the path decides, the last of equals, with escapes read")
    func longestMount() throws {
        let mounts = """
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
            30 22 0:40 / /usr rw master:3 shared:9 - fuse.sshfs host:/usr rw
            31 22 0:41 / /usr/lib rw - fuse.sshfs host:/lib rw
            32 22 0:42 / /usr/lib rw - fuseblk /dev/sdb1 rw
            33 22 0:43 / /us rw - fuse.s3fs bucket rw
            34 22 0:44 / /a\\040b rw - fuse.s3fs bucket rw
            """
        #expect(try kind(0x6573_5546, mounts, path: "/usr/lib") == nil)
        #expect(try kind(0x6573_5546, mounts, path: "/usr/share") == "FUSE (fuse.sshfs)")
    }

    @Test("A path that is still to be made is judged by the nearest folder above it")
    func unmade() throws {
        let asked = "/no such folder/of ours/store"
        let probe = FileSystemProbe(
            magic: { (path) throws(ArtifactError) in path == "/" ? 0x6969 : 0xEF53 }, mountInfo: { "" })
        let refusal = #expect(throws: ArtifactError.self) { try NetworkFileSystem.refuse(asked, probe: probe) }
        #expect(refusal == .networkFileSystem(path: asked, kind: "NFS"))
        #expect(refusal?.description.contains("local disk") == true)
    }

    @Test("The machine that runs the tests can be asked")
    func system() throws {
        #expect(try FileSystemProbe.system.magic("/proc") == 0x9FA0)
        #expect(FileSystemProbe.system.mountInfo().contains(" - "))
    }
}
