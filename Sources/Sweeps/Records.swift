import Lottery

/// A table of results for people's own analyses, in long form: one fact a row, what it belongs to in every row.
public enum RecordTable: String, Hashable, Sendable, CaseIterable {
    /// A row for each run, with all of its settings.
    case runs
    /// A row for each training of each run.
    case levels
    /// A row for each evaluation of each training of each run.
    case evaluations
    /// A row for each point on the line between a training and its sibling.
    case connectivity
}

extension RecordTable {
    /// - Parameter sweep: nil for the columns that the table of some sweep has, with one in the place of all axes.
    public func columns(of sweep: Sweep?) -> [RecordColumn] {
        let axes =
            sweep?.axes.map { RecordColumn(name: $0.name, meaning: "value of the axis \($0.path)") }
            ?? [RecordColumn(name: "AXIS", meaning: "value of an axis of the sweep, under its name; a column for each")]
        let place =
            [
                RecordColumn(name: "sweep", meaning: "name of the sweep"),
                RecordColumn(name: "point", meaning: "number of the grid point, from 0 on"),
            ] + axes
            + [RecordColumn(name: "replicate", meaning: "number of the replicate, from 0 on; it decides the seeds")]
        let hasSiblings = sweep.map { $0.instability != nil } ?? true
        switch self {
        case .runs:
            let masks = sweep.map { $0.transplant.map(MaskSettings.columns) ?? [] } ?? [MaskSettings.column]
            return place + RunRow.columns
                + RunRow.settings(of: sweep).map { RecordColumn(name: $0.path, meaning: $0.meaning) }
                + SweepSettings.columns + (hasSiblings ? SiblingSettings.columns : []) + masks
        case .levels:
            return place + TrainingPlace.columns + LevelRow.columns + (hasSiblings ? ConnectionRow.summaryColumns : [])
        case .evaluations: return place + TrainingPlace.columns + EvaluationRow.columns
        case .connectivity: return place + TrainingPlace.columns + ConnectionRow.columns
        }
    }
}

/// A field of a table's row. A number that is not finite is told from one that is missing.
public enum RecordValue: Hashable, Sendable {
    case text(String)
    case integer(Int)
    case real(Double)
    case flag(Bool)
    case missing

    init(_ value: Int?) { self = value.map(RecordValue.integer) ?? .missing }
    init(_ value: Double?) { self = value.map(RecordValue.real) ?? .missing }
    init(_ value: String?) { self = value.map(RecordValue.text) ?? .missing }

    /// What a person wrote, as a number if it is one.
    init(reading text: String) {
        if text.isEmpty {
            self = .missing
        } else if let integer = Int(text) {
            self = .integer(integer)
        } else if let real = Double(text) {
            self = .real(real)
        } else if let flag = Bool(text) {
            self = .flag(flag)
        } else {
            self = .text(text)
        }
    }
}

public struct RecordColumn: Hashable, Sendable {
    /// Snake case, and a setting's path as it is.
    public let name: String
    /// What it says, with its unit.
    public let meaning: String
}

/// What is known of one task when records are made.
public enum TaskRecord: Hashable, Sendable {
    case pending
    /// - Parameters:
    ///   - seconds: processor time of its training, wherever its steps were taken.
    ///   - origin: nil where a version of before trained it.
    case done(LevelSummary, seconds: Double, origin: ResultOrigin? = nil)
    /// - Parameter name: what has become of it: `failed`, `quarantined`, `lost` or `cancelled`.
    case failed(name: String, reason: String)

    var state: String {
        switch self {
        case .pending: "pending"
        case .done: "done"
        case .failed(let name, _): name
        }
    }

    var summary: LevelSummary? { if case .done(let summary, _, _) = self { summary } else { nil } }

    var origin: ResultOrigin? { if case .done(_, _, let origin) = self { origin } else { nil } }
}

