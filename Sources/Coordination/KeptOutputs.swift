import Lottery
import OrderedCollections

/// What a coordinator remembers of a done task. The rest of its result is the store's.
struct KeptResult: Sendable {
    /// Tells two summaries apart, as a `PayloadMark` tells payloads: only those of one task are compared.
    fileprivate let summaryHead: UInt64
    @Narrow<Int32> fileprivate var firstOutput = 0
    @Narrow<UInt16> fileprivate var outputCount = 0
    /// The winning attempt, of this start of the coordinator; 0 if it was another's.
    @Narrow<Int32> private var attempt = 0
    /// The generation's nonce, cut.
    private let generation: UInt32

    fileprivate init(summary: [UInt8], outputs: Range<Int>, attempt: AttemptID?) {
        summaryHead = Digest.of(summary).head
        generation = UInt32(truncatingIfNeeded: attempt?.generation.nonce ?? 0)
        firstOutput = outputs.lowerBound
        outputCount = outputs.count
        self.attempt = attempt?.attempt.number ?? 0
    }

    /// Whether it is this attempt's result. (Of two attempts of a task under the same number, which only an older copy
    /// of a store can bring about, one in 2³² is taken for the other. It is then told that its result counts, as an
    /// equal one does.)
    func isResult(of id: AttemptID) -> Bool {
        attempt == id.attempt.number && attempt > 0 && generation == UInt32(truncatingIfNeeded: id.generation.nonce)
    }
}

/// The outputs of all done tasks, one after the other: 44 bytes each.
struct KeptOutputs: Sendable {
    private var digests: [Digest] = []
    private var byteCounts: [Int] = []
    private var names: [Int32] = []
    private var distinctNames: OrderedSet<OutputName> = []

    mutating func keep(_ result: WorkResult, by attempt: AttemptID?) -> KeptResult {
        precondition(result.outputs.count <= Limits.outputsPerTask, "\(result.outputs.count) outputs of a task")
        let first = digests.count
        for output in result.outputs {
            digests.append(output.digest)
            byteCounts.append(output.byteCount)
            names.append(Int32(distinctNames.append(output.name).index))
        }
        return KeptResult(summary: result.summary, outputs: first..<digests.count, attempt: attempt)
    }

    /// The result without one of its outputs.
    mutating func without(_ name: OutputName, _ result: KeptResult) -> KeptResult {
        var rest = result
        rest.firstOutput = digests.count
        for index in indices(result) where distinctNames[Int(names[index])] != name {
            digests.append(digests[index])
            byteCounts.append(byteCounts[index])
            names.append(names[index])
        }
        rest.outputCount = digests.count - rest.firstOutput
        return rest
    }

    private func indices(_ result: KeptResult) -> Range<Int> {
        result.firstOutput..<result.firstOutput + result.outputCount
    }

    func list(_ result: KeptResult) -> [TaskOutput] {
        indices(result).map { index in
            TaskOutput(
                name: distinctNames[Int(names[index])], digest: digests[index], byteCount: byteCounts[index])
        }
    }

    func digest(of name: OutputName, _ result: KeptResult) -> Digest? {
        indices(result).first { distinctNames[Int(names[$0])] == name }.map { digests[$0] }
    }

    /// Outputs that only one of them has are not compared: which checkpoints to keep is a wish that may differ between
    /// attempts.
    func agrees(_ other: WorkResult, with result: KeptResult) -> Bool {
        let kept = list(result)
        return result.summaryHead == Digest.of(other.summary).head
            && other.outputs.allSatisfy { output in kept.allSatisfy { $0.name != output.name || $0 == output } }
    }
}
