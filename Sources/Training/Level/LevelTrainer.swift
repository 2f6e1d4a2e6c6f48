import CLinux
import Glibc
import Kernels
import Lottery

/// How far a training is.
public struct TrainingProgress: Hashable, Sendable {
    /// Training steps done, counted from 0 also after rewinding.
    public var step: Int
    public var lastStep: Int
    /// At the latest evaluation, if there was one.
    public var validationAccuracy: Double?
}

/// Whether a training that told its progress is to go on.
public enum ProgressAnswer: Hashable, Sendable {
    case goOn
    /// Write the resume file and end.
    case stop
}

/// What a training came to.
public struct LevelResult: Hashable, Sendable {
    /// A file that the training left.
    public struct Output: Hashable, Sendable {
        public var name: OutputName
        /// In the output directory.
        public var path: String
    }

    public var summary: LevelSummary
    /// Sorted by name.
    public var outputs: [Output]
    /// Processor time, in seconds, of all steps up to the last, also of those before an interruption. It differs from
    /// one time to the next, and so is in no output.
    public var seconds: Double
}

/// Trains one task: prunes its parent, goes back to the weights it starts from, and trains to the last step.
///
/// The result depends on the task only: not on where it was interrupted, on keepSteps, or on the instruction set.
///
/// Evaluations take place before the first step (as open_lth does, so that curves start at the beginning), at every
/// multiple of `evaluate_every` and after the last step; the early-stop step is looked for among those after the first
/// step. A replay (`stopAfter`) is not evaluated and leaves checkpoints only.
///
/// A training diverges at the step in which an activation, the loss, a gradient or what the update leaves is not
/// finite, or at the last one if its evaluation is not. It ends there: `final` holds the weights of the last step that
/// was taken, `summary.final` is nil, and checkpoints asked for at later steps hold that last state, marked, so that
/// what starts from them has diverged too instead of waiting for ever.
public struct LevelTrainer: Sendable {
    private let registry: Registry
    private let engine: Engine
    private let memory: MemoryBudget
    private let progressSeconds: Double
    private let clock: @Sendable () -> Double

    /// - Parameters:
    ///   - engine: changes speed only; its precision is the task's.
    ///   - memory: what a network must fit in; one that does not is refused with both figures.
    ///   - progressSeconds: progress is told at the first occasion (`run`) this much later than it was told last.
    ///   - clock: seconds that the calling thread has used so far. A training has this one thread.
    public init(
        registry: Registry, engine: Engine = Engine(), memory: MemoryBudget = .system, progressSeconds: Double = 0.1,
        clock: @escaping @Sendable () -> Double = { ThreadTime.seconds }
    ) {
        self.registry = registry
        self.engine = engine
        self.memory = memory
        self.progressSeconds = progressSeconds
        self.clock = clock
    }

    /// Trains on the calling thread, whose treatment of denormals it sets.
    /// - Parameters:
    ///   - inputs: paths of safetensors files by the names in `TrainingRequest.Input`. Of `checkpoint` and
    ///     `resumeFile`, the one that is further is gone on from, if it is whole and of this task.
    ///   - outputDirectory: there; each output is written under its name, whole or not at all.
    ///   - resumeFile: written every `checkpointSeconds` seconds and when stopped, removed at the end.
    ///   - saved: called with the step reached when `resumeFile` has been written.
    ///   - progress: called before the first step, when data, masks and the network are there, and once
    ///     `progressSeconds` have gone by after a step and between batches of images of an evaluation or of a
    ///     comparison with another training. Ranking weights, before the first step and after an epoch of a search,
    ///     tells nothing and is not interrupted.
    /// - Returns: nil if it was stopped.
    /// - Throws: `TrainingError`; `isFinal` says whether the task is at fault, or something that may be otherwise elsewhere, such as a
    ///   file or memory that is missing here. A training that diverges is a result.
    public func run(
        _ request: TrainingRequest, inputs: [String: String], outputDirectory: String, resumeFile: String?,
        checkpointSeconds: Double, saved: (_ step: Int) -> Void = { _ in },
        progress: (TrainingProgress) -> ProgressAnswer
    ) throws(TrainingError) -> LevelResult? {
        let begun = clock()
        FloatingPointMode.flushDenormals()
        // Ranking and reading take more than a sparse network does, and are over soon.
        linux_return_large_blocks()
        try check(request.task)
        guard let dataset = inputs[TrainingRequest.Input.dataset] else {
            throw .unreadable("the data set is not among the inputs")
        }
        var level = try LevelInTraining(
            request, data: ImageData(path: dataset, settings: request.task.data), registry: registry, engine: engine,
            memory: memory, inputs: inputs, outputDirectory: outputDirectory)
        let earlier = try level.resume(from: [resumeFile, inputs[TrainingRequest.Input.checkpoint]].compactMap { $0 })
        var seconds: Double { earlier + clock() - begun }

        var toldAt = monotonicSeconds()
        var savedAt = toldAt
        if progress(level.progress) == .stop { return nil }
        var isStopped = false
        /// Tells progress if it is time to; whether the training is to stop.
        func tell(_ reached: TrainingProgress) -> Bool {
            let now = monotonicSeconds()
            guard now - toldAt >= progressSeconds else { return false }
            toldAt = now
            isStopped = progress(reached) == .stop
            return isStopped
        }
        try level.begin()
        while !level.isDone {
            let reached = level.progress
            try level.goOn(unless: { tell(reached) })
            guard !level.isDone else { break }
            if !isStopped { _ = tell(level.progress) }
            if let resumeFile, isStopped || toldAt - savedAt >= checkpointSeconds {
                try level.save(to: resumeFile, seconds: seconds)
                saved(level.step)
                savedAt = toldAt
            }
            if isStopped { return nil }
        }
        let reached = level.progress
        guard let (summary, outputs) = try level.finish(unless: { tell(reached) }) else {
            if let resumeFile {
                try level.save(to: resumeFile, seconds: seconds)
                saved(level.step)
            }
            return nil
        }
        if let resumeFile { unlink(resumeFile) }
        return LevelResult(summary: summary, outputs: outputs, seconds: seconds)
    }

    /// Whether this build computes what the key of `task` promises.
    private func check(_ task: TrainingTask) throws(TrainingError) {
        guard registry.numerics[task.training.precision] == task.numerics else {
            let known = registry.numerics.values.map(\.text).sorted().joined(separator: " and ")
            throw .unsupported("this build computes \(known), not \(task.numerics) in \(task.training.precision)")
        }
        let mine = registry.semantics(
            model: task.model, training: task.training, criterion: task.pruning?.criterion ?? task.search?.criterion)
        guard mine == task.semantics else {
            let names = Set(mine.keys).union(task.semantics.keys).sorted().filter { mine[$0] != task.semantics[$0] }
            let differences = names.map {
                "\($0) is version \(mine[$0] ?? 1) here and \(task.semantics[$0] ?? 1) in the task"
            }
            throw .unsupported("\(differences.joined(separator: ", ")); use the same build on every machine")
        }
        guard task.lastStep >= task.firstStep, task.lastStep <= task.training.iterations else {
            throw .impossible(
                "a training of \(task.training.iterations) steps has none from \(task.firstStep) to \(task.lastStep)")
        }
    }

    private func monotonicSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
