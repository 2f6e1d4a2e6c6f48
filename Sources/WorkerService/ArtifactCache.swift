import Artifacts
import Coordination
import Lottery

/// Which artifacts of the worker's folder are needed, and which may go when it holds too much: those not needed, least
/// recently used first. An output that was delivered stays for a while, since the next level may well train here.
struct ArtifactCache: Sendable {
    private let folder: ArtifactFolder
    private let limit: Int
    /// Size by digest of everything in the folder that this value knows.
    private var sizes: [Digest: Int] = [:]
    private var total = 0
    /// Least recently used first.
    private var order: [Digest] = []
    private var inputs: Set<Digest> = []
    private var outputs: [AttemptID: [Digest]] = [:]
    /// Checkpoints that the coordinator is to fetch.
    private var checkpoints: Set<Digest> = []

    init(folder: ArtifactFolder, byteCount limit: Int) throws(ArtifactError) {
        self.folder = folder
        self.limit = limit
        for digest in try folder.digests() { noteUse(of: digest) }
    }

    mutating func noteUse(of digest: Digest) {
        if sizes[digest] == nil {
            // Absent until it was fetched; it is noted again then.
            guard let byteCount = try? folder.byteCount(of: digest) else { return }
            sizes[digest] = byteCount
            total += byteCount
        } else {
            order.removeAll { $0 == digest }
        }
        order.append(digest)
    }

    mutating func pin(input digest: Digest) {
        inputs.insert(digest)
        noteUse(of: digest)
    }

    /// All other inputs are needed no more.
    mutating func keep(inputs digests: Set<Digest>) { inputs.formIntersection(digests) }

    mutating func pin(outputs digests: [Digest], of attempt: AttemptID) {
        outputs[attempt] = digests
        digests.forEach { noteUse(of: $0) }
    }

    mutating func pin(checkpoint digest: Digest) {
        checkpoints.insert(digest)
        noteUse(of: digest)
    }

    /// It goes at once: should the task come back, its resume file is here.
    mutating func drop(checkpoint digest: Digest) throws(ArtifactError) {
        guard checkpoints.remove(digest) != nil, !inputs.contains(digest) else { return }
        try folder.remove(digest)
        total -= sizes.removeValue(forKey: digest) ?? 0
        order.removeAll { $0 == digest }
    }

    mutating func unpin(outputsOf attempt: AttemptID) { outputs[attempt] = nil }

    /// Removes what is not needed until the folder is within its limit, if that suffices.
    mutating func evict() throws(ArtifactError) {
        guard total > limit else { return }
        let needed = inputs.union(outputs.values.joined()).union(checkpoints)
        for digest in order where !needed.contains(digest) {
            if total <= limit { break }
            try folder.remove(digest)
            total -= sizes.removeValue(forKey: digest) ?? 0
        }
        order.removeAll { sizes[$0] == nil }
    }
}