extension CellResult {
    /// What the leaderboard makes of it.
    public init(_ record: TaskRecord) {
        switch record {
        case .pending: self = .pending
        case .done(let summary, _, _): self = .done(summary)
        case .failed("cancelled", _): self = .stopped
        case .failed(_, let reason): self = .failed(reason: reason)
        }
    }
}

/// A sweep's results as tables: a pure function of plan and results. A training that several runs share is in the rows
/// of each, under the same `task`.
public struct Records {
    let plan: Plan
    let results: (TaskKey) -> TaskRecord
    let stepCost: (TrainingTask, String, [LayerCount]) -> StepCost?
    let curve: (TaskKey) throws -> LearningCurve?

    /// - Parameters:
    ///   - results: what the store holds for a task.
    ///   - stepCost: of a task on the data set of a name, with these counts of survivors; nil if its network is not
    ///     known.
    ///   - curve: every evaluation of a done task, nil if there is none.
    public init(
        plan: Plan, results: @escaping (TaskKey) -> TaskRecord,
        stepCost: @escaping (TrainingTask, String, [LayerCount]) -> StepCost?,
        curve: @escaping (TaskKey) throws -> LearningCurve?
    ) {
        self.plan = plan
        self.results = results
        self.stepCost = stepCost
        self.curve = curve
    }

    /// What a training has cost; nil until it is done.
    func cost(of task: PlannedTask, dataset: String) -> TrainingCost? {
        guard case .done(let summary, let seconds, _) = results(task.key) else { return nil }
        // Until its end, or until it diverged, or a search's mask had settled.
        var end = summary.divergedAt
        if end == nil, case .search = task.role { end = summary.final?.step }
        let steps = end.map { max(0, $0 - task.firstStep) } ?? task.cost
        let step = stepCost(task.task, dataset, summary.layers)
        return TrainingCost(
            steps: steps, seconds: seconds, flops: Double(steps) * (step?.flops ?? 0),
            bytes: Double(steps) * (step?.bytes ?? 0))
    }

    public func columns(of table: RecordTable) -> [RecordColumn] { table.columns(of: plan.sweep) }

    /// All tables but those that have no rows whatever the results.
    public var tables: [RecordTable] {
        RecordTable.allCases.filter { $0 != .connectivity || plan.sweep.instability != nil }
    }

    /// Hands the rows to `body` in the order of points, replicates, branches (the dense network and its tickets first),
    /// levels and steps; each has a value for each column.
    public func forEachRow(of table: RecordTable, _ body: ([RecordValue]) throws -> Void) throws {
        // What an adaptive sweep never came to ask for is no part of it.
        let extent = Extent(plan: plan) { CellResult(results($0)) }
        for (point, extent) in zip(plan.sweep.points, extent.points) {
            let axes = point.values.map { RecordValue(reading: $0.description) }
            for replicate in 0..<extent.replicates {
                let place =
                    [.text(plan.sweep.name), .integer(point.index)] + axes + [.integer(replicate)]
                let run = plan.run(point: point.index, replicate: replicate)
                guard table != .runs else {
                    let siblings = plan.sweep.instability.map(SiblingSettings.values) ?? []
                    let masks = plan.sweep.transplant.map { MaskSettings.values(of: point, $0, in: plan) } ?? []
                    try body(
                        place + RunRow.values(of: run, at: point, levels: extent.levels, self)
                            + SweepSettings.values(of: plan.sweep) + siblings + masks)
                    continue
                }
                for training in TrainingPlace.all(of: run, in: plan, levels: extent.levels) {
                    let place = place + training.values(in: plan)
                    let task = plan.tasks[training.index]
                    // A dense network has as many prunable weights as its tickets.
                    let pruning = point.settings.pruning
                    let rates = task.rates ?? (pruning.levels > 0 ? pruning.rate : nil)
                    switch table {
                    case .runs: break
                    case .levels:
                        let cost = cost(of: task, dataset: point.settings.dataset)
                        let barrier =
                            plan.sweep.instability == nil ? [] : ConnectionRow.summaryValues(of: results(task.key))
                        try body(place + LevelRow.values(of: task, rates, results(task.key), cost) + barrier)
                    case .evaluations:
                        try EvaluationRow.forEach(of: task, results(task.key), try curve(task.key)) {
                            try body(place + $0)
                        }
                    case .connectivity:
                        try ConnectionRow.forEach(of: task, results(task.key)) { try body(place + $0) }
                    }
                }
            }
        }
    }
}

