import Coordination
import Lottery
import OrderedCollections
import Sweeps

/// A small sweep, and trainings that compute nothing: what they leave is a digest of what they were given, so that a
/// wrong input would show on the leaderboard.
struct SimulatedSweep: Sendable {
    let id: SweepID
    let plan: Plan
    /// Parents first.
    let works: [Work]
    private let indices: [TaskKey: Int]
    /// By how much trainings are longer than usual.
    let scale: Int
    /// What each task comes to in a run in which nothing goes wrong; of an adaptive sweep those alone that such a run
    /// asks for.
    private(set) var undisturbed: [TaskKey: WorkResult] = [:]

    static let dataset: [UInt8] = Array("the images of all simulated data sets".utf8)

    /// - Parameters:
    ///   - rewind: to which step weights are set back; sweeps of the same share what they have in common.
    ///   - scale: by how much trainings are longer than usual.
    ///   - isAdaptive: whether its results decide how many replicates and levels there are.
    ///   - random: decides how many prune rates, levels and replicates there are.
    init(_ name: String, rewind: String, scale: Int, isAdaptive: Bool, _ random: inout SeededRandom) {
        self.scale = scale
        id = SweepID(name)
        let rates = ["0.2", "0.4", "0.2, 0.5"]
        let rules = [
            "refine: {looks: [2, 3, 4]}", "refine: {looks: [2, 4], budget: 3}",
            "replicates: 2\nstop_when: {margin: 0.2, levels: 1}",
            "refine: {looks: [2, 3]}\nstop_when: {margin: 0.1, levels: 2}",
        ]
        let yaml = """
            name: \(name)
            dataset: simulated
            model: {family: simulated}
            training: {iterations: 1000}
            pruning: {levels: \(1 + random.below(4)), rewind: \(rewind)}
            branches: [\(random.element(of: ["", "random-reinit"]))]
            \(random.element(of: ["", "instability: {levels: [0]}", "instability: {levels: all}"]))
            grid: {prune_rate: [\(random.element(of: rates))]}
            \(isAdaptive ? random.element(of: rules) : "replicates: \(1 + random.below(3))")
            """
        do {
            let sweep = try Sweep(yaml: yaml, file: "simulated", vocabulary: SimulatedSweep.vocabulary)
            plan = try Plan(
                sweep: sweep, vocabulary: SimulatedSweep.vocabulary,
                dataDigest: { _ in Digest.of(SimulatedSweep.dataset) })
        } catch {
            preconditionFailure("the simulated spec was refused: \(error)")
        }
        works = plan.tasks.map { task in
            Work(
                key: task.key, inputs: task.inputs.map(WorkInput.init(planned:)), cost: task.cost,
                priority: task.priority,
                needs: Work.Needs(memoryBytes: 1 + Int(task.key.digest.bytes[2]) % 3, numerics: task.numerics),
                payload: Array(task.key.hex.utf8))
        }
        indices = Dictionary(uniqueKeysWithValues: works.enumerated().map { ($1.key, $0) })
        while case let asked = asked(cell(undisturbed)), asked.count > undisturbed.count {
            for work in works where asked.contains(work.key) && undisturbed[work.key] == nil {
                undisturbed[work.key] = undisturbedResult(of: work)
            }
        }
    }

    /// What results so far ask for; all of its tasks if it is not adaptive.
    /// - Parameter results: what is known of a task.
    func asked(_ results: (TaskKey) -> CellResult) -> Set<TaskKey> {
        let isAsked = plan.isAsked(within: Extent(plan: plan, results: results))
        return Set(works.indices.lazy.filter { isAsked[$0] }.map { works[$0].key })
    }

    func asked(by store: SimulatedStore) -> Set<TaskKey> {
        asked { key in
            switch store.records[key]?.state {
            case .done(let result): .done(summary(of: key, result))
            case .failed(let failure): failure.name == .cancelled ? .stopped : .failed(reason: failure.reason)
            case .pending, nil: .pending
            }
        }
    }

    func contains(_ key: TaskKey) -> Bool { indices[key] != nil }

