import Artifacts
import Coordination
import Glibc
import Lottery
import Wire

/// The results that a worker has and that nobody has acknowledged, a file each, so that they outlive its process: what
/// was trained while the coordinator was down is handed over even if the worker was restarted meanwhile.
///
/// A file holds the frames of RESULT, each after its length in four bytes. Their outputs are in the worker's artifact
/// folder.
struct Outbox: Sendable {
    private let folder: String

    init(folder: String) throws(ArtifactError) {
        self.folder = folder
        try Folder.make(folder)
    }

    /// Makes `report` durable.
    func keep(_ report: ResultReport) throws(ArtifactError) {
        let bytes = Outbox.bytes(of: Wire.encode(.result(report)))
        let file = try File(temporaryIn: folder)
        var failure: ArtifactError?
        bytes.withUnsafeBytes { buffer in
            do throws(ArtifactError) { try file.write(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        try file.synchronize()
        let path = path(of: report.id)
        guard rename(file.path, path) == 0 else { throw ArtifactError(errno: errno, operation: "make", path: path) }
        try Folder.synchronize(folder)
    }

    func remove(_ id: AttemptID) throws(ArtifactError) { try Folder.removeFile(path(of: id)) }

    /// What is kept and can still be handed over. The rest is removed: what was half written when the worker died, and
    /// results whose outputs are gone, which must be computed again.
    func reports(artifacts: ArtifactFolder) throws(ArtifactError) -> [ResultReport] {
        var reports: [ResultReport] = []
        for name in try Folder.names(in: folder) {
            if let report = try report(at: "\(folder)/\(name)"), path(of: report.id).hasSuffix("/" + name),
                report.result.outputs.allSatisfy({ artifacts.contains($0.digest) })
            {
                reports.append(report)
            } else {
                try Folder.removeFile("\(folder)/\(name)")
            }
        }
        return reports
    }

    private func path(of id: AttemptID) -> String {
        "\(folder)/\(id.task.hex)-\(id.attempt)-\(String(id.generation.nonce, radix: 16))"
    }

    private func report(at path: String) throws(ArtifactError) -> ResultReport? {
        var bytes: [UInt8] = []
        _ = try File(path, O_RDONLY).forEachBuffer { bytes += $0 }
        guard let frames = Outbox.frames(of: bytes), case .result(let report)? = try? Wire.decodeWorkerMessage(frames)
        else { return nil }
        return report
    }

    private static func bytes(of frames: [[UInt8]]) -> [UInt8] {
        frames.flatMap { frame in
            (0..<4).map { UInt8(truncatingIfNeeded: frame.count >> (8 * $0)) } + frame
        }
    }

    /// Nil if `bytes` end before they should.
    private static func frames(of bytes: [UInt8]) -> [[UInt8]]? {
        var frames: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard rest.count >= 4 else { return nil }
            let count = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= count else { return nil }
            frames.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return frames
    }
}