/// A training as part of a run.
private struct TrainingPlace {
    /// Its index in the plan.
    var index: Int
    var branch: String
    var level: Int

    static let columns = [
        RecordColumn(
            name: "branch",
            meaning:
                "dense, ticket (a level of the chain), mask_from (that of the chain that gives its masks), search (an early-bird "
                + "training that a mask is got from), sibling (of that level, 0 for dense), or the control, such as "
                + "random-reinit"),
        RecordColumn(
            name: "level",
            meaning: "prunings before the training; 0 is the dense network. Of a search, the level that its mask is for"
        ),
        RecordColumn(name: "task", meaning: "key of the training; runs that share it have the same"),
    ]

    /// - Parameter levels: how many the run has come to ask for.
    static func all(of run: PlannedRun, in plan: Plan, levels: Int) -> [TrainingPlace] {
        var places = [TrainingPlace(index: run.dense, branch: "dense", level: 0)]
        for (position, index) in run.levels.prefix(levels).enumerated() {
            places.append(TrainingPlace(index: index, branch: "ticket", level: position + 1))
        }
        // Masks that an early-bird search gives are of the search, not of a chain.
        let ofChain = run.masks.prefix(levels).uniqued().filter { !run.searches.contains($0) }
        for (position, index) in ofChain.enumerated() {
            places.append(TrainingPlace(index: index, branch: "mask_from", level: position))
        }
        for (branch, ofLevels) in zip(plan.sweep.branches, run.branches) {
            for (position, index) in ofLevels.prefix(levels).enumerated() {
                if let index { places.append(TrainingPlace(index: index, branch: branch.name, level: position + 1)) }
            }
        }
        for (level, index) in run.siblings.prefix(levels + 1).enumerated() {
            if let index { places.append(TrainingPlace(index: index, branch: "sibling", level: level)) }
        }
        for (position, index) in run.searches.enumerated() where position < levels {
            // Those of a one-shot chain are all of the dense network, and only their masks tell them apart.
            places.append(TrainingPlace(index: index, branch: "search", level: position + 1))
        }
        return places
    }

    func values(in plan: Plan) -> [RecordValue] {
        [.text(branch), .integer(level), .text(plan.tasks[index].key.digest.hex)]
    }
}

private enum RunRow {
    static let columns = [
        RecordColumn(name: "seed_initialisation", meaning: "seed of θ0 and of all redrawn weights"),
        RecordColumn(name: "seed_data_order", meaning: "seed of the order of batches"),
        RecordColumn(name: "seed_augmentation", meaning: "seed of the changes to training images"),
        RecordColumn(name: "numerics", meaning: "engine, precision and order of sums: equal ids give equal bits"),
        RecordColumn(name: "dataset_digest", meaning: "SHA-256 of the decoded data set"),
        RecordColumn(name: "trainings", meaning: "trainings that make up the run, controls included"),
        RecordColumn(name: "trainings_done", meaning: "how many of them are done"),
        RecordColumn(name: "diverged", meaning: "how many of those have diverged"),
        RecordColumn(name: "steps", meaning: "training steps of the run's done trainings"),
        RecordColumn(
            name: "seconds", meaning: "processor time of the run's done trainings, in seconds"),
        RecordColumn(
            name: "flops",
            meaning:
                "floating-point operations of their steps, on surviving weights; without evaluations and the ranking of weights, whose "
                + "time is in seconds"),
        RecordColumn(name: "bytes", meaning: "bytes that kernels read and wrote in these steps, were nothing cached"),
        RecordColumn(name: "programs", meaning: "versions of the program that trained it"),
        RecordColumn(name: "machines", meaning: "machines that trained it"),
        RecordColumn(name: "processors", meaning: "instruction sets that trained it"),
        RecordColumn(
            name: "processor_models",
            meaning: "processors that trained it, as they name themselves, with \"; \" between"),
    ]

