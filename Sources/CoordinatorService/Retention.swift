import Artifacts
import Coordination
import Foundation
import Lottery
import Store

/// What of a store nobody needs, as its desk found it.
struct Survey: Sendable {
    /// Artifacts that no record names.
    var unnamed: [Digest] = []
    /// Checkpoints to rewind to, each of which goes if all who read it are done at the time.
    var intermediates: [Intermediate] = []

    struct Intermediate: Sendable {
        var retirement: Retirement
        var digest: Digest
        var byteCount: Int
        /// Of the weights alone, which tickets need.
        var keptBytes: Int
        /// All outputs that have the same content.
        var holders: Set<Holder>
    }

    struct Holder: Hashable, Sendable {
        var task: TaskKey
        var name: OutputName
    }
}

/// θk is kept for the levels that rewind to it, with the state of the optimizer. A ticket needs the weights alone: so
/// once all that read it are done, those take its place. A level that comes later, by `extend`, has the first steps
/// replayed.
extension DeskLoop {
    func survey(_ request: CompactRequest) throws -> Survey {
        var survey = Survey(unnamed: try unnamedArtifacts())
        guard request.intermediates else { return survey }
        let checkpoints = try store.storedCheckpoints()
        let holders = Dictionary(grouping: checkpoints, by: \.output.digest)
        for checkpoint in checkpoints where checkpoint.readersLeft == 0 {
            var retirement = Retirement(task: checkpoint.task, name: checkpoint.output.name)
            if checkpoint.readers > 0 {
                guard let weights = try WeightsAlone(of: checkpoint.output.digest, in: artifacts) else { continue }
                // A dry run writes nothing.
                let digest = request.isDryRun ? Digest.of(weights.file) : try artifacts.write(weights.file)
                retirement.remainder = TaskOutput(
                    name: checkpoint.output.name, digest: digest, byteCount: weights.file.count)
            }
            survey.intermediates.append(
                Survey.Intermediate(
                    retirement: retirement, digest: checkpoint.output.digest, byteCount: checkpoint.output.byteCount,
                    keptBytes: retirement.remainder?.byteCount ?? 0,
                    holders: Set(
                        holders[checkpoint.output.digest]!.map { Survey.Holder(task: $0.task, name: $0.output.name) })))
        }
        return survey
    }
}

/// A checkpoint without the state of its optimizer.
struct WeightsAlone {
    let file: [UInt8]

    /// Nil if it has no such state, so that nothing could go.
    init?(of digest: Digest, in artifacts: ArtifactFolder) throws {
        let path = artifacts.path(of: digest)
        guard artifacts.contains(digest) else { throw ArtifactError.missing(digest, folder: artifacts.directory) }
        let data = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped)
        let (tensors, metadata) = try data.withUnsafeBytes { bytes in
            do throws(Safetensors.FormatError) {
                let header = try Safetensors.header(of: bytes)
                guard header.entries.contains(where: { $0.name.hasPrefix("optimizer.") }) else {
                    return ([Safetensors.Tensor](), header.metadata)
                }
                let kept = header.entries.filter { entry in
                    !["optimizer.", "optimizer_", "scalar."].contains { entry.name.hasPrefix($0) }
                }
                return (
                    kept.map {
                        Safetensors.Tensor(
                            name: $0.name, type: $0.type, shape: $0.shape, bytes: [UInt8](bytes[$0.range]))
                    }, header.metadata
                )
            } catch {
                throw ArtifactError.damaged(
                    path: path, reason: "it is not a safetensors file: \(error)", remedy: "bring it back from a backup")
            }
        }
        guard !tensors.isEmpty else { return nil }
        file = Safetensors.encode(tensors, metadata: metadata)
    }
}