    /// What a task leaves, by digest, when its inputs have these contents and its last step was trained.
    func result(of training: SimulatedTraining) -> (result: WorkResult, blobs: [Digest: [UInt8]]) {
        let key = training.key
        guard let index = indices[key] else { preconditionFailure("task \(key) is in no plan") }
        precondition(training.isDone, "\(key) was trained for \(training.step) steps of \(training.steps)")
        let given = "\(training.given)\n\(training.state)"
        let names: [OutputName] = [.final, .metrics] + plan.tasks[index].keepSteps.map { .step($0) }
        var blobs: [Digest: [UInt8]] = [:]
        var outputs: [TaskOutput] = []
        for name in names.sorted() {
            let seed = Digest.of("\(key.hex) \(name)\n\(given)".utf8).bytes
            let bytes = Array((seed + seed).prefix(1 + Int(seed[0]) % 48))
            blobs[Digest.of(bytes)] = bytes
            outputs.append(TaskOutput(name: name, digest: Digest.of(bytes), byteCount: bytes.count))
        }
        let summary = Array(Digest.of("\(key.hex)\n\(given)".utf8).bytes.prefix(2))
        return (WorkResult(outputs: outputs, summary: summary, seconds: 1), blobs)
    }

    /// The leaderboard of what is known of each task.
    func leaderboard(_ results: [TaskKey: WorkResult]) -> Leaderboard {
        Leaderboard(plan: plan, results: cell(results))
    }

    /// The leaderboard of a run in which nothing goes wrong.
    var undisturbedLeaderboard: Leaderboard { leaderboard(undisturbed) }

    private func cell(_ results: [TaskKey: WorkResult]) -> (TaskKey) -> CellResult {
        { key in results[key].map { .done(summary(of: key, $0)) } ?? .pending }
    }

    /// - Precondition: those of its parents are known.
    private func undisturbedResult(of work: Work) -> WorkResult {
        let inputs = work.inputs.map { input in
            switch input.source {
            case .blob(let digest): ResolvedInput(name: input.name, digest: digest)
            case .output(let parent, let name):
                ResolvedInput(name: input.name, digest: undisturbed[parent]!.output(name)!.digest)
            }
        }
        var training = SimulatedTraining(work.key, inputs: inputs, scale: scale)
        training.advance(to: training.steps)
        return result(of: training).result
    }

    /// Two bytes of a result become an accuracy; densities are those of the level.
    private func summary(of key: TaskKey, _ result: WorkResult) -> LevelSummary {
        let level =
            switch plan.tasks[indices[key]!].role {
            case .dense, .replay: 0
            case .level(let level), .branch(_, let level), .search(let level), .sibling(let level): level
            }
        let correct = Int(result.summary[0]) * 16 + Int(result.summary[1]) % 16
        let evaluation = Evaluation(
            step: 1000, validationLoss: 1, validationCorrect: correct, validationCount: 5_000, testLoss: 1,
            testCorrect: correct, testCount: 5_000)
        let isSibling = if case .sibling = plan.tasks[indices[key]!].role { true } else { false }
        let layer = LayerCount(name: "fc1.weight", kind: .fc, weights: 1 << 10, surviving: 1 << (10 - level))
        return LevelSummary(
            layers: [layer], otherWeights: 0, final: evaluation, earlyStop: evaluation, divergedAt: nil,
            connectivity: isSibling ? Connectivity(errors: [0, Double(correct) / 5_000, 0]) : nil)
    }

    private static let vocabulary = Vocabulary(
        datasets: [
            DatasetShape(
                name: "simulated", channels: 1, height: 28, width: 28, classes: 10, trainCount: 60_000,
                testCount: 10_000)
        ],
        models: ["simulated"], initialisations: ["glorot-normal"], optimizers: ["sgd", "adam"],
        criteria: ["magnitude"], branches: ["random-reinit"], numerics: [.f32: .f32Lanes16],
        layers: { (_, _) throws(SettingError) in
            [LayerShape(name: "fc1", kind: .fc, weights: 1 << 10, biases: 10)]
        },
        semantics: { _, _ in [:] })
}

extension WorkInput {
    init(planned input: PlannedInput) {
        switch input.source {
        case .dataset(let digest): self.init(name: input.name, source: .blob(digest))
        case .output(let parent, let output): self.init(name: input.name, source: .output(parent, output))
        }
    }
}