    /// All but those that an axis is called after, which has their value already.
    static func settings(of sweep: Sweep?) -> [Setting] {
        let axes = Set(sweep?.axes.map(\.name) ?? [])
        return Settings.table.filter { !axes.contains($0.path) }
    }

    static func values(
        of run: PlannedRun, at point: GridPoint, levels: Int, _ records: Records
    ) -> [RecordValue] {
        let plan = records.plan
        let resolved = plan.resolved(point.settings)
        let dense = plan.tasks[run.dense].task
        // A training may stand in several places.
        let trainings = TrainingPlace.all(of: run, in: plan, levels: levels).map(\.index).uniqued().map {
            plan.tasks[$0]
        }
        let done = trainings.compactMap { records.results($0.key).summary }
        let cost = trainings.compactMap { records.cost(of: $0, dataset: point.settings.dataset) }
            .reduce(TrainingCost()) { $0 + $1 }
        let origins = trainings.compactMap { records.results($0.key).origin }
        func names(_ name: (ResultOrigin) -> String?, separator: String = " ") -> RecordValue {
            let names = Set(origins.compactMap(name)).sorted()
            return names.isEmpty ? .missing : .text(names.joined(separator: separator))
        }
        return [
            .text(String(dense.seeds.initialisation)), .text(String(dense.seeds.dataOrder)),
            .text(String(dense.seeds.augmentation)), .text(dense.numerics.text), .text(dense.dataset.hex),
            .integer(trainings.count), .integer(done.count), .integer(done.count { $0.divergedAt != nil }),
            .integer(cost.steps), .real(cost.seconds), .real(cost.flops), .real(cost.bytes),
            names(\.program), names(\.machine), names(\.processor), names(\.processorModel, separator: "; "),
        ] + settings(of: plan.sweep).map { RecordValue(reading: $0.read(resolved)) }
    }
}

private enum LevelRow {
    static let columns =
        [
            RecordColumn(name: "state", meaning: "pending, done, or the name under which the training failed"),
            RecordColumn(
                name: "weights",
                meaning: "prunable weights: those of the layers that the point prunes, or of all where it prunes none"),
            RecordColumn(name: "surviving", meaning: "prunable weights that are not pruned"),
            RecordColumn(name: "density", meaning: "surviving over prunable weights"),
            RecordColumn(
                name: "emptied_layers", meaning: "layers that pruning has left without a weight (layer collapse)"),
            RecordColumn(name: "first_step", meaning: "step at which the training begins: that of the rewound weights"),
            RecordColumn(name: "steps", meaning: "steps trained"),
            RecordColumn(
                name: "seconds",
                meaning: "processor time, in seconds, of all its steps, wherever they were taken"),
            RecordColumn(
                name: "flops",
                meaning:
                    "floating-point operations of its steps, on surviving weights; without evaluations and the ranking of weights, "
                    + "whose time is in seconds"),
            RecordColumn(
                name: "bytes", meaning: "bytes that kernels read and wrote in these steps, were nothing cached"),
            RecordColumn(name: "diverged_at", meaning: "step at which a loss or gradient ceased to be finite"),
        ]
        + ["early_stop", "final"].flatMap { name in
            let when = name == "final" ? "after the last step" : "at the least validation loss"
            return [
                RecordColumn(name: "\(name)_step", meaning: "step of the evaluation \(when)"),
                RecordColumn(name: "\(name)_validation_loss", meaning: "mean cross-entropy \(when), in nats"),
                RecordColumn(name: "\(name)_validation_accuracy", meaning: "share of validation images right \(when)"),
                RecordColumn(name: "\(name)_test_loss", meaning: "mean cross-entropy \(when), in nats"),
                RecordColumn(name: "\(name)_test_accuracy", meaning: "share of test images right \(when)"),
            ]
        } + [
            RecordColumn(name: "program", meaning: "version of the program that trained it"),
            RecordColumn(name: "machine", meaning: "machine that trained it"),
            RecordColumn(
                name: "processor", meaning: "instruction set that trained it; results are the same bits on all"),
            RecordColumn(
                name: "processor_model",
                meaning: "processor that trained it, as it names itself; missing where it does not"),
        ]

