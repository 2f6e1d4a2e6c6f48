import Lottery

/// Resume files, from which a training goes on bit for bit, here or on another machine.
///
/// A resume file is safetensors: the tensors of a `Checkpoint`, those of the evaluations so far (`metrics.…`), a
/// search's masks (`search.…`), the best weights while the test set waits for them (`best.…`), each checkpoint that the
/// level was asked to keep and has passed, whole, as `kept.step-k` u8, and `seconds` f64 [], the processor time that the
/// training has taken so far, which a file of an older version is without. Metadata: `format`, the `task`'s key, and
/// `digest`, the SHA-256 over names, types, shapes and bytes of all tensors, so that a damaged file is known as such.
///
/// Which weights survive is not in it, because the level prunes before it reads it; but `digest` is over the lists of
/// survivors, too, so that values are never taken for those of other weights. (A file of an older version holds the
/// lists.) So with Adam a survivor costs 12 bytes, and 16 with the best weights beside; each kept checkpoint 16 more.
///
/// For the time that is in it, two files of the same step differ. Nothing compares them: they are no outputs.
extension LevelInTraining {
    private static let format = "tombola resume 3"
    private static let keptPrefix = "kept."
    private static let secondsName = "seconds"

    /// - Parameter seconds: processor time that the training has taken so far.
    func save(to path: String, seconds: Double) throws(TrainingError) {
        let tensors =
            Checkpoint.unlistedTensors(of: network, step: step) + resumeTensors
            + [.init(name: LevelInTraining.secondsName, shape: [], [seconds])]
        do {
            var kept: [DurableFile.Part] = []
            for step in keepSteps.sorted() where step <= self.step {
                let name = OutputName.step(step)
                kept.append(try .init(name: LevelInTraining.keptPrefix + name.text, path: self.path(of: name)))
            }
            let metadata = [
                "format": LevelInTraining.format, "task": task.key.hex,
                "digest": try LevelInTraining.digest(of: tensors + Checkpoint.lists(of: network), and: kept).hex,
            ]
            try DurableFile.write(tensors, parts: kept, metadata: metadata, to: path)
        } catch { throw .unwritable(error.description) }
    }

    private static func digest(
        of tensors: [Safetensors.Tensor], and parts: [DurableFile.Part]
    ) throws(FileError) -> Digest {
        var hasher = TensorHasher()
        let names = tensors.map(\.name) + parts.map(\.name)
        for index in names.indices.sorted(by: { names[$0] < names[$1] }) {
            if index < tensors.count {
                hasher.update(tensors[index])
            } else {
                let part = parts[index - tensors.count]
                try part.withBytes { hasher.update(names[index], .u8, [part.byteCount], $0) }
            }
        }
        return hasher.digest
    }

    /// Goes on from the furthest of the files at `paths` that is whole and of this task. That none is, or that one is
    /// damaged, is no error: the training begins anew, and comes to the same.
    /// - Returns: processor time, in seconds, that the training took until then, as far as the file says; 0 if it
    ///   begins anew.
    mutating func resume(from paths: [String]) throws(TrainingError) -> Double {
        guard divergedAt == nil else { return 0 }
        let found = paths.compactMap { resumeFile(at: $0) }
        // The first of equals.
        guard let furthest = found.max(by: { $0.checkpoint.step < $1.checkpoint.step }) else { return 0 }
        for kept in furthest.kept {
            do { try DurableFile.write(kept.bytes, to: self.path(of: kept.name)) } catch {
                throw .unwritable(error.description)
            }
        }
        try goOn(from: furthest.checkpoint, furthest.metrics, furthest.history, furthest.best)
        return furthest.seconds
    }

    private struct ResumeFile {
        var checkpoint: Checkpoint
        var metrics: Metrics
        var history: MaskHistory
        var best: BestWeights?
        var seconds: Double
        /// Into `file`, which is in memory as long as this value.
        var kept: [(name: OutputName, bytes: UnsafeRawBufferPointer)]
        var file: TensorFile
    }

    private func resumeFile(at path: String) -> ResumeFile? {
        guard DurableFile.facts(of: path) != nil,
            let file = try? TensorFile(path: path),  // Damaged: of no use.
            file.header.metadata["format"] == LevelInTraining.format, file.header.metadata["task"] == task.key.hex,
            file.header.metadata["digest"]
                == LevelInTraining.digest(of: file, under: Checkpoint.lists(of: network)).hex,
            let checkpoint = try? Checkpoint(file, for: network, isUnlisted: true),  // Damaged likewise.
            let metrics = try? Metrics(  // Damaged likewise.
                resuming: file, validationCount: order.validation.count, testCount: data.shape.testCount),
            let history = try? MaskHistory(resuming: file, network.parameters.filter(\.isWeight)),  // Damaged likewise.
            (task.firstStep...task.lastStep).contains(checkpoint.step),
            let seconds = seconds(in: file)
        else { return nil }
        let best: BestWeights?
        do {
            best = try BestWeights(resuming: file, for: network, evaluations: metrics.evaluations.count)
        } catch { return nil }
        var kept: [(name: OutputName, bytes: UnsafeRawBufferPointer)] = []
        for step in keepSteps.sorted() where step <= checkpoint.step {
            let name = OutputName.step(step)
            // It was made for a request that did not ask for this one.
            guard let bytes = try? file.bytes(LevelInTraining.keptPrefix + name.text, .u8, shape: [nil]) else {
                return nil
            }
            kept.append((name, bytes))
        }
        return ResumeFile(
            checkpoint: checkpoint, metrics: metrics, history: history, best: best, seconds: seconds, kept: kept,
            file: file)
    }

    /// 0 where an older version wrote the file; nil where it says what no clock does.
    private func seconds(in file: TensorFile) -> Double? {
        guard file.header[LevelInTraining.secondsName] != nil else { return 0 }
        // Damaged likewise.
        let seconds = try? file.doubles(LevelInTraining.secondsName, shape: [])[0]
        return seconds.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    }

    /// - Parameter lists: of the survivors, where the file is without.
    private static func digest(of file: TensorFile, under lists: [Safetensors.Tensor]) -> Digest {
        var hasher = TensorHasher()
        var lists = lists.filter { file.header[$0.name] == nil }.sorted { $0.name > $1.name }
        for entry in file.header.entries.sorted(by: { $0.name < $1.name }) {
            while let list = lists.last, list.name < entry.name { hasher.update(lists.removeLast()) }
            hasher.update(entry.name, entry.type, entry.shape, file.bytes(of: entry))
        }
        while let list = lists.popLast() { hasher.update(list) }
        return hasher.digest
    }
}

/// SHA-256 over tensors, each behind a line with its name, type and shape.
private struct TensorHasher {
    private var hasher = ContentHasher()

    mutating func update(
        _ name: String, _ type: Safetensors.ElementType, _ shape: [Int], _ bytes: UnsafeRawBufferPointer
    ) {
        hasher.update(Array("\(name) \(type.rawValue) \(shape)\n".utf8))
        hasher.update(bufferPointer: bytes)
    }

    mutating func update(_ tensor: Safetensors.Tensor) {
        tensor.bytes.withUnsafeBytes { update(tensor.name, tensor.type, tensor.shape, $0) }
    }

    var digest: Digest { hasher.finalize() }
}