    /// - Parameter rates: of the point, which say what is prunable; nil where nothing is pruned.
    static func values(
        of task: PlannedTask, _ rates: PruneRates?, _ record: TaskRecord, _ cost: TrainingCost?
    ) -> [RecordValue] {
        guard let summary = record.summary, let cost else {
            return [.text(record.state)] + Array(repeating: .missing, count: columns.count - 1)
        }
        let prunable = summary.layers.filter { layer in rates.map { $0[layer.kind] > .zero } ?? true }
        return [
            .text(record.state), .integer(prunable.reduce(0) { $0 + $1.weights }),
            .integer(prunable.reduce(0) { $0 + $1.surviving }), .real(summary.layers.density(prunedAt: rates)),
            .integer(summary.layers.count { $0.weights > 0 && $0.surviving == 0 }), .integer(task.firstStep),
            .integer(cost.steps), .real(cost.seconds), .real(cost.flops), .real(cost.bytes),
            RecordValue(summary.divergedAt),
        ] + values(of: summary.earlyStop) + values(of: summary.final) + [
            RecordValue(record.origin?.program), RecordValue(record.origin?.machine),
            RecordValue(record.origin?.processor), RecordValue(record.origin?.processorModel),
        ]
    }

    private static func values(of evaluation: Evaluation?) -> [RecordValue] {
        guard let evaluation else { return Array(repeating: .missing, count: 5) }
        return [
            .integer(evaluation.step), .real(evaluation.validationLoss), .real(evaluation.validationAccuracy),
            .real(evaluation.testLoss), .real(evaluation.testAccuracy),
        ]
    }
}

private enum EvaluationRow {
    static let columns = [
        RecordColumn(name: "density", meaning: "surviving over prunable weights"),
        RecordColumn(name: "step", meaning: "training steps done"),
        RecordColumn(
            name: "train_loss", meaning: "mean cross-entropy over the steps since the evaluation before, in nats"),
        RecordColumn(name: "validation_loss", meaning: "mean cross-entropy of the validation images, in nats"),
        RecordColumn(name: "validation_accuracy", meaning: "share of validation images right"),
        RecordColumn(name: "test_loss", meaning: "mean cross-entropy of the test images, in nats"),
        RecordColumn(name: "test_accuracy", meaning: "share of test images right"),
        RecordColumn(
            name: "is_early_stop",
            meaning: "whether it has the least validation loss of those after the training's first step"),
        RecordColumn(name: "is_final", meaning: "whether it is the one after the last step"),
    ]

    static func forEach(
        of task: PlannedTask, _ record: TaskRecord, _ curve: LearningCurve?, _ body: ([RecordValue]) throws -> Void
    ) rethrows {
        guard let summary = record.summary, let curve else { return }
        let density = summary.layers.density(prunedAt: task.rates)
        for point in curve.points {
            try body([
                .real(density), .integer(point.step), RecordValue(point.trainLoss), .real(point.validationLoss),
                .real(Double(point.validationCorrect) / Double(curve.validationCount)), RecordValue(point.test?.loss),
                RecordValue(point.test.map { Double($0.correct) / Double(curve.testCount) }),
                .flag(point.step == summary.earlyStop?.step), .flag(point.step == summary.final?.step),
            ])
        }
    }
}
